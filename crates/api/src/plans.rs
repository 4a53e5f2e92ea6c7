//! Plans: subscribing, changing, previewing, cancelling. Not here: the cycles they go by (`cycles`).

use crate::answer::{Answer, ok, other_outcome, with_etag};
use crate::app::App;
use crate::cycles;
use crate::edge::{good, maybe, money, shown_name};
use crate::error::Refused;
use crate::extract::{Body, Conditions, One};
use crate::limits::{BODY_BYTES_MAX, PLAN_FEATURES_MAX};
use crate::overage;
use crate::translate;
use axum::extract::State;
use quota::{
    Change, Due, MidCycle, Next, Outcome, Plan, PlanAnswer, PlanChange, PlanTerm, Prices, Rollover, Term,
    When, term_ends_at,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use types::{Credits, Feature, Revision, WorkspaceId};
use wire::json::{self, GivenFeature, Text};

/// Subscribes to a plan or changes to another one, now or with the next cycle. What it brings within a cycle is given at
/// once; what is too much is taken back as far as nobody uses it.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/plan", tag = "administration",
    request_body = json::PutPlan, responses((status = 200, description = "The plan", body = json::Plan)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
    Body(asked): Body<json::PutPlan, BODY_BYTES_MAX>,
) -> Answer {
    change(&app, workspace, conditions, parse(asked)?).await
}

/// What `PUT …/plan` with the same body would answer. Nothing is changed.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/plan/preview", tag = "administration",
    request_body = json::PutPlan, responses((status = 200, description = "The plan after it", body = json::Plan)))]
pub(crate) async fn preview(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    Body(asked): Body<json::PutPlan, BODY_BYTES_MAX>,
) -> Answer {
    let change = parse(asked)?;
    let quota = app.quota()?;
    let answer = app.read(Box::pin(quota.plan_after(&workspace, change))).await?;
    Ok(ok(&plan_json(answer).0))
}

/// What the workspace has subscribed to.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/plan", tag = "administration",
    responses((status = 200, description = "The plan", body = json::Plan)))]
pub(crate) async fn get(State(app): State<Arc<App>>, One(workspace): One<WorkspaceId>) -> Answer {
    let quota = app.quota()?;
    let (plan, revision) = plan_json(app.read(Box::pin(quota.plan(&workspace))).await?);
    Ok(with_etag(ok(&plan), revision))
}

/// The plan ends with its term, or with this cycle where it has none. `PUT` of the same plan takes it back until then.
#[utoipa::path(delete, path = "/v1/workspaces/{ws}/plan", tag = "administration",
    responses((status = 200, description = "It ends with the cycle", body = json::Plan)))]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
) -> Answer {
    change(&app, workspace, conditions, PlanChange::Cancel).await
}

async fn change(app: &App, workspace: WorkspaceId, conditions: Conditions, change: PlanChange) -> Answer {
    match app.administer(workspace, conditions, Change::Plan(change)).await? {
        Outcome::Plan(answer) => {
            let (plan, revision) = plan_json(*answer);
            Ok(with_etag(ok(&plan), revision))
        }
        _ => Err(other_outcome()),
    }
}

fn parse(asked: json::PutPlan) -> Result<PlanChange, Refused> {
    let json::PutPlan { id, name, allowance, per_seat, paid, rollover, mid_cycle, overage, features, .. } =
        asked;
    let json::PutPlan { price, seat_price, overage_price, term, when, .. } = asked;
    let rollover = match cycles::term(rollover)? {
        Term::Lasting => Rollover::NONE,
        Term::Cycle(rollover) => rollover,
    };
    let mid_cycle = maybe("mid_cycle", mid_cycle)?.map_or(MidCycle::Whole, translate::mid_cycle);
    let when = maybe("when", when)?.map_or(When::Now, translate::when);
    let prices = Prices {
        cycle: price.map(|price| money("price", price)).transpose()?,
        seat: seat_price.map(|price| money("seat_price", price)).transpose()?,
        overage: overage_price.map(|price| money("overage_price", price)).transpose()?,
    };
    let plan = Plan {
        id: good("id", id)?,
        name: shown_name(name)?,
        allowance: maybe("allowance", allowance)?.unwrap_or(Credits::ZERO),
        per_seat: maybe("per_seat", per_seat)?.unwrap_or(Credits::ZERO),
        paid: paid.unwrap_or(true),
        rollover,
        mid_cycle,
        overage: overage.map(overage::parse).transpose()?,
        features: features.map(parse_features).transpose()?,
        prices,
        term: maybe("term", term)?.map_or(PlanTerm::Cycle, translate::plan_term),
    };
    Ok(PlanChange::Set { plan, when })
}

