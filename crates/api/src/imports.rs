//! Usage that happened elsewhere, told of later. Not here: consumes (`consume`), what it is charged to (`ledger`).

use crate::answer::{Answer, ok, other_outcome};
use crate::app::App;
use crate::consume::units;
use crate::edge::{good, maybe, positive};
use crate::error::{Code, Refused};
use crate::extract::{Body, Conditions, One};
use crate::limits::{BULK_BODY_BYTES_MAX, IMPORT_ITEMS_MAX};
use axum::extract::State;
use quota::{
    Change, Import, ImportAnswer, ImportItem, ImportRefusal, ImportResult, ImportedFrom, Outcome, PriceBy,
    Refusal,
};
use std::sync::Arc;
use types::{ImportId, WorkspaceId};
use wire::json::{self, SourceKind, Text};

/// At most 500 items of usage that happened elsewhere; each is charged to the cycle it happened in, and once, by its id.
#[utoipa::path(post, path = "/v1/workspaces/{ws}/usage/import", tag = "administration",
    request_body = json::ImportUsage,
    responses((status = 200, description = "One answer per item", body = json::ImportedUsage)))]
pub(crate) async fn import(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
    Body(json::ImportUsage { items }): Body<json::ImportUsage, BULK_BODY_BYTES_MAX>,
) -> Answer {
    if items.len() > IMPORT_ITEMS_MAX {
        let detail = format!("items: at most {IMPORT_ITEMS_MAX} at once, these are {}", items.len());
        return Err(Refused::invalid(detail));
    }
    let (asked, places) = sort_out(items);
    let (priced, unpriced) = app.quota()?.price_imports(&workspace, asked)?;
    match app.administer(workspace, conditions, Change::ImportUsage(priced)).await? {
        Outcome::Imported(answers) => {
            let result = put_together(answers, unpriced, places, |code| app.metrics.refused(code));
            Ok(ok(&result))
        }
        _ => Err(other_outcome()),
    }
}

/// An item's id, if it is one, and why it cannot be asked, if it cannot.
type Place = (Option<ImportId>, Option<Refused>);

fn sort_out(items: Vec<json::ImportItem>) -> (Vec<ImportItem>, Vec<Place>) {
    let mut asked = Vec::with_capacity(items.len());
    let place = |item: json::ImportItem| {
        let id = good("id", item.id.clone());
        let known = id.as_ref().ok().cloned();
        (known, id.and_then(|id| parse(id, item)).map(|item| asked.push(item)).err())
    };
    let places = items.into_iter().map(place).collect();
    (asked, places)
}

fn parse(id: ImportId, item: json::ImportItem) -> Result<ImportItem, Refused> {
    let json::ImportItem { id: _, user, feature, model, amount, units: counted, happened_at } = item;
    let price = match (amount, counted) {
        (Some(amount), None) => PriceBy::Amount(positive("amount", amount)?),
        (None, Some(counted)) => PriceBy::Usage(units(counted)?),
        (Some(_), Some(_)) => return Err(Refused::invalid("give either amount or units, not both")),
        (None, None) => return Err(Refused::invalid("give the amount, or the units to be priced")),
    };
    Ok(ImportItem {
        id,
        user: good("user", user)?,
        feature: good("feature", feature)?,
        model: maybe("model", model)?,
        price,
        happened_at: good("happened_at", happened_at)?,
    })
}

/// Answers in the order of the items.
fn put_together(
    answers: Vec<ImportAnswer>,
    unpriced: Vec<Option<Refusal>>,
    places: Vec<Place>,
    note: impl Fn(Code),
) -> json::ImportedUsage {
    let mut answers = answers.into_iter().zip(unpriced);
    let unanswered = || Refused::new(Code::Internal, "this item was not answered");
    let one = |(id, refused): Place| {
        let answer = match refused {
            Some(refused) => Err(refused),
            None => {
                answers.next().map_or_else(|| Err(unanswered()), |(answer, why)| answer_json(answer, why))
            }
        };
        match answer {
            Ok(charged) => json::ImportAnswer::Charged(charged),
            Err(refused) => {
                note(refused.code);
                json::ImportAnswer::Refused(json::RefusedImport {
                    id: id.map(Text),
                    problem: refused.problem(),
                })
            }
        }
    };
    json::ImportedUsage { items: places.into_iter().map(one).collect() }
}

fn answer_json(answer: ImportAnswer, unpriced: Option<Refusal>) -> Result<json::Imported, Refused> {
    let ImportAnswer { id, result, import } = answer;
    let duplicate = match result {
        ImportResult::Charged => false,
        ImportResult::Repeated => true,
        ImportResult::Conflict => {
            let detail = format!("something else was told of under the id {id} before; ids are permanent");
            return Err(Refused::new(Code::IdConflict, detail));
        }
        ImportResult::Refused(why) => return Err(refused(&why, unpriced)),
    };
    // Charged, and forgotten since: a key is remembered for a day, and cycles may be shorter.
    let forgotten = || Refused::new(Code::TooOld, "this was charged, and can be told of no more");
    let Import { user, cycle, charged, from, uncovered, happened_at, at } = *import.ok_or_else(forgotten)?;
    let paid = |ImportedFrom { from, grant, amount }: ImportedFrom| json::ChargePaid {
        from: Text(SourceKind::from(from)),
        grant: Text(grant),
        amount: Text(amount),
    };
    Ok(json::Imported {
        status: 200,
        id: Text(id),
        duplicate,
        user: Text(user),
        cycle: cycle.0,
        charged: Text(charged),
        uncovered: Text(uncovered),
        paid_by: from.into_iter().map(paid).collect(),
        happened_at: Text(happened_at),
        at: Text(at),
    })
}

