//! Tests of what a recall takes from a line on one node, and of rounds in which many are short. Not here: a recall that
//! meets the end of its actor (`rebuilt`), which lines are recalled (`leasing`).

use crate::one_node::{GUARD, actor_options, change, grant, node, recall_of, summary, workspace};
use crate::{Denied, Handle, Holder, Options, Recall, RecallAnswer};
use ledger::{Change, LineMessage, Wish, WorkspaceSettings};
use std::sync::Arc;
use types::{Backing, Credits, GrantNo, LineNumber, ShardId, Source, UserId};

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

/// Many who ask in vain for more than there is do not keep from it who needs less.
#[tokio::test]
async fn who_needs_little_is_served_beside_many_who_need_too_much() {
    let (holder, shards) = node(actor_options()).await;
    let settings = WorkspaceSettings { name: None, membership: None, durability: None };
    change(&shards, Change::PutWorkspace(settings)).await;
    change(&shards, Change::MakeGrant(grant(whole(3)))).await;
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
