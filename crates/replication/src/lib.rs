//! Raft groups: log store, state machine store, snapshots, proposals, linearizable reads.