fn refused(why: &ImportRefusal, unpriced: Option<Refusal>) -> Refused {
    let code = match why {
        ImportRefusal::TooOld => Code::TooOld,
        ImportRefusal::InFuture => Code::InFuture,
        ImportRefusal::UnknownUser(_) => Code::UnknownUser,
        ImportRefusal::Unpriced => Code::Unpriced,
        ImportRefusal::TooManyImports => Code::TooManyImports,
        ImportRefusal::TooManyUsers | ImportRefusal::TooMuch => Code::Invalid,
    };
    let detail = match unpriced.filter(|_| code == Code::Unpriced) {
        Some(more) => format!("{why}: {more}"),
        None => why.to_string(),
    };
    Refused::new(code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Credits, CycleNumber, GrantId, Source, Timestamp, UserId};

    fn items(body: &str) -> Vec<json::ImportItem> {
        json::read::<json::ImportUsage>(body.as_bytes()).unwrap_or_else(|why| panic!("{body}: {why}")).items
    }

    #[test]
    fn each_item_has_its_own_answer_in_its_own_place() {
        let body = concat!(
            r#"{"items":[{"id":"i1","user":"ann","feature":"chat","amount":1,"happened_at":"1970-01-01T00:00:01Z"},"#,
            r#"{"id":"i 2","user":"ann","feature":"chat","amount":1,"happened_at":"1970-01-01T00:00:01Z"},"#,
            r#"{"id":"i3","user":"ann","feature":"chat","amount":0,"happened_at":"1970-01-01T00:00:01Z"},"#,
            r#"{"id":"i4","user":"ann","feature":"chat","units":{"calls":3},"happened_at":"1970-01-01T00:00:01Z"},"#,
            r#"{"id":"i5","user":"ann","feature":"chat","amount":1,"happened_at":"yesterday"},"#,
            r#"{"id":"i6","user":"ann","feature":"chat","amount":1,"happened_at":"1970-01-01T00:00:01Z"}]}"#
        );
        let (asked, places) = sort_out(items(body));
        let ids: Vec<&str> = asked.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["i1", "i4", "i6"]);
        assert!(matches!(&asked[1].price, PriceBy::Usage(units) if units[0].0.as_str() == "call"));
        let whole = |credits| Credits::whole(credits).unwrap();
        let import = Import {
            user: UserId::parse("ann").unwrap(),
            cycle: CycleNumber(3),
            charged: whole(3),
            from: vec![ImportedFrom {
                from: Source::Reserve(1),
                grant: GrantId::parse("pack").unwrap(),
                amount: whole(2),
            }],
            uncovered: whole(1),
            happened_at: Timestamp::from_millis(1_000),
            at: Timestamp::from_millis(60_000),
        };
        let id = |text: &str| ImportId::parse(text).unwrap();
        let answers = vec![
            ImportAnswer { id: id("i1"), result: ImportResult::Repeated, import: Some(Box::new(import)) },
            ImportAnswer {
                id: id("i4"),
                result: ImportResult::Refused(ImportRefusal::Unpriced),
                import: None,
            },
            ImportAnswer { id: id("i6"), result: ImportResult::Conflict, import: None },
        ];
        let noted = std::cell::RefCell::new(Vec::new());
        let unpriced = vec![None, Some(Refusal::Invalid("no card".into())), None];
        let result = put_together(answers, unpriced, places, |code| noted.borrow_mut().push(code));
        let text = String::from_utf8(json::write(&result)).unwrap();
        let charged = concat!(
            r#"{"items":[{"status":200,"id":"i1","duplicate":true,"user":"ann","cycle":3,"charged":"3","uncovered":"1","#,
            r#""paid_by":[{"from":"reserve","grant":"pack","amount":"2"}],"happened_at":"1970-01-01T00:00:01Z","#,
            r#""at":"1970-01-01T00:01:00Z"},{"type":"/docs/errors#invalid""#
        );
        assert!(text.starts_with(charged), "{text}");
        assert!(text.contains("say the amount: no card"), "{text}");
        let codes = [Code::Invalid, Code::Invalid, Code::Unpriced, Code::Invalid, Code::IdConflict];
        assert_eq!(noted.take(), codes);
    }

    #[test]
    fn values_that_cannot_be() {
        for (fields, why) in [
            (r#""amount":1,"units":{"a":1}"#, "either amount or units"),
            (r#""model":"m-1""#, "give the amount, or the units"),
            (r#""units":{}"#, "usage: it names no unit"),
            (r#""amount":"-1""#, "amount: an amount is not negative"),
        ] {
            let at = r#""happened_at":"1970-01-01T00:00:01Z""#;
            let body = format!(r#"{{"items":[{{"id":"i","user":"ann","feature":"chat",{fields},{at}}}]}}"#);
            let (_, places) = sort_out(items(&body));
            let detail = places[0].1.clone().expect(fields).detail;
            assert!(detail.contains(why), "{fields}: {detail}");
        }
    }
}
