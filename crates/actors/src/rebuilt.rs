//! Tests of allocation and pool actors on one node, with real rooms and a disk in memory: they panic in the middle and are
//! rebuilt from the journal and the word, come and go, and are recalled, drained and confirmed meanwhile; no credit is lost
//! or made.

mod keys;
mod unsaid;

use crate::Options;
use crate::messages::AllocationMessage;
use crate::one_node::{
    GUARD, actor_options, charge, entries, funded, journal_options, node, node_on, one, recall_of, spend,
    summary, with_a_line, workspace,
};
use crate::pool::PoolMessage;
use crate::supervisor::SupervisorMessage;
use journal::{HandleNo, Journal, OpenLine};
use leasing::LeasePolicy;
use ledger::Wish;
use platform::{Disk, MemDisk, SystemClock};
use ractor::ActorRef;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use types::planted::{self, no_panic, panic_after};
use types::{Credits, CycleNumber, DiskId, NodeId, UserId};

#[tokio::test]
async fn actors_that_panic_are_rebuilt_and_no_credit_is_lost_or_made() {
    let (holder, shards) = node(actor_options()).await;
    let granted = funded(&shards).await;
    let ann = UserId::parse("ann").unwrap();
    let spends = async {
        for turn in 0..300_u32 {
            spend(&holder, &ann).await;
            if turn % 50 == 20 {
                let handle = holder.find(&workspace(), &ann).unwrap();
                assert!(handle.tell(AllocationMessage::Panic));
            }
            if turn % 100 == 70 {
                let message =
                    SupervisorMessage::ToPool { workspace: workspace(), message: PoolMessage::Panic };
                holder.0.supervisor.get().unwrap().cast(message).unwrap();
            }
        }
    };
    tokio::time::timeout(GUARD, spends).await.expect("spending goes on after each panic");
    assert!(holder.drain(GUARD).await, "every line is folded");
    let view = summary(&shards).await;
    assert_eq!(view.used, Credits::whole(300).unwrap());
    assert_eq!((view.leased, view.unattributed), (Credits::ZERO, Credits::ZERO));
    assert_eq!(view.available, granted.checked_sub(view.used).unwrap());
}

/// Lines open and close all the while, so that every point of an actor's life is one at which it panics.
#[tokio::test]
async fn wherever_an_actor_panics_no_credit_is_lost_or_made() {
    let me = NodeId(2);
    let lease = LeasePolicy { idle_ms: 1, ..LeasePolicy::STANDARD };
    let (holder, shards) = node(Options { node: me, lease, tick_ms: 2, ..actor_options() }).await;
    let granted = funded(&shards).await;
    let users = ["ann", "bob"].map(|user| UserId::parse(user).unwrap());
    let (mut spent, mut panics) = (0, 0);
    let spends = async {
        while panics < 200 {
            // If nobody is to panic any more, somebody has. The pool's ends first: it makes good what the others' left.
            let actor = match panics {
                ..50 => planted::Actor::Pool,
                50..100 => planted::Actor::Closing,
                _ => planted::Actor::Allocation,
            };
            let points = if actor == planted::Actor::Closing { panics % 2 } else { panics % 30 };
            panics += u32::from(panic_after(me, actor, points));
            futures::future::join_all(users.iter().map(|user| spend(&holder, user))).await;
            spent += 2;
            // Now shorter, now longer than it takes to be let go.
            tokio::time::sleep(Duration::from_micros(spent % 16 * 700)).await;
        }
    };
    tokio::time::timeout(GUARD, spends).await.expect("spending goes on after each panic");
    for actor in [planted::Actor::Pool, planted::Actor::Closing, planted::Actor::Allocation] {
        no_panic(me, actor);
    }
    assert!(holder.drain(GUARD).await, "every line is folded");
    assert_eq!(holder.journal().lines().await.unwrap().len(), 0, "and forgotten");
    let view = summary(&shards).await;
    assert_eq!(view.used, Credits::whole(spent).unwrap());
    assert_eq!((view.leased, view.unattributed), (Credits::ZERO, Credits::ZERO));
    assert_eq!(view.available, granted.checked_sub(view.used).unwrap());
}

