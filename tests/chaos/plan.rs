//! What goes wrong in a round, drawn from the seed before it begins. The words are those of the simulations' faults, so
//! that a story can be told in both worlds. Not here: carrying it out (`storm`).
//!
//! Every kind comes before any comes twice: the kinds are a deck that is shuffled and dealt.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use std::fmt;

/// One fault. Nodes are named by their numbers, from 1.
#[derive(Clone, Debug)]
pub struct Fault {
    pub at_ms: u64,
    pub for_ms: u64,
    pub what: What,
}

/// Whose links: those between one node and some others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    pub from: u16,
    pub to: Vec<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Bytes stall and go on by turns, as when packets are lost and sent again.
    Drop {
        links: Links,
        per_mille: u32,
    },
    Delay {
        links: Links,
        ms: u64,
    },
    /// So few bytes a second. TCP's own; messages of the simulations have no length.
    SlowLink {
        links: Links,
        bytes_per_s: u32,
    },
    OneWay {
        links: Links,
    },
    /// Both ways: connections break, or stay and are silent.
    Partition {
        nodes: Vec<u16>,
        is_silent: bool,
    },
    /// Each node reaches its two neighbours only.
    Ring,
    Flapping {
        links: Links,
        every_ms: u64,
    },
    /// Connections break in the middle of a frame, again and again.
    Reset {
        links: Links,
        every_ms: u64,
    },

    Crash {
        node: u16,
    },
    Pause {
        node: u16,
    },
    CrashLoop {
        node: u16,
        every_ms: u64,
    },
    ColdStart,
    Drain {
        node: u16,
    },
    /// The leader of a shard with workspaces, whoever it is then.
    LeaderCrash,

    DiskFull {
        node: u16,
    },
    /// A bit of the journal turns round; the node does not start again, and the operator forgets it.
    BitRot {
        node: u16,
        credit: bool,
    },
    /// The directory is empty; the node does not start again, and the operator forgets it.
    DiskLost {
        node: u16,
        credit: bool,
    },

    /// The wall clock is off by so much.
    Skew {
        node: u16,
        ms: i64,
    },
    /// The wall clock jumps there and back.
    Strobe {
        node: u16,
        ms: i64,
        every_ms: u64,
    },
    /// The process dies, and its clock has gone back when it starts again.
    BackwardsOverRestart {
        node: u16,
        ms: i64,
    },
}

impl What {
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Drop { .. } => "drop",
            Self::Delay { .. } => "delay",
            Self::SlowLink { .. } => "slow-link",
            Self::OneWay { .. } => "one-way",
            Self::Partition { .. } => "partition",
            Self::Ring => "ring",
            Self::Flapping { .. } => "flapping",
            Self::Reset { .. } => "reset",
            Self::Crash { .. } => "crash",
            Self::Pause { .. } => "pause",
            Self::CrashLoop { .. } => "crash-loop",
            Self::ColdStart => "cold-start",
            Self::Drain { .. } => "drain",
            Self::LeaderCrash => "leader-crash",
            Self::DiskFull { .. } => "disk-full",
            Self::BitRot { .. } => "bit-rot",
            Self::DiskLost { .. } => "disk-lost",
            Self::Skew { .. } => "skew",
            Self::Strobe { .. } => "strobe",
            Self::BackwardsOverRestart { .. } => "backwards-over-restart",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:>6} ms, for {:>5} ms: {:?}", self.at_ms, self.for_ms, self.what)
    }
}

/// Dealt again and again; the two that cost a node for ever come once a round, by turns.
const DECK: [&str; 18] = [
    "drop",
    "delay",
    "slow-link",
    "one-way",
    "partition",
    "ring",
    "flapping",
    "reset",
    "crash",
    "pause",
    "crash-loop",
    "cold-start",
    "drain",
    "leader-crash",
    "disk-full",
    "skew",
    "strobe",
    "backwards-over-restart",
];

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    pub name: &'static str,
    pub rounds: u64,
    pub faults_in_a_round: usize,
    /// Of which so many, over all rounds, must have something to them.
    pub injections_min: u64,
    /// Between the beginnings of two faults.
    pub gap_ms: (u64, u64),
    /// One pause outlasts even a session.
    pub has_long_pause: bool,
    pub acknowledged_min: usize,
}

impl Length {
    pub const CI: Self = Self {
        name: "ci",
        rounds: 2,
        faults_in_a_round: 13,
        injections_min: 20,
        gap_ms: (1_500, 4_500),
        has_long_pause: false,
        acknowledged_min: 10_000,
    };
    pub const FULL: Self = Self {
        name: "full",
        rounds: 4,
        faults_in_a_round: 18,
        injections_min: 60,
        gap_ms: (1_500, 5_500),
        has_long_pause: true,
        acknowledged_min: 100_000,
    };
}

/// Longer than every timeout but a session.
const PAUSE_MS: (u64, u64) = (6_000, 12_000);
/// Longer than a session.
const LONG_PAUSE_MS: u64 = 63_000;
const NODES: u16 = 5;

#[derive(Debug)]
pub struct Plan {
    random: StdRng,
    deck: Vec<&'static str>,
    length: Length,
}

impl Plan {
    pub fn new(seed: u64, length: Length) -> Self {
        Self { random: StdRng::seed_from_u64(seed), deck: Vec::new(), length }
    }

