//! Moving unused credits from one user's allocation to another's, for this cycle.

use crate::answer::{Answer, changed, ok, other_outcome, pending, with_status};
use crate::app::App;
use crate::edge::{good, positive};
use crate::error::Refused;
use crate::extract::{Body, Conditions, One, Two};
use crate::limits::BODY_BYTES_MAX;
use axum::extract::State;
use quota::{Change, Outcome, ReallocationAnswer};
use std::sync::Arc;
use types::{ReallocationId, WorkspaceId};
use wire::json::{self, Text};

/// Moves unused credits between two users' allocations. What is out on the donor's leases is pending.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/reallocations", tag = "administration",
    request_body = json::Reallocate, responses(
        (status = 200, description = "Moved", body = json::Reallocation),
        (status = 202, description = "A part is still out on leases", body = json::Reallocation)))]
pub(crate) async fn make(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
    Body(asked): Body<json::Reallocate, BODY_BYTES_MAX>,
) -> Answer {
    let change = parse(asked)?;
    let ttl_ms = app.quota()?.pending_ms_max();
    match app.administer(workspace, conditions, change).await? {
        Outcome::Reallocation(answer) => {
            Ok(with_status(changed(&answer.pending), &reallocation_json(answer, ttl_ms)))
        }
        _ => Err(other_outcome()),
    }
}

/// How far a reallocation has come.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/reallocations/{reallocation}", tag = "administration",
    responses((status = 200, description = "The reallocation", body = json::Reallocation)))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Two(workspace, reallocation): Two<WorkspaceId, ReallocationId>,
) -> Answer {
    let quota = app.quota()?;
    let ttl_ms = quota.pending_ms_max();
    let answer = app.read(Box::pin(quota.reallocation(&workspace, &reallocation))).await?;
    Ok(ok(&reallocation_json(answer, ttl_ms)))
}

fn parse(asked: json::Reallocate) -> Result<Change, Refused> {
    let json::Reallocate { id, from, to, amount } = asked;
    let (from, to) = (good("from", from)?, good("to", to)?);
    if from == to {
        return Err(Refused::invalid("to: it is the same user as from"));
    }
    Ok(Change::Reallocate { id: good("id", id)?, from, to, amount: positive("amount", amount)? })
}

fn reallocation_json(answer: ReallocationAnswer, session_ttl_ms: i64) -> json::Reallocation {
    let ReallocationAnswer { id, from, to, asked, moved, lapsed, pending: parts, at } = answer;
    let (pending, pending_from) = pending(parts, at, session_ttl_ms);
    json::Reallocation {
        id: Text(id),
        from: Text(from),
        to: Text(to),
        asked: Text(asked),
        moved: Text(moved),
        pending,
        lapsed: Text(lapsed),
        pending_from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quota::Pending;
    use types::{Credits, NodeId, Timestamp, UserId};

    #[test]
    fn the_golden_reallocation() {
        let whole = |credits| Credits::whole(credits).unwrap();
        let answer = ReallocationAnswer {
            id: ReallocationId::parse("r-1").unwrap(),
            from: UserId::parse("ann").unwrap(),
            to: UserId::parse("bob").unwrap(),
            asked: whole(2_000),
            moved: whole(1_500),
            lapsed: whole(100),
            pending: vec![Pending { node: NodeId(2), amount: whole(400) }],
            at: Timestamp::from_millis(0),
        };
        let golden = concat!(
            r#"{"id":"r-1","from":"ann","to":"bob","asked":"2000","moved":"1500","pending":"400","lapsed":"100","#,
            r#""pending_from":[{"node":"n2","amount":"400","until":"1970-01-01T00:01:00Z"}]}"#
        );
        assert_eq!(String::from_utf8(json::write(&reallocation_json(answer, 60_000))).unwrap(), golden);
    }

    #[test]
    fn values_that_cannot_be() {
        let parsed =
            |body: &str| parse(json::read(body.as_bytes()).unwrap()).map_err(|refused| refused.detail);
        assert!(parsed(r#"{"id":"r","from":"ann","to":"bob","amount":1}"#).is_ok());
        for (body, why) in [
            (r#"{"id":"r","from":"ann","to":"ann","amount":1}"#, "to: it is the same"),
            (r#"{"id":"r","from":"ann","to":"bob","amount":0}"#, "amount: it must be more"),
            (r#"{"id":"r","from":"ann","to":"bob","amount":-1}"#, "amount: an amount is not"),
            (r#"{"id":"","from":"ann","to":"bob","amount":1}"#, "id: "),
            (r#"{"id":"r","from":"an n","to":"bob","amount":1}"#, "from: "),
        ] {
            let detail = parsed(body).expect_err(body);
            assert!(detail.starts_with(why), "{body}: {detail}");
        }
    }
}
