//! Refunds, and charges as they are looked up. Not here: charging (`consume`, `holds`).

use crate::answer::{Answer, ok, other_outcome, with_status};
use crate::app::App;
use crate::edge::{good, maybe, positive};
use crate::error::Refused;
use crate::extract::{Body, Conditions, One, Two};
use crate::limits::BODY_BYTES_MAX;
use crate::shadow::shadowed_json;
use axum::extract::State;
use axum::http::StatusCode;
use quota::{Change, ChargeView, FindCharge, Outcome, RefundAnswer, RefundPlace, RefundedTo};
use std::sync::Arc;
use types::{AnyCharge, Credits, RefundId, Shadowed, WorkspaceId};
use wire::json::{self, SourceKind, Text};

/// Gives back what was charged, to the very grants that paid, what burned last first. The charge stays as it is.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/refunds", tag = "administration",
    request_body = json::PutRefund, responses((status = 201, description = "Refunded", body = json::Refund)))]
pub(crate) async fn make(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
    Body(asked): Body<json::PutRefund, BODY_BYTES_MAX>,
) -> Answer {
    let (charge, amount, id) = parse(asked)?;
    let find = FindCharge { workspace: workspace.clone(), charge, reported: true };
    let facts = app.read(Box::pin(app.quota()?.find_charge(find))).await?;
    let change = Change::Refund(Box::new(facts.refund(amount, id)));
    match app.administer(workspace, conditions, change).await? {
        Outcome::Refund(refund) => Ok(with_status(StatusCode::CREATED, &refund_json(*refund))),
        _ => Err(other_outcome()),
    }
}

/// A refund as it was made; known as long as its charge can be refunded.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/refunds/{refund}", tag = "administration",
    responses((status = 200, description = "The refund", body = json::Refund)))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Two(workspace, refund): Two<WorkspaceId, RefundId>,
) -> Answer {
    let refund = app.read(Box::pin(app.quota()?.refund(&workspace, &refund))).await?;
    Ok(ok(&refund_json(refund)))
}

/// A charge as the node has it that made it: who used what, which grants paid, and what was refunded.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/charges/{charge}", tag = "administration",
    responses((status = 200, description = "The charge", body = json::ChargeRecord)))]
pub(crate) async fn charge(
    State(app): State<Arc<App>>,
    Two(workspace, charge): Two<WorkspaceId, AnyCharge>,
) -> Answer {
    let view = app.read(Box::pin(app.quota()?.charge(&workspace, charge))).await?;
    Ok(ok(&charge_json(view)?))
}

fn parse(asked: json::PutRefund) -> Result<(AnyCharge, Option<Credits>, Option<RefundId>), Refused> {
    let json::PutRefund { of, amount, id } = asked;
    let amount = amount.map(|amount| positive("amount", amount)).transpose()?;
    Ok((good("of", of)?, amount, maybe("id", id)?))
}

fn refund_json(refund: RefundAnswer) -> json::Refund {
    let RefundAnswer { id, charge, user, cycle, charged, asked: _, amount, refunded, to, at } = refund;
    let is_gone = |part: &&RefundedTo| matches!(part.place, RefundPlace::Expired | RefundPlace::Voided);
    let expired = Credits::checked_sum(to.iter().filter(is_gone).map(|part| part.amount));
    json::Refund {
        refund: Text(id),
        of: Text(charge),
        user: Text(user),
        cycle: cycle.0,
        amount: Text(amount),
        charged: Text(charged),
        refunded: Text(refunded),
        expired: Text(expired.unwrap_or(Credits::MAX)),
        to: to.into_iter().map(part_json).collect(),
        at: Text(at),
    }
}

fn part_json(part: RefundedTo) -> json::RefundPart {
    let RefundedTo { from, grant, amount, place } = part;
    let to = match place {
        RefundPlace::Allocation => json::RefundPlace::Allocation,
        RefundPlace::Shared => json::RefundPlace::Shared,
        RefundPlace::Overage => json::RefundPlace::Overage,
        RefundPlace::Expired => json::RefundPlace::Expired,
        RefundPlace::Voided => json::RefundPlace::Voided,
    };
    json::RefundPart {
        from: Text(SourceKind::from(from)),
        grant: Text(grant),
        amount: Text(amount),
        to: Text(to),
    }
}

