//! Tests of lines with open holds on one node: what their ends free, what becomes of them when they are taken away, and of
//! whom. Not here: what the journal keeps of holds (`journal`).

use crate::leader::{LeaderAnswer, LeaderRefusal, LeaderRequest};
use crate::messages::AllocationMessage;
use crate::one_node::{
    GUARD, ME, SHARD, actor_options, change, funded, node, one, recall_of, spend, summary, workspace,
};
use crate::{Holder, Options, Shards, Unavailable};
use journal::{Ending, Held, LineView, OpenHold, Settle, Spend};
use ledger::{Change, WorkspaceView};
use platform::{Clock, SystemClock};
use std::sync::Arc;
use std::time::Duration;
use types::{Credits, Durability, Feature, PriceVersion, UserId};

fn whole(n: u64) -> Credits {
    Credits::whole(n).unwrap()
}

fn ann() -> UserId {
    UserId::parse("ann").unwrap()
}

/// Wins credits on ann's word, as a request does, and sets them aside.
async fn hold(holder: &Holder, amount: Credits, ttl_ms: u32) -> Held {
    spend(holder, &ann()).await;
    loop {
        let handle = holder.activate(&workspace(), &ann()).await.unwrap();
        let permit = holder.journal().reserve().unwrap();
        let Ok(spent) = handle.try_spend(amount) else {
            handle.want(amount).await.unwrap();
            continue;
        };
        let wish = OpenHold {
            spend: Spend { handle: handle.no, epoch: spent.epoch.number(), amount },
            feature: Feature::parse("chat").unwrap(),
            model: None,
            prices: PriceVersion { card: 1, own: None },
            durability: Durability::Local,
            ttl_ms,
            at: SystemClock::new().now(),
            key: None,
            shadow: None,
        };
        return permit.hold(wish).await.unwrap();
    }
}

async fn settle(holder: &Holder, held: &Held, amount: Credits) {
    let day = SystemClock::new().now().day();
    let settle = Settle { amount, cap: false, shadow: None, units: Vec::new(), day };
    holder.end_hold(held.number, Ending::Settle(settle)).await.unwrap();
}

async fn summary_where(shards: &Shards, what: impl Fn(&WorkspaceView) -> bool) -> WorkspaceView {
    let look = async {
        loop {
            let view = summary(shards).await;
            if what(&view) {
                return view;
            }
        }
    };
    tokio::time::timeout(GUARD, look).await.expect("the summary comes to say so")
}

fn remaining(view: &WorkspaceView) -> Credits {
    view.available.checked_add(view.leased).unwrap()
}

async fn line(holder: &Holder) -> Option<LineView> {
    holder.journal().lines().await.unwrap().pop()
}

async fn a_node() -> (Holder, Arc<Shards>) {
    let (holder, shards) = node(actor_options()).await;
    funded(&shards).await;
    (holder, shards)
}

#[tokio::test]
async fn what_a_hold_did_not_need_is_spent_by_somebody_else() {
    let (holder, shards) = a_node().await;
    let held = hold(&holder, whole(9_000), 60_000).await;
    let view = summary_where(&shards, |view| view.held == whole(9_000)).await;
    assert_eq!(
        view.granted,
        view.used.checked_add(view.held).and_then(|s| s.checked_add(remaining(&view))).unwrap()
    );
    settle(&holder, &held, whole(5)).await;
    // All that is left, on the very word that had given it out.
    let rest = hold(&holder, whole(9_993), 60_000).await;
    settle(&holder, &rest, Credits::ZERO).await;
    let view = summary_where(&shards, |view| view.held.is_zero() && view.used == whole(7)).await;
    assert_eq!(remaining(&view), whole(9_993));
}

#[tokio::test]
async fn an_idle_line_with_a_hold_stays_and_closes_when_the_hold_expires() {
    let mut lease = leasing::LeasePolicy::STANDARD;
    lease.idle_ms = 100;
    let (holder, shards) = node(Options { lease, ..actor_options() }).await;
    funded(&shards).await;
    hold(&holder, whole(7), 1_000).await;
    let before = line(&holder).await.unwrap();
    summary_where(&shards, |view| view.held == whole(7)).await;
    assert!(!line(&holder).await.unwrap().is_ending, "idle is no reason to end it");
    let view = summary_where(&shards, |view| view.leased.is_zero() && view.held.is_zero()).await;
    assert_eq!((view.used, before.held), (one(), whole(7)), "nothing was confirmed");
}

