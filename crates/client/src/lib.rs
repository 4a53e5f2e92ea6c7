//! The Rust SDK over HTTP: one typed method for each route, typed errors, retries only where they are safe.
//!
//! ```no_run
//! # async fn try_it() -> Result<(), Box<dyn std::error::Error>> {
//! use client::{Client, Key, Options};
//! use wire::json::Consume;
//!
//! let urls = vec!["http://127.0.0.1:7071".into(), "http://127.0.0.1:7072".into()];
//! let client = Client::new(Options::usual(urls, Some(Key::parse("the operator's key")?)))?;
//! let asked = Consume {
//!     user: types::UserId::parse("ann")?.into(),
//!     feature: types::Feature::parse("chat")?.into(),
//!     model: None,
//!     amount: Some("1.5".parse::<types::Credits>()?.into()),
//!     usage: None,
//!     durability: None,
//! };
//! let charge = client.consume(&types::WorkspaceId::parse("acme")?, &asked, None).await?;
//! println!("{} credits, id {}", charge.charged.0, charge.id.0);
//! # Ok(()) }
//! ```
//!
//! **Nodes.** With several base URLs each request goes to the next one in turn, each repetition to the one after
//! that. [`Client::pinned`] is a client that asks one of them only.
//!
//! **Retries.** A request is sent again, at most [`Options::attempts_max`] times in all,
//! - if no connection could be made: always, as nothing was asked;
//! - if the connection broke, the answer did not come in time, or the node says `retry_after_ms` (at most
//!   [`Options::wait_ms_max`]): only if asking twice is the same as asking once. That holds for reads and quotes, for
//!   everything with an idempotency key, and for grants, reallocations and imports, whose own id is permanent.
//!
//! What remains is the caller's: [`Error::outcome_unknown`] says whether the request may have been done, by any of its
//! attempts. All of them together take at most `attempts_max × (answer_ms + wait_ms_max)`.
//!
//! **Not here**: the JSON shapes (`wire::json`), commands and tables (`cli`), TLS (only `http://` is spoken).

mod administration;
mod consume;
mod error;
mod exchange;
mod holds;
mod imports;
mod inspection;
mod options;
mod prices;
mod refunds;
mod repeat;
mod teams;

pub use administration::{Conditions, Versioned};
pub use error::{BadOptions, Error, Transport, TransportKind};
pub use exchange::{ANSWER_BYTES_MAX, Client};
pub use inspection::UsageQuery;
pub use options::{BadKey, Key, Options};
pub use wire::json::Problem;
