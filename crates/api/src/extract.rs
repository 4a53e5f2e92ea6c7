//! The parts of a request, read once and within their limits: path, query, headers, body.

use crate::app::App;
use crate::error::{Code, Refused};
use crate::limits::UNWANTED_BYTES_MAX;
use axum::RequestPartsExt;
use axum::body::{Body as RawBody, Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use types::{IdempotencyKey, Revision};
use wire::json::Word;

/// The one id in the path.
pub(crate) struct One<A>(pub A);

/// The two ids in the path.
pub(crate) struct Two<A, B>(pub A, pub B);

fn id<T: Word>(text: &str) -> Result<T, Refused> {
    T::read(text).map_err(|bad| Refused::invalid(format!("path: {bad}")))
}

fn undecodable<E>(_: E) -> Refused {
    Refused::invalid("path: an id in it is not UTF-8 behind its percent signs")
}

impl<A: Word> FromRequestParts<Arc<App>> for One<A> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Refused> {
        let Path(a) = parts.extract::<Path<String>>().await.map_err(undecodable)?;
        Ok(Self(id(&a)?))
    }
}

impl<A: Word, B: Word> FromRequestParts<Arc<App>> for Two<A, B> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Refused> {
        let Path((a, b)) = parts.extract::<Path<(String, String)>>().await.map_err(undecodable)?;
        Ok(Self(id(&a)?, id(&b)?))
    }
}

/// The query string: no unknown and no repeated field.
pub(crate) struct Asked<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequestParts<Arc<App>> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Refused> {
        let query = parts.extract::<Query<T>>().await;
        let Query(query) = query.map_err(|why| Refused::new(Code::Malformed, why.body_text()))?;
        Ok(Self(query))
    }
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What the headers of a write say. Its query says nothing: one that did, and was not read, could have meant *do not*.
pub(crate) struct Conditions {
    pub key: Option<IdempotencyKey>,
    pub if_match: Option<Revision>,
}

impl Conditions {
    fn read(headers: &HeaderMap) -> Result<Self, Refused> {
        let key = match only(headers, &IDEMPOTENCY_KEY)? {
            Some(text) => Some(
                IdempotencyKey::parse(text)
                    .map_err(|bad| Refused::invalid(format!("Idempotency-Key: {bad}")))?,
            ),
            None => None,
        };
        let if_match = only(headers, &header::IF_MATCH)?.map(revision).transpose()?;
        Ok(Self { key, if_match })
    }

    /// For commands that change no resource with a revision.
    pub fn key_only(self) -> Result<Option<IdempotencyKey>, Refused> {
        if self.if_match.is_some() {
            return Err(Refused::invalid("If-Match: this request changes nothing that has an ETag"));
        }
        Ok(self.key)
    }
}

impl FromRequestParts<Arc<App>> for Conditions {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Refused> {
        if parts.uri.query().is_some_and(|query| !query.is_empty()) {
            return Err(Refused::new(
                Code::Malformed,
                "this route takes no query; everything stands in the body",
            ));
        }
        Self::read(&parts.headers)
    }
}

/// The same for a route whose query says how it is asked.
pub(crate) struct BesideQuery(pub Conditions);

impl FromRequestParts<Arc<App>> for BesideQuery {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Refused> {
        Conditions::read(&parts.headers).map(Self)
    }
}

/// The headers of a write whose query says something, and what it says.
pub(crate) struct AskedWith<T>(pub T, pub Conditions);

impl<T: DeserializeOwned + Send + 'static> FromRequestParts<Arc<App>> for AskedWith<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
        let Asked(asked) = Asked::from_request_parts(parts, app).await?;
        Ok(Self(asked, Conditions::read(&parts.headers)?))
    }
}

/// The value of a header that stands at most once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refused> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next(), values.next()) else {
        return Err(Refused::invalid(format!("{name}: the header stands more than once")));
    };
    let text = value.map(|value| value.to_str()).transpose();
    text.map_err(|_| Refused::invalid(format!("{name}: it has only visible ASCII characters")))
}

fn revision(text: &str) -> Result<Revision, Refused> {
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match digits.map(u64::read) {
        Some(Ok(revision)) => Ok(Revision(revision)),
        _ if text.trim() == "*" => Err(Refused::invalid(
            "If-Match: `*` says nothing here; give the ETag of the resource as it was read, or \"0\" if there was none",
        )),
        _ => Err(Refused::invalid("If-Match: it is one ETag as it was answered, for example \"7\"")),
    }
}

/// A JSON body of at most `MAX` bytes.
pub(crate) struct Body<T, const MAX: usize>(pub T);

