//! What one user may spend: his allocation, which is funded. Not here: his limits (`user_limits`), moving credits
//! between users.

use crate::answer::{Answer, changed, ok, other_outcome, pending, with_etag, with_status};
use crate::app::App;
use crate::edge::{good, maybe};
use crate::error::Refused;
use crate::extract::{Body, Conditions, Two};
use crate::limits::BODY_BYTES_MAX;
use crate::translate;
use axum::extract::State;
use quota::{AllocationAnswer, Change, Outcome};
use std::sync::Arc;
use types::{Credits, CreditsDelta, UserId, WorkspaceId};
use wire::json::{self, Text};

/// Sets a user's allocation for this cycle and every next.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/allocations/{user}", tag = "administration",
    request_body = json::PutAllocation, responses(
        (status = 200, description = "Set", body = json::Allocation),
        (status = 202, description = "A part is still out on leases", body = json::Allocation)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
    conditions: Conditions,
    Body(json::PutAllocation { amount, overflow }): Body<json::PutAllocation, BODY_BYTES_MAX>,
) -> Answer {
    let amount = good("amount", amount)?;
    let overflow = maybe("overflow", overflow)?.map(translate::overflow);
    change(&app, workspace, conditions, Change::SetAllocation { user, amount, overflow }).await
}

/// Raises or lowers a user's allocation for this cycle only. A raise comes from what is shared.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/allocations/{user}/adjust", tag = "administration",
    request_body = json::Adjust, responses(
        (status = 200, description = "Adjusted", body = json::Allocation),
        (status = 202, description = "A part is still out on leases", body = json::Allocation)))]
pub(crate) async fn adjust(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
    conditions: Conditions,
    Body(json::Adjust { delta }): Body<json::Adjust, BODY_BYTES_MAX>,
) -> Answer {
    let delta = good("delta", delta)?;
    let (CreditsDelta::Raise(by) | CreditsDelta::Lower(by)) = delta;
    if by.is_zero() {
        return Err(Refused::invalid("delta: it must not be zero"));
    }
    change(&app, workspace, conditions, Change::AdjustAllocation { user, delta }).await
}

/// Returns the user to what is shared.
#[utoipa::path(delete, path = "/v1/workspaces/{ws}/allocations/{user}", tag = "administration",
    responses((status = 200, description = "Removed", body = json::Allocation),
        (status = 202, description = "A part is still out on leases", body = json::Allocation)))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
    conditions: Conditions,
) -> Answer {
    change(&app, workspace, conditions, Change::RemoveAllocation { user }).await
}

/// A user's allocation, and what is still pending of it.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/allocations/{user}", tag = "administration",
    responses((status = 200, description = "The allocation", body = json::Allocation)))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
) -> Answer {
    let quota = app.quota()?;
    let ttl_ms = quota.pending_ms_max();
    let answer = app.read(Box::pin(quota.allocation(&workspace, &user))).await?;
    let revision = answer.revision;
    Ok(with_etag(ok(&allocation_json(answer, ttl_ms)), revision))
}

async fn change(app: &App, workspace: WorkspaceId, conditions: Conditions, change: Change) -> Answer {
    let ttl_ms = app.quota()?.pending_ms_max();
    match app.administer(workspace, conditions, change).await? {
        Outcome::Allocation(answer) => {
            let (status, revision) = (changed(&answer.pending), answer.revision);
            Ok(with_etag(with_status(status, &allocation_json(answer, ttl_ms)), revision))
        }
        _ => Err(other_outcome()),
    }
}

fn allocation_json(answer: AllocationAnswer, session_ttl_ms: i64) -> json::Allocation {
    let AllocationAnswer {
        user,
        amount,
        standing,
        overflow,
        of_seat,
        used,
        short,
        pending: parts,
        revision: _,
        at,
    } = answer;
    let (pending, pending_from) = pending(parts, at, session_ttl_ms);
    json::Allocation {
        user: Text(user),
        allocation: amount.map(Text::<Credits>),
        standing: Text(standing),
        overflow: Text(translate::overflow_json(overflow)),
        of_seat,
        used: Text(used),
        short: Text(short),
        pending,
        pending_from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quota::{Overflow, Pending};
    use types::{NodeId, Revision, Timestamp};

    #[test]
    fn the_golden_allocation_says_what_is_pending_and_until_when() {
        let whole = |credits| Credits::whole(credits).unwrap();
        let answer = AllocationAnswer {
            user: UserId::parse("ann").unwrap(),
            amount: Some(whole(1_000)),
            standing: whole(1_000),
            overflow: Overflow::None,
            of_seat: false,
            used: whole(12),
            short: Credits::ZERO,
            pending: vec![
                Pending { node: NodeId(1), amount: whole(30) },
                Pending { node: NodeId(3), amount: whole(20) },
            ],
            revision: Revision(3),
            at: Timestamp::from_millis(1_000),
        };
        let golden = concat!(
            r#"{"user":"ann","allocation":"1000","standing":"1000","overflow":"none","of_seat":false,"used":"12","#,
            r#""short":"0","pending":"50","pending_from":[{"node":"n1","amount":"30","until":"1970-01-01T00:01:01Z"},"#,
            r#"{"node":"n3","amount":"20","until":"1970-01-01T00:01:01Z"}]}"#
        );
        assert_eq!(changed(&answer.pending).as_u16(), 202);
        assert_eq!(String::from_utf8(json::write(&allocation_json(answer, 60_000))).unwrap(), golden);
    }
}