fn charge_json(view: ChargeView) -> Result<json::ChargeRecord, Refused> {
    let ChargeView { facts, books } = view;
    let charged = facts.charged();
    let mut paid_by = Vec::with_capacity(facts.parts.len());
    for part in &facts.parts {
        let named = books.grants.iter().find(|(no, _)| *no == part.backing.grant);
        // A node that is behind has not heard of a grant that another one spends from.
        let (_, grant) = named.ok_or_else(other_outcome)?;
        paid_by.push(json::ChargePaid {
            from: Text(SourceKind::from(part.backing.source)),
            grant: Text(grant.clone()),
            amount: Text(part.amount),
        });
    }
    let shadow = Shadowed::of(facts.units.iter().map(|(unit, count)| (unit, *count)));
    let units = facts
        .units
        .into_iter()
        .filter(|(unit, _)| !unit.is_reserved())
        .map(|(unit, count)| (unit.to_string(), count));
    Ok(json::ChargeRecord {
        id: Text(facts.charge),
        user: Text(facts.user),
        feature: Text(facts.feature),
        model: facts.model.map(Text),
        day: Text(facts.day),
        cycle: facts.cycle.0,
        charged: Text(charged),
        refunded: Text(books.refunded),
        units: json::UnitCounts(units.collect()),
        shadow: shadow.map(shadowed_json),
        paid_by,
        node: Text(facts.holder.node),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{ChargeId, CycleNumber, GrantId, LineNumber, NodeId, Source, Timestamp, UserId};

    #[test]
    fn the_golden_refund() {
        let whole = |credits| Credits::whole(credits).unwrap();
        let id = ChargeId { node: NodeId(1), line: LineNumber(42), sequence: 7 };
        let part = |place, amount| RefundedTo {
            from: Source::Shared,
            grant: GrantId::parse("pack-1").unwrap(),
            amount: whole(amount),
            place,
        };
        let refund = RefundAnswer {
            id: RefundId::parse("n1.42.7:1").unwrap(),
            charge: AnyCharge::Consume(id),
            user: UserId::parse("ann").unwrap(),
            cycle: CycleNumber(3),
            charged: whole(9),
            asked: None,
            amount: whole(6),
            refunded: whole(8),
            to: vec![
                part(RefundPlace::Shared, 1),
                part(RefundPlace::Expired, 2),
                part(RefundPlace::Voided, 3),
            ],
            at: Timestamp::from_millis(0),
        };
        let golden = concat!(
            r#"{"refund":"n1.42.7:1","of":"n1.42.7","user":"ann","cycle":3,"amount":"6","charged":"9","refunded":"8","#,
            r#""expired":"5","to":[{"from":"shared","grant":"pack-1","amount":"1","to":"shared"},"#,
            r#"{"from":"shared","grant":"pack-1","amount":"2","to":"expired"},"#,
            r#"{"from":"shared","grant":"pack-1","amount":"3","to":"voided"}],"at":"1970-01-01T00:00:00Z"}"#
        );
        assert_eq!(String::from_utf8(json::write(&refund_json(refund))).unwrap(), golden);
    }

    #[test]
    fn values_that_cannot_be() {
        let parsed =
            |body: &str| parse(json::read(body.as_bytes()).unwrap()).map_err(|refused| refused.detail);
        assert!(parsed(r#"{"of":"n1.h42"}"#).unwrap().1.is_none());
        for (body, why) in [
            (r#"{"of":"n1.42"}"#, "of: a charge's id"),
            (r#"{"of":"n1.42.7","amount":0}"#, "amount: it must be more"),
            (r#"{"of":"n1.42.7","amount":"-1"}"#, "amount: an amount is not"),
            (r#"{"of":"n1.42.7","id":""}"#, "id: "),
        ] {
            let detail = parsed(body).expect_err(body);
            assert!(detail.starts_with(why), "{body}: {detail}");
        }
    }
}