impl<T, const MAX: usize> FromRequest<Arc<App>> for Body<T, MAX>
where
    T: for<'de> Deserialize<'de>,
{
    type Rejection = Refused;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refused> {
        let (parts, mut body) = request.into_parts();
        let within = Duration::from_millis(app.deadlines.body_read_ms);
        match json_bytes::<MAX>(&parts.headers, &mut body, within).await {
            Ok(bytes) => {
                let read = wire::json::read(&bytes);
                read.map(Self).map_err(|wire::json::Malformed(why)| Refused::new(Code::Malformed, why))
            }
            Err(refused) => {
                // Who is slow is not waited for twice.
                if refused.code != Code::RequestTimeout {
                    forget(&parts.headers, body, within);
                }
                Err(refused)
            }
        }
    }
}

async fn json_bytes<const MAX: usize>(
    headers: &HeaderMap,
    body: &mut RawBody,
    within: Duration,
) -> Result<Bytes, Refused> {
    if !is_json(headers) {
        return Err(Refused::new(Code::UnsupportedMediaType, "the Content-Type is not application/json"));
    }
    let too_large = || Refused::new(Code::TooLarge, format!("the body has more than {MAX} bytes"));
    // What announces itself as too large is not waited for.
    if HttpBody::size_hint(body).lower() > MAX as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(within, whole::<MAX>(body)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(why)) if why.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refused::new(Code::Malformed, "the body ended before it was complete")),
        Err(_) => Err(Refused::new(Code::RequestTimeout, "the body did not arrive in time")),
    }
}

async fn whole<const MAX: usize>(
    body: &mut RawBody,
) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Limited::new(body, MAX).collect().await?.to_bytes())
}

/// Reads what comes of a body that nobody wants, up to a bound, behind the answer: closing on unread bytes would take the
/// answer back.
pub(crate) fn forget(headers: &HeaderMap, mut body: RawBody, within: Duration) {
    // Who waits to be told to go on has sent nothing.
    if headers.contains_key(header::EXPECT) || body.is_end_stream() {
        return;
    }
    let reading = async move {
        let mut left = UNWANTED_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(fewer) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
            left = fewer;
        }
    };
    // It ends with its connection at the latest.
    drop(tokio::spawn(tokio::time::timeout(within, reading)));
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(given), None) = (types.next(), types.next()) else { return false };
    let essence = given.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn conditions(pairs: &[(&'static str, &str)]) -> Result<(Option<String>, Option<u64>), String> {
        let read = Conditions::read(&headers(pairs)).map_err(|refused| refused.detail)?;
        Ok((read.key.map(|key| key.to_string()), read.if_match.map(|revision| revision.0)))
    }

    #[tokio::test]
    async fn of_a_body_that_nobody_wants_no_more_is_read_than_the_bound() {
        const PIECE: usize = 64 * 1024;
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        let read = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = read.clone();
        let endless = futures::stream::repeat_with(move || {
            let _with_the_body = &ended;
            count.fetch_add(PIECE, std::sync::atomic::Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(Bytes::from_static(&[0; PIECE]))
        });
        forget(&HeaderMap::new(), RawBody::from_stream(endless), Duration::from_secs(60));
        end.await.unwrap_err();
        assert_eq!(read.load(std::sync::atomic::Ordering::Relaxed), UNWANTED_BYTES_MAX + PIECE);
    }

    #[test]
    fn conditions_of_a_write() {
        assert_eq!(conditions(&[]), Ok((None, None)));
        let both = [("idempotency-key", "k-1"), ("if-match", "\"7\"")];
        assert_eq!(conditions(&both), Ok((Some("k-1".into()), Some(7))));
        assert!(conditions(&[("idempotency-key", &"k".repeat(128))]).is_ok());
        for (header, value, why) in [
            ("idempotency-key", "", "empty"),
            ("idempotency-key", &*"k".repeat(129), "128"),
            ("idempotency-key", "a b", "' '"),
            ("if-match", "*", "`*` says nothing"),
            ("if-match", "7", "one ETag"),
            ("if-match", "W/\"7\"", "one ETag"),
            ("if-match", "\"7\", \"8\"", "one ETag"),
            ("if-match", "\"\"", "one ETag"),
            ("if-match", "\"-7\"", "one ETag"),
            ("if-match", "\"", "one ETag"),
            ("if-match", "\"18446744073709551616\"", "one ETag"),
        ] {
            let detail = conditions(&[(header, value)]).expect_err(value);
            assert!(detail.contains(why), "{value}: {detail}");
        }
        for header in ["idempotency-key", "if-match"] {
            let detail = conditions(&[(header, "\"7\""), (header, "\"7\"")]).unwrap_err();
            assert!(detail.contains("more than once"), "{detail}");
        }
    }

    #[test]
    fn json_and_what_is_not() {
        for json in ["application/json", "Application/JSON", "application/json; charset=utf-8"] {
            assert!(is_json(&headers(&[("content-type", json)])), "{json}");
        }
        for other in ["text/json", "application/json-patch+json", "application/x-www-form-urlencoded", ""] {
            assert!(!is_json(&headers(&[("content-type", other)])), "{other}");
        }
        assert!(!is_json(&headers(&[])));
        let twice = [("content-type", "application/json"), ("content-type", "application/json")];
        assert!(!is_json(&headers(&twice)));
    }
}
