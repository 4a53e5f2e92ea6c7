//! What goes wrong in a run, as a list that is drawn before it begins: a failing run is made small by leaving faults out.
//! Not here: how often each kind comes (`swarm`, `plan`), and how a world carries it out.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use types::planted::Actor;

/// A node by its place in the topology, from 0.
pub type NodeIndex = usize;

/// [`Actor`] as it stands in films.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Actor", rename_all = "kebab-case")]
enum Panics {
    Allocation,
    Pool,
    Closing,
}

/// Where a bit rots: the newest segment of a holder's journal that a start reads. Those of the past it does not.
pub fn newest_segment(files: Vec<PathBuf>) -> Option<PathBuf> {
    let is_read = |path: &PathBuf| {
        let is_past = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("past-"));
        path.extension().is_some_and(|extension| extension == "seg") && !is_past
    };
    files.into_iter().rfind(is_read)
}

/// One fault. It begins at `at_ms` and ends `for_ms` later; those that happen in an instant (a crash of a holder) take
/// `for_ms` as the time until what was broken is started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub at_ms: u64,
    pub for_ms: u64,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum What {
    // The network, by link and direction.
    /// So many of a thousand messages are lost.
    Drop { from: NodeIndex, to: NodeIndex, per_mille: u32 },
    /// Everything takes so much longer.
    Delay { from: NodeIndex, to: NodeIndex, ms: u64 },
    /// So many of a thousand messages arrive twice, the second time up to a second later.
    Duplicate { from: NodeIndex, to: NodeIndex, per_mille: u32 },
    /// Messages overtake each other by up to so much.
    Reorder { from: NodeIndex, to: NodeIndex, ms: u64 },
    /// Nothing gets through in this direction.
    OneWay { from: NodeIndex, to: NodeIndex },
    /// Nothing gets through between these nodes and all others, both ways.
    Partition { nodes: Vec<NodeIndex> },
    /// Each node reaches its two neighbours only.
    Ring,
    /// The link is cut and whole by turns of so long.
    Flapping { from: NodeIndex, to: NodeIndex, every_ms: u64 },
    /// Connections between the two break in the middle of what they carry.
    Reset { from: NodeIndex, to: NodeIndex },
    /// Connections that one of the two opens to the other arrive at another node.
    WrongNode { from: NodeIndex, to: NodeIndex },

    // Processes and machines.
    /// The process dies; what it handed to the kernel stays.
    Crash { node: NodeIndex },
    /// The power fails; what was not synced is lost, torn or written in part.
    PowerLoss { node: NodeIndex, unsynced: Unsynced },
    /// The process stands still and goes on, longer than every timeout.
    Pause { node: NodeIndex },
    /// The process dies again and again, every so long.
    CrashLoop { node: NodeIndex, every_ms: u64 },
    /// All processes die at once, and start again.
    ColdStart,
    /// Actors panic, one after the other, each after so many points at which it could.
    ActorPanic {
        node: NodeIndex,
        #[serde(with = "Panics")]
        actor: Actor,
        points: u32,
    },
    /// The node gives its leases back and ends; it starts again.
    Drain { node: NodeIndex },
    /// The leader of the pools' shard dies, whoever it is then.
    LeaderCrash,

    // Disks.
    /// A sync takes so long.
    SlowSync { node: NodeIndex, ms: u64 },
    /// So many syncs fail; what they should have made durable never becomes so.
    SyncError { node: NodeIndex, count: u64 },
    /// There is no room for another byte.
    DiskFull { node: NodeIndex },
    /// A bit of the holder's journal turns round while the node is down; a damaged disk is a lost one.
    BitRot { node: NodeIndex },
    /// The disk is gone; the operator forgets the node.
    DiskLost { node: NodeIndex },
    /// The disk comes back as it was a while ago, and must be refused.
    DiskRolledBack { node: NodeIndex },

    // Clocks.
    /// The wall clock is off by so much.
    Skew { node: NodeIndex, ms: i64 },
    /// The wall clock jumps there and back.
    Strobe { node: NodeIndex, ms: i64, every_ms: u64 },
    /// The clock runs at so many thousandths of its speed.
    ClockRate { node: NodeIndex, per_mille: u32 },
    /// The clock stands still.
    ClockFrozen { node: NodeIndex },
    /// The process dies, and its clock has gone back when it starts again.
    BackwardsOverRestart { node: NodeIndex, ms: i64 },
}

/// What becomes of writes that were never synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsynced {
    Lost,
    /// The first so many bytes of each file survive.
    Torn(usize),
    /// Each sector survives or not.
    Scattered(u64),
}

impl What {
    /// Where it is, in the names of nodes: `n2`, `n1 → n3`, or nothing: everywhere.
    pub fn place(&self, name: &dyn Fn(NodeIndex) -> String) -> String {
        match self {
            Self::Drop { from, to, .. }
            | Self::Delay { from, to, .. }
            | Self::Duplicate { from, to, .. }
            | Self::Reorder { from, to, .. }
            | Self::OneWay { from, to }
            | Self::Flapping { from, to, .. }
            | Self::Reset { from, to }
            | Self::WrongNode { from, to } => format!("{} → {}", name(*from), name(*to)),
            Self::Partition { nodes } => nodes.iter().map(|node| name(*node)).collect::<Vec<_>>().join(" "),
            Self::Ring | Self::ColdStart | Self::LeaderCrash => String::new(),
            Self::Crash { node }
            | Self::PowerLoss { node, .. }
            | Self::Pause { node }
            | Self::CrashLoop { node, .. }
            | Self::ActorPanic { node, .. }
            | Self::Drain { node }
            | Self::SlowSync { node, .. }
            | Self::SyncError { node, .. }
            | Self::DiskFull { node }
            | Self::BitRot { node }
            | Self::DiskLost { node }
            | Self::DiskRolledBack { node }
            | Self::Skew { node, .. }
            | Self::Strobe { node, .. }
            | Self::ClockRate { node, .. }
            | Self::ClockFrozen { node }
            | Self::BackwardsOverRestart { node, .. } => name(*node),
        }
    }

