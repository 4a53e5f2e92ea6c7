//! World B: whole nodes exactly as `tranche serve` assembles them, on a simulated network, on simulated disks and
//! clocks. One seed is one run, and must be one process: the standard library and tokio keep some state per process.
//!
//! Reading order: `machine` (a node's life), `net` (its outside world), `load` and `clients` (who asks), `junk` and
//! `strangers` (who sends what cannot be read), `again` (who asks for old answers), `faults`, `links` and
//! `rolled` (what goes wrong), `told`, `judge` and `rest` (what must be true). Not here: the same faults without shells (world A), and real processes (`tests`).

pub mod again;
pub mod clients;
pub mod faults;
pub mod http;
pub mod judge;
pub mod junk;
pub mod links;
pub mod load;
pub mod machine;
pub mod net;
pub mod panics;
pub mod rest;
pub mod rolled;
pub mod strangers;
pub mod told;
pub mod trace;

use crate::chance::stream;
use crate::clock::TrueTime;
use crate::crossings::Crossing;
use crate::fault::{Fault, Kind, What};
use crate::outcome::{BrokenAt, Outcome};
use crate::swarm::Swarm;
use clients::Office;
use faults::Faults;
use judge::{Calm, Judge};
use load::Load;
use machine::{Addresses, Machine, Net};
use net::{Detours, Resets};
use openraft_rt::deterministic_rng::DeterministicRng;
use openraft_rt_tokio::TokioRuntime;
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use told::Told;
use types::Timestamp;

/// Everything a run follows from, besides the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub seed: u64,
    pub nodes: usize,
    /// How long things go wrong.
    pub fault_ms: u64,
    pub load: Load,
    pub faults: Vec<Fault>,
}

/// Where simulated time begins: 2026-01-01T00:00:00Z.
pub const BEGINNING: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// The name turmoil knows the clients' machine by.
pub const CLIENTS: &str = "clients";

/// Messages take between these.
pub const LATENCY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(10));
const TICK: Duration = Duration::from_millis(1);
/// Nodes find each other and make the pools; then things begin to go wrong.
const WARM_UP_MS: u64 = 5_000;
const SAMPLE_MS: u64 = 1_000;
/// After the last fault there is so much time for silent connections to be noticed, for nodes to start and to be
/// forgotten.
const RECOVERY_MS: u64 = 20_000;
/// Then clients go on for so long: what is not served in time then is a liveness bug.
const CALM_MS: u64 = 10_000;
/// Idle lines close after ten seconds, what is asked may take a while, a close takes a report.
const REST_MS: u64 = 100_000;

impl Case {
    /// What the seed alone says.
    #[must_use]
    pub fn draw(seed: u64, nodes: usize, fault_ms: u64) -> Self {
        let kinds = faults::KINDS.to_vec();
        // One more than there are: the clients, who can lose questions and answers too.
        let swarm = Swarm { nodes: nodes + 1, until_ms: fault_ms, kinds, every_ms: (1_000, 20_000) };
        let mut faults = swarm.draw(seed);
        faults.iter_mut().for_each(|fault| fault.at_ms += WARM_UP_MS);
        put_days_off(seed, nodes, &mut faults);
        let load = Load::draw(seed, WARM_UP_MS + fault_ms);
        Self { seed, nodes, fault_ms, load, faults }
    }
}

/// Of so many clocks that are wrong one is off by more than a day: longer than anything is kept.
const DAYS_OFF_ONE_IN: u32 = 8;
const HOURS_OFF: std::ops::RangeInclusive<i64> = 25..=49;

/// From a stream of its own: nothing else that is drawn moves. Where keys outlive the faults and somebody asks for them
/// again, one clock that jumps is days ahead each time; one alone, or most clocks would say that keys are old.
fn put_days_off(seed: u64, nodes: usize, faults: &mut [Fault]) {
    let mut chance = stream(seed, "days off");
    let jumps = |fault: &Fault| match fault.what {
        What::Skew { node, .. } => Some(node).filter(|node| *node < nodes),
        _ => None,
    };
    let ahead = again::keys_outlive(faults).then(|| faults.iter().find_map(jumps)).flatten();
    for fault in faults {
        let skews = jumps(fault).is_some();
        let (What::Skew { node, ms } | What::BackwardsOverRestart { node, ms }) = &mut fault.what else {
            continue;
        };
        if ahead.is_some_and(|ahead| ahead != *node) {
            continue;
        }
        let (one_in, way) = match ahead {
            Some(_) if skews => (1, 1),
            _ => (DAYS_OFF_ONE_IN, ms.signum()),
        };
        if chance.random_ratio(1, one_in) {
            *ms = way * chance.random_range(HOURS_OFF) * 3_600_000;
        }
    }
}

