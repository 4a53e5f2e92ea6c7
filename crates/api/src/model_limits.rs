//! The limits of one model: ceilings on what may be used of it in a workspace, by whomever. Not here: what limits are asked and
//! answered with (`user_limits`).

use crate::answer::Answer;
use crate::app::App;
use crate::extract::{AskedWith, Body, Conditions, Two};
use crate::limits::BODY_BYTES_MAX;
use crate::user_limits::{LiftParameters, lift_of, set, show};
use axum::extract::State;
use quota::Subject;
use std::sync::Arc;
use types::{Model, WorkspaceId};
use wire::json;

/// A ceiling on what may be used of a model in a window, by whomever; `null` lifts it. The tightest wins. Funds nothing.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/limits/models/{model}", tag = "administration",
    request_body = json::PutLimit, responses((status = 200, description = "All its limits", body = json::Limits)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    Two(workspace, model): Two<WorkspaceId, Model>,
    conditions: Conditions,
    Body(limit): Body<json::PutLimit, BODY_BYTES_MAX>,
) -> Answer {
    set(&app, workspace, Subject::Model(model), conditions, limit).await
}

/// All limits of one model: what counts in each window, what is left, when it ends.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/limits/models/{model}", tag = "administration",
    responses((status = 200, description = "All its limits", body = json::Limits)))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Two(workspace, model): Two<WorkspaceId, Model>,
) -> Answer {
    show(&app, workspace, Subject::Model(model)).await
}

/// Lifts all limits of one model, or the one of a window.
#[utoipa::path(delete, path = "/v1/workspaces/{ws}/limits/models/{model}", tag = "administration", params(LiftParameters),
    responses((status = 200, description = "What is left of its limits", body = json::Limits)))]
pub(crate) async fn lift(
    State(app): State<Arc<App>>,
    Two(workspace, model): Two<WorkspaceId, Model>,
    AskedWith(which, conditions): AskedWith<LiftParameters>,
) -> Answer {
    lift_of(&app, workspace, Subject::Model(model), which, conditions).await
}
