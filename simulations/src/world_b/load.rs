//! What clients and administrators do, drawn from the seed before the run. Not here: how they ask (`clients`).

use crate::chance::{Stream, stream};
use crate::swarm::log_uniform;
use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

/// Sizes of a run's load; each seed has its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    pub workspaces: usize,
    pub users: usize,
    /// The mean time between two consumes of one user.
    pub every_ms: u64,
    /// The largest price, in micro-credits.
    pub price_max: u64,
    /// Of a thousand consumes so many carry a key, are `disk`, are `quorum`.
    pub keyed: u32,
    pub disk: u32,
    pub quorum: u32,
    /// The first grant of each pool.
    pub granted: u64,
    pub changes: Vec<Timed>,
}

/// A change by an administrator, by workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    pub at_ms: u64,
    pub workspace: usize,
    pub change: Change,
}

/// Amounts are micro-credits; users are numbered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    Grant { amount: u64, lasts_ms: Option<u64> },
    Allocate { user: usize, amount: u64, overflow: bool },
    Adjust { user: usize, up: bool, by: u64 },
    Move { from: usize, to: usize, amount: u64 },
    Limit { user: usize, amount: u64 },
    Access { user: usize, on: bool },
    Release { user: usize },
    Void { grant: usize },
}

const CREDIT: u64 = 1_000_000;

impl Load {
    /// Load that ends at `until_ms`.
    #[must_use]
    pub fn draw(seed: u64, until_ms: u64) -> Self {
        let mut chance = stream(seed, "load");
        let (workspaces, users) = (chance.random_range(1..=2), chance.random_range(2..=6));
        let every_ms = log_uniform(&mut chance, 40, 1_000);
        let price_max = log_uniform(&mut chance, 1, 20) * CREDIT;
        let consumes = until_ms / every_ms.max(1) * users as u64;
        // From far too little to far too much, so that pools run dry early, late and never.
        let all = consumes.saturating_mul(price_max) / 2;
        let granted = (all / 1_000 * chance.random_range(50..=2_000)).clamp(10 * CREDIT, 1_000_000 * CREDIT);
        let granted = granted / CREDIT * CREDIT;
        let keyed = chance.random_range(0..=600);
        let durable = if chance.random_bool(0.5) { chance.random_range(0..=300) } else { 0 };
        let changes = changes(&mut chance, until_ms, workspaces, users, granted);
        Self {
            workspaces,
            users,
            every_ms,
            price_max,
            keyed,
            disk: durable,
            quorum: durable,
            granted,
            changes,
        }
    }
}

fn changes(chance: &mut Stream, until_ms: u64, workspaces: usize, users: usize, granted: u64) -> Vec<Timed> {
    let every_ms = log_uniform(chance, 200, 5_000);
    let (mut at_ms, mut changes) = (0, Vec::new());
    while at_ms < until_ms {
        let change = change(chance, users, granted);
        changes.push(Timed { at_ms, workspace: chance.random_range(0..workspaces), change });
        at_ms += log_uniform(chance, 1.max(every_ms / 8), every_ms * 2);
    }
    changes
}

fn change(chance: &mut Stream, users: usize, granted: u64) -> Change {
    let user = chance.random_range(0..users);
    let to = (user + chance.random_range(1..users.max(2))) % users;
    let amount = log_uniform(chance, CREDIT, granted.max(2 * CREDIT) / 2);
    // Reallocations under fire come first.
    let kinds = [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7];
    match *kinds.choose(chance).expect("there are kinds") {
        0 => Change::Allocate { user, amount, overflow: chance.random_bool(0.5) },
        1 => Change::Move { from: user, to, amount },
        2 => Change::Adjust { user, up: chance.random_bool(0.5), by: amount },
        3 => Change::Limit { user, amount: amount.saturating_mul(2) },
        4 => Change::Access { user, on: chance.random_bool(0.7) },
        5 => Change::Release { user },
        6 => {
            let lasts_ms = chance.random_bool(0.4).then(|| log_uniform(chance, 500, 30_000));
            Change::Grant { amount: amount / 4 + 1, lasts_ms }
        }
        _ => Change::Void { grant: chance.random_range(0..4) },
    }
}
