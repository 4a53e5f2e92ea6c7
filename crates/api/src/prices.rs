//! Rate cards and workspaces' own prices. Not here: what lists of prices may say, which is pricing's.

use crate::answer::{Answer, ok, with_etag};
use crate::app::App;
use crate::edge::{good, maybe};
use crate::error::Refused;
use crate::extract::{Body, Conditions, One};
use crate::fingerprint;
use crate::limits::BULK_BODY_BYTES_MAX;
use axum::extract::State;
use quota::{
    CardState, CardView, KeyedBy, Minimum, Price, PriceAnswer, PriceChange, PriceCommand, PriceList,
    RateCard, Tier,
};
use std::sync::Arc;
use types::{Revision, WorkspaceId};
use wire::json::{self, Text};

/// The rate card in force.
#[utoipa::path(get, path = "/v1/rate-card", tag = "administration",
    responses((status = 200, description = "The rate card", body = json::RateCard)))]
pub(crate) async fn get(State(app): State<Arc<App>>) -> Answer {
    card_answer(app.read(Box::pin(app.quota()?.rate_card())).await?)
}

/// A rate card for all workspaces: at once, or from `effective_at` on. `If-Match` goes by the version in force.
#[utoipa::path(put, path = "/v1/rate-card", tag = "administration", request_body = json::PutRateCard,
    responses((status = 200, description = "In force, or scheduled", body = json::PricesSet)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    conditions: Conditions,
    Body(asked): Body<json::PutRateCard, BULK_BODY_BYTES_MAX>,
) -> Answer {
    let json::PutRateCard { prices, minimums, effective_at } = asked;
    let effective_at = maybe("effective_at", effective_at)?;
    let list = checked(parse(prices, minimums)?, RateCard::new)?;
    change(&app, conditions, PriceChange::PutCard { list, effective_at }).await
}

/// Every rate card that is kept: those that were replaced, the one in force, those that are scheduled.
#[utoipa::path(get, path = "/v1/rate-card/versions", tag = "administration",
    responses((status = 200, description = "By when they come into force", body = json::RateCards)))]
pub(crate) async fn versions(State(app): State<Arc<App>>) -> Answer {
    let cards = app.read(Box::pin(app.quota()?.rate_cards())).await?;
    let version = |card: CardView| {
        let effective_at = Text(card.effective_at?);
        let (state, prices) = (Text(state_json(card.state)), card.list.prices.len() as u64);
        Some(json::RateCardVersion { version: card.version, effective_at, state, prices })
    };
    Ok(ok(&json::RateCards { versions: cards.into_iter().filter_map(version).collect() }))
}

/// One of them, whole.
#[utoipa::path(get, path = "/v1/rate-card/versions/{version}", tag = "administration",
    responses((status = 200, description = "The rate card", body = json::RateCard)))]
pub(crate) async fn version(State(app): State<Arc<App>>, One(version): One<u64>) -> Answer {
    card_answer(app.read(Box::pin(app.quota()?.rate_card_of(version))).await?)
}

/// Takes back a rate card that is not in force yet.
#[utoipa::path(delete, path = "/v1/rate-card/versions/{version}", tag = "administration",
    responses((status = 200, description = "Taken back", body = json::PricesSet)))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    One(version): One<u64>,
    conditions: Conditions,
) -> Answer {
    change(&app, conditions, PriceChange::RemoveCard { version }).await
}

/// A workspace's own prices, at once and instead of those it had. They stand before the rate card's, entry by entry.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/prices", tag = "administration", request_body = json::PutPrices,
    responses((status = 200, description = "In force", body = json::PricesSet)))]
pub(crate) async fn put_own(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
    Body(json::PutPrices { prices, minimums }): Body<json::PutPrices, BULK_BODY_BYTES_MAX>,
) -> Answer {
    let list = checked(parse(prices, minimums)?, RateCard::own)?;
    if list.entries() == 0 {
        return Err(Refused::invalid("prices: there is none; DELETE takes a workspace's own prices away"));
    }
    change(&app, conditions, PriceChange::SetOwn { workspace, list }).await
}

/// A workspace's own prices.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/prices", tag = "administration",
    responses((status = 200, description = "Its own prices", body = json::WorkspacePrices)))]
