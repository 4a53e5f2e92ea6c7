//! Grants: made once, read, voided.

use crate::answer::{Answer, changed, ok, other_outcome, pending, with_etag, with_status};
use crate::app::App;
use crate::cycles;
use crate::edge::{ListQuery, cut, good, maybe, money, positive};
use crate::error::Refused;
use crate::extract::{Asked, Body, Conditions, One, Two};
use crate::limits::{BODY_BYTES_MAX, PRIORITY_DEFAULT, PRIORITY_MAX};
use crate::translate;
use axum::extract::State;
use axum::http::StatusCode;
use quota::{Change, GrantAnswer, NewGrant, Outcome};
use std::sync::Arc;
use types::{Credits, GrantId, WorkspaceId};
use wire::json::{self, Text};

/// Puts credits into a pool.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/grants", tag = "administration",
    request_body = json::PutGrant, responses((status = 201, description = "The grant", body = json::Grant)))]
pub(crate) async fn make(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
    Body(asked): Body<json::PutGrant, BODY_BYTES_MAX>,
) -> Answer {
    let change = Change::MakeGrant(parse(asked)?);
    let ttl_ms = app.quota()?.pending_ms_max();
    match app.administer(workspace, conditions, change).await? {
        Outcome::Grant(answer) => {
            let revision = answer.grant.revision;
            Ok(with_etag(with_status(StatusCode::CREATED, &grant_json(*answer, ttl_ms)), revision))
        }
        _ => Err(other_outcome()),
    }
}

/// All grants, in order of creation.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/grants", tag = "administration", params(ListQuery),
    responses((status = 200, description = "A page of grants", body = json::Grants)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    Asked(query): Asked<ListQuery>,
) -> Answer {
    let (page, limit) = query.page::<GrantId>()?;
    let quota = app.quota()?;
    let ttl_ms = quota.pending_ms_max();
    let answers = app.read(Box::pin(quota.grants(&workspace, page))).await?;
    let (answers, cursor) = cut(answers, limit, |answer| answer.grant.id.to_string());
    let items = answers.into_iter().map(|answer| grant_json(answer, ttl_ms)).collect();
    Ok(ok(&json::Grants { items, cursor }))
}

/// One grant and where its credits are.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/grants/{grant}", tag = "administration",
    responses((status = 200, description = "The grant", body = json::Grant)))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Two(workspace, grant): Two<WorkspaceId, GrantId>,
) -> Answer {
    let quota = app.quota()?;
    let ttl_ms = quota.pending_ms_max();
    let answer = app.read(Box::pin(quota.grant(&workspace, &grant))).await?;
    let revision = answer.grant.revision;
    Ok(with_etag(ok(&grant_json(answer, ttl_ms)), revision))
}

/// Voids what is left of a grant; what is out on leases is voided as it comes back.
#[utoipa::path(delete, path = "/v1/workspaces/{ws}/grants/{grant}", tag = "administration",
    responses((status = 200, description = "Voided", body = json::Grant),
        (status = 202, description = "A part is still out", body = json::Grant)))]
pub(crate) async fn void(
    State(app): State<Arc<App>>,
    Two(workspace, grant): Two<WorkspaceId, GrantId>,
    conditions: Conditions,
) -> Answer {
    let ttl_ms = app.quota()?.pending_ms_max();
    match app.administer(workspace, conditions, Change::VoidGrant { grant }).await? {
        Outcome::Grant(answer) => {
            let (status, revision) = (changed(&answer.pending), answer.grant.revision);
            Ok(with_etag(with_status(status, &grant_json(*answer, ttl_ms)), revision))
        }
        _ => Err(other_outcome()),
    }
}

fn parse(asked: json::PutGrant) -> Result<NewGrant, Refused> {
    let json::PutGrant { id, kind, amount, priority, paid, starts_at, expires_at, rollover, price } = asked;
    let kind = translate::grant_kind(good("kind", kind)?);
    let priority = match maybe("priority", priority)? {
        None => PRIORITY_DEFAULT,
        Some(priority) => u8::try_from(priority)
            .ok()
            .filter(|_| priority <= PRIORITY_MAX)
            .ok_or_else(|| Refused::invalid(format!("priority: it is 0 to {PRIORITY_MAX}")))?,
    };
    Ok(NewGrant {
        id: good("id", id)?,
        kind,
        amount: positive("amount", amount)?,
        priority,
        paid: paid.unwrap_or(kind.is_paid_by_default()),
        starts_at: maybe("starts_at", starts_at)?,
        expires_at: maybe("expires_at", expires_at)?,
        term: cycles::term(rollover)?,
        price: price.map(|price| money("price", price)).transpose()?,
    })
}

