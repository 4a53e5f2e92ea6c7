//! Limits: ceilings on what may be used in an hour, a day, a week, a cycle, and those of one user. Not here: those of a team
//! (`team_limits`), what is funded (`allocations`), the bounds of this API (`limits`).

use crate::answer::{Answer, ok, other_outcome, with_etag};
use crate::app::App;
use crate::edge::maybe;
use crate::error::Refused;
use crate::extract::{AskedWith, Body, Conditions, Two};
use crate::limits::BODY_BYTES_MAX;
use crate::translate;
use axum::extract::State;
use axum::response::Response;
use quota::{Change, LimitView, LimitsAnswer, Outcome, Subject};
use serde::Deserialize;
use std::sync::Arc;
use types::{UserId, WorkspaceId};
use utoipa::IntoParams;
use wire::json::{self, Text, Word};

/// What a `DELETE` lifts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LiftParameters {
    /// `hour`, `day`, `week` or `cycle`: that limit alone; left out: all of them.
    window: Option<String>,
}

/// A ceiling on what one user may use in a window; `null` lifts it. Each window has its own; the tightest wins. Funds nothing.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/limits/{user}", tag = "administration",
    request_body = json::PutLimit, responses((status = 200, description = "All his limits", body = json::Limits)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
    conditions: Conditions,
    Body(limit): Body<json::PutLimit, BODY_BYTES_MAX>,
) -> Answer {
    set(&app, workspace, Subject::User(user), conditions, limit).await
}

/// All limits of one user: what counts in each window, what is left, when it ends.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/limits/{user}", tag = "administration",
    responses((status = 200, description = "All his limits", body = json::Limits)))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
) -> Answer {
    show(&app, workspace, Subject::User(user)).await
}

/// Lifts all limits of one user, or the one of a window.
#[utoipa::path(delete, path = "/v1/workspaces/{ws}/limits/{user}", tag = "administration", params(LiftParameters),
    responses((status = 200, description = "What is left of his limits", body = json::Limits)))]
pub(crate) async fn lift(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
    AskedWith(which, conditions): AskedWith<LiftParameters>,
) -> Answer {
    lift_of(&app, workspace, Subject::User(user), which, conditions).await
}

pub(crate) async fn set(
    app: &App,
    workspace: WorkspaceId,
    of: Subject,
    conditions: Conditions,
    json::PutLimit { amount, window }: json::PutLimit,
) -> Answer {
    let amount = maybe("amount", amount)?;
    let window = translate::window(maybe("window", window)?.unwrap_or(json::Window::Cycle));
    change(app, workspace, conditions, Change::SetLimit { of, window, amount }).await
}

pub(crate) async fn show(app: &App, workspace: WorkspaceId, of: Subject) -> Answer {
    let quota = app.quota()?;
    Ok(shown(app.read(Box::pin(quota.limits(&workspace, of))).await?))
}

pub(crate) async fn lift_of(
    app: &App,
    workspace: WorkspaceId,
    of: Subject,
    LiftParameters { window }: LiftParameters,
    conditions: Conditions,
) -> Answer {
    let window = window.map(|text| json::Window::read(&text)).transpose();
    let lift = match window.map_err(|bad| Refused::invalid(format!("window: {bad}")))? {
        Some(window) => Change::SetLimit { of, window: translate::window(window), amount: None },
        None => Change::LiftLimits { of },
    };
    change(app, workspace, conditions, lift).await
}

async fn change(app: &App, workspace: WorkspaceId, conditions: Conditions, change: Change) -> Answer {
    match app.administer(workspace, conditions, change).await? {
        Outcome::Limits(answer) => Ok(shown(*answer)),
        _ => Err(other_outcome()),
    }
}

fn shown(answer: LimitsAnswer) -> Response {
    let revision = answer.revision;
    with_etag(ok(&limits_json(answer)), revision)
}

fn limits_json(LimitsAnswer { of, limits, out, revision: _, at: _ }: LimitsAnswer) -> json::Limits {
    let one = |LimitView { window, amount, used, remaining, starts_at, resets_at }| json::Limit {
        window: Text(translate::window_json(window)),
        limit: Text(amount),
        used: Text(used),
        remaining: Text(remaining),
        starts_at: Text(starts_at),
        resets_at: resets_at.map(Text),
    };
    let limits = limits.into_iter().map(one).collect();
    json::Limits { of: translate::subject_json(of), limits, leased: Text(out) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Credits, Revision, Timestamp, Window};

    #[test]
    fn the_golden_limits_say_what_is_left_and_until_when() {
        let whole = |credits| Credits::whole(credits).unwrap();
        let hour = LimitView {
            window: Window::Hour,
            amount: whole(50),
            used: whole(12),
            remaining: whole(8),
            starts_at: Timestamp::from_millis(0),
            resets_at: Some(Timestamp::from_millis(3_600_000)),
        };
        let cycle =
            LimitView { window: Window::Cycle, amount: whole(1_000), resets_at: None, ..hour.clone() };
        let answer = LimitsAnswer {
            of: Subject::User(UserId::parse("ann").unwrap()),
            limits: vec![hour, cycle],
            out: whole(30),
            revision: Revision(3),
            at: Timestamp::from_millis(1_000),
        };
        let golden = concat!(
            r#"{"of":{"user":"ann"},"limits":[{"window":"hour","limit":"50","used":"12","remaining":"8","#,
            r#""starts_at":"1970-01-01T00:00:00Z","resets_at":"1970-01-01T01:00:00Z"},"#,
            r#"{"window":"cycle","limit":"1000","used":"12","remaining":"8","#,
            r#""starts_at":"1970-01-01T00:00:00Z","resets_at":null}],"leased":"30"}"#
        );
        assert_eq!(String::from_utf8(json::write(&limits_json(answer))).unwrap(), golden);
    }
}
