//! Holds: open, extend, settle, release. Not here: what becomes of them (`quota`).
//!
//! Only opening one takes an idempotency key into account: what is asked of a hold that exists is the same when it is asked
//! again.

use crate::answer::{Answer, ok, with_status};
use crate::app::App;
use crate::consume::{paid, parse, units};
use crate::edge::{good, maybe};
use crate::error::Refused;
use crate::extract::{Body, Conditions, One, Two};
use crate::limits::BODY_BYTES_MAX;
use crate::shadow::shadowed_json;
use axum::extract::State;
use axum::http::StatusCode;
use quota::{EndOfHold, HoldAnswer, HoldCommand, HoldEnd, HoldState, Shortfall, UsedBy};
use std::sync::Arc;
use types::{Credits, HoldId, WorkspaceId};
use wire::json::{self, Text};

/// Sets credits aside for a call whose price is not known yet. With an `Idempotency-Key` a retry is the same hold.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/holds", tag = "hot path",
    request_body = json::OpenHold, responses((status = 201, description = "Held", body = json::Hold)))]
pub(crate) async fn open(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
    Body(asked): Body<json::OpenHold, BODY_BYTES_MAX>,
) -> Answer {
    let json::OpenHold { user, feature, model, amount, usage, durability, ttl_ms } = asked;
    let consume = json::Consume { user, feature, model, amount, usage, durability };
    let consume = parse(workspace, conditions.key_only()?, consume)?;
    let ttl_ms = good("ttl_ms", ttl_ms)?;
    let (least, most) = (quota::HOLD_TTL_MS_MIN, quota::HOLD_TTL_MS_MAX);
    let ttl_ms = u32::try_from(ttl_ms).ok().filter(|ms| (least..=most).contains(ms));
    let ttl_ms = ttl_ms.ok_or_else(|| Refused::invalid(format!("ttl_ms: it is {least} to {most}")))?;
    let opened = app.change(Box::pin(app.quota()?.open_hold(quota::OpenHold { consume, ttl_ms }))).await?;
    let hold = json::Hold {
        hold: Text(opened.hold),
        held: Text(opened.held),
        expires_at: Text(opened.expires_at),
        shadow: opened.shadow.map(shadowed_json),
    };
    Ok(with_status(StatusCode::CREATED, &hold))
}

/// Holds more, and says what is used for certain; the hold lasts anew. Both amounts are in all, and only grow.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/holds/{hold}/extend", tag = "hot path",
    request_body = json::ExtendHold, responses((status = 200, description = "Held", body = json::HeldCredits)))]
pub(crate) async fn extend(
    State(app): State<Arc<App>>,
    Two(workspace, hold): Two<WorkspaceId, HoldId>,
    conditions: Conditions,
    Body(asked): Body<json::ExtendHold, BODY_BYTES_MAX>,
) -> Answer {
    let _repeatable = conditions.key_only()?;
    let json::ExtendHold { amount, confirmed } = asked;
    let amount = maybe("amount", amount)?.unwrap_or(Credits::ZERO);
    let confirmed = maybe("confirmed", confirmed)?.unwrap_or(Credits::ZERO);
    let extend = quota::ExtendHold { workspace, hold, amount, confirmed };
    ask(&app, HoldCommand::Extend(extend)).await
}

/// Charges what the call has cost and frees the rest. Settled again it is the same answer; after its time was up it is an
/// ordinary charge, up to what was held.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/holds/{hold}/settle", tag = "hot path",
    request_body = json::SettleHold, responses((status = 200, description = "Settled", body = json::EndedHold)))]
pub(crate) async fn settle(
    State(app): State<Arc<App>>,
    Two(workspace, hold): Two<WorkspaceId, HoldId>,
    conditions: Conditions,
    Body(asked): Body<json::SettleHold, BODY_BYTES_MAX>,
) -> Answer {
    let _repeatable = conditions.key_only()?;
    let settle = settle_of(workspace, hold, asked)?;
    ask(&app, HoldCommand::Settle(settle)).await
}

/// Charges what is confirmed and frees the rest. Of a hold that is not known it is a success too.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/holds/{hold}/release", tag = "hot path",
    request_body = json::ReleaseHold, responses((status = 200, description = "Released", body = json::EndedHold)))]
pub(crate) async fn release(
    State(app): State<Arc<App>>,
    Two(workspace, hold): Two<WorkspaceId, HoldId>,
    conditions: Conditions,
    Body(json::ReleaseHold {}): Body<json::ReleaseHold, BODY_BYTES_MAX>,
) -> Answer {
    let _repeatable = conditions.key_only()?;
    ask(&app, HoldCommand::Release { workspace, hold }).await
}

