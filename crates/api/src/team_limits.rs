//! The limits of one team: ceilings on what its members, and those of the teams nested in it, may use together. Not here: what
//! is set aside for it (`teams`), what limits are asked and answered with (`user_limits`).

use crate::answer::Answer;
use crate::app::App;
use crate::extract::{AskedWith, Body, Conditions, Two};
use crate::limits::BODY_BYTES_MAX;
use crate::user_limits::{LiftParameters, lift_of, set, show};
use axum::extract::State;
use quota::Subject;
use std::sync::Arc;
use types::{TeamId, WorkspaceId};
use wire::json;

/// A ceiling on what all members of a team may use together in a window; `null` lifts it. The tightest wins. Funds nothing.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/limits/teams/{team}", tag = "administration",
    request_body = json::PutLimit, responses((status = 200, description = "All its limits", body = json::Limits)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    Two(workspace, team): Two<WorkspaceId, TeamId>,
    conditions: Conditions,
    Body(limit): Body<json::PutLimit, BODY_BYTES_MAX>,
) -> Answer {
    set(&app, workspace, Subject::Team(team), conditions, limit).await
}

/// All limits of one team: what counts in each window, what is left, when it ends.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/limits/teams/{team}", tag = "administration",
    responses((status = 200, description = "All its limits", body = json::Limits)))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Two(workspace, team): Two<WorkspaceId, TeamId>,
) -> Answer {
    show(&app, workspace, Subject::Team(team)).await
}

/// Lifts all limits of one team, or the one of a window.
#[utoipa::path(delete, path = "/v1/workspaces/{ws}/limits/teams/{team}", tag = "administration", params(LiftParameters),
    responses((status = 200, description = "What is left of its limits", body = json::Limits)))]
pub(crate) async fn lift(
    State(app): State<Arc<App>>,
    Two(workspace, team): Two<WorkspaceId, TeamId>,
    AskedWith(which, conditions): AskedWith<LiftParameters>,
) -> Answer {
    lift_of(&app, workspace, Subject::Team(team), which, conditions).await
}
