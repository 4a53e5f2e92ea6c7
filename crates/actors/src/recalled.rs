//! Tests of what a recall takes from a line on one node, and of who waits for a recall round. Not here: a recall that
//! meets the end of its actor (`rebuilt`), which lines are recalled (`leasing`).

use crate::leader::{LeaderAnswer, LeaderRequest};
use crate::one_node::{
    GUARD, SHARD, actor_options, change, grant, node, recall_of, spend, summary, workspace,
};
use crate::{BatchAnswer, Denied, Handle, Holder, Options, Recall, RecallAnswer, Shards};
use ledger::{
    Change, Command, DenialReason, HolderBatch, Line, LineMessage, LineResult, State, Used, Wish,
    WorkspaceSettings,
};
use std::sync::Arc;
use types::{
    Backing, Credits, CycleNumber, DiskId, GrantNo, HolderId, LineNumber, NodeId, ShardId, Source, UserId,
};

fn whole(n: u64) -> Credits {
    Credits::whole(n).unwrap()
}

/// A node whose draws are all on their way for good: ann waits for so much, on the line with this number.
async fn who_waits_for(
    amount: u64,
) -> (Holder, Arc<Handle>, tokio::task::JoinHandle<Result<(), Denied>>, LineNumber) {
    let (holder, _shards) = node(Options { batches_max: 0, ..actor_options() }).await;
    holder.0.register(ShardId(0)).await.unwrap();
    let ann = UserId::parse("ann").unwrap();
    let handle = holder.activate(&workspace(), &ann).await.unwrap();
    let wants = handle.clone();
    let waits = tokio::spawn(async move { wants.want(whole(amount)).await });
    loop {
        // Her line is opened once she is known to wait.
        if let Some(line) = holder.journal().lines().await.unwrap().first() {
            return (holder, handle, waits, line.line.number);
        }
        tokio::task::yield_now().await;
    }
}

/// A leader's question for everything, which brings the answer to the line's first draw with it.
async fn recalled(holder: &Holder, line: LineNumber, drawn: u64, frozen: bool) -> LineMessage {
    let backing = Backing { source: Source::Shared, grant: GrantNo(1) };
    let Recall { workspace, mut lines } = recall_of(&UserId::parse("ann").unwrap(), line);
    (lines[0].drawn, lines[0].frozen) = (vec![(backing, whole(drawn))], frozen);
    let asked = holder.recall(Recall { workspace, lines });
    let RecallAnswer { mut lines, .. } = tokio::time::timeout(GUARD, asked).await.unwrap();
    lines.remove(0)
}

#[tokio::test]
async fn a_recall_leaves_who_waits_what_was_granted_to_him() {
    let (holder, handle, waits, line) = who_waits_for(1).await;
    let answer = recalled(&holder, line, 3, false).await;
    assert_eq!((answer.returned(), answer.wish), (whole(2), Wish::Report));
    assert_eq!(tokio::time::timeout(GUARD, waits).await.unwrap().unwrap(), Ok(()));
    handle.try_spend(whole(1)).unwrap();
    assert_eq!(recalled(&holder, line, 3, false).await.returned(), whole(2), "it is spent");
}

#[tokio::test]
async fn a_recall_takes_a_part_of_what_is_waited_for() {
    let (holder, _handle, _waits, line) = who_waits_for(5).await;
    assert_eq!(recalled(&holder, line, 3, false).await.returned(), whole(3));
}

#[tokio::test]
async fn a_recall_takes_what_was_waited_for_by_somebody_who_has_left() {
    let (holder, _handle, waits, line) = who_waits_for(1).await;
    waits.abort();
    waits.await.unwrap_err();
    assert_eq!(recalled(&holder, line, 3, false).await.returned(), whole(3));
}

#[tokio::test]
async fn a_line_that_was_taken_away_serves_nobody_who_waits() {
    let (holder, _handle, waits, line) = who_waits_for(1).await;
    let answer = recalled(&holder, line, 3, true).await;
    assert_eq!(
        (answer.used.by_backing.iter().all(|(_, used, _)| used.is_zero()), answer.wish),
        (true, Wish::Close)
    );
    assert!(!waits.is_finished(), "he waits for another line");
}

/// A pool of ten credits, of which ann has some on a lease and spent one.
async fn with_idle_credits() -> (Holder, Arc<Shards>) {
    let (holder, shards) = node(actor_options()).await;
    pool_of(&shards, 10).await;
    let ann = UserId::parse("ann").unwrap();
    tokio::time::timeout(GUARD, spend(&holder, &ann)).await.expect("ann is served");
    (holder, shards)
}

async fn pool_of(shards: &Shards, credits: u64) {
    let settings = WorkspaceSettings::unchanged();
    change(shards, Change::PutWorkspace(settings)).await;
    change(shards, Change::MakeGrant(grant(whole(credits)))).await;
}

