//! Teams, and the reserves that are set aside for them. Not here: who is in one (`members`), what one user may spend
//! (`allocations`).

use crate::answer::{Answer, changed, ok, other_outcome, pending, with_etag, with_status};
use crate::app::App;
use crate::edge::{ListQuery, cut, good, maybe};
use crate::error::Refused;
use crate::extract::{Asked, Body, Conditions, One, Two};
use crate::limits::BODY_BYTES_MAX;
use axum::extract::State;
use quota::{Change, Outcome, TeamChange, TeamView};
use std::sync::Arc;
use types::{CreditsDelta, TeamId, WorkspaceId};
use wire::json::{self, Text};

/// Makes a team, or moves it with all that is nested in it. Leases of members whose chain changes are called back.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/teams/{team}", tag = "administration",
    request_body = json::PutTeam, responses((status = 200, description = "The team", body = json::Team)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    Two(workspace, team): Two<WorkspaceId, TeamId>,
    conditions: Conditions,
    Body(json::PutTeam { parent }): Body<json::PutTeam, BODY_BYTES_MAX>,
) -> Answer {
    let parent = maybe("parent", parent)?;
    change(&app, workspace, conditions, team, TeamChange::Put { parent }).await
}

/// Removes a team that nobody is in, that no team is nested in and that has no reserve.
#[utoipa::path(delete, path = "/v1/workspaces/{ws}/teams/{team}", tag = "administration",
    responses((status = 200, description = "Removed; as it was", body = json::Team)))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Two(workspace, team): Two<WorkspaceId, TeamId>,
    conditions: Conditions,
) -> Answer {
    change(&app, workspace, conditions, team, TeamChange::Remove).await
}

/// Sets a team's reserve for this cycle and every next: its members spend it before what is shared, and nobody else does. A
/// raise comes from what is shared.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/teams/{team}/reserve", tag = "administration",
    request_body = json::PutReserve, responses(
        (status = 200, description = "Set", body = json::Team),
        (status = 202, description = "A part is still out on leases", body = json::Team)))]
pub(crate) async fn set_reserve(
    State(app): State<Arc<App>>,
    Two(workspace, team): Two<WorkspaceId, TeamId>,
    conditions: Conditions,
    Body(json::PutReserve { amount }): Body<json::PutReserve, BODY_BYTES_MAX>,
) -> Answer {
    let amount = good("amount", amount)?;
    change(&app, workspace, conditions, team, TeamChange::SetReserve { amount }).await
}

/// Raises or lowers a team's reserve for this cycle only.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/teams/{team}/reserve/adjust", tag = "administration",
    request_body = json::Adjust, responses(
        (status = 200, description = "Adjusted", body = json::Team),
        (status = 202, description = "A part is still out on leases", body = json::Team)))]
pub(crate) async fn adjust_reserve(
    State(app): State<Arc<App>>,
    Two(workspace, team): Two<WorkspaceId, TeamId>,
    conditions: Conditions,
    Body(json::Adjust { delta }): Body<json::Adjust, BODY_BYTES_MAX>,
) -> Answer {
    let delta = good("delta", delta)?;
    let (CreditsDelta::Raise(by) | CreditsDelta::Lower(by)) = delta;
    if by.is_zero() {
        return Err(Refused::invalid("delta: it must not be zero"));
    }
    change(&app, workspace, conditions, team, TeamChange::AdjustReserve { delta }).await
}

/// Returns what is unused of a team's reserve to what is shared.
#[utoipa::path(delete, path = "/v1/workspaces/{ws}/teams/{team}/reserve", tag = "administration",
    responses((status = 200, description = "Removed", body = json::Team),
        (status = 202, description = "A part is still out on leases", body = json::Team)))]
pub(crate) async fn remove_reserve(
    State(app): State<Arc<App>>,
    Two(workspace, team): Two<WorkspaceId, TeamId>,
    conditions: Conditions,
) -> Answer {
    change(&app, workspace, conditions, team, TeamChange::RemoveReserve).await
}

/// One team and its reserve.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/teams/{team}", tag = "administration",
    responses((status = 200, description = "The team", body = json::Team)))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Two(workspace, team): Two<WorkspaceId, TeamId>,
) -> Answer {
    let quota = app.quota()?;
    let ttl_ms = quota.pending_ms_max();
    let view = app.read(Box::pin(quota.team(&workspace, &team))).await?;
    let revision = view.revision;
    Ok(with_etag(ok(&team_json(view, ttl_ms)), revision))
}

/// All teams, by id.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/teams", tag = "administration", params(ListQuery),
    responses((status = 200, description = "A page of teams", body = json::Teams)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    Asked(query): Asked<ListQuery>,
) -> Answer {
    let (page, limit) = query.page::<TeamId>()?;
    let quota = app.quota()?;
    let ttl_ms = quota.pending_ms_max();
    let views = app.read(Box::pin(quota.teams(&workspace, page))).await?;
    let (views, cursor) = cut(views, limit, |view| view.team.to_string());
    let items = views.into_iter().map(|view| team_json(view, ttl_ms)).collect();
    Ok(ok(&json::Teams { items, cursor }))
}

async fn change(
    app: &App,
    workspace: WorkspaceId,
    conditions: Conditions,
    team: TeamId,
    change: TeamChange,
) -> Answer {
    let ttl_ms = app.quota()?.pending_ms_max();
    match app.administer(workspace, conditions, Change::Team { team, change }).await? {
        Outcome::Team(view) => {
            let (status, revision) = (changed(&view.pending), view.revision);
            Ok(with_etag(with_status(status, &team_json(*view, ttl_ms)), revision))
        }
        _ => Err(other_outcome()),
    }
}

fn team_json(view: TeamView, session_ttl_ms: i64) -> json::Team {
    let TeamView {
        team,
        parent,
        members,
        reserve,
        standing,
        used,
        leased,
        remaining,
        short,
        pending: parts,
        revision: _,
        at,
    } = view;
    let (pending, pending_from) = pending(parts, at, session_ttl_ms);
    json::Team {
        team: Text(team),
        parent: parent.map(Text),
        members,
        reserve: reserve.map(Text),
        standing: Text(standing),
        used: Text(used),
        leased: Text(leased),
        remaining: Text(remaining),
        short: Text(short),
        pending,
        pending_from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quota::Pending;
    use types::{Credits, NodeId, Revision, Timestamp};

    #[test]
    fn the_golden_team() {
        let whole = |credits| Credits::whole(credits).unwrap();
        let view = TeamView {
            team: TeamId::parse("design").unwrap(),
            parent: Some(TeamId::parse("eng").unwrap()),
            members: 8,
            reserve: Some(whole(20_000)),
            standing: whole(20_000),
            used: whole(1_000),
            leased: whole(50),
            remaining: whole(19_000),
            short: Credits::ZERO,
            pending: vec![Pending { node: NodeId(1), amount: whole(30) }],
            revision: Revision(3),
            at: Timestamp::from_millis(1_000),
        };
        let golden = concat!(
            r#"{"team":"design","parent":"eng","members":8,"reserve":"20000","standing":"20000","used":"1000","#,
            r#""leased":"50","remaining":"19000","short":"0","pending":"30","#,
            r#""pending_from":[{"node":"n1","amount":"30","until":"1970-01-01T00:01:01Z"}]}"#
        );
        assert_eq!(String::from_utf8(json::write(&team_json(view, 60_000))).unwrap(), golden);
    }
}
