//! The hot path: consume, quote, batch. Not here: deciding, and holds (`holds`).

use crate::answer::{Answer, ok};
use crate::app::App;
use crate::edge::{good, maybe, positive};
use crate::error::{Code, Refused};
use crate::extract::{Body, Conditions, One};
use crate::limits::{BATCH_ITEMS_MAX, BODY_BYTES_MAX, BULK_BODY_BYTES_MAX};
use crate::shadow::shadowed_json;
use axum::extract::State;
use quota::{Charge, Consume, PriceBy, Quote};
use std::sync::Arc;
use types::{Credits, IdempotencyKey, Source, Unit, WorkspaceId};
use wire::json::{self, Text, USAGE_UNITS_MAX};

/// Spends a known price now, or one that the rate card knows.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/consume", tag = "hot path",
    request_body = json::Consume, responses((status = 200, description = "Charged", body = json::Charge)))]
pub(crate) async fn consume(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
    Body(asked): Body<json::Consume, BODY_BYTES_MAX>,
) -> Answer {
    let consume = parse(workspace, conditions.key_only()?, asked)?;
    let charge = app.change(Box::pin(app.quota()?.consume(consume))).await?;
    Ok(ok(&charge_json(charge)))
}

/// The price of an action, without effect; the same code as consume.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/quote", tag = "hot path",
    request_body = json::AskQuote, responses((status = 200, description = "The price", body = json::Quote)))]
pub(crate) async fn quote(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    Body(asked): Body<json::AskQuote, BODY_BYTES_MAX>,
) -> Answer {
    let (version, asked) = asked.split();
    let version = maybe("price_version", version)?;
    let consume = parse(workspace, None, asked)?;
    if version.is_some() && matches!(consume.price, PriceBy::Amount(_)) {
        return Err(Refused::invalid("price_version: it goes with usage; an amount has no price"));
    }
    let quote = app.read(Box::pin(app.quota()?.quote(consume, version))).await?;
    Ok(ok(&quote_json(quote)))
}

/// At most 1,000 consumes; each is decided and answered on its own, in order. A key belongs to an item.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/consume/batch", tag = "hot path",
    request_body = json::Batch, responses((status = 200, description = "One answer per item", body = json::BatchResult)))]
pub(crate) async fn batch(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
    Body(json::Batch { items }): Body<json::Batch, BULK_BODY_BYTES_MAX>,
) -> Answer {
    if conditions.key_only()?.is_some() {
        return Err(Refused::invalid("Idempotency-Key: in a batch each item carries its own `key`"));
    }
    if items.len() > BATCH_ITEMS_MAX {
        let detail = format!("items: a batch has at most {BATCH_ITEMS_MAX}, this one has {}", items.len());
        return Err(Refused::invalid(detail));
    }
    let (asked, refused) = sort_out(&workspace, items);
    let late = || Refused::new(Code::OutcomeUnknown, "the answers did not come in time; ask again");
    let answers = app.within(Box::pin(app.quota()?.consume_batch(asked))).await.ok_or_else(late)?;
    let answers = answers.into_iter().map(|answer| answer.map_err(Refused::from));
    let result = put_together(answers, refused, |refused| app.metrics.refused(refused.code));
    Ok(ok(&result))
}

/// The items that can be asked, in order, and for each item whether it is among them.
fn sort_out(workspace: &WorkspaceId, items: Vec<json::BatchItem>) -> (Vec<Consume>, Vec<Option<Refused>>) {
    let mut asked = Vec::with_capacity(items.len());
    let refused = items.into_iter().map(|item| {
        let (key, consume) = item.split();
        let parsed = maybe("key", key).and_then(|key| parse(workspace.clone(), key, consume));
        parsed.map(|consume| asked.push(consume)).err()
    });
    let refused = refused.collect();
    (asked, refused)
}

/// Answers in the order of the items.
fn put_together(
    answers: impl Iterator<Item = Result<Charge, Refused>>,
    refused: Vec<Option<Refused>>,
    note: impl Fn(&Refused),
) -> json::BatchResult {
    let mut answers = answers;
    let unanswered = || Err(Refused::new(Code::Internal, "this item was not answered"));
    let items = refused.into_iter().map(|refused| {
        let answer = match refused {
            Some(refused) => Err(refused),
            None => answers.next().unwrap_or_else(unanswered),
        };
        match answer {
            Ok(charge) => {
                json::BatchAnswer::Charged(json::Charged { status: 200, charge: charge_json(charge) })
            }
            Err(refused) => {
                note(&refused);
                json::BatchAnswer::Refused(refused.problem())
            }
        }
    });
    json::BatchResult { items: items.collect() }
}

