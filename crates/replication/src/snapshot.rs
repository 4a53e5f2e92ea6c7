//! Snapshots of one group as files: `snapshot-<group>` is the current one, other names are for what is not yet.
//!
//! ```text
//! frame* digest      frame = length u32, little-endian, and an encoded shape
//! ```
//!
//! The frames are a `SnapshotHead`, a `StateHead` and each `Workspace`; the digest (32 bytes, BLAKE3) covers all frames.
//! A file gets its name only when it is whole and synced. At most one workspace at a time is in memory as bytes.
//!
//! Not here: how a snapshot travels (`network`, `receive`), when one is made (openraft, `group`).

mod file;
mod format;
#[cfg(test)]
mod tests;

pub(crate) use file::{SnapshotFile, SnapshotStore};
#[cfg(test)]
pub(crate) use format::write;
pub(crate) use format::{Replicated, state_digest};
