//! Around every route: who may enter, what is counted, one line of access log. Not here: which routes there are.

use crate::app::App;
use crate::error::{Code, Refused};
use crate::extract::forget;
use crate::limits::{OPERATOR_KEY_BYTES_MAX, OPERATOR_KEY_BYTES_MIN};
use crate::metrics::RouteMetrics;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

/// The key of the operator. Never printed.
#[derive(Clone)]
pub struct OperatorKey(Box<[u8]>);

/// Why a text is no operator key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error(
        "an operator key has {OPERATOR_KEY_BYTES_MIN} to {OPERATOR_KEY_BYTES_MAX} characters, this one has {0}"
    )]
    Length(usize),
    #[error(
        "an operator key has only visible ASCII characters; look for a space or a line break in its file"
    )]
    Character,
}

impl OperatorKey {
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        if !(OPERATOR_KEY_BYTES_MIN..=OPERATOR_KEY_BYTES_MAX).contains(&text.len()) {
            return Err(BadKey::Length(text.len()));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(BadKey::Character);
        }
        Ok(Self(text.as_bytes().into()))
    }

    /// In a time that tells nothing but the length.
    fn is(&self, given: &[u8]) -> bool {
        self.0.ct_eq(given).into()
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorKey(…)")
    }
}

/// The doorman of one route.
pub(crate) struct Door {
    pub app: Arc<App>,
    /// By method and path as in the OpenAPI document: `GET /healthz`.
    pub metrics: RouteMetrics,
    pub needs_key: bool,
}

impl Door {
    fn admit(&self, headers: &HeaderMap) -> Result<(), Refused> {
        if !self.needs_key {
            return Ok(());
        }
        let no = |detail: &str| Err(Refused::new(Code::Unauthenticated, detail));
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(header), None) = (given.next(), given.next()) else {
            return no(match headers.contains_key(header::AUTHORIZATION) {
                true => "there is more than one Authorization header",
                false => "the Authorization header is missing",
            });
        };
        let (scheme, key) = match header.as_bytes().iter().position(|b| *b == b' ') {
            Some(at) => (&header.as_bytes()[..at], &header.as_bytes()[at + 1..]),
            None => (header.as_bytes(), &[][..]),
        };
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            return no("the Authorization header is not of the scheme Bearer");
        }
        if key.is_empty() {
            return no("the Authorization header has no key behind Bearer");
        }
        if !key.iter().all(u8::is_ascii_graphic) {
            return no("the Authorization header is not one Bearer, one space and one key");
        }
        if self.app.operator_key.is(key) { Ok(()) } else { no("the key is not valid here") }
    }
}

pub(crate) async fn pass(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let response = match door.admit(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => {
            let (parts, body) = request.into_parts();
            forget(&parts.headers, body, Duration::from_millis(door.app.deadlines.body_read_ms));
            refused.into_response()
        }
    };
    note(&door.app, &door.metrics, &response, started);
    response
}

/// Counts an answer and logs it.
pub(crate) fn note(app: &App, route: &RouteMetrics, response: &Response, started: Instant) {
    let took = started.elapsed();
    let code = response.extensions().get::<Code>().copied();
    app.metrics.answered(route, response.status(), code, took);
    tracing::debug!(
        route = route.route,
        status = response.status().as_u16(),
        micros = took.as_micros() as u64,
        ?code
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_at_its_bounds() {
        assert!(OperatorKey::parse(&"k".repeat(16)).is_ok());
        assert!(OperatorKey::parse(&"k".repeat(256)).is_ok());
        assert_eq!(OperatorKey::parse(&"k".repeat(15)).unwrap_err(), BadKey::Length(15));
        assert_eq!(OperatorKey::parse(&"k".repeat(257)).unwrap_err(), BadKey::Length(257));
        for bad in ["0123456789abcdef\n", "0123456789 abcdef", "0123456789abcdéf"] {
            assert_eq!(OperatorKey::parse(bad).unwrap_err(), BadKey::Character, "{bad:?}");
        }
    }

    #[test]
    fn a_key_is_itself_and_nothing_else_and_is_not_printed() {
        let key = OperatorKey::parse("0123456789abcdef").unwrap();
        assert!(key.is(b"0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdef0", "1123456789abcdef", "0123456789abcdeF"] {
            assert!(!key.is(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{key:?}"), "OperatorKey(…)");
    }
}