/// Runs a case to its end. At most once in a process.
#[must_use]
pub fn run(case: &Case) -> Outcome {
    panics::begin();
    // A product that stopped in the middle of its state can take the judge with it.
    std::panic::catch_unwind(AssertUnwindSafe(|| run_all(case))).unwrap_or_else(|_| Outcome {
        seed: case.seed,
        minutes: case.fault_ms / 60_000,
        trace: trace::digest(),
        broken: Some(BrokenAt {
            at_ms: 0,
            sentence: "no assertion of the product fails".into(),
            what: panics::take().join("; "),
        }),
        ..Outcome::default()
    })
}

fn run_all(case: &Case) -> Outcome {
    let mut sim = turmoil::Builder::new()
        .rng_seed(case.seed)
        .tick_duration(TICK)
        .simulation_duration(Duration::from_secs(24 * 3_600))
        .min_message_latency(LATENCY.0)
        .max_message_latency(LATENCY.1)
        .tcp_capacity(1 << 16)
        .enable_random_order()
        .build();
    let truth = TrueTime::default();
    let addresses = Addresses((0..case.nodes).map(|index| sim.lookup(Machine::name(index))).collect());
    let (resets, detours) = (Resets::default(), Detours::default());
    let net = Net { addresses: addresses.clone(), resets: resets.clone(), detours: detours.clone() };
    let machine = |index| Arc::new(Machine::new(index, case.seed, &truth, &net));
    let machines: Vec<Arc<Machine>> = (0..case.nodes).map(machine).collect();
    for machine in &machines {
        let (machine, seed) = (machine.clone(), case.seed);
        sim.host(Machine::name(machine.index), move || {
            let (machine, index) = (machine.clone(), machine.index as u64);
            scoped(seed.wrapping_mul(31).wrapping_add(index), async move {
                machine.live().await;
                Ok(())
            })
        });
    }
    let told = Told::default();
    let calm_ms = WARM_UP_MS + case.fault_ms + RECOVERY_MS;
    let until_ms = calm_ms + CALM_MS;
    let office = Office {
        seed: case.seed,
        load: case.load.clone(),
        machines: machines.clone(),
        addresses,
        told: told.clone(),
        truth: truth.clone(),
        keys_stay: again::keys_outlive(&case.faults),
        calm_ms,
        until_ms,
    };
    sim.client(CLIENTS, scoped(case.seed, open_for_business(office)));

    let mut faults = Faults::new(machines.clone(), resets.clone(), detours.clone(), case.faults.clone());
    let mut judge = Judge::new(machines, told.clone());
    let (mut rest_ms, mut all_run_since) = (None, None);
    let mut now_ms = 0;
    while rest_ms.is_none_or(|since| now_ms < since + REST_MS) {
        now_ms += 1;
        truth.set_ms(now_ms);
        match sim.step() {
            Ok(true) if rest_ms.is_none() => rest_ms = Some(now_ms),
            Ok(_) => {}
            Err(why) => {
                judge.broken.push(BrokenAt {
                    at_ms: now_ms,
                    sentence: "nothing ends the simulation".into(),
                    what: why.to_string(),
                });
                break;
            }
        }
        faults.step(&mut sim, now_ms);
        if now_ms % 100 == 0 {
            let (lost, mut record) = (faults.known_lost(), told.record());
            if record.lost != lost {
                record.lost = lost;
                record.lost_ms = now_ms;
            }
        }
        for what in faults.older.broken.drain(..) {
            let sentence = "R10 an older copy of a disk is refused before its groups begin".into();
            judge.broken.push(BrokenAt { at_ms: now_ms, sentence, what });
        }
        for what in detours.take_taken() {
            let sentence = "no node is taken for another".into();
            judge.broken.push(BrokenAt { at_ms: now_ms, sentence, what });
        }
        all_run_since = faults.are_over().then(|| all_run_since.unwrap_or(now_ms));
        judge.watch();
        if now_ms % 200 == 0 {
            let is_calm = now_ms >= calm_ms;
            judge.look(now_ms, &case.load, Calm { is_calm, all_run_since, lost: &faults.lost });
        }
        if now_ms % SAMPLE_MS == 0 {
            judge.sample(now_ms, case.load.workspaces, faults.under_way());
        }
        let rested =
            |since: u64| now_ms >= since + 2_000 && judge.is_at_rest(case.load.workspaces, &faults.lost);
        if !judge.broken.is_empty() || now_ms % 1_000 == 0 && rest_ms.is_some_and(rested) {
            break;
        }
    }
    if judge.broken.is_empty() {
        judge.at_rest(now_ms, case.load.workspaces, &faults.lost, !faults.rounded.is_empty());
    }
    judge.seen.saw_often(Crossing::SnapshotIsInstalled, trace::SNAPSHOTS.count());
    judge.seen.saw_often(Crossing::ActorIsRebuilt, trace::REBUILT.count() + trace::TAKEN_UP.count());
    judge.seen.saw_often(Crossing::WrongNodeIsRefused, detours.not_taken());
    judge.seen.saw_often(Crossing::FrameIsCutOff, resets.broken());
    let record = told.record().clone();
    let crossings = [judge.seen.by_text(), record.seen.by_text(), faults.seen.by_text()];
    let named = |(kind, count): (&Kind, &u64)| (kind.name().to_owned(), *count);
    Outcome {
        seed: case.seed,
        minutes: case.fault_ms / 60_000,
        trace: trace::digest(),
        simulated_ms: now_ms,
        nodes: case.nodes,
        operations: record.operations,
        told: record.charges() as u64,
        refusals: record.refusals,
        no_answer: record.no_answer,
        changes: record.changes,
        changes_refused: record.changes_refused,
        faults: faults.begun.iter().map(named).collect(),
        crossings: crossings.into_iter().flatten().collect(),
        broken: judge.broken.into_iter().next(),
        elections: judge.elections,
        timeline: judge.timeline,
        ..Outcome::default()
    }
}