pub(crate) fn parse(
    workspace: WorkspaceId,
    key: Option<IdempotencyKey>,
    asked: json::Consume,
) -> Result<Consume, Refused> {
    let json::Consume { user, feature, model, amount, usage, durability } = asked;
    let price = match (amount, usage) {
        (Some(amount), None) => PriceBy::Amount(positive("amount", amount)?),
        (None, Some(usage)) => PriceBy::Usage(units(usage)?),
        (Some(_), Some(_)) => return Err(Refused::invalid("give either amount or usage, not both")),
        (None, None) => return Err(Refused::invalid("give the amount, or the usage to be priced")),
    };
    Ok(Consume {
        workspace,
        user: good("user", user)?,
        feature: good("feature", feature)?,
        model: maybe("model", model)?,
        price,
        durability: maybe("durability", durability)?.map(Into::into),
        key,
    })
}

/// Sorted by unit, as the same usage in another order is the same command.
pub(crate) fn units(usage: json::GivenUsage) -> Result<Vec<(Unit, u64)>, Refused> {
    let json::GivenUsage { units, too_many } = usage;
    if too_many {
        return Err(Refused::invalid(format!("usage: it names at most {USAGE_UNITS_MAX} units")));
    }
    if units.is_empty() {
        return Err(Refused::invalid("usage: it names no unit"));
    }
    let unit = |(unit, count)| {
        let unit: Unit = good("usage", unit)?;
        if unit.is_reserved() {
            return Err(Refused::invalid(format!(
                "usage: {unit} is reserved; no unit begins with `shadow:`"
            )));
        }
        let count = good(&format!("usage.{unit}"), count)?;
        Ok((unit.singular(), count))
    };
    let mut units = units.into_iter().map(unit).collect::<Result<Vec<_>, Refused>>()?;
    units.sort_unstable();
    if let Some(pair) = units.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Refused::invalid(format!("usage: {} is named twice, once in the plural", pair[0].0)));
    }
    Ok(units)
}

fn charge_json(charge: Charge) -> json::Charge {
    let Charge { id, charged, sources, remaining, durability, cycle, price_version, shadow } = charge;
    json::Charge {
        id: Text(id),
        charged: Text(charged),
        sources: paid(sources),
        remaining: json::Remaining { at_least: Text(remaining.at_least), at_most: Text(remaining.at_most) },
        durability: Text(durability.into()),
        node: Text(id.node),
        cycle: cycle.0,
        price_version: price_version.map(Text),
        shadow: shadow.map(shadowed_json),
    }
}

/// Which links of the chain paid.
pub(crate) fn paid(sources: Vec<(Source, Credits)>) -> Vec<json::Paid> {
    let one =
        |(source, amount)| json::Paid { from: Text(json::SourceKind::from(source)), amount: Text(amount) };
    sources.into_iter().map(one).collect()
}