/// A line that is taken away ends; its holder, which has said so, is given a session all the same; with its hold it closes.
#[tokio::test]
async fn a_session_is_renewed_though_what_is_held_of_a_sealed_line_is_out() {
    let (holder, shards) = a_node().await;
    let held = hold(&holder, whole(7), 60_000).await;
    let off = Change::PutMember {
        user: ann(),
        ai_access: Some(false),
        team: None,
        role: None,
        service: ledger::ServiceChange::NONE,
    };
    change(&shards, off).await;
    let renew =
        || shards.ask(SHARD, LeaderRequest::Renew { holder: holder.id() }, Duration::from_millis(200));
    let refused = renew().await;
    assert!(
        matches!(&refused, Err(Unavailable::Unknown | Unavailable::Refused(LeaderRefusal::Unknown))),
        "the line is not known to be sealed: {refused:?}"
    );
    let sweeping =
        tokio::spawn(shards.desk().clone().keep_sweeping(shards.clone(), Duration::from_millis(10)));
    let renewed = async { while renew().await != Ok(LeaderAnswer::Renewed) {} };
    tokio::time::timeout(GUARD, renewed).await.expect("it is renewed");
    let view = line(&holder).await.unwrap();
    assert!(view.is_ending && view.held == whole(7), "{view:?}");
    let view = summary(&shards).await;
    assert_eq!((view.held, view.leased), (whole(7), Credits::ZERO), "all but what is held is back");
    settle(&holder, &held, whole(2)).await;
    let view = summary_where(&shards, |view| view.held.is_zero() && view.used == whole(3)).await;
    assert_eq!(view.available, whole(9_997));
    let folded = async {
        while line(&holder).await.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(GUARD, folded).await.expect("with its last hold it closes");
    sweeping.abort();
}

/// What one hold leaves of it is given back, though another one keeps it open.
#[tokio::test]
async fn a_session_is_renewed_though_one_of_two_holds_of_a_sealed_line_has_ended() {
    let (holder, shards) = a_node().await;
    let (first, second) = (hold(&holder, whole(7), 60_000).await, hold(&holder, whole(5), 60_000).await);
    let off = Change::PutMember {
        user: ann(),
        ai_access: Some(false),
        team: None,
        role: None,
        service: ledger::ServiceChange::NONE,
    };
    change(&shards, off).await;
    let sweeping =
        tokio::spawn(shards.desk().clone().keep_sweeping(shards.clone(), Duration::from_millis(10)));
    let renewed = async || {
        let renew = async || {
            shards.ask(SHARD, LeaderRequest::Renew { holder: holder.id() }, Duration::from_millis(200)).await
        };
        let until = async { while renew().await != Ok(LeaderAnswer::Renewed) {} };
        tokio::time::timeout(GUARD, until).await.expect("it is renewed");
    };
    renewed().await;
    settle(&holder, &first, whole(2)).await;
    let view = line(&holder).await.unwrap();
    assert!(view.is_ending && view.held == whole(5), "{view:?}");
    let view = summary_where(&shards, |view| view.used == whole(4) && view.held == whole(5)).await;
    assert_eq!((view.available, view.leased), (whole(9_991), Credits::ZERO), "all but what is held is back");
    renewed().await;
    settle(&holder, &second, Credits::ZERO).await;
    let view = summary_where(&shards, |view| view.held.is_zero()).await;
    assert_eq!((view.available, view.used), (whole(9_996), whole(4)));
    sweeping.abort();
}

/// Its actor ends it, and fails with the recall still in its mailbox: the pool knows what the line said last.
#[tokio::test]
async fn a_recall_that_meets_the_end_of_a_line_with_a_hold_is_answered() {
    let (holder, shards) = a_node().await;
    let held = hold(&holder, whole(7), 60_000).await;
    let number = line(&holder).await.unwrap().line.number;
    let handle = holder.find(&workspace(), &ann()).unwrap();
    assert!(handle.tell(AllocationMessage::Frozen { number }) && handle.tell(AllocationMessage::Panic));
    let recalled = tokio::time::timeout(GUARD, holder.recall(recall_of(&ann(), number))).await.unwrap();
    let told: Vec<_> = recalled.lines.iter().map(|line| (line.number, line.held)).collect();
    assert_eq!(told, [(number, whole(7))]);
    settle(&holder, &held, whole(2)).await;
    summary_where(&shards, |view| view.held.is_zero() && view.used == whole(3)).await;
}

/// Its actor fails with a hold open, and again when the hold has ended: nothing is lost and nothing is put on the word twice.
#[tokio::test]
async fn an_actor_that_fails_takes_its_line_up_with_its_hold() {
    let (holder, shards) = a_node().await;
    let held = hold(&holder, whole(7), 60_000).await;
    for ends in [false, true] {
        let handle = holder.find(&workspace(), &ann()).unwrap();
        let actor = handle.actor().unwrap();
        if ends {
            settle(&holder, &held, whole(2)).await;
        }
        actor.cast(AllocationMessage::Panic).unwrap();
        actor.get_cell().wait(None).await.unwrap();
        tokio::time::timeout(GUARD, spend(&holder, &ann())).await.expect("ann goes on");
        let (view, handle) = (line(&holder).await.unwrap(), holder.find(&workspace(), &ann()).unwrap());
        let on_word = Credits::from_micros(handle.observe().balance).unwrap();
        let spoken_for = view.used.checked_add(view.held).unwrap();
        assert!(
            on_word.checked_add(spoken_for).unwrap() <= view.watermark,
            "{on_word} on the word of {view:?}"
        );
    }
    assert!(holder.drain(GUARD).await, "with no open hold it drains");
    let view = summary(&shards).await;
    assert_eq!((view.used, view.held, view.leased), (whole(2 + 3), Credits::ZERO, Credits::ZERO));
    assert_eq!(holder.id().node, ME);
}