/// Seeds what openraft draws in the tasks that it starts.
fn scoped<F: Future>(seed: u64, body: F) -> impl Future<Output = F::Output> {
    DeterministicRng::<TokioRuntime>::scope(seed, body)
}

async fn open_for_business(office: Office) -> turmoil::Result {
    office.open().await;
    let mut all = vec![
        tokio::spawn(office.clone().administer()),
        tokio::spawn(office.clone().operate()),
        tokio::spawn(office.clone().ask_for_old_answers()),
        tokio::spawn(office.clone().be_a_strange_client()),
        tokio::spawn(office.clone().be_a_strange_peer()),
    ];
    for workspace in 0..office.load.workspaces {
        for user in 0..office.load.users {
            all.push(tokio::spawn(office.clone().spend(workspace, user)));
        }
    }
    for one in all {
        one.await?;
    }
    office.ask_the_last_questions().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_clocks_are_days_off_both_ways_and_nothing_else_is_drawn_anew() {
        let off = |fault: &Fault| match fault.what {
            What::Skew { ms, .. } | What::BackwardsOverRestart { ms, .. } => Some(ms),
            _ => None,
        };
        let mut all = Vec::new();
        for seed in 0..200 {
            let kinds = faults::KINDS.to_vec();
            let swarm = Swarm { nodes: 4, until_ms: 60_000, kinds, every_ms: (1_000, 20_000) };
            let (drawn, put) = (swarm.draw(seed), Case::draw(seed, 3, 60_000).faults);
            assert_eq!(drawn.len(), put.len());
            let others = drawn.iter().zip(&put).filter(|(fault, _)| off(fault).is_none());
            others.for_each(|(drawn, put)| assert_eq!(drawn.what, put.what));
            all.extend(put.iter().filter_map(off));
        }
        let day = 24 * 3_600_000;
        assert!(all.iter().any(|ms| *ms > day) && all.iter().any(|ms| *ms < -day));
        assert!(all.iter().filter(|ms| ms.abs() > day).count() * 4 < all.len());
    }
}