pub(crate) async fn get_own(State(app): State<Arc<App>>, One(workspace): One<WorkspaceId>) -> Answer {
    let quota = app.quota()?;
    let CardView { version, effective_at, state: _, list } =
        app.read(Box::pin(quota.own_prices(&workspace))).await?;
    let (prices, minimums) = list_json(list);
    let effective_at = Text(effective_at.unwrap_or(types::Timestamp::from_millis(0)));
    let own = json::WorkspacePrices { workspace: Text(workspace), version, effective_at, prices, minimums };
    Ok(with_etag(ok(&own), Revision(version)))
}

/// Takes a workspace's own prices away: the rate card's hold for all it uses.
#[utoipa::path(delete, path = "/v1/workspaces/{ws}/prices", tag = "administration",
    responses((status = 200, description = "Taken away", body = json::PricesSet)))]
pub(crate) async fn remove_own(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
) -> Answer {
    change(&app, conditions, PriceChange::SetOwn { workspace, list: PriceList::default() }).await
}

async fn change(app: &App, conditions: Conditions, change: PriceChange) -> Answer {
    let Conditions { key, if_match } = conditions;
    let keyed = key.map(|key| KeyedBy { key, command_hash: fingerprint::of_prices(&change) });
    let changed = app.quota()?.change_prices(PriceCommand { keyed, if_match, change });
    let PriceAnswer { version, effective_at } = app.change(Box::pin(changed)).await?;
    let set = json::PricesSet { version, effective_at: Text(effective_at) };
    Ok(with_etag(ok(&set), Revision(version)))
}

/// In the one order it is listed in, so that the same prices are the same command however they were written.
fn checked<E: ToString>(
    list: PriceList,
    check: impl FnOnce(u64, PriceList) -> Result<RateCard, E>,
) -> Result<PriceList, Refused> {
    let card = check(0, list).map_err(|why| Refused::invalid(why.to_string()))?;
    Ok(card.list().clone())
}

fn parse(prices: Vec<json::PutPrice>, minimums: Vec<json::PutMinimum>) -> Result<PriceList, Refused> {
    let price = |(entry, price): (usize, json::PutPrice)| {
        let json::PutPrice { feature, model, unit, per, credits, tiers } = price;
        let field = |name: &str| format!("prices[{entry}].{name}");
        let tier = |(at, json::PutTier { above, credits }): (usize, json::PutTier)| {
            Ok(Tier {
                above: good(&field(&format!("tiers[{at}].above")), above)?,
                credits: good(&field(&format!("tiers[{at}].credits")), credits)?,
            })
        };
        Ok(Price {
            feature: good(&field("feature"), feature)?,
            model: maybe(&field("model"), model)?,
            unit: good(&field("unit"), unit)?.singular(),
            per: good(&field("per"), per)?,
            credits: good(&field("credits"), credits)?,
            tiers: tiers.into_iter().enumerate().map(tier).collect::<Result<_, Refused>>()?,
        })
    };
    let minimum = |(entry, minimum): (usize, json::PutMinimum)| {
        let json::PutMinimum { feature, model, credits } = minimum;
        let field = |name: &str| format!("minimums[{entry}].{name}");
        Ok(Minimum {
            feature: good(&field("feature"), feature)?,
            model: maybe(&field("model"), model)?,
            credits: good(&field("credits"), credits)?,
        })
    };
    Ok(PriceList {
        prices: prices.into_iter().enumerate().map(price).collect::<Result<_, Refused>>()?,
        minimums: minimums.into_iter().enumerate().map(minimum).collect::<Result<_, Refused>>()?,
    })
}

fn card_answer(card: CardView) -> Answer {
    let (card, revision) = card_json(card);
    Ok(with_etag(ok(&card), revision))
}

fn card_json(card: CardView) -> (json::RateCard, Revision) {
    let CardView { version, effective_at, state, list } = card;
    let (prices, minimums) = list_json(list);
    let (effective_at, state) = (effective_at.map(Text), Text(state_json(state)));
    (json::RateCard { version, effective_at, state, prices, minimums }, Revision(version))
}

const fn state_json(state: CardState) -> json::CardState {
    match state {
        CardState::Scheduled => json::CardState::Scheduled,
        CardState::InForce => json::CardState::InForce,
        CardState::Replaced => json::CardState::Replaced,
    }
}

