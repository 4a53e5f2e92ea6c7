//! What other ways of counting would have done with the same requests, without faults and latencies: one counter that knows
//! everything, and holders with leases of one fixed size that nobody can recall. Not here: the product (`world_a`).

use crate::outcome::percent;
use crate::plan::Plan;
use crate::world_a::{AdminStep, Arrival, Config, Wanted};
use ledger::Change;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Over all seeds together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    pub name: String,
    pub asked: u64,
    pub refused: u64,
    /// Refused though there was enough, somewhere.
    pub falsely: u64,
    /// Charged without asking the counter.
    pub local: u64,
    /// How often the counter was asked.
    pub draws: u64,
    /// What had been spent of what was granted when somebody was first refused falsely, in per cent; over seeds, the least.
    pub first_false_refusal_percent: Option<f64>,
    /// What lay idle on leases when somebody was first refused for want of credits, in per cent of what was granted; over
    /// seeds, the most.
    pub stranded_percent: f64,
}

/// Credits.
pub const FIXED: [u64; 3] = [100, 1_000, 10_000];
const CREDIT: u64 = 1_000_000;

/// Nothing where users have rights of their own: then one counter is not enough.
#[must_use]
pub fn of(plan: &Plan, seeds: impl Iterator<Item = u64>) -> Vec<Baseline> {
    let mut all = vec![Baseline { name: "one counter".to_owned(), ..Baseline::default() }];
    all.extend(FIXED.map(|size| Baseline { name: format!("leases of {size}"), ..Baseline::default() }));
    for seed in seeds {
        let config = plan.config(seed);
        if !config.setup.iter().flatten().chain(&config.changes).all(is_simple) {
            return Vec::new();
        }
        for (baseline, size) in all.iter_mut().zip([None].into_iter().chain(FIXED.map(Some))) {
            Run::new(&config, size.map(|size| size * CREDIT)).go(&config, baseline);
        }
    }
    all
}

fn is_simple(step: &AdminStep) -> bool {
    matches!(step.what, Wanted::Change { change: Change::PutWorkspace(_) | Change::MakeGrant(_), .. })
}

#[derive(Default)]
struct Pool {
    granted: u64,
    /// At the counter.
    left: u64,
    spent: u64,
    /// By node.
    leases: BTreeMap<usize, u64>,
}

struct Run {
    /// `None`: every request asks the counter.
    lease: Option<u64>,
    pools: BTreeMap<usize, Pool>,
    stranded_is_known: bool,
}

impl Run {
    fn new(config: &Config, lease: Option<u64>) -> Self {
        let mut pools: BTreeMap<usize, Pool> = BTreeMap::new();
        for step in config.setup.iter().flatten().chain(&config.changes) {
            // Grants that come in mid-cycle are there when they are needed, in favour of these.
            if let Wanted::Change { workspace, change: Change::MakeGrant(grant) } = &step.what {
                let pool = pools.entry(*workspace).or_default();
                pool.granted += grant.amount.micros();
                pool.left += grant.amount.micros();
            }
        }
        Self { lease, pools, stranded_is_known: false }
    }

    fn go(mut self, config: &Config, baseline: &mut Baseline) {
        let Some(listed) = &config.listed else { return };
        for arrival in listed.arrivals.iter() {
            self.ask(arrival, baseline);
        }
    }

    fn ask(&mut self, arrival: &Arrival, baseline: &mut Baseline) {
        let Some(pool) = self.pools.get_mut(&arrival.workspace) else { return };
        let price = arrival.price.micros();
        let lease = pool.leases.entry(arrival.node).or_default();
        baseline.asked += 1;
        if self.lease.is_some() && *lease >= price {
            *lease -= price;
            pool.spent += price;
            baseline.local += 1;
            return;
        }
        baseline.draws += 1;
        let missing = price - (*lease).min(price);
        if missing <= pool.left {
            let drawn = self.lease.map_or(missing, |size| size.max(missing)).min(pool.left);
            pool.left -= drawn;
            *lease = *lease + drawn - price;
            pool.spent += price;
            return;
        }
        baseline.refused += 1;
        let idle: u64 = pool.leases.values().sum();
        if !self.stranded_is_known {
            self.stranded_is_known = true;
            baseline.stranded_percent = baseline.stranded_percent.max(percent(idle, pool.granted));
        }
        if pool.left + idle >= price {
            baseline.falsely += 1;
            let spent = percent(pool.spent, pool.granted);
            let first = baseline.first_false_refusal_percent.get_or_insert(spent);
            *first = first.min(spent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Credits;

    fn asked(lease: Option<u64>, asks: &[(usize, u64)]) -> Baseline {
        let pool = Pool { granted: 10, left: 10, ..Pool::default() };
        let mut run = Run { lease, pools: BTreeMap::from([(0, pool)]), stranded_is_known: false };
        let mut baseline = Baseline::default();
        for (node, price) in asks {
            let price = Credits::from_micros(*price).unwrap();
            let arrival = Arrival { at_us: 0, workspace: 0, user: 0, node: *node, price, keyed: false };
            run.ask(&arrival, &mut baseline);
        }
        baseline
    }

    #[test]
    fn one_counter_refuses_only_what_it_does_not_have() {
        let seen = asked(None, &[(0, 4), (1, 4), (2, 4), (0, 2), (1, 1)]);
        assert_eq!((seen.asked, seen.draws, seen.local, seen.refused, seen.falsely), (5, 5, 0, 2, 0));
        assert_eq!((seen.first_false_refusal_percent, seen.stranded_percent), (None, 0.0));
    }

    #[test]
    fn leases_of_one_size_strand_what_others_hold() {
        // 6 to node 0, which spends 1; 4 to node 1, which spends 1; node 2 gets nothing though 8 are left.
        let seen = asked(Some(6), &[(0, 1), (1, 1), (2, 1), (0, 5), (1, 3)]);
        assert_eq!((seen.draws, seen.local, seen.refused, seen.falsely), (3, 2, 1, 1));
        assert_eq!((seen.first_false_refusal_percent, seen.stranded_percent), (Some(20.0), 80.0));
    }
}
