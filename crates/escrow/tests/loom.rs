//! The races of this room under loom. Not here: the races (`races`), how they are explored (`under/loom`).
//!
//! `RUSTFLAGS="--cfg loom --cfg tokio_unstable" CARGO_TARGET_DIR=target-loom \
//!  cargo test -p escrow --release --test loom -- --nocapture` prints how many executions there were.
#![cfg(loom)]

mod races;
#[path = "under/loom.rs"]
mod under;