fn parse_features(asked: Vec<GivenFeature>) -> Result<BTreeSet<Feature>, Refused> {
    if asked.len() > PLAN_FEATURES_MAX {
        return Err(Refused::invalid(format!("features: a plan names at most {PLAN_FEATURES_MAX}")));
    }
    asked.into_iter().map(|feature| good("features", feature)).collect()
}

fn plan_json(answer: PlanAnswer) -> (json::Plan, Revision) {
    let term_ends_at = term_ends_at(&answer);
    let PlanAnswer {
        plan, next, cycle_ends_at, seats, seats_paid, allowance, for_seats, cost, revision, ..
    } = answer;
    let starts_at = cycle_ends_at.map(Text);
    let next = next.map(|next| match next {
        Next::Plan(plan) => json::NextPlan { plan: Some(terms_json(plan)), starts_at },
        Next::Ends => json::NextPlan { plan: None, starts_at: term_ends_at.map(Text).or(starts_at) },
    });
    let credits = |Due { owed, given, most: _ }| json::PlanCredits { owed: Text(owed), given: Text(given) };
    let plan = json::Plan {
        plan: plan.map(terms_json),
        next,
        seats: json::Seats { enabled: seats, paid: seats_paid },
        allowance: credits(allowance),
        for_seats: credits(for_seats),
        cost: cost.map(Into::into),
        term_ends_at: term_ends_at.map(Text),
    };
    (plan, revision)
}

