//! All numbers a node runs with, in one file. Not here: what they mean; each stands with its type.

use crate::settings::RaftSettings;
use leasing::LeasePolicy;
use replication::GroupSpec;
use types::NodeId;

pub const SESSION_TTL_MS: u64 = 60_000;
pub const TICK_MS: u64 = 1_000;
/// The coarse clock's tick: what a consume reads instead of asking the kernel.
pub const CLOCK_TICK_MS: u64 = 5;
/// How long a node that ends waits for its leases to be folded.
pub const DRAIN_MS: u64 = 3_000;
/// How long it then waits for other nodes to take the lead of its groups: an election and some more.
pub const HAND_OVER_MS: u64 = 2_000;

/// How long a start waits for other nodes to say how far they have seen its journal get: several attempts to connect.
pub const WELCOME_MS: u64 = 3_000;
/// Between two questions of a node that starts.
pub const INTRODUCE_AGAIN_MS: u64 = 100;

pub fn api_connections() -> api::ConnectionOptions {
    api::ConnectionOptions {
        connections_max: 4_096,
        head_read_ms: 75_000,
        connection_ms: 24 * 60 * 60 * 1_000,
        drain_ms: 3_000,
    }
}

pub fn api_deadlines() -> api::Deadlines {
    api::Deadlines { body_read_ms: 10_000, answer_ms: 10_000 }
}

pub fn journal() -> journal::Options {
    journal::Options {
        segment_bytes: 16 * 1024 * 1024,
        tail_bytes: 1024 * 1024,
        queue_max: 65_536,
        batch_max: 1_024,
        waiting_max: 65_536,
        lines_max: 2_000_000,
        holds_max: 16_384,
        holds_per_user_max: 1_000,
        key_window_ms: 24 * 60 * 60 * 1_000,
        keys_bytes_max: 256 * 1024 * 1024,
        past_bytes_max: 1 << 30,
    }
}

pub fn replication(node: NodeId, groups: Vec<GroupSpec>, raft: RaftSettings) -> replication::Options {
    const MIB: usize = 1024 * 1024;
    replication::Options {
        node,
        groups,
        heartbeat_ms: 250,
        election_min_ms: 500,
        election_max_ms: 800,
        rpc_timeout_ms: 1_000,
        command_bytes_max: MIB,
        entry_commands_max: 1_024,
        entry_bytes_max: MIB,
        waiting_commands_max: 16_384,
        snapshot_every_entries: raft.snapshot_every_entries,
        snapshot_every_bytes: 64 * 1024 * 1024,
        log_keep_entries: raft.log_keep_entries,
        chunk_bytes: MIB,
        snapshot_timeout_ms: 30_000,
        snapshot_bytes_max: 16 * 1024 * 1024 * 1024,
        tail_bytes: 4 * MIB,
        database_cache_bytes: 16 * MIB,
    }
}

pub fn actors(node: NodeId, lease: LeasePolicy) -> actors::Options {
    actors::Options {
        node,
        lease,
        session_ttl_ms: SESSION_TTL_MS,
        tick_ms: TICK_MS,
        wait_ms: 5_000,
        attempt_ms: 2_000,
        ask_ms: 4_000,
        handles_max: 1_000_000,
        activating_max: 10_000,
        waiting_max: 10_000,
        gather_ms: 100,
        batches_max: 4,
        waiting_batches_max: 4,
        batch_lines_max: 1_000,
        batch_bytes_max: 1_000_000,
        hot_spends_per_s: 20_000,
    }
}

pub fn quota() -> quota::Options {
    quota::Options {
        forward_ms: 6_000,
        confirm_ms: 2_000,
        admin_ms: 5_000,
        regular_from: 3,
        generation_ms: 2_000,
    }
}

pub fn transport(listen: std::net::SocketAddr) -> transport::Options {
    transport::Options {
        listen,
        body_bytes_max: wire::frame::BODY_BYTES_MAX,
        calls_in_flight_max: 65_536,
        handled_at_once_max: 65_536,
        write_queue_frames_max: 65_536,
        handshakes_pending_max: 64,
        handshake_ms: 2_000,
        connect_wait_ms: 200,
        deadline_max_ms: 60_000,
        alive_every_ms: 1_000,
        silence_ms: 5_000,
        backoff_min_ms: 20,
        backoff_max_ms: 1_000,
        drain_ms: 1_000,
    }
}

/// Shards of a new cluster, and replicas of each: also on five nodes, three.
pub const SHAPE: placement::Shape = placement::Shape::USUAL;
