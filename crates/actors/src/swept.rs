//! Tests of what a desk sees to after changes, on one node. Not here: which lines are recalled (`leasing`).

use crate::leader::{LeaderAnswer, LeaderRequest};
use crate::one_node::{GUARD, SHARD, actor_options, change, funded, node, spend, workspace};
use crate::{Options, Shards};
use ledger::{AdminCommand, Change, Command, State};
use std::time::Duration;
use types::{Credits, UserId};

fn frozen(shards: &Shards) -> usize {
    let count = |state: &State| {
        let lines = &state.workspace(&workspace()).unwrap().lines;
        lines.values().filter(|line| line.frozen).count()
    };
    shards.replica().group(SHARD).unwrap().peek(count)
}

async fn until(what: impl Fn() -> bool) {
    let holds = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(GUARD / 2, holds).await.expect("it comes to hold");
}

/// Who made the change gave up before he was told of it, and a repeat of it changes nothing.
#[tokio::test]
async fn what_a_change_took_away_that_nobody_heard_of_is_recalled() {
    let (holder, shards) = node(Options { tick_ms: 60_000, ..actor_options() }).await;
    funded(&shards).await;
    let ann = UserId::parse("ann").unwrap();
    let amount = Credits::whole(100).unwrap();
    change(&shards, Change::SetAllocation { user: ann.clone(), amount, overflow: None }).await;
    tokio::time::timeout(GUARD, spend(&holder, &ann)).await.expect("ann is served");
    // What was there when this node came to lead is looked through, before the change.
    let renewed = shards.ask(SHARD, LeaderRequest::Renew { holder: holder.id() }, GUARD).await;
    assert_eq!(renewed, Ok(LeaderAnswer::Renewed));
    let sweeping =
        tokio::spawn(shards.desk().clone().keep_sweeping(shards.clone(), Duration::from_millis(10)));
    let removes = AdminCommand {
        workspace: workspace(),
        keyed: None,
        if_match: None,
        change: Change::RemoveAllocation { user: ann },
    };
    let request = LeaderRequest::Command(Box::new(Command::Admin(removes)));
    {
        let mut unheard = Box::pin(shards.lead(SHARD, request, GUARD));
        assert!(futures::poll!(&mut unheard).is_pending());
        until(|| frozen(&shards) == 1).await;
    }
    until(|| frozen(&shards) == 0).await;
    sweeping.abort();
}
