//! Usage that happened elsewhere, told of later. Not here: usage as it is reported (`usage`, `inspection`).

use crate::json::object::objects;
use crate::json::{
    Amount, ChargePaid, GivenAmount, GivenFeature, GivenImportId, GivenInstant, GivenModel, GivenUsage,
    GivenUser, ImportText, Instant, Problem, UserText,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Usage that happened elsewhere: a provider's bill, what a node could not say. Each item stands alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportUsage {
    /// At most 500.
    #[serde(deserialize_with = "objects")]
    pub items: Vec<ImportItem>,
}

/// One call or one row of a bill: either a known `amount`, or `units` that are priced as of when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportItem {
    /// Permanent as long as it can be told of: told of again it is charged once.
    pub id: GivenImportId,
    pub user: GivenUser,
    pub feature: GivenFeature,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<GivenModel>,
    /// More than zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<GivenAmount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<GivenUsage>,
    /// At most 45 days ago, in this cycle or the one before.
    pub happened_at: GivenInstant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedUsage {
    /// In the order of the items.
    pub items: Vec<ImportAnswer>,
}

/// What an item was charged, with `"status":200`, or its problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ImportAnswer {
    Charged(Imported),
    Refused(RefusedImport),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// Always 200.
    pub status: u16,
    pub id: ImportText,
    /// It was told of before and charged then: this is what was answered.
    pub duplicate: bool,
    pub user: UserText,
    /// The one it happened in.
    pub cycle: u32,
    pub charged: Amount,
    /// Of what was charged: what nothing paid for.
    pub uncovered: Amount,
    /// In the order in which they burned; the first 32.
    pub paid_by: Vec<ChargePaid>,
    pub happened_at: Instant,
    /// When it was charged.
    pub at: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedImport {
    /// Left out where it is no id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ImportText>,
    #[serde(flatten)]
    pub problem: Problem,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{read, write};

    #[test]
    fn requests_there_and_back() {
        let item = r#"{"id":"row-1","user":"ann","feature":"chat","model":"m-1","#;
        let at = r#""happened_at":"1970-01-01T00:00:01Z"}"#;
        for price in [r#""amount":"12.5","#, r#""units":{"input_token":7},"#] {
            let body = format!(r#"{{"items":[{item}{price}{at}]}}"#);
            assert_eq!(
                String::from_utf8(write(&read::<ImportUsage>(body.as_bytes()).unwrap())).unwrap(),
                body
            );
        }
        for bad in [
            r#"{}"#,
            r#"{"items":[["row-1","ann","chat",null,"1",null,"1970-01-01T00:00:01Z"]]}"#,
            r#"{"items":[{"id":"row-1","user":"ann","feature":"chat","amount":1}]}"#,
            r#"{"items":[],"why":"x"}"#,
        ] {
            assert!(read::<ImportUsage>(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_golden_answers() {
        let golden = concat!(
            r#"{"items":[{"status":200,"id":"row-1","duplicate":false,"user":"ann","cycle":3,"charged":"12.5","#,
            r#""uncovered":"2.5","paid_by":[{"from":"shared","grant":"pack","amount":"10"}],"#,
            r#""happened_at":"1970-01-01T00:00:01Z","at":"1970-01-01T00:01:00Z"},"#,
            r#"{"id":"row-2","type":"/docs/errors#too_old","title":"t","status":422,"detail":"d","code":"too_old"}]}"#
        );
        let read: ImportedUsage = read(golden.as_bytes()).unwrap();
        assert!(matches!(&read.items[..], [ImportAnswer::Charged(_), ImportAnswer::Refused(_)]));
        assert_eq!(String::from_utf8(write(&read)).unwrap(), golden);
    }
}
