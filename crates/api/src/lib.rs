//! HTTP: parse at the edge, one error table, OpenAPI. Not here: what a command does (`quota`), the JSON shapes
//! (`wire::json`), which node one talks to (`client`).
//!
//! A request goes through these rooms: `serve` (connections and their limits) → `door` (key, metrics, access log) →
//! `extract` (path, headers, body) → one file per resource, which parses, asks [`quota::Quota`] and turns its answer
//! into JSON. Every no, from whichever room, is a row of the table in `error`.

// The product's futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

mod allocations;
mod answer;
mod app;
mod cluster;
mod consume;
mod cycles;
mod door;
mod edge;
mod error;
mod extract;
mod feature_limits;
mod fingerprint;
mod grants;
mod holds;
mod imports;
mod members;
mod metrics;
mod model_limits;
mod openapi;
mod operation;
mod overage;
mod plans;
mod pooling;
mod prices;
mod reallocations;
mod refunds;
mod routes;
mod serve;
mod shadow;
mod team_limits;
mod teams;
mod test_clock;
mod translate;
mod usage;
mod user_limits;
mod workspaces;

pub mod limits;

pub use app::{App, Deadlines};
pub use door::{BadKey, OperatorKey};
pub use error::{Code, Row};
pub use metrics::Metrics;
pub use openapi::document;
pub use routes::router;
pub use serve::{ConnectionOptions, serve};
pub use test_clock::TestClock;
