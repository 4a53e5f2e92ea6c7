//! Every bound and time of this room, whole. Not here: the numbers a node runs with (`cluster`).

use leasing::LeasePolicy;
use types::NodeId;

#[derive(Clone, Debug)]
pub struct Options {
    pub node: NodeId,
    pub lease: LeasePolicy,
    /// A holder may spend only while its session with the shard's leader is younger; 60,000.
    pub session_ttl_ms: u64,
    /// How often pools report and idle things are closed; 1,000.
    pub tick_ms: u64,
    /// How long a consume waits for credits before it is refused; 5,000.
    pub wait_ms: u64,
    /// How long one attempt at a leader may take, and all attempts together; 2,000 and 4,000.
    pub attempt_ms: u64,
    pub ask_ms: u64,
    /// Users that may be active on one node; past it a consume is refused `Overloaded`. 1,000,000.
    pub handles_max: usize,
    /// Users that may be in the middle of becoming active; past it `Overloaded`. 10,000.
    pub activating_max: usize,
    /// Consumes that may wait for one user's credits; past it `Overloaded`. 10,000.
    pub waiting_max: usize,
    /// How long draws ahead of need, reports and closes of one pool gather before they are sent; 100.
    pub gather_ms: u64,
    /// Batches of one pool on their way at once; 4.
    pub batches_max: usize,
    /// And of those in which draws wait for a recall round; 4.
    pub waiting_batches_max: usize,
    /// Lines in one batch; 1,000.
    pub batch_lines_max: usize,
    /// Bytes of their messages; what is left of an entry's bound is for the rest of the entry. 1,000,000.
    pub batch_bytes_max: usize,
    /// A spend rate from which an allocation's balance is spread over several words (spends per second); 20,000.
    pub hot_spends_per_s: u64,
}
