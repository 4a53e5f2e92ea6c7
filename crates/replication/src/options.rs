//! What a replica is told when it is opened: its groups and every bound. Not here: defaults, which `cluster` has.

use std::collections::BTreeSet;
use std::fmt;
use types::{NodeId, ShardId};

/// One Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupId {
    /// What the whole cluster shares: the rate card.
    Meta,
    /// The pools of one shard.
    Shard(ShardId),
}

impl GroupId {
    /// On disk and between nodes. A shard from 65535 on has none.
    pub(crate) fn number(self) -> Option<u16> {
        match self {
            Self::Meta => Some(0),
            Self::Shard(ShardId(shard)) => shard.checked_add(1),
        }
    }

    pub(crate) fn from_number(number: u16) -> Self {
        number.checked_sub(1).map_or(Self::Meta, |shard| Self::Shard(ShardId(shard)))
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("meta"),
            Self::Shard(shard) => write!(f, "{shard}"),
        }
    }
}

/// Who replicates a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    pub id: GroupId,
    /// Those who decide; the first should lead and asks to at once when it starts.
    pub voters: Vec<NodeId>,
    /// Those who only follow.
    pub learners: Vec<NodeId>,
}

impl GroupSpec {
    pub(crate) fn hosts(&self, node: NodeId) -> bool {
        self.voters.contains(&node) || self.learners.contains(&node)
    }
}

/// Everything a replica needs to know. Times are milliseconds.
#[derive(Clone, Debug)]
pub struct Options {
    pub node: NodeId,
    /// All groups of the cluster, the same list on every node and for ever. Those that name `node` are opened.
    pub groups: Vec<GroupSpec>,

    /// How often a leader says that it lives; 250.
    pub heartbeat_ms: u64,
    /// A follower that hears nothing for `election_max_ms` gives its leader up, and after at least `election_min_ms`
    /// and at most `election_max_ms` more it stands for election; 500 and 800: a new leader within two seconds.
    /// At least two heartbeats. A leader that hears no quorum for `election_max_ms` takes no proposals.
    pub election_min_ms: u64,
    pub election_max_ms: u64,
    /// How long one request to another node may take; 1,000.
    pub rpc_timeout_ms: u64,
    /// How long a piece of a snapshot may take; the last one is answered when all is checked and installed. 30,000.
    pub snapshot_timeout_ms: u64,

    /// The largest command in bytes; 1 MiB, at most 2 MiB.
    pub command_bytes_max: usize,
    /// The largest entry: commands, and bytes of them; 1,024 and 1 MiB, at most 3 MiB and not less than a command.
    pub entry_commands_max: usize,
    pub entry_bytes_max: usize,
    /// Commands that wait for the next entry of one group; past it proposals are answered `Overloaded`. 16,384.
    pub waiting_commands_max: usize,

    /// A snapshot is made after so many entries, or after entries of so many bytes; 10,000 and 64 MiB.
    pub snapshot_every_entries: u64,
    pub snapshot_every_bytes: u64,
    /// Entries kept behind a snapshot for followers that are a little late; 1,000.
    pub log_keep_entries: u64,
    /// A snapshot travels in pieces of so many bytes; 1 MiB, at most 4 MiB.
    pub chunk_bytes: usize,
    /// A larger snapshot is not taken from a leader; 16 GiB.
    pub snapshot_bytes_max: u64,

    /// Bytes of the log's end kept in memory for each group; 4 MiB. What is not yet on disk is kept in any case.
    pub tail_bytes: usize,
    /// Memory the log's database may use as a cache, for all groups together; 16 MiB.
    pub database_cache_bytes: usize,
}

const MIB: usize = 1024 * 1024;

