//! The rate card. Not here: its checks as a whole, which are pricing's.

use crate::answer::{Answer, ok, with_etag};
use crate::app::App;
use crate::edge::{good, maybe};
use crate::error::Refused;
use crate::extract::{Body, Conditions};
use crate::limits::BULK_BODY_BYTES_MAX;
use axum::extract::State;
use quota::{Price, RateCardView};
use std::sync::Arc;
use wire::json::{self, Text};

/// All prices.
#[utoipa::path(get, path = "/v1/rate-card", tag = "administration",
    responses((status = 200, description = "The rate card", body = json::RateCard)))]
pub(crate) async fn get(State(app): State<Arc<App>>) -> Answer {
    let card = app.read(Box::pin(app.quota()?.rate_card())).await?;
    let revision = card.revision;
    Ok(with_etag(ok(&card_json(card)), revision))
}

/// Replaces all prices, for all workspaces. An idempotency key is accepted and not kept: a repeated PUT changes no price,
/// and `If-Match` keeps it from undoing what somebody else wrote meanwhile.
#[utoipa::path(put, path = "/v1/rate-card", tag = "administration", request_body = json::PutRateCard,
    responses((status = 200, description = "Replaced", body = json::RateCardSet)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    conditions: Conditions,
    Body(asked): Body<json::PutRateCard, BULK_BODY_BYTES_MAX>,
) -> Answer {
    let prices = parse(asked)?;
    let changed = app.quota()?.set_rate_card(prices, conditions.of_repeatable());
    let revision = app.change(Box::pin(changed)).await?;
    Ok(with_etag(ok(&json::RateCardSet { revision: revision.0 }), revision))
}

fn parse(asked: json::PutRateCard) -> Result<Vec<Price>, Refused> {
    let price = |(entry, price): (usize, json::PutPrice)| {
        let json::PutPrice { feature, model, unit, per, credits } = price;
        let field = |name: &str| format!("prices[{entry}].{name}");
        Ok(Price {
            feature: good(&field("feature"), feature)?,
            model: maybe(&field("model"), model)?,
            unit: good(&field("unit"), unit)?.singular(),
            per: good(&field("per"), per)?,
            credits: good(&field("credits"), credits)?,
        })
    };
    asked.prices.into_iter().enumerate().map(price).collect()
}

fn card_json(card: RateCardView) -> json::RateCard {
    let price = |price: Price| json::Price {
        feature: Text(price.feature),
        model: price.model.map(Text),
        unit: Text(price.unit),
        per: price.per,
        credits: Text(price.credits),
    };
    json::RateCard { prices: card.prices.into_iter().map(price).collect(), revision: card.revision.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Revision;

    #[test]
    fn a_card_there_and_back() {
        let body = r#"{"prices":[{"feature":"chat","model":"m-1","unit":"input_token","per":1000,"credits":"1"},{"feature":"image","unit":"call","per":1,"credits":"0"}]}"#;
        let prices = parse(json::read(body.as_bytes()).unwrap()).unwrap();
        let card = card_json(RateCardView { prices, revision: Revision(4) });
        let golden = body.replace("]}", r#"],"revision":4}"#);
        assert_eq!(String::from_utf8(json::write(&card)).unwrap(), golden);
    }

    #[test]
    fn a_bad_price_is_named_by_its_place() {
        let body = r#"{"prices":[{"feature":"f","unit":"u","per":1,"credits":1},{"feature":"f","unit":"u","per":-1,"credits":1}]}"#;
        let refused = parse(json::read(body.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(refused.detail, "prices[1].per: a count is not negative");
    }
}