/// What was spent when the word was sealed and comes to the journal after the actor's successor is there, is charged.
#[tokio::test]
async fn a_charge_that_is_on_its_way_over_a_panic_arrives() {
    let me = NodeId(3);
    let lease = LeasePolicy { idle_ms: 1, ..LeasePolicy::STANDARD };
    let (holder, shards) = node(Options { node: me, lease, tick_ms: 2, ..actor_options() }).await;
    funded(&shards).await;
    let ann = UserId::parse("ann").unwrap();
    let mut charges = 0;
    let spends = async {
        for points in 0..24 {
            let (handle, permit, spent) = loop {
                spend(&holder, &ann).await;
                charges += 1;
                let permit = holder.journal().reserve().unwrap();
                let Some(handle) = holder.find(&workspace(), &ann) else { continue };
                if let Ok(spent) = handle.try_spend(one()) {
                    break (handle, permit, spent);
                }
            };
            // Nobody spends, so the actor closes the line at some tick, and comes no further than to where the word is
            // sealed before the charge is there.
            panic_after(me, planted::Actor::Allocation, points % 8);
            for _ in 0..30 {
                if panic_after(me, planted::Actor::Allocation, 1_000) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            no_panic(me, planted::Actor::Allocation);
            // The successor has done what it does at first.
            tokio::time::sleep(Duration::from_millis(10)).await;
            permit.charge(charge(&handle, spent)).await.expect("it was spent");
            charges += 1;
        }
    };
    tokio::time::timeout(GUARD, spends).await.expect("every charge arrives");
    assert!(holder.drain(GUARD).await, "every line is folded");
    assert_eq!(summary(&shards).await.used, Credits::whole(charges).unwrap());
}

/// Actors that are let go the moment they rest, and wanted again at that moment.
#[tokio::test]
async fn actors_that_come_and_go_lose_no_line() {
    let lease = LeasePolicy { idle_ms: 1, ..LeasePolicy::STANDARD };
    let (holder, shards) = node(Options { lease, tick_ms: 2, ..actor_options() }).await;
    let granted = funded(&shards).await;
    let users = ["ann", "bob", "cleo"].map(|user| UserId::parse(user).unwrap());
    let spends = async {
        for turn in 0..300_u64 {
            futures::future::join_all(users.iter().map(|user| spend(&holder, user))).await;
            // Now shorter, now longer than it takes to be let go.
            tokio::time::sleep(Duration::from_micros(turn % 16 * 700)).await;
        }
    };
    tokio::time::timeout(GUARD, spends).await.expect("spending goes on");
    assert!(holder.drain(GUARD).await, "every line is folded");
    assert_eq!(holder.journal().lines().await.unwrap().len(), 0, "and forgotten");
    let view = summary(&shards).await;
    assert_eq!(view.used, Credits::whole(900).unwrap());
    assert_eq!((view.leased, view.unattributed), (Credits::ZERO, Credits::ZERO));
    assert_eq!(view.available, granted.checked_sub(view.used).unwrap());
}

/// A recall that finds an actor in the middle of ending its idle line is answered with the line's final numbers.
#[tokio::test]
async fn a_recall_that_meets_the_end_of_an_actor_is_answered() {
    let lease = LeasePolicy { idle_ms: 0, ..LeasePolicy::STANDARD };
    let (holder, shards) = node(Options { lease, tick_ms: 60_000, ..actor_options() }).await;
    funded(&shards).await;
    let ann = UserId::parse("ann").unwrap();
    let turns = async {
        for _ in 0..20 {
            spend(&holder, &ann).await;
            let line = holder.journal().lines().await.unwrap().into_iter().find(|line| !line.closed).unwrap();
            // It ends its line while the recall is in its mailbox, and does not come to read it.
            assert!(holder.find(&workspace(), &ann).unwrap().tell(AllocationMessage::Tick));
            let number = line.line.number;
            let answer = holder.recall(recall_of(&ann, number)).await;
            let told: Vec<_> = answer.lines.iter().map(|line| (line.number, &line.wish)).collect();
            assert_eq!(told, [(number, &Wish::Close)]);
        }
    };
    tokio::time::timeout(GUARD, turns).await.expect("every recall is answered");
}

/// A recall is answered, if with nothing, when the pool fails in its middle.
#[tokio::test]
async fn a_recall_that_a_pool_does_not_live_to_answer_ends() {
    let (holder, _shards, ann, number) = with_a_line(actor_options()).await;
    let recall = holder.recall(recall_of(&ann, number));
    let fails = async {
        // Its child does not live to read the recall, and nor does the pool to hear of it.
        let actor = holder.find(&workspace(), &ann).unwrap().actor().unwrap();
        actor.cast(AllocationMessage::Panic).unwrap();
        let message = SupervisorMessage::ToPool { workspace: workspace(), message: PoolMessage::Panic };
        holder.0.supervisor.get().unwrap().cast(message).unwrap();
    };
    let (answer, ()) =
        tokio::time::timeout(GUARD / 2, async { futures::join!(recall, fails) }).await.unwrap();
    assert!(answer.lines.len() <= 1);
}

/// A line of which the ledger may never have heard: its meters would be nobody's, so that nothing is spent from it, for
/// nothing either.
#[tokio::test]
async fn from_a_line_that_was_opened_and_never_drawn_on_nothing_is_spent() {
    let (disk, ann) = (MemDisk::new(), UserId::parse("ann").unwrap());
    let directory = disk.directory(Path::new("journal")).unwrap();
    let clock = Arc::new(SystemClock::new());
    let opened = Journal::open(journal_options(), directory, DiskId(9), clock).await.unwrap();
    let line = OpenLine {
        handle: HandleNo(1),
        epoch: 0,
        workspace: workspace(),
        user: ann.clone(),
        cycle: CycleNumber::FIRST,
        scope: types::Scope::ANYTHING,
    };
    opened.0.open_line(line).await.unwrap();
    opened.0.sync().await.unwrap();
    drop(opened);
    let (holder, shards) = node_on(disk, actor_options()).await;
    assert_eq!(holder.journal().lines().await.unwrap().len(), 1);
    let handle = holder.activate(&workspace(), &ann).await.unwrap();
    assert!(handle.try_spend(Credits::ZERO).is_err());
    // Once the ledger has it, a price of zero is a price.
    funded(&shards).await;
    tokio::time::timeout(GUARD, spend(&holder, &ann)).await.expect("ann is served");
    assert!(holder.find(&workspace(), &ann).unwrap().try_spend(Credits::ZERO).is_ok());
}

/// Consumes that must be known to a quorum share the reports of their line.
#[tokio::test]
async fn many_who_wait_for_a_quorum_need_few_reports() {
    let (holder, shards, _ann, line) = with_a_line(Options { batch_lines_max: 1, ..actor_options() }).await;
    let before = entries(&shards).await;
    let all = (0..200).map(|_| async { holder.confirm(&workspace(), line).await });
    let confirmed = tokio::time::timeout(GUARD, futures::future::join_all(all)).await.unwrap();
    assert!(confirmed.into_iter().all(|is_confirmed| is_confirmed));
    let after = entries(&shards).await;
    assert!(after - before <= 20, "{} entries for 200 who wait", after - before);
}

/// A pool that fails while a drain waits for it has given nothing back.
#[tokio::test]
async fn a_drain_that_a_pool_did_not_live_to_see_has_not_ended_well() {
    let (holder, shards, ..) = with_a_line(actor_options()).await;
    let panic = SupervisorMessage::ToPool { workspace: workspace(), message: PoolMessage::Panic };
    holder.0.supervisor.get().unwrap().cast(panic).unwrap();
    let drained = tokio::time::timeout(GUARD / 2, holder.drain(GUARD)).await;
    assert_eq!(drained, Ok(false), "said at once");
    assert!(!summary(&shards).await.leased.is_zero());
    assert!(holder.drain(GUARD).await, "asked again, its successor gives all back");
    assert_eq!(summary(&shards).await.leased, Credits::ZERO);
}

/// What was sent to a pool after it said that it rests is not lost with it.
#[tokio::test]
async fn a_pool_that_was_idle_when_it_said_so_and_is_not_any_more_stays() {
    let (holder, shards) = node(actor_options()).await;
    funded(&shards).await;
    let ann = UserId::parse("ann").unwrap();
    let spends = async {
        spend(&holder, &ann).await;
        let actor = holder.find(&workspace(), &ann).unwrap().actor().unwrap();
        let pool = ActorRef::<PoolMessage>::from(actor.get_cell().try_get_supervisor().unwrap());
        // It said so before it was sent the handle.
        let idle = SupervisorMessage::Idle { workspace: workspace(), pool, handled: 0 };
        holder.0.supervisor.get().unwrap().cast(idle).unwrap();
        for _ in 0..50 {
            spend(&holder, &ann).await;
        }
    };
    tokio::time::timeout(GUARD, spends).await.expect("spending goes on");
    assert!(holder.drain(GUARD).await, "every line is folded");
    let view = summary(&shards).await;
    assert_eq!((view.used, view.leased), (Credits::whole(51).unwrap(), Credits::ZERO));
}