fn quote_json(quote: Quote) -> json::Quote {
    let part = |part: quota::QuotePart| json::QuotePart {
        unit: Text(part.unit),
        units: part.units,
        per: part.per,
        credits: Text(part.credits),
    };
    json::Quote {
        charge: Text(quote.charge),
        minimum: quote.minimum.map(Text),
        parts: quote.parts.into_iter().map(part).collect(),
        price_version: quote.price_version.map(Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quota::{QuotePart, Refusal, Remaining};
    use types::{ChargeId, CycleNumber, Durability, LineNumber, NodeId, PriceVersion};

    fn workspace() -> WorkspaceId {
        WorkspaceId::parse("acme").unwrap()
    }

    fn parsed(body: &str) -> Result<Consume, String> {
        let asked = json::read(body.as_bytes()).unwrap_or_else(|why| panic!("{body}: {why}"));
        parse(workspace(), None, asked).map_err(|refused| {
            assert_eq!(refused.code, Code::Invalid);
            refused.detail
        })
    }

    fn credits(text: &str) -> Credits {
        text.parse().unwrap()
    }

    fn charge() -> Charge {
        Charge {
            id: ChargeId { node: NodeId(1), line: LineNumber(42), sequence: 7 },
            charged: credits("1.5"),
            sources: vec![(Source::Allocation, credits("1")), (Source::Reserve(1), credits("0.5"))],
            remaining: Remaining { at_least: credits("98.5"), at_most: credits("998.5") },
            durability: Durability::Local,
            cycle: CycleNumber(3),
            price_version: None,
            shadow: None,
        }
    }

    #[test]
    fn the_same_command_however_written() {
        let plain = parsed(r#"{"user":"ann","feature":"chat","amount":"1.5"}"#).unwrap();
        assert_eq!(plain.price, PriceBy::Amount(credits("1.5")));
        for other in [
            r#"{"amount":1.50,"feature":"chat","user":"ann"}"#,
            r#"{"user":"\u0061nn","feature":"chat","amount":"1.500000","model":null}"#,
        ] {
            assert_eq!(parsed(other).as_ref(), Ok(&plain));
        }
        let usage = |units: &str| parsed(&format!(r#"{{"user":"a","feature":"f","usage":{units}}}"#));
        assert_eq!(usage(r#"{"b":2,"a":1}"#), usage(r#"{"a":1,"b":2}"#));
        assert!(matches!(usage(r#"{"b":0,"a":1}"#).unwrap().price,
            PriceBy::Usage(units) if units[0].0.as_str() == "a" && units[1].1 == 0));
    }

    #[test]
    fn values_that_cannot_be() {
        let long = "x".repeat(129);
        for (fields, why) in [
            (r#""amount":"0""#.to_owned(), "amount: it must be more than zero"),
            (r#""amount":0.000000"#.into(), "amount: it must be more than zero"),
            (r#""amount":"-1""#.into(), "amount: an amount is not negative"),
            (r#""amount":-1"#.into(), "amount: an amount is not negative"),
            (r#""amount":1e3"#.into(), "amount: an amount has no exponent"),
            (r#""amount":"0.0000001""#.into(), "amount: an amount has at most six decimals"),
            (r#""amount":1000000000000"#.into(), "amount: an amount is below 1000000000000"),
            (r#""amount":"many""#.into(), "amount: an amount is decimal digits"),
            (r#""amount":"1","usage":{"a":1}"#.into(), "either amount or usage"),
            (r#""model":"m-1""#.into(), "give the amount, or the usage"),
            (r#""usage":{}"#.into(), "usage: it names no unit"),
            (r#""usage":{"token":1,"tokens":2}"#.into(), "usage: token is named twice"),
            (r#""usage":{"a b":1}"#.into(), "usage: an id has only letters"),
            (r#""usage":{"shadow:exhausted":1}"#.into(), "usage: shadow:exhausted is reserved"),
            (r#""usage":{"a":-1}"#.into(), "usage.a: a count is not negative"),
            (r#""usage":{"a":1.5}"#.into(), "usage.a: a count is a whole number"),
            (r#""amount":1,"model":"""#.into(), "model: an id must not be empty"),
            (format!(r#""amount":1,"model":"{long}""#), "model: an id has at most 128"),
            (r#""amount":1,"durability":"raid""#.into(), "durability: it is one of: local disk quorum"),
        ] {
            let detail =
                parsed(&format!(r#"{{"user":"ann","feature":"chat",{fields}}}"#)).expect_err(&fields);
            assert!(detail.starts_with(why) || detail.contains(why), "{fields}: {detail}");
        }
        assert!(parsed(r#"{"user":"","feature":"chat","amount":1}"#).unwrap_err().starts_with("user: "));
        assert!(parsed(r#"{"user":"a","feature":"a/b","amount":1}"#).unwrap_err().starts_with("feature: "));
    }

    #[test]
    fn amounts_at_their_bounds() {
        let amount = |json: &str| parsed(&format!(r#"{{"user":"a","feature":"f","amount":{json}}}"#));
        assert!(amount("0.000001").is_ok());
        assert!(amount("999999999999.999999").is_ok());
        let units = |count: usize| {
            let units: Vec<String> = (0..count).map(|i| format!(r#""u{i}":1"#)).collect();
            parsed(&format!(r#"{{"user":"a","feature":"f","usage":{{{}}}}}"#, units.join(",")))
        };
        assert!(units(16).is_ok());
        assert_eq!(units(17), Err("usage: it names at most 16 units".into()));
    }

    #[test]
    fn the_golden_charge() {
        let golden = concat!(
            r#"{"id":"n1.42.7","charged":"1.5","#,
            r#""sources":[{"from":"allocation","amount":"1"},{"from":"reserve","amount":"0.5"}],"#,
            r#""remaining":{"at_least":"98.5","at_most":"998.5"},"durability":"local","node":"n1","cycle":3}"#
        );
        assert_eq!(String::from_utf8(json::write(&charge_json(charge()))).unwrap(), golden);
        let priced = Charge { price_version: Some(PriceVersion { card: 7, own: None }), ..charge() };
        let golden = golden.replace(r#""cycle":3}"#, r#""cycle":3,"price_version":"7"}"#);
        assert_eq!(String::from_utf8(json::write(&charge_json(priced))).unwrap(), golden);
    }

    #[test]
    fn what_would_have_been_refused_says_so() {
        let shadow =
            types::Shadowed { code: types::WouldRefuse::AccessDisabled, would_have_cost: credits("1.5") };
        let nothing = Charge { charged: credits("0"), sources: Vec::new(), shadow: Some(shadow), ..charge() };
        let golden = concat!(
            r#"{"id":"n1.42.7","charged":"0","sources":[],"remaining":{"at_least":"98.5","at_most":"998.5"},"#,
            r#""durability":"local","node":"n1","cycle":3,"shadow":{"code":"access_disabled","#,
            r#""title":"AI access is switched off","would_have_cost":"1.5"}}"#
        );
        assert_eq!(String::from_utf8(json::write(&charge_json(nothing))).unwrap(), golden);
    }

    #[test]
    fn the_golden_quote() {
        let unit = Unit::parse("input_token").unwrap();
        let part = QuotePart { unit, units: 1_200, per: 1_000, credits: credits("1") };
        let price_version = Some(PriceVersion { card: 7, own: Some(9) });
        let minimum = Some(credits("2"));
        let quote = quote_json(Quote { charge: credits("2"), minimum, parts: vec![part], price_version });
        assert_eq!(
            String::from_utf8(json::write(&quote)).unwrap(),
            concat!(
                r#"{"charge":"2","minimum":"2","#,
                r#""parts":[{"unit":"input_token","units":1200,"per":1000,"credits":"1"}],"price_version":"7.9"}"#
            )
        );
    }

    #[test]
    fn each_item_of_a_batch_has_its_own_answer_in_its_own_place() {
        let body = concat!(
            r#"{"items":[{"key":"k1","user":"ann","feature":"chat","amount":1},"#,
            r#"{"user":"ann","feature":"chat","amount":0},"#,
            r#"{"key":"k 2","user":"ann","feature":"chat","amount":1},"#,
            r#"{"key":"k3","user":"bob","feature":"chat","amount":1},"#,
            r#"{"user":"eve","feature":"chat","amount":1}]}"#
        );
        let batch: json::Batch = json::read(body.as_bytes()).unwrap();
        let (asked, refused) = sort_out(&workspace(), batch.items);
        let users: Vec<&str> = asked.iter().map(|consume| consume.user.as_str()).collect();
        assert_eq!(users, ["ann", "bob", "eve"]);
        assert_eq!(asked[0].key.as_ref().map(IdempotencyKey::as_str), Some("k1"));
        // One answer too few: the last item says so instead of taking another's.
        let answers = [Ok(charge()), Err(Refusal::KeyInFlight.into())];
        let noted = std::cell::RefCell::new(Vec::new());
        let result =
            put_together(answers.into_iter(), refused, |refused| noted.borrow_mut().push(refused.code));
        let codes: Vec<String> = result
            .items
            .iter()
            .map(|item| match item {
                json::BatchAnswer::Charged(charged) => charged.status.to_string(),
                json::BatchAnswer::Refused(problem) => problem.code.clone(),
            })
            .collect();
        assert_eq!(codes, ["200", "invalid", "invalid", "key_in_flight", "internal"]);
        assert_eq!(noted.take(), [Code::Invalid, Code::Invalid, Code::KeyInFlight, Code::Internal]);
    }
}
