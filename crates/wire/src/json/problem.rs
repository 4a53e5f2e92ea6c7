//! The shape of every refusal: `application/problem+json` (RFC 9457). Not here: the table of codes.

use crate::json::{Amount, Instant, ReachedLimit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why the caller does not get what it asked for, and what would help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Where the code is explained, relative to the node.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// This occurrence, in words.
    pub detail: String,
    /// For programs; one of the table at `/docs/errors`.
    pub code: String,
    /// Credits that would be granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<Amount>,
    /// The limit that is reached: of several the one that ends last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<ReachedLimit>,
    /// When the window that is used up begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Instant>,
    /// The same request may end differently after this long; absent where it will not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_help: Option<String>,
}
