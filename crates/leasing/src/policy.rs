//! The numbers behind the decisions, in one place. Not here: the decisions.

use types::Credits;

/// How a holder sizes its leases. Options arrive whole; [`LeasePolicy::STANDARD`] is what a node runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeasePolicy {
    /// A lease covers this much time at the recent rate.
    pub horizon_ms: u64,
    /// The smallest lease while credits are plenty; near the end of a pool draws shrink to the exact price.
    pub lease_min: Credits,
    /// The largest.
    pub lease_max: Credits,
    /// The watermark runs ahead of use by this much time at the recent rate. At most one such chunk per line is
    /// charged as unattributed when power fails.
    pub chunk_ms: u64,
    pub chunk_min: Credits,
    pub chunk_max: Credits,
    /// A line nobody spends from for so long is closed and folded.
    pub idle_ms: u64,
    /// Draws younger than this are left alone by the first wave of a recall.
    pub young_ms: i64,
    /// How long draws wait for a recall round before they are refused.
    pub round_ms: u64,
}

impl LeasePolicy {
    pub const STANDARD: Self = Self {
        horizon_ms: 2_000,
        lease_min: credits(20),
        lease_max: credits(100_000),
        chunk_ms: 500,
        chunk_min: credits(10),
        chunk_max: credits(25_000),
        idle_ms: 10_000,
        young_ms: 50,
        round_ms: 100,
    };
}

const fn credits(whole: u64) -> Credits {
    match Credits::whole(whole) {
        Some(credits) => credits,
        None => panic!("a policy's amounts are below the bound of credits"),
    }
}
