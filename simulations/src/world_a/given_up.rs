//! A node that operators declare lost though it might wake: what was its credits' is lost, or spent twice. Not here: nodes
//! whose disks are gone (`start`).

use super::admins::{AdminStep, Wanted};
use super::config::{Config, Rush};
use super::words::Index;
use crate::chance::stream;
use crate::fault::{Fault, What};
use ledger::ForgetMode;
use rand::Rng;

/// At most one node of a run.
pub struct GivenUp {
    node: Index,
    at_ms: u64,
    mode: ForgetMode,
    /// It stands still for so long meanwhile; `None`: one of the run's faults keeps it silent.
    still_ms: Option<u64>,
}

/// Longer silence is noticed by whoever gives nodes up.
const SILENT_MS: u64 = 1_500;
/// Somebody spends there for so long when it wakes.
const RUSH_MS: u64 = 5_000;
/// Into its standing still, a node is given up.
const AFTER_MS: u64 = 50;

impl GivenUp {
    pub fn draw(config: &Config, seed: u64) -> Option<Self> {
        let mut chance = stream(seed, "given up");
        if config.faults.is_empty() || config.nodes == config.replicas || !chance.random_bool(0.9) {
            return None;
        }
        let mode = if chance.random_bool(0.5) { ForgetMode::Charge } else { ForgetMode::Credit };
        let silent: Vec<_> = config.faults.iter().filter_map(|fault| silenced(config, fault)).collect();
        if silent.is_empty() || chance.random_bool(0.5) {
            // So shortly that its session was not to be renewed meanwhile: it learns of it from what it is answered.
            let (node, last_ms) =
                (chance.random_range(config.replicas..config.nodes), config.run_ms.checked_sub(20_000)?);
            let at_ms = chance.random_range(2_000..last_ms.max(2_001));
            return Some(Self {
                node,
                at_ms: at_ms + AFTER_MS,
                mode,
                still_ms: Some(chance.random_range(500..SILENT_MS)),
            });
        }
        let (fault, node) = silent[chance.random_range(0..silent.len())];
        // Soon, so that it had more to say.
        let at_ms = fault.at_ms + fault.for_ms / chance.random_range(2..=8);
        Some(Self { node, at_ms, mode, still_ms: None })
    }

    pub fn stands_still(&self) -> Option<Fault> {
        let (at_ms, node) = (self.at_ms - AFTER_MS, self.node);
        self.still_ms.map(|for_ms| Fault { at_ms, for_ms, what: What::Pause { node } })
    }

    /// Somebody goes on spending there when it wakes: it draws, and is to be refused.
    pub fn rush(&self) -> Option<Rush> {
        let (at_ms, node) = (self.at_ms - AFTER_MS + self.still_ms?, Some(self.node));
        Some(Rush { at_ms, for_ms: RUSH_MS, workspace: 0, user: 0, node })
    }

    pub fn forget(&self) -> AdminStep {
        AdminStep { at_ms: self.at_ms, node: 0, what: Wanted::Forget { node: self.node, mode: self.mode } }
    }
}

/// A node without a replica that nobody hears for long enough.
fn silenced<'a>(config: &Config, fault: &'a Fault) -> Option<(&'a Fault, Index)> {
    let is_holder = |node: &Index| *node >= config.replicas;
    let node = match &fault.what {
        What::Crash { node } | What::PowerLoss { node, .. } | What::Pause { node } => {
            Some(*node).filter(is_holder)
        }
        What::Partition { nodes } => nodes.iter().copied().find(is_holder),
        _ => None,
    };
    node.filter(|_| fault.for_ms >= SILENT_MS).map(|node| (fault, node))
}
