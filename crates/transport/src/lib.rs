//! Node to node: one framed connection per pair, deadlines, bounds. Requests and answers of both sides share the
//! connection; the node with the lower id dials it.
//!
//! Not here: what a request means, how a body is made (`wire`), and yet, encryption: everything stays on loopback.
//!
//! In reading order: [`mux`](Mux) is what others see; a `peer` is dialled or heard by the `listener`, both begin with a
//! `handshake` and end in a `connection`, which has a `reader` and a `writer`.

mod backoff;
mod connection;
mod counters;
mod error;
mod handshake;
mod listener;
mod mux;
mod options;
mod peer;
mod reader;
mod writer;

pub use counters::{Counter, Counters};
pub use error::{CallError, HandlerError, Overload, StartError};
pub use mux::{Handler, Mux, PeerStatus, RequestKind};
pub use options::{Identity, Options};
pub use peer::PeerState;
pub use wire::hello::{Refusal, Versions};
