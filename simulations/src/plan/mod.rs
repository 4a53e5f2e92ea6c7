//! What an engineer brings to a run: a topology, a lease policy, traffic and a fault plan, as files; and the run of world A
//! that they and a seed make. Not here: many seeds (`campaign`), what they show (`report`).

pub mod faults;
pub mod load;
pub mod policy;
pub mod schedule;
pub mod text;
pub mod topology;
pub mod trace;

use crate::chance::stream;
use crate::outcome::Outcome;
use crate::world_a::{self, Config};
use faults::FaultPlan;
use leasing::LeasePolicy;
use load::{Drawn, Load};
use text::{BadPlan, Text};
use topology::Topology;

/// The files of a run; `faults`: none, and nothing goes wrong.
#[derive(Clone, Debug)]
pub struct Files {
    pub topology: Text,
    pub policy: Option<Text>,
    pub load: Text,
    pub faults: Option<Text>,
}

/// Read and checked.
#[derive(Debug)]
pub struct Plan {
    pub topology: Topology,
    pub policy: LeasePolicy,
    pub load: Load,
    pub faults: FaultPlan,
}

/// What is done to a plan to see what would be different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WhatIf {
    /// Each zone has twice its nodes.
    TwiceTheNodes,
    /// Leases are half as large.
    HalfTheLease,
    /// Leases are twice as large.
    TwiceTheLease,
}

impl WhatIf {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TwiceTheNodes => "twice the nodes",
            Self::HalfTheLease => "half the lease",
            Self::TwiceTheLease => "twice the lease",
        }
    }
}

impl Plan {
    /// # Errors
    /// A file is not understood; the error names it, the line and the field.
    pub fn read(files: &Files, what_if: Option<WhatIf>) -> Result<Self, BadPlan> {
        let mut topology = Topology::parse(&files.topology)?;
        let mut policy = match &files.policy {
            Some(text) => policy::parse(text)?,
            None => LeasePolicy::STANDARD,
        };
        match what_if {
            Some(WhatIf::TwiceTheNodes) => {
                let twice = topology.twice_the_nodes();
                topology = twice.map_err(|why| files.topology.wrong_as_a_whole(why))?;
            }
            Some(WhatIf::HalfTheLease) => policy = policy::scaled(policy, 1, 2),
            Some(WhatIf::TwiceTheLease) => policy = policy::scaled(policy, 2, 1),
            None => {}
        }
        let load = Load::read(&files.load)?;
        let faults = match &files.faults {
            Some(text) => FaultPlan::parse(text, &topology, load.minutes)?,
            None => FaultPlan::nothing(),
        };
        Ok(Self { topology, policy, load, faults })
    }

    /// The run of a seed.
    #[must_use]
    pub fn config(&self, seed: u64) -> Config {
        let mut chance = stream(seed, "plan");
        let nodes = self.topology.nodes.len();
        let run_ms = self.load.minutes * 60_000;
        let Drawn { listed, setup, changes } = self.load.draw(seed, &self.topology.ids);
        Config {
            nodes,
            ids: self.topology.ids.clone(),
            replicas: self.topology.replicas,
            run_ms,
            distances: self.topology.distances.clone(),
            sync_us: self.topology.disk_sync.draw_us(&mut chance),
            lease: self.policy,
            session_ttl_ms: self.topology.session_ttl_ms,
            workspaces: Vec::new(),
            listed: Some(listed),
            faults: self.faults.draw(seed, nodes, run_ms),
            changes,
            setup,
            names: self.topology.nodes.clone(),
            keep_film: false,
            lies_in_wait: false,
            rushes: Vec::new(),
        }
    }

    /// Runs a seed in this process.
    #[must_use]
    pub fn run(&self, config: &Config, seed: u64) -> Outcome {
        let mut outcome = world_a::run(config, seed);
        outcome.fault_spans = faults::spans(&config.faults, &self.topology);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, What};
    use crate::outcome::PRODUCT_STOPS;

    fn plan() -> Plan {
        let text = |name: &str, content: &str| Text { name: name.into(), content: content.into() };
        let topology = "[[zone]]\nname = \"a\"\nnodes = 3\n[latency]\nwithin_zone = \"1ms\"\n";
        let load = "minutes = 1\n[[pool]]\ngranted = 900\nrequests_per_second = 10\n";
        let (topology, load) = (text("t.toml", topology), text("l.toml", load));
        Plan::read(&Files { topology, policy: None, load, faults: None }, None).unwrap()
    }

    #[test]
    fn a_run_that_panics_leaves_what_it_showed_until_then() {
        let plan = plan();
        let mut config = plan.config(1);
        config.keep_film = true;
        // There is no such node: whatever does not expect that panics.
        config.faults.push(Fault { at_ms: 30_000, for_ms: 1_000, what: What::Crash { node: 99 } });
        let outcome = plan.run(&config, 1);
        let broken = outcome.broken.unwrap();
        assert_eq!(broken.sentence, PRODUCT_STOPS);
        assert!(broken.at_ms == 30_000 && broken.what.contains("99"), "{broken:?}");
        let all = [outcome.served.asked, outcome.served.charged, outcome.operations, outcome.entries];
        assert!(all.iter().all(|count| *count > 1) && outcome.served.asked > 200, "{all:?}");
        assert_eq!((outcome.timeline.len(), outcome.nodes, outcome.minutes), (59, 3, 1));
        let last = outcome.film.last().unwrap();
        assert!(last.step == "broken" && last.scene.words.starts_with("the product stops: "), "{last:?}");
        assert!(outcome.frames > 500 && outcome.film.len() as u64 == outcome.frames);
    }
}
