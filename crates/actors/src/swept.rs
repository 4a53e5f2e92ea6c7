//! Tests of what a desk sees to after changes, on one node. Not here: which lines are recalled (`leasing`).

use crate::leader::{LeaderAnswer, LeaderRequest};
use crate::one_node::{
    GUARD, SHARD, actor_options, change, funded, node, one, spend, with_a_line, workspace,
};
use crate::{Options, Shards};
use ledger::{
    AdminCommand, Change, Command, CycleEnds, ForgetMode, HolderBatch, LineMessage, State, Used, Wish,
    WorkspaceSettings,
};
use platform::{Clock, SystemClock};
use std::time::Duration;
use types::{
    CivilDate, Credits, CycleDays, CycleNumber, CycleRule, DiskId, Every, HolderId, LineNumber, NodeId,
    UserId, ZoneName,
};

fn frozen(shards: &Shards) -> usize {
    let count = |state: &State| {
        let lines = &state.workspace(&workspace()).unwrap().lines;
        lines.values().filter(|line| line.frozen && !line.written_off).count()
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

/// With the pool's entry its cycle ended as well, and that took away what others had.
#[tokio::test]
async fn what_comes_with_the_loss_of_a_holder_is_recalled_from_others() {
    let (_holder, shards, ..) = with_a_line(Options { tick_ms: 60_000, ..actor_options() }).await;
    let lost = HolderId { node: NodeId(2), disk: DiskId(7) };
    let command = |command| shards.ask(SHARD, LeaderRequest::Command(Box::new(command)), GUARD);
    command(Command::Register { holder: lost, journal_sequence: 0 }).await.unwrap();
    let draw = LineMessage {
        number: LineNumber(1),
        user: UserId::parse("bob").unwrap(),
        cycle: CycleNumber::FIRST,
        scope: types::Scope::ANYTHING,
        returned: Vec::new(),
        used: Used::default(),
        wish: Wish::Draw { target: one(), floor: one(), need: one() },
        confirmed: Credits::ZERO,
        held: Credits::ZERO,
    };
    let lines = vec![draw];
    let batch =
        HolderBatch { holder: lost, journal_sequence: 0, workspace: workspace(), lines, recalled: false };
    shards.ask(SHARD, LeaderRequest::Batch(batch), GUARD).await.unwrap();
    let cycle = CycleDays { every: Every::Month, anchor: CivilDate::new(2026, 1, 31).unwrap() };
    let rule = CycleRule::of(cycle, ZoneName::utc());
    let clock = SystemClock::new();
    let ends_at = clock.now().plus_ms(300);
    let ends = Some(CycleEnds { rule, ends: vec![ends_at] });
    let settings = WorkspaceSettings { cycle: Some(cycle), ends, ..WorkspaceSettings::unchanged() };
    change(&shards, Change::PutWorkspace(settings)).await;
    let sweeping =
        tokio::spawn(shards.desk().clone().keep_sweeping(shards.clone(), Duration::from_millis(10)));
    until(|| clock.now() > ends_at).await;
    assert_eq!(frozen(&shards), 0, "nobody has asked the pool for anything since");
    command(Command::Forget { holder: lost, mode: ForgetMode::Charge }).await.unwrap();
    assert_eq!(cycle_number(&shards), 2);
    until(|| frozen(&shards) == 0).await;
    sweeping.abort();
}

fn cycle_number(shards: &Shards) -> u32 {
    shards.replica().group(SHARD).unwrap().peek(|state| state.workspace(&workspace()).unwrap().cycle.0)
}
