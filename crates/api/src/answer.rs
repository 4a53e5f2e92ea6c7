//! Answers as bytes, and the parts that several resources share.

use crate::error::{Code, Refused};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quota::Pending;
use serde::Serialize;
use types::{Credits, Revision, Timestamp};
use wire::json::{self, Text};

pub(crate) type Answer = Result<Response, Refused>;

/// A JSON answer.
pub(crate) fn with_status<T: Serialize>(status: StatusCode, body: &T) -> Response {
    let mut response = (status, json::write(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn ok<T: Serialize>(body: &T) -> Response {
    with_status(StatusCode::OK, body)
}

pub(crate) fn with_etag(mut response: Response, revision: Revision) -> Response {
    let tag = format!("\"{}\"", revision.0);
    let tag = HeaderValue::try_from(tag).expect("digits and quotes are lawful in a header");
    response.headers_mut().insert(header::ETAG, tag);
    response
}

/// 202 while a part of a change is pending.
pub(crate) fn changed(pending: &[Pending]) -> StatusCode {
    if pending.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED }
}

/// The outcome of a command is of another kind than the command.
pub(crate) fn other_outcome() -> Refused {
    Refused::new(Code::Internal, "the ledger answered something else than what was asked")
}

/// What is pending, in sum and by node. After a session's time to live a node
/// can spend no more, and its holds have ended after the longest one's.
pub(crate) fn pending(
    pending: Vec<Pending>,
    at: Timestamp,
    ms_max: i64,
) -> (json::Amount, Vec<json::PendingFrom>) {
    let total = Credits::checked_sum(pending.iter().map(|part| part.amount)).unwrap_or(Credits::MAX);
    let until = Text(at.plus_ms(ms_max));
    let from = |Pending { node, amount }| json::PendingFrom { node: Text(node), amount: Text(amount), until };
    (Text(total), pending.into_iter().map(from).collect())
}
