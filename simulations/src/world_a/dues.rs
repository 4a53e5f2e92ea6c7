//! What time alone does to pools: the product's `actors/dues.rs` on virtual time, with a calendar whose months have
//! seconds. Not here: what then happens (`ledger`).

use super::desk;
use super::node::Running;
use super::{START, World};
use crate::crossings::Crossing;
use ledger::{Change, Command, CycleEnds, Subscription, Workspace, limits};
use std::rc::Rc;
use types::{CycleDays, CycleRule, Every, Timestamp, ZoneName};

const SETTLED_AT_ONCE: usize = 256;
const LOOKED_UP_AT_ONCE: usize = 64;
/// So long is a monthly cycle for each day of its anchor: some seconds to some minutes. A yearly one takes days.
const MS_PER_DAY: i64 = 8_000;

/// Sees to what is due in the pools, a turn at a time, while this node leads.
pub async fn keep_time(world: Rc<World>, me: Rc<Running>) {
    loop {
        me.time.sleep(desk::SWEEP_MS).await;
        let Some(replica) = world.nodes[me.node].replica.as_ref() else { return };
        if !replica.borrow().is_leader() {
            continue;
        }
        let now = world.agreed_now(me.node);
        let commands = desk::state(&world, me.node, |state| {
            let due = state.schedule.due(now, SETTLED_AT_ONCE);
            let ending = state.schedule.short_of_ends().filter_map(|id| look_up(state.workspace(id)?));
            let looked_up = ending.take(LOOKED_UP_AT_ONCE);
            let ticks = due.into_iter().map(|workspace| Command::Tick { workspace });
            ticks.chain(looked_up).collect::<Vec<_>>()
        });
        for command in commands {
            let (world, me) = (world.clone(), me.clone());
            let then = me.clone();
            then.time.spawn(then.node + 1, async move {
                let _again = desk::propose(&world, &me, command, desk::PATIENCE_MS).await;
            });
        }
    }
}

/// The end of this cycle stays as it was told; those after it are the calendar's.
fn look_up(workspace: &Workspace) -> Option<Command> {
    let rule = workspace.cycle_rule.clone()?;
    let known = workspace.cycle_ends_at();
    let later = ends_after(rule.days(), known.unwrap_or(workspace.cycle_starts_at));
    let ends: Vec<Timestamp> = known.into_iter().chain(later).take(limits::CYCLE_ENDS_MAX).collect();
    let is_news = ends != workspace.cycle_ends;
    let ends = CycleEnds { rule, ends };
    is_news.then(|| Command::SetCycleEnds { workspace: workspace.id.clone(), cycle: workspace.cycle, ends })
}

/// Settings that say something of cycles go with their ends.
pub fn with_ends(command: &mut Command, now: Timestamp) {
    let Command::Admin(admin) = command else { return };
    if let Change::PutWorkspace(settings) = &mut admin.change
        && let Some(days) = settings.cycle
    {
        let ends = ends_after(days, now).take(limits::CYCLE_ENDS_MAX).collect();
        settings.ends = Some(CycleEnds { rule: CycleRule::of(days, ZoneName::utc()), ends });
        settings.began = Some(last_until(days, now));
    }
}

fn length_ms(days: CycleDays) -> i64 {
    let years = if days.every == Every::Year { 1_000 } else { 1 };
    i64::from(days.anchor.day()) * MS_PER_DAY * years
}

fn last_until(days: CycleDays, at: Timestamp) -> Timestamp {
    START.plus_ms(at.since_ms(START).div_euclid(length_ms(days)) * length_ms(days))
}

fn ends_after(days: CycleDays, after: Timestamp) -> impl Iterator<Item = Timestamp> {
    let length_ms = length_ms(days);
    let over = after.since_ms(START).div_euclid(length_ms);
    (1_i64..).map(move |n| START.plus_ms((over + n) * length_ms))
}

/// How cycles end.
pub fn note_rollover(
    world_saw: &mut impl FnMut(Crossing),
    before: &Workspace,
    after: &Workspace,
    partitioned: bool,
) {
    if after.cycle > before.cycle {
        world_saw(Crossing::CycleEnds);
        if partitioned {
            world_saw(Crossing::CycleEndsWhilePartitioned);
        }
        if !before.totals.out.is_zero() {
            world_saw(Crossing::CycleEndsWhileOut);
        }
        if before.intents.values().any(|intent| !intent.pending().is_zero()) {
            world_saw(Crossing::CycleEndsWhilePending);
        }
    }
    note_plan(world_saw, before, after);
    note_overage(world_saw, before, after);
    if before.cycle == after.cycle {
        let left = |workspace: &Workspace| -> u64 {
            workspace.grants.iter().filter_map(|grant| grant.rolled).map(|rolled| rolled.left.micros()).sum()
        };
        if left(after) > left(before) {
            world_saw(Crossing::ReturnIsCarried);
        }
        if after.spent_before.used > before.spent_before.used {
            world_saw(Crossing::LateReport);
        }
    }
}

fn note_overage(world_saw: &mut impl FnMut(Crossing), before: &Workspace, after: &Workspace) {
    if after.overages.is_empty() {
        return;
    }
    let unpaid = |pool: &Workspace| pool.unpaid_overage(after.cycle);
    if unpaid(after) > unpaid(before) {
        world_saw(Crossing::OverageIsDrawn);
    }
    if after.totals.for_overage > before.totals.for_overage {
        world_saw(Crossing::OverageIsPaidFor);
    }
    if after.totals.for_overage < before.totals.for_overage {
        world_saw(Crossing::PayerIsFree);
    }
}

fn note_plan(world_saw: &mut impl FnMut(Crossing), before: &Workspace, after: &Workspace) {
    if after.pooling != before.pooling {
        world_saw(Crossing::PoolingIsSwitched);
        if after.frozen_out > before.frozen_out {
            world_saw(Crossing::SwitchCallsBack);
        }
    }
    let Some(plan) = &after.subscription else { return };
    let in_use = |plan: &Subscription| plan.allowance.given > plan.allowance.owed;
    if after.cycle > before.cycle && !plan.allowance.given.is_zero() {
        world_saw(Crossing::PlanGives);
    }
    if in_use(plan) && !before.subscription.as_deref().is_some_and(in_use) {
        world_saw(Crossing::PlanFindsItInUse);
    }
    if after.seats > before.seats
        && before.subscription.as_deref().is_some_and(|known| known.seats == plan.seats)
    {
        world_saw(Crossing::PaidSeatIsTaken);
    }
}