impl Options {
    /// What is wrong with these options, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        let ensure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        ensure(self.heartbeat_ms >= 5, "heartbeat_ms must be at least 5")?;
        ensure(
            self.election_min_ms >= 2 * self.heartbeat_ms,
            "election_min_ms must be at least two heartbeats",
        )?;
        ensure(
            self.election_max_ms > self.election_min_ms,
            "election_max_ms must be more than election_min_ms",
        )?;
        ensure(self.rpc_timeout_ms > 0, "rpc_timeout_ms must not be 0")?;
        ensure(self.snapshot_timeout_ms > 0, "snapshot_timeout_ms must not be 0")?;
        ensure((1..=2 * MIB).contains(&self.command_bytes_max), "command_bytes_max must be 1 to 2 MiB")?;
        ensure(
            (self.command_bytes_max..=3 * MIB).contains(&self.entry_bytes_max),
            "entry_bytes_max must be at least command_bytes_max and at most 3 MiB",
        )?;
        ensure(self.entry_commands_max > 0, "entry_commands_max must not be 0")?;
        ensure(self.waiting_commands_max > 0, "waiting_commands_max must not be 0")?;
        ensure(self.snapshot_every_entries > 0, "snapshot_every_entries must not be 0")?;
        ensure(self.snapshot_every_bytes > 0, "snapshot_every_bytes must not be 0")?;
        ensure((1..=4 * MIB).contains(&self.chunk_bytes), "chunk_bytes must be 1 to 4 MiB")?;
        let mut seen = BTreeSet::new();
        for spec in &self.groups {
            let group = spec.id;
            ensure(
                group.number().is_some() && seen.insert(group),
                "a group is listed twice or has no number",
            )?;
            ensure(!spec.voters.is_empty(), "a group needs a voter")?;
            let nodes: BTreeSet<NodeId> = spec.voters.iter().chain(&spec.learners).copied().collect();
            ensure(
                nodes.len() == spec.voters.len() + spec.learners.len(),
                "a node is listed twice in a group",
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        let voters = vec![NodeId(1), NodeId(2), NodeId(3)];
        let group = |id| GroupSpec { id, voters: voters.clone(), learners: vec![NodeId(4)] };
        Options {
            node: NodeId(1),
            groups: vec![group(GroupId::Meta), group(GroupId::Shard(ShardId(0)))],
            heartbeat_ms: 250,
            election_min_ms: 500,
            election_max_ms: 800,
            rpc_timeout_ms: 1_000,
            snapshot_timeout_ms: 30_000,
            command_bytes_max: MIB,
            entry_commands_max: 1_024,
            entry_bytes_max: MIB,
            waiting_commands_max: 16_384,
            snapshot_every_entries: 10_000,
            snapshot_every_bytes: 64 * 1024 * 1024,
            log_keep_entries: 1_000,
            chunk_bytes: MIB,
            snapshot_bytes_max: 1 << 34,
            tail_bytes: 4 * MIB,
            database_cache_bytes: 16 * MIB,
        }
    }

    fn accepts(change: impl FnOnce(&mut Options)) -> bool {
        let mut options = options();
        change(&mut options);
        options.check().is_ok()
    }

    #[test]
    fn options_at_their_bounds_and_past_them() {
        assert!(accepts(|_| {}));
        assert!(accepts(|o| (o.heartbeat_ms, o.election_min_ms) = (5, 10)));
        assert!(!accepts(|o| o.heartbeat_ms = 4));
        assert!(!accepts(|o| o.election_min_ms = 499));
        assert!(accepts(|o| o.election_max_ms = 501));
        assert!(!accepts(|o| o.election_max_ms = 500));
        assert!(!accepts(|o| o.rpc_timeout_ms = 0));
        assert!(!accepts(|o| o.snapshot_timeout_ms = 0));
        assert!(accepts(|o| (o.command_bytes_max, o.entry_bytes_max) = (2 * MIB, 3 * MIB)));
        assert!(!accepts(|o| (o.command_bytes_max, o.entry_bytes_max) = (2 * MIB + 1, 3 * MIB)));
        assert!(!accepts(|o| o.command_bytes_max = 0));
        assert!(!accepts(|o| o.entry_bytes_max = 3 * MIB + 1));
        assert!(!accepts(|o| o.entry_bytes_max = MIB - 1));
        assert!(!accepts(|o| o.entry_commands_max = 0));
        assert!(!accepts(|o| o.waiting_commands_max = 0));
        assert!(!accepts(|o| o.snapshot_every_entries = 0));
        assert!(!accepts(|o| o.snapshot_every_bytes = 0));
        assert!(accepts(|o| o.chunk_bytes = 4 * MIB));
        assert!(!accepts(|o| o.chunk_bytes = 4 * MIB + 1));
        assert!(!accepts(|o| o.chunk_bytes = 0));
    }

    #[test]
    fn groups_that_make_no_sense() {
        assert!(!accepts(|o| o.groups[1].id = GroupId::Meta));
        assert!(!accepts(|o| o.groups[1].id = GroupId::Shard(ShardId(u16::MAX))));
        assert!(!accepts(|o| o.groups[1].voters.clear()));
        assert!(!accepts(|o| o.groups[1].learners.push(NodeId(3))));
        assert!(accepts(|o| o.groups[1].learners.clear()));
    }

    #[test]
    fn numbers_of_groups() {
        for (group, number) in [
            (GroupId::Meta, Some(0)),
            (GroupId::Shard(ShardId(0)), Some(1)),
            (GroupId::Shard(ShardId(65_534)), Some(65_535)),
            (GroupId::Shard(ShardId(65_535)), None),
        ] {
            assert_eq!(group.number(), number);
            assert!(number.is_none_or(|number| GroupId::from_number(number) == group));
        }
    }
}