    /// The kind's name, as plans and reports write it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Drop { .. } => Kind::Drop,
            Self::Delay { .. } => Kind::Delay,
            Self::Duplicate { .. } => Kind::Duplicate,
            Self::Reorder { .. } => Kind::Reorder,
            Self::OneWay { .. } => Kind::OneWay,
            Self::Partition { .. } => Kind::Partition,
            Self::Ring => Kind::Ring,
            Self::Flapping { .. } => Kind::Flapping,
            Self::Reset { .. } => Kind::Reset,
            Self::WrongNode { .. } => Kind::WrongNode,
            Self::Crash { .. } => Kind::Crash,
            Self::PowerLoss { .. } => Kind::PowerLoss,
            Self::Pause { .. } => Kind::Pause,
            Self::CrashLoop { .. } => Kind::CrashLoop,
            Self::ColdStart => Kind::ColdStart,
            Self::ActorPanic { .. } => Kind::ActorPanic,
            Self::Drain { .. } => Kind::Drain,
            Self::LeaderCrash => Kind::LeaderCrash,
            Self::SlowSync { .. } => Kind::SlowSync,
            Self::SyncError { .. } => Kind::SyncError,
            Self::DiskFull { .. } => Kind::DiskFull,
            Self::BitRot { .. } => Kind::BitRot,
            Self::DiskLost { .. } => Kind::DiskLost,
            Self::DiskRolledBack { .. } => Kind::DiskRolledBack,
            Self::Skew { .. } => Kind::Skew,
            Self::Strobe { .. } => Kind::Strobe,
            Self::ClockRate { .. } => Kind::ClockRate,
            Self::ClockFrozen { .. } => Kind::ClockFrozen,
            Self::BackwardsOverRestart { .. } => Kind::BackwardsOverRestart,
        }
    }
}

/// The kinds of faults without their sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Drop,
    Delay,
    Duplicate,
    Reorder,
    OneWay,
    Partition,
    Ring,
    Flapping,
    Reset,
    WrongNode,
    Crash,
    PowerLoss,
    Pause,
    CrashLoop,
    ColdStart,
    ActorPanic,
    Drain,
    LeaderCrash,
    SlowSync,
    SyncError,
    DiskFull,
    BitRot,
    DiskLost,
    DiskRolledBack,
    Skew,
    Strobe,
    ClockRate,
    ClockFrozen,
    BackwardsOverRestart,
}

impl Kind {
    pub const ALL: [Self; 29] = [
        Self::Drop,
        Self::Delay,
        Self::Duplicate,
        Self::Reorder,
        Self::OneWay,
        Self::Partition,
        Self::Ring,
        Self::Flapping,
        Self::Reset,
        Self::WrongNode,
        Self::Crash,
        Self::PowerLoss,
        Self::Pause,
        Self::CrashLoop,
        Self::ColdStart,
        Self::ActorPanic,
        Self::Drain,
        Self::LeaderCrash,
        Self::SlowSync,
        Self::SyncError,
        Self::DiskFull,
        Self::BitRot,
        Self::DiskLost,
        Self::DiskRolledBack,
        Self::Skew,
        Self::Strobe,
        Self::ClockRate,
        Self::ClockFrozen,
        Self::BackwardsOverRestart,
    ];

    /// As plans and reports write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Delay => "delay",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::OneWay => "one-way",
            Self::Partition => "partition",
            Self::Ring => "ring",
            Self::Flapping => "flapping",
            Self::Reset => "reset",
            Self::WrongNode => "wrong-node",
            Self::Crash => "crash",
            Self::PowerLoss => "power-loss",
            Self::Pause => "pause",
            Self::CrashLoop => "crash-loop",
            Self::ColdStart => "cold-start",
            Self::ActorPanic => "actor-panic",
            Self::Drain => "drain",
            Self::LeaderCrash => "leader-crash",
            Self::SlowSync => "slow-sync",
            Self::SyncError => "sync-error",
            Self::DiskFull => "disk-full",
            Self::BitRot => "bit-rot",
            Self::DiskLost => "disk-lost",
            Self::DiskRolledBack => "disk-rolled-back",
            Self::Skew => "skew",
            Self::Strobe => "strobe",
            Self::ClockRate => "clock-rate",
            Self::ClockFrozen => "clock-frozen",
            Self::BackwardsOverRestart => "backwards-over-restart",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_written_as_one_flat_object() {
        let fault = Fault { at_ms: 5, for_ms: 7, what: What::OneWay { from: 1, to: 2 } };
        let text = serde_json::to_string(&fault).unwrap();
        assert_eq!(text, r#"{"at_ms":5,"for_ms":7,"fault":"one-way","from":1,"to":2}"#);
        assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault);
    }

    #[test]
    fn a_kind_is_written_as_its_name() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.name()));
        }
    }
}