fn list_json(list: PriceList) -> (Vec<json::Price>, Vec<json::Minimum>) {
    let tier = |Tier { above, credits }| json::Tier { above, credits: Text(credits) };
    let price = |Price { feature, model, unit, per, credits, tiers }| json::Price {
        feature: Text(feature),
        model: model.map(Text),
        unit: Text(unit),
        per,
        credits: Text(credits),
        tiers: tiers.into_iter().map(tier).collect(),
    };
    let minimum = |Minimum { feature, model, credits }| json::Minimum {
        feature: Text(feature),
        model: model.map(Text),
        credits: Text(credits),
    };
    (list.prices.into_iter().map(price).collect(), list.minimums.into_iter().map(minimum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Timestamp;

    fn parsed(body: &str) -> Result<PriceList, String> {
        let json::PutRateCard { prices, minimums, .. } =
            json::read(body.as_bytes()).unwrap_or_else(|why| panic!("{body}: {why}"));
        parse(prices, minimums)
            .and_then(|list| checked(list, RateCard::new))
            .map_err(|refused| refused.detail)
    }

    #[test]
    fn a_card_there_and_back() {
        let body = concat!(
            r#"{"prices":[{"feature":"*","model":"*","unit":"call","per":1,"credits":"9"},"#,
            r#"{"feature":"chat","model":"m-1","unit":"input_token","per":1000,"credits":"1","#,
            r#""tiers":[{"above":200000,"credits":"2"}]},"#,
            r#"{"feature":"image","unit":"call","per":1,"credits":"0"}],"#,
            r#""minimums":[{"feature":"image","credits":"0.5"}]}"#
        );
        let list = parsed(body).unwrap();
        let (version, effective_at) = (4, Some(Timestamp::from_millis(1_000)));
        let (card, revision) =
            card_json(CardView { version, effective_at, state: CardState::Replaced, list: list.clone() });
        let golden = format!(
            r#"{{"version":4,"effective_at":"1970-01-01T00:00:01Z","state":"replaced",{}"#,
            &body[1..]
        );
        assert_eq!(String::from_utf8(json::write(&card)).unwrap(), golden);
        assert_eq!(revision, Revision(4));
        let none = CardView {
            version: 0,
            effective_at: None,
            state: CardState::InForce,
            list: PriceList::default(),
        };
        let none = String::from_utf8(json::write(&card_json(none).0)).unwrap();
        assert_eq!(none, r#"{"version":0,"state":"in_force","prices":[],"minimums":[]}"#);
        // The same prices in another order and in the plural.
        let other = concat!(
            r#"{"minimums":[{"feature":"image","credits":0.50}],"prices":[{"feature":"image","model":null,"unit":"calls","per":1,"credits":0},"#,
            r#"{"feature":"chat","model":"m-1","unit":"input_tokens","per":1000,"credits":"1.0","tiers":[{"above":200000,"credits":2}]},"#,
            r#"{"feature":"*","model":"*","unit":"call","per":1,"credits":"9"}]}"#
        );
        assert_eq!(parsed(other), Ok(list));
    }

    #[test]
    fn a_bad_entry_is_named_by_its_place() {
        let with = |second: &str| {
            format!(
                r#"{{"prices":[{{"feature":"f","unit":"u","per":1,"credits":1}},{{"feature":"f",{second}}}]}}"#
            )
        };
        for (second, why) in [
            (r#""unit":"u","per":-1,"credits":1"#, "prices[1].per: a count is not negative"),
            (r#""unit":"u","per":1,"credits":"x""#, "prices[1].credits: an amount is decimal digits"),
            (r#""model":"**","unit":"u","per":1,"credits":1"#, "prices[1].model: an id has only"),
            (
                r#""unit":"us","per":1,"credits":1"#,
                "prices[1] (f, no model, u): prices[0] is a price for the same",
            ),
            (
                r#""unit":"v","per":1,"credits":1,"tiers":[{"above":1.5,"credits":1}]"#,
                "prices[1].tiers[0].above: a count is a whole number",
            ),
            (
                r#""unit":"v","per":1,"credits":1,"tiers":[{"above":0,"credits":1}]"#,
                "prices[1] (f, no model, v): tiers[0]: `above` is more than 0",
            ),
        ] {
            let refused = parsed(&with(second)).expect_err(second);
            assert!(refused.starts_with(why), "{second}: {refused}");
        }
        let refused = parsed(r#"{"prices":[],"minimums":[{"feature":"f","credits":"-1"}]}"#).unwrap_err();
        assert!(refused.starts_with("minimums[0].credits: an amount is not negative"), "{refused}");
        let refused = parsed(r#"{"prices":[],"minimums":[{"feature":"f","credits":"1"}]}"#).unwrap_err();
        assert!(refused.starts_with("minimums[0] (f, no model): there is no price"), "{refused}");
    }
}