/// What bob's node is answered to a draw of eight, and what ann's line has given back then.
async fn draws_eight(shards: &Shards, holder: HolderId, target: u64) -> (LineResult, Credits) {
    let wish = Wish::Draw { target: whole(target), floor: whole(8), need: whole(8) };
    let message = LineMessage {
        number: LineNumber(1),
        user: UserId::parse("bob").unwrap(),
        cycle: CycleNumber::FIRST,
        scope: types::Scope::ANYTHING,
        returned: Vec::new(),
        used: Used::default(),
        held: Credits::ZERO,
        confirmed: Credits::ZERO,
        wish,
    };
    let batch = HolderBatch {
        holder,
        journal_sequence: 1,
        workspace: workspace(),
        lines: vec![message],
        recalled: false,
    };
    let answer = shards.ask(SHARD, LeaderRequest::Batch(batch), GUARD).await.unwrap();
    let LeaderAnswer::Batch(BatchAnswer { mut lines, .. }) = answer else { panic!("{answer:?}") };
    let of_ann = |state: &State| {
        let lines = &state.workspace(&workspace()).unwrap().lines;
        lines.values().filter(|line| line.user.as_str() == "ann").map(Line::returned).next().unwrap()
    };
    (lines.remove(0).result, shards.replica().group(SHARD).unwrap().peek(of_ann))
}

/// Others may be in its batch, whose answers are not to wait for a recall round.
#[tokio::test]
async fn who_asks_for_more_than_he_needs_is_told_at_once_that_it_is_too_little() {
    let (_holder, shards) = with_idle_credits().await;
    let bob = HolderId { node: NodeId(2), disk: DiskId(2) };
    let register = Command::Register { holder: bob, journal_sequence: 1 };
    shards.ask(SHARD, LeaderRequest::Command(Box::new(register)), GUARD).await.unwrap();
    let (result, given) = draws_eight(&shards, bob, 28).await;
    let LineResult::Line { denied: Some(denial), .. } = result else { panic!("{result:?}") };
    assert!(!denial.elsewhere.is_zero() && given.is_zero(), "nobody was asked: {denial:?}");
    let (result, given) = draws_eight(&shards, bob, 8).await;
    assert!(matches!(result, LineResult::Line { denied: None, .. }), "{result:?}");
    assert!(!given.is_zero(), "ann's line has given back");
}

/// And then asks for what he needs alone.
#[tokio::test]
async fn who_is_short_at_first_is_served_by_a_round() {
    let (holder, _shards) = with_idle_credits().await;
    let bob = holder.activate(&workspace(), &UserId::parse("bob").unwrap()).await.unwrap();
    assert_eq!(tokio::time::timeout(GUARD, bob.want(whole(8))).await, Ok(Ok(())));
    bob.try_spend(whole(8)).unwrap();
    let Err(Denied::Ledger { denial, cut_off, .. }) = bob.want(whole(8)).await else {
        panic!("there is not so much")
    };
    assert_eq!((denial.reason, cut_off), (DenialReason::Exhausted, false));
}

/// However many draws wait for rounds, reports, and draws that can be served, go out beside them.
#[tokio::test]
async fn draws_that_wait_for_a_round_take_no_place_of_others() {
    let options = Options { waiting_batches_max: 0, batches_max: 1, ..actor_options() };
    let (holder, shards) = node(options).await;
    pool_of(&shards, 10).await;
    let ann = UserId::parse("ann").unwrap();
    tokio::time::timeout(GUARD, spend(&holder, &ann)).await.expect("ann is served");
    let bob = holder.activate(&workspace(), &UserId::parse("bob").unwrap()).await.unwrap();
    let waits = tokio::spawn(async move { bob.want(whole(8)).await });
    for _ in 0..4 {
        tokio::time::timeout(GUARD, spend(&holder, &ann)).await.expect("ann is served");
    }
    let line = holder.journal().lines().await.unwrap().remove(0).line.number;
    assert!(tokio::time::timeout(GUARD, holder.confirm(&workspace(), line)).await.unwrap());
    assert!(!waits.is_finished(), "no batch that waits was sent");
}

/// Many who ask in vain for more than there is do not keep from it who needs less.
#[tokio::test]
async fn who_needs_little_is_served_beside_many_who_need_too_much() {
    let (holder, shards) = node(actor_options()).await;
    pool_of(&shards, 3).await;
    let loops = (0..12).map(|n| {
        let (holder, user) = (holder.clone(), UserId::parse(&format!("big{n}")).unwrap());
        tokio::spawn(async move {
            while let Some(handle) = holder.activate(&workspace(), &user).await {
                let _denied = handle.want(whole(5)).await;
            }
        })
    });
    let loops: Vec<_> = loops.collect();
    let small = UserId::parse("small").unwrap();
    let served = async {
        for _ in 0..3 {
            let handle = holder.activate(&workspace(), &small).await.unwrap();
            assert_eq!(handle.want(whole(1)).await, Ok(()));
            assert!(handle.try_spend(whole(1)).is_ok());
        }
    };
    tokio::time::timeout(GUARD, served).await.expect("small is served");
    loops.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(!summary(&shards).await.granted.is_zero());
}
