//! The holder's own append-only file: what this holder has of every user's leases, what it spent of them, and under which
//! keys. The durable layer between the escrow's word and the replicated ledger.
//!
//! Everything that is spent was allowed by a durable watermark first; everything that is returned was made durable
//! before it is told; what a report says is never ahead of the disk. A crash rounds up, by at most what the watermark
//! runs ahead.
//!
//! Reading order: `words` and `refused` are what goes in and out; `line` and `tally` the numbers and their invariants; `book` the fold
//! of all records, with `holds`; `intake`, `ops`, `perform`, `writer` the way of one operation; `rotate`, `segment`, `recovery`, `past` the files; `find` looks a charge up in them;
//! `keys` the window of idempotency keys; `identity` the data directory; `registrations` what the cluster judges its age by,
//! both in a `small_file`.
//!
//! Not here: when to draw, return or report (leasing), the word that request tasks spend from (escrow), other nodes.

mod book;
mod change;
mod find;
mod holds;
mod identity;
mod intake;
mod keys;
mod line;
mod ops;
mod past;
mod perform;
mod recovery;
mod refused;
mod registrations;
mod rotate;
mod segment;
mod small_file;
mod tally;
mod words;
mod writer;

pub use find::{FoundCharge, FoundPart, Looked, Wanted};
pub use holds::words::{
    EndOfHold, Ended, Ending, ExtendHold, HOLDS_REMEMBERED_MAX, Held, HoldFacts, HoldOver, HoldView,
    OpenHold, Settle, SettleLate, Spend,
};
pub use identity::Identity;
pub use intake::{Charging, Holding, Journal, Permit};
pub use keys::{Begun, KeyGuard, KeyTable, cost_bytes};
pub use refused::{JournalFault, Refused};
pub use words::{
    BackingNumbers, Charge, Charged, HandleNo, LineKey, LineNumbers, LineView, OpenLine, Options, Recovered,
};