fn grant_json(answer: GrantAnswer, session_ttl_ms: i64) -> json::Grant {
    let GrantAnswer { grant, pending: parts, at } = answer;
    let (pending, pending_from) = pending(parts, at, session_ttl_ms);
    let books = grant.books;
    let used = Credits::checked_sum([books.used, books.unattributed, books.written_off]);
    json::Grant {
        id: Text(grant.id),
        kind: Text(translate::grant_kind_json(grant.kind)),
        amount: Text(books.amount),
        priority: grant.priority,
        paid: grant.paid,
        state: Text(translate::grant_state_json(grant.state)),
        created_at: Text(grant.created_at),
        starts_at: Text(grant.starts_at),
        expires_at: grant.expires_at.map(Text),
        rollover: cycles::rollover_json(grant.term, grant.rolled),
        price: grant.price.map(Into::into),
        available: Text(books.available),
        leased: Text(books.out),
        used: Text(used.unwrap_or(Credits::MAX)),
        unattributed: Text(books.unattributed),
        written_off: Text(books.written_off),
        expired: Text(books.expired),
        voided: Text(books.voided),
        refunded: Text(books.refunded),
        exposure: Text(books.exposure),
        for_overage: Text(books.for_overage),
        pending,
        pending_from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quota::GrantKind;
    use types::Timestamp;

    fn parsed(body: &str) -> Result<NewGrant, String> {
        let asked = json::read(body.as_bytes()).unwrap_or_else(|why| panic!("{body}: {why}"));
        parse(asked).map_err(|refused| refused.detail)
    }

    #[test]
    fn what_is_left_out_is_the_same_as_its_default() {
        let short = parsed(r#"{"id":"g","kind":"pack","amount":"10"}"#).unwrap();
        let long = parsed(
            r#"{"id":"g","kind":"pack","amount":10.0,"priority":50,"paid":true,"starts_at":null,"expires_at":null}"#,
        );
        assert_eq!(long, Ok(short));
        let promotion = parsed(r#"{"id":"g","kind":"promotion","amount":"10"}"#).unwrap();
        assert_eq!((promotion.kind, promotion.paid), (GrantKind::Promotion, false));
        let ends = parsed(r#"{"id":"g","kind":"plan","amount":1,"expires_at":"1970-01-01T00:00:01Z"}"#);
        assert_eq!(ends.unwrap().expires_at, Some(Timestamp::from_millis(1_000)));
    }

    #[test]
    fn values_that_cannot_be() {
        let priority = |priority: u64| {
            parsed(&format!(r#"{{"id":"g","kind":"pack","amount":"1","priority":{priority}}}"#))
        };
        assert_eq!(priority(0).map(|grant| grant.priority), Ok(0));
        assert_eq!(priority(100).map(|grant| grant.priority), Ok(100));
        assert!(priority(101).is_err() && priority(306).is_err());
        for (body, why) in [
            (r#"{"id":"","kind":"pack","amount":"1"}"#, "id: "),
            (r#"{"id":"g","kind":"gift","amount":"1"}"#, "kind: it is one of: plan"),
            (r#"{"id":"g","kind":"pack","amount":"0"}"#, "amount: it must be more"),
            (r#"{"id":"g","kind":"pack","amount":"1","priority":-1}"#, "priority: a count is not"),
            (r#"{"id":"g","kind":"pack","amount":"1","expires_at":"tomorrow"}"#, "expires_at: a time is"),
            (
                r#"{"id":"g","kind":"pack","amount":"1","starts_at":"2026-02-30T00:00:00Z"}"#,
                "starts_at: there",
            ),
        ] {
            let detail = parsed(body).expect_err(body);
            assert!(detail.starts_with(why), "{body}: {detail}");
        }
    }
}
