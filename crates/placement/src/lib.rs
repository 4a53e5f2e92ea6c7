//! Which slot in which shard on which nodes.
