//! Overage: whether a workspace or one of its users may use more than is included, and what came of it. Not here: what is
//! included (`grants`, `plans`).

use crate::answer::{Answer, ok, other_outcome, with_etag};
use crate::app::App;
use crate::edge::{good, maybe};
use crate::error::Refused;
use crate::extract::{Body, Conditions, One, Two};
use crate::limits::BODY_BYTES_MAX;
use axum::extract::State;
use axum::response::Response;
use quota::{Change, CycleOverage, Outcome, OverageAnswer, OverageRule};
use std::sync::Arc;
use types::{UserId, WorkspaceId};
use wire::json::{self, OverageMode, Text};

/// Lets a workspace use more than is included, or no longer, whatever its plan says. What lies idle elsewhere is always used first.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/overage", tag = "administration",
    request_body = json::PutOverage, responses((status = 200, description = "The rule", body = json::Overage)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
    Body(asked): Body<json::PutOverage, BODY_BYTES_MAX>,
) -> Answer {
    change(&app, workspace, conditions, None, Some(parse(asked)?)).await
}

/// The workspace has no rule of its own any more: its plan's holds, or there is no overage.
#[utoipa::path(delete, path = "/v1/workspaces/{ws}/overage", tag = "administration",
    responses((status = 200, description = "The rule", body = json::Overage)))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
) -> Answer {
    change(&app, workspace, conditions, None, None).await
}

/// What the workspace may, and what it used beyond what was included, by cycle.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/overage", tag = "administration",
    responses((status = 200, description = "The rule and the last cycles", body = json::Overage)))]
pub(crate) async fn get(State(app): State<Arc<App>>, One(workspace): One<WorkspaceId>) -> Answer {
    let quota = app.quota()?;
    Ok(shown(app.read(Box::pin(quota.overage(&workspace, None))).await?))
}

/// What one user may of it: the tighter of this rule and the workspace's. With a rule of his own he may go beyond an allocation
/// that does not overflow, too.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/overage/{user}", tag = "administration",
    request_body = json::PutOverage, responses((status = 200, description = "The rule", body = json::UserOverage)))]
pub(crate) async fn put_user(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
    conditions: Conditions,
    Body(asked): Body<json::PutOverage, BODY_BYTES_MAX>,
) -> Answer {
    change(&app, workspace, conditions, Some(user), Some(parse(asked)?)).await
}

/// The user may what his workspace may, unless his allocation keeps him to itself.
#[utoipa::path(delete, path = "/v1/workspaces/{ws}/overage/{user}", tag = "administration",
    responses((status = 200, description = "He has no rule of his own", body = json::UserOverage)))]
pub(crate) async fn remove_user(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
    conditions: Conditions,
) -> Answer {
    change(&app, workspace, conditions, Some(user), None).await
}

/// What one user may, and has had of it in this cycle.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/overage/{user}", tag = "administration",
    responses((status = 200, description = "The rule", body = json::UserOverage)))]
pub(crate) async fn get_user(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
) -> Answer {
    let quota = app.quota()?;
    Ok(shown(app.read(Box::pin(quota.overage(&workspace, Some(&user)))).await?))
}

async fn change(
    app: &App,
    workspace: WorkspaceId,
    conditions: Conditions,
    user: Option<UserId>,
    rule: Option<OverageRule>,
) -> Answer {
    match app.administer(workspace, conditions, Change::SetOverage { user, rule }).await? {
        Outcome::Overage(answer) => Ok(shown(*answer)),
        _ => Err(other_outcome()),
    }
}

pub(crate) fn parse(json::PutOverage { mode, cap }: json::PutOverage) -> Result<OverageRule, Refused> {
    let cap = maybe("cap", cap)?;
    match (good("mode", mode)?, cap) {
        (OverageMode::Capped, Some(cap)) => Ok(OverageRule::UpTo(cap)),
        (OverageMode::Capped, None) => {
            Err(Refused::invalid("cap: with the mode `capped` it says how much in each cycle".to_owned()))
        }
        (OverageMode::Off | OverageMode::On, Some(_)) => {
            Err(Refused::invalid("cap: it goes with the mode `capped` alone".to_owned()))
        }
        (OverageMode::Off, None) => Ok(OverageRule::Off),
        (OverageMode::On, None) => Ok(OverageRule::On),
    }
}

fn mode(rule: OverageRule) -> (OverageMode, Option<json::Amount>) {
    match rule {
        OverageRule::Off => (OverageMode::Off, None),
        OverageRule::On => (OverageMode::On, None),
        OverageRule::UpTo(cap) => (OverageMode::Capped, Some(Text(cap))),
    }
}

pub(crate) fn rule_json(rule: OverageRule) -> json::OverageRule {
    let (mode, cap) = mode(rule);
    json::OverageRule { mode: Text(mode), cap }
}

fn shown(answer: OverageAnswer) -> Response {
    let OverageAnswer { user, rule, of_plan, drawn, cycles, revision, at: _ } = answer;
    let body = match user {
        None => {
            let (mode, cap) = mode(rule.or(of_plan).unwrap_or(OverageRule::Off));
            let cycles = cycles.into_iter().map(cycle_json).collect();
            let (plan, own) = (of_plan.map(rule_json), rule.is_some());
            ok(&json::Overage { mode: Text(mode), cap, plan, own, cycles })
        }
        Some(user) => {
            let (mode, cap) = rule.map_or((None, None), |rule| {
                let (mode, cap) = mode(rule);
                (Some(Text(mode)), cap)
            });
            ok(&json::UserOverage { user: Text(user), mode, cap, drawn: Text(drawn) })
        }
    };
    with_etag(body, revision)
}

fn cycle_json(overage: CycleOverage) -> json::CycleOverage {
    let CycleOverage { cycle, charged, refunded, out, paid, billed, uncovered, price } = overage;
    let cost = price.map(|price| price.for_credits(billed.saturating_add(uncovered)));
    json::CycleOverage {
        cycle: cycle.0,
        charged: Text(charged),
        refunded: Text(refunded),
        leased: Text(out),
        paid: Text(paid),
        billed: Text(billed),
        uncovered: Text(uncovered),
        price: price.map(Into::into),
        cost: cost.map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> Result<OverageRule, Refused> {
        parse(json::read(body.as_bytes()).unwrap())
    }

    #[test]
    fn a_cap_goes_with_its_mode_alone() {
        assert_eq!(parsed(r#"{"mode":"on"}"#).unwrap(), OverageRule::On);
        assert_eq!(parsed(r#"{"mode":"off"}"#).unwrap(), OverageRule::Off);
        let half = "0.5".parse().unwrap();
        assert_eq!(parsed(r#"{"mode":"capped","cap":"0.5"}"#).unwrap(), OverageRule::UpTo(half));
        for bad in [
            r#"{"mode":"capped"}"#,
            r#"{"mode":"on","cap":"1"}"#,
            r#"{"mode":"off","cap":1}"#,
            r#"{"mode":"max"}"#,
            r#"{"mode":"capped","cap":"-1"}"#,
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
