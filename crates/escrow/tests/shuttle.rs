//! The races of this room under shuttle. Not here: the races (`races`), how they are explored (`under/shuttle`).
//!
//! `cargo test -p escrow --features shuttle --release --test shuttle -- --nocapture` prints how many schedules ran.
#![cfg(not(loom))]

mod races;
#[path = "under/shuttle.rs"]
mod under;