fn terms_json(plan: Plan) -> json::PlanTerms {
    let Plan { id, name, allowance, per_seat, paid, rollover, mid_cycle, overage, features, prices, term } =
        plan;
    let rollover = cycles::rollover_json(Term::Cycle(rollover), None).expect("a cycle's term has a rule");
    json::PlanTerms {
        id: Text(id),
        name,
        allowance: Text(allowance),
        per_seat: Text(per_seat),
        paid,
        rollover,
        mid_cycle: Text(translate::mid_cycle_json(mid_cycle)),
        overage: overage.map(overage::rule_json),
        features: features.map(|features| features.into_iter().map(Text).collect()),
        price: prices.cycle.map(Into::into),
        seat_price: prices.seat.map(Into::into),
        overage_price: prices.overage.map(Into::into),
        term: Text(translate::plan_term_json(term)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quota::{Keep, OverageRule};
    use types::{PlanId, Timestamp};

    fn parsed(body: &str) -> Result<PlanChange, String> {
        let asked = json::read(body.as_bytes()).unwrap_or_else(|why| panic!("{body}: {why}"));
        parse(asked).map_err(|refused| refused.detail)
    }

    fn plan() -> Plan {
        let (allowance, per_seat) = (Credits::ZERO, Credits::ZERO);
        let (rollover, mid_cycle) = (Rollover::NONE, MidCycle::Whole);
        Plan {
            id: PlanId::parse("free").unwrap(),
            name: None,
            allowance,
            per_seat,
            paid: true,
            rollover,
            mid_cycle,
            overage: None,
            features: None,
            prices: Prices::NONE,
            term: PlanTerm::Cycle,
        }
    }

    #[test]
    fn what_is_left_out_is_the_same_as_its_default() {
        let free = PlanChange::Set { plan: plan(), when: When::Now };
        assert_eq!(parsed(r#"{"id":"free"}"#), Ok(free.clone()));
        let long = r#"{"id":"free","allowance":0,"per_seat":"0","paid":true,"rollover":{"keep":"none"},"mid_cycle":"whole","when":"now"}"#;
        assert_eq!(parsed(long), Ok(free));
        let half = Rollover { keep: Keep::Percent(50), cycles: Some(1) };
        let pro = Plan {
            allowance: Credits::whole(10).unwrap(),
            paid: false,
            rollover: half,
            mid_cycle: MidCycle::Prorated,
            overage: Some(OverageRule::On),
            features: Some(["chat", "image"].map(|name| name.parse().unwrap()).into()),
            name: Some("Pro".to_owned()),
            prices: Prices { cycle: Some("49EUR".parse().unwrap()), ..Prices::NONE },
            term: PlanTerm::Year,
            ..plan()
        };
        let body = r#"{"id":"free","allowance":"10","paid":false,"rollover":{"keep":"percent","percent":50,"cycles":1},"mid_cycle":"prorated","overage":{"mode":"on"},"features":["image","chat","chat"],"name":"Pro","price":{"amount":"49.00","currency":"EUR"},"term":"year","when":"next_cycle"}"#;
        assert_eq!(parsed(body), Ok(PlanChange::Set { plan: pro, when: When::NextCycle }));
    }

    #[test]
    fn values_that_cannot_be() {
        for (body, why) in [
            (r#"{"id":""}"#, "id: "),
            (r#"{"id":"p","allowance":"-1"}"#, "allowance: "),
            (r#"{"id":"p","per_seat":"0.0000001"}"#, "per_seat: "),
            (r#"{"id":"p","mid_cycle":"half"}"#, "mid_cycle: it is one of: whole prorated"),
            (r#"{"id":"p","overage":{"mode":"capped"}}"#, "cap: with the mode `capped`"),
            (r#"{"id":"p","features":["chat",""]}"#, "features: "),
            (r#"{"id":"p","name":" "}"#, "name: it has 1 to 200 bytes"),
            (r#"{"id":"p","price":{"amount":"1","currency":"eur"}}"#, "price: a currency is three"),
            (r#"{"id":"p","seat_price":{"amount":"-1","currency":"EUR"}}"#, "seat_price: "),
            (r#"{"id":"p","term":"month"}"#, "term: it is one of: cycle year"),
            (r#"{"id":"p","when":"later"}"#, "when: it is one of: now next_cycle"),
            (r#"{"id":"p","rollover":{"keep":"up_to"}}"#, "rollover: up_to has an amount"),
        ] {
            let detail = parsed(body).expect_err(body);
            assert!(detail.starts_with(why), "{body}: {detail}");
        }
    }

    #[test]
    fn what_is_shown() {
        let due = |owed, given| {
            let whole = |credits| Credits::whole(credits).unwrap();
            Due { owed: whole(owed), given: whole(given), most: whole(given) }
        };
        let answer = PlanAnswer {
            plan: Some(plan()),
            next: Some(Next::Ends),
            cycle_ends_at: Some(Timestamp::from_millis(1_000)),
            seats: 2,
            seats_paid: 3,
            allowance: due(10, 20),
            for_seats: due(0, 0),
            cost: Some("49EUR".parse().unwrap()),
            term: None,
            cycle_rule: None,
            revision: Revision(7),
            at: Timestamp::from_millis(0),
        };
        let (shown, revision) = plan_json(answer);
        assert_eq!(revision, Revision(7));
        assert_eq!(
            String::from_utf8(json::write(&shown)).unwrap(),
            r#"{"plan":{"id":"free","name":null,"allowance":"0","per_seat":"0","paid":true,"rollover":{"keep":"none","cycles":null},"mid_cycle":"whole","overage":null,"features":null,"price":null,"seat_price":null,"overage_price":null,"term":"cycle"},"next":{"plan":null,"starts_at":"1970-01-01T00:00:01Z"},"seats":{"enabled":2,"paid":3},"allowance":{"owed":"10","given":"20"},"for_seats":{"owed":"0","given":"0"},"cost":{"amount":"49","currency":"EUR"},"term_ends_at":null}"#
        );
    }
}
