//! The harness of the black-box tests: real processes, real ports, links that can be cut. Not here: what must hold; that
//! stands in the tests themselves, which see nothing of the product but its binary.
//!
//! A test starts a [`Cluster`], talks to its nodes through an [`Api`] each, and counts what clients were told in a
//! [`Tally`]. Clusters of one test binary run one after the other: they share two cores with everything else.

mod api;
mod binary;
mod clock;
mod cluster;
pub mod dev;
mod disk;
mod http;
mod link;
mod load;
mod months;
mod node;
mod process;
mod wait;

pub use api::{Api, NOT_SENT, Spent, credits, micros, number, text, whole};
pub use binary::{binary, simulator};
pub use clock::WallClock;
pub use cluster::{Cluster, Shard};
pub use disk::SmallDisk;
pub use http::{Answer, Lost, exchange_raw};
pub use link::Way;
pub use load::{Books, Tally, assert_conserved};
pub use months::{Real, cycle_is, instant_ms};
pub use node::Node;
pub use process::Process;
pub use rustix::process::Signal;
pub use wait::{PATIENCE, eventually, one_at_a_time};

/// Says it also where the test passes: what `println` writes is kept back then.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {
        $crate::tell(format_args!($($words)*))
    };
}

/// Writes it where nobody keeps it back; use `say`.
pub fn tell(words: std::fmt::Arguments<'_>) {
    use std::io::Write;
    writeln!(std::io::stdout(), "{words}").expect("somebody reads what a test says");
}
