//! Putting the clock ahead, where a node was started so that it can be. Not here: what time then does to pools (`ledger`).

use crate::answer::{Answer, ok};
use crate::app::App;
use crate::edge::good;
use crate::error::{Code, Refused};
use crate::extract::Body;
use crate::limits::BODY_BYTES_MAX;
use axum::extract::State;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use types::Timestamp;
use wire::json::{self, Text};

/// A clock that can be put ahead.
pub trait TestClock: Send + Sync + fmt::Debug {
    /// Answers what it says then. An error where that cannot be kept, or it would be too far ahead.
    fn advance(&self, ms: u64) -> Result<Timestamp, String>;
}

/// How long an answer waits for what has become due, and how often it looks.
const SETTLES_WITHIN: Duration = Duration::from_secs(10);
const LOOKS_EVERY: Duration = Duration::from_millis(10);

/// Puts all clocks of `tranche dev --test-clock` ahead, and answers when what became due with it has happened: grants
/// that begin or end, cycles that end.
#[utoipa::path(post, path = "/v1/test/clock", tag = "operation",
    request_body = json::Advance, responses((status = 200, description = "What the clock says", body = json::Clock)))]
pub(crate) async fn advance(
    State(app): State<Arc<App>>,
    Body(json::Advance { advance }): Body<json::Advance, BODY_BYTES_MAX>,
) -> Answer {
    let span = good("advance", advance)?;
    let clock = app.test_clock.as_ref().ok_or_else(|| {
        Refused::new(Code::UnknownRoute, "only `tranche dev --test-clock` has a clock that can be put ahead")
    })?;
    let quota = app.quota()?;
    let now = clock.advance(span.ms()).map_err(|why| Refused::invalid(format!("advance: {why}")))?;
    let settled = async {
        while quota.has_dues(now) {
            tokio::time::sleep(LOOKS_EVERY).await;
        }
    };
    // What is not settled by then is settled by whoever asks the pool for something.
    let _late = tokio::time::timeout(SETTLES_WITHIN, settled).await;
    Ok(ok(&json::Clock { now: Text(now) }))
}