async fn ask(app: &App, command: HoldCommand) -> Answer {
    Ok(match app.change(Box::pin(app.quota()?.hold(command))).await? {
        HoldAnswer::Extended(state) => ok(&state_json(&state)),
        HoldAnswer::Ended(end) => ok(&end_json(end)),
    })
}

fn settle_of(
    workspace: WorkspaceId,
    hold: HoldId,
    asked: json::SettleHold,
) -> Result<quota::SettleHold, Refused> {
    let json::SettleHold { amount, usage, shortfall } = asked;
    let used = match (amount, usage) {
        (Some(amount), None) => UsedBy::Amount(good("amount", amount)?),
        (None, Some(usage)) => UsedBy::Usage(units(usage)?),
        (Some(_), Some(_)) => return Err(Refused::invalid("give either amount or usage, not both")),
        (None, None) => return Err(Refused::invalid("give the amount, or the usage to be priced")),
    };
    let shortfall = match maybe("shortfall", shortfall)? {
        None | Some(json::Shortfall::Reject) => Shortfall::Reject,
        Some(json::Shortfall::Cap) => Shortfall::Cap,
    };
    Ok(quota::SettleHold { workspace, hold, used, shortfall })
}

fn state_json(state: &HoldState) -> json::HeldCredits {
    json::HeldCredits {
        hold: Text(state.hold),
        held: Text(state.held),
        confirmed: Text(state.confirmed),
        expires_at: Text(state.expires_at),
        shadow: state.shadow.map(shadowed_json),
    }
}

fn end_json(end: HoldEnd) -> json::EndedHold {
    let HoldEnd { hold, end, charged, freed, sources, durability, cycle, shadow } = end;
    let end = match end {
        EndOfHold::Settled => json::HoldEnd::Settled,
        EndOfHold::Released => json::HoldEnd::Released,
        EndOfHold::Expired => json::HoldEnd::Expired,
        EndOfHold::SettledLate => json::HoldEnd::SettledLate,
        EndOfHold::Unknown => json::HoldEnd::Unknown,
    };
    json::EndedHold {
        hold: Text(hold),
        end: Text(end),
        charged: Text(charged),
        freed: Text(freed),
        sources: paid(sources),
        durability: Text(durability.into()),
        cycle: cycle.map(|cycle| cycle.0),
        shadow: shadow.map(shadowed_json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{CycleNumber, Durability, HoldNumber, NodeId, Source};

    fn id() -> HoldId {
        HoldId { node: NodeId(1), number: HoldNumber(42) }
    }

    fn settled(body: &str) -> Result<quota::SettleHold, String> {
        let asked = json::read(body.as_bytes()).unwrap_or_else(|why| panic!("{body}: {why}"));
        settle_of(WorkspaceId::parse("acme").unwrap(), id(), asked).map_err(|refused| refused.detail)
    }

    #[test]
    fn a_settle_names_what_was_used_once() {
        assert_eq!(
            settled(r#"{"amount":0}"#).unwrap().used,
            UsedBy::Amount(Credits::ZERO),
            "nothing is an amount"
        );
        assert_eq!(settled(r#"{"amount":0}"#).unwrap().shortfall, Shortfall::Reject);
        assert_eq!(settled(r#"{"amount":1,"shortfall":"cap"}"#).unwrap().shortfall, Shortfall::Cap);
        for (body, why) in [
            ("{}", "give the amount, or the usage"),
            (r#"{"amount":1,"usage":{"a":1}}"#, "either amount or usage"),
            (r#"{"amount":1,"shortfall":"overage"}"#, "shortfall: it is one of: reject cap"),
            (r#"{"amount":-1}"#, "amount: an amount is not negative"),
            (r#"{"usage":{}}"#, "usage: it names no unit"),
        ] {
            assert!(settled(body).unwrap_err().contains(why), "{body}");
        }
    }

    #[test]
    fn the_golden_end() {
        let one = Credits::whole(1).unwrap();
        let end = HoldEnd {
            hold: id(),
            end: EndOfHold::SettledLate,
            charged: one,
            freed: Credits::ZERO,
            sources: vec![(Source::Shared, one)],
            durability: Durability::Disk,
            cycle: Some(CycleNumber(3)),
            shadow: None,
        };
        let golden = concat!(
            r#"{"hold":"n1.h42","end":"settled_late","charged":"1","freed":"0","#,
            r#""sources":[{"from":"shared","amount":"1"}],"durability":"disk","cycle":3}"#
        );
        assert_eq!(String::from_utf8(json::write(&end_json(end))).unwrap(), golden);
    }
}