    /// The faults of the next round, by time.
    pub fn deal(&mut self, round: u64) -> Vec<Fault> {
        let Length { faults_in_a_round: count, gap_ms, has_long_pause, .. } = self.length;
        let mut faults = Vec::new();
        let mut at_ms = 1_000;
        // Late enough that it held something, early enough that the others go on without it under fire.
        let loses_at = self.random.random_range(count / 2..count - 2);
        let mut nodes: Vec<u16> = (1..=NODES).collect();
        for at in 0..count {
            let mut for_ms = self.random.random_range(500..6_000);
            let what = if at == loses_at {
                let node = nodes.remove(self.random.random_range(0..nodes.len()));
                let credit = self.random.random();
                for_ms = 0;
                if round.is_multiple_of(2) {
                    What::BitRot { node, credit }
                } else {
                    What::DiskLost { node, credit }
                }
            } else if at == loses_at + 1 && has_long_pause && round == 0 {
                for_ms = LONG_PAUSE_MS;
                What::Pause { node: *nodes.choose(&mut self.random).expect("five nodes") }
            } else {
                let kind = self.next_kind();
                match kind {
                    "pause" => for_ms = self.random.random_range(PAUSE_MS.0..PAUSE_MS.1),
                    "cold-start" => for_ms = self.random.random_range(1..1_000),
                    _ => {}
                }
                self.what(kind, &nodes)
            };
            faults.push(Fault { at_ms, for_ms, what });
            at_ms += self.random.random_range(gap_ms.0..gap_ms.1);
        }
        faults
    }

    fn next_kind(&mut self) -> &'static str {
        if self.deck.is_empty() {
            self.deck = DECK.to_vec();
            self.deck.shuffle(&mut self.random);
        }
        self.deck.pop().expect("just filled")
    }

    fn what(&mut self, kind: &str, nodes: &[u16]) -> What {
        let links = self.links(nodes);
        let random = &mut self.random;
        let node = *nodes.choose(random).expect("some nodes are left");
        let every_ms = random.random_range(100..1_500);
        // Up to two hours either way, as a clock that was never set; small ones as often as large ones.
        let off = 10_i64.pow(random.random_range(1..=6)) * random.random_range(1..=7);
        let ms = if random.random() { off } else { -off };
        match kind {
            "drop" => What::Drop { links, per_mille: random.random_range(100..800) },
            "delay" => What::Delay { links, ms: random.random_range(5..1_200) },
            "slow-link" => What::SlowLink { links, bytes_per_s: random.random_range(2_000..200_000) },
            "one-way" => What::OneWay { links },
            "partition" => {
                let count = random.random_range(1..=2);
                let mut nodes = nodes.to_vec();
                nodes.shuffle(random);
                nodes.truncate(count);
                What::Partition { nodes, is_silent: random.random() }
            }
            "ring" => What::Ring,
            "flapping" => What::Flapping { links, every_ms },
            "reset" => What::Reset { links, every_ms },
            "crash" => What::Crash { node },
            "pause" => What::Pause { node },
            "crash-loop" => What::CrashLoop { node, every_ms },
            "cold-start" => What::ColdStart,
            "drain" => What::Drain { node },
            "leader-crash" => What::LeaderCrash,
            "disk-full" => What::DiskFull { node },
            "skew" => What::Skew { node, ms },
            "strobe" => What::Strobe { node, ms, every_ms },
            "backwards-over-restart" => What::BackwardsOverRestart { node, ms: off },
            other => unreachable!("no card says {other}"),
        }
    }

    /// One link, or all of a node's.
    fn links(&mut self, nodes: &[u16]) -> Links {
        let mut to = nodes.to_vec();
        to.shuffle(&mut self.random);
        let from = to.pop().expect("some nodes are left");
        if self.random.random() {
            to.truncate(1);
        }
        Links { from, to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_is_a_plan_and_every_kind_comes() {
        let deal = |seed, length: Length| -> Vec<Vec<Fault>> {
            let mut plan = Plan::new(seed, length);
            (0..length.rounds).map(|round| plan.deal(round)).collect()
        };
        assert_eq!(format!("{:?}", deal(7, Length::CI)), format!("{:?}", deal(7, Length::CI)));
        for (seed, length, least) in [(1, Length::CI, 20), (2, Length::FULL, 60)] {
            let rounds = deal(seed, length);
            let faults: Vec<&Fault> = rounds.iter().flatten().collect();
            let kinds: BTreeSet<&str> = faults.iter().map(|fault| fault.what.kind()).collect();
            assert!(faults.len() >= least && kinds.len() == DECK.len() + 2, "{kinds:?}");
            assert!(
                rounds.iter().flatten().any(|fault| fault.for_ms == LONG_PAUSE_MS) == length.has_long_pause
            );
        }
    }

    #[test]
    fn faults_have_the_names_they_have_in_the_simulations() {
        let theirs = include_str!("../../simulations/src/fault.rs");
        for kind in DECK.iter().chain(&["bit-rot", "disk-lost"]).filter(|kind| **kind != "slow-link") {
            assert!(theirs.contains(&format!("=> \"{kind}\"")), "{kind}");
        }
    }
}
