//! Usage that happened elsewhere: priced as of when it happened, and named by what was said of it. Not here: what it is charged
//! to (`ledger`); it is an administrator's write.

use crate::{NewImport, PriceBy, Quota, Refusal};
use types::{Feature, ImportId, Model, Timestamp, UserId, WorkspaceId};

/// One item as it is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportItem {
    pub id: ImportId,
    pub user: UserId,
    pub feature: Feature,
    pub model: Option<Model>,
    pub price: PriceBy,
    pub happened_at: Timestamp,
}

impl Quota {
    /// The items with their prices, and why those have none that have none. What was charged before needs none.
    pub fn price_imports(
        &self,
        workspace: &WorkspaceId,
        items: Vec<ImportItem>,
    ) -> Result<(Vec<NewImport>, Vec<Option<Refusal>>), Refusal> {
        let mut priced = Vec::with_capacity(items.len());
        let mut unpriced = Vec::with_capacity(items.len());
        for item in items {
            let charge = match &item.price {
                PriceBy::Amount(amount) => Ok(*amount),
                PriceBy::Usage(usage) => match self.prices_then(workspace, item.happened_at) {
                    Err(Refusal::NoLeader) => return Err(Refusal::NoLeader),
                    Err(why) => Err(why),
                    Ok(prices) => {
                        let quote = prices.quote(&item.feature, item.model.as_ref(), usage);
                        quote.map(|quote| quote.charge)
                    }
                },
            };
            let (charge, why) = match charge {
                Ok(charge) => (Some(charge), None),
                Err(why) => (None, Some(why)),
            };
            unpriced.push(why);
            let body = body_of(&item);
            let ImportItem { id, user, feature, model, price, happened_at } = item;
            let units = match price {
                PriceBy::Amount(_) => Vec::new(),
                PriceBy::Usage(usage) => usage,
            };
            priced.push(NewImport { id, user, feature, model, units, charge, happened_at, body });
        }
        Ok((priced, unpriced))
    }
}

/// All that was said of it but its id, hashed: fields in a fixed order, each with its length before it.
fn body_of(item: &ImportItem) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    let ImportItem { id: _, user, feature, model, price, happened_at } = item;
    field(b"tranche import 1");
    field(user.as_str().as_bytes());
    field(feature.as_str().as_bytes());
    field(model.as_ref().map_or("", |model| model.as_str()).as_bytes());
    field(&happened_at.millis().to_le_bytes());
    price.told(&mut field);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Credits, Unit};

    #[test]
    fn another_body_has_another_hash_and_another_id_does_not() {
        let usage = |unit: &str, count| PriceBy::Usage(vec![(Unit::parse(unit).unwrap(), count)]);
        let item = ImportItem {
            id: ImportId::parse("i").unwrap(),
            user: UserId::parse("ann").unwrap(),
            feature: Feature::parse("chat").unwrap(),
            model: None,
            price: usage("token", 1),
            happened_at: Timestamp::from_millis(1),
        };
        let others = [
            ImportItem { user: UserId::parse("bob").unwrap(), ..item.clone() },
            ImportItem { feature: Feature::parse("image").unwrap(), ..item.clone() },
            ImportItem { model: Some(Model::parse("m-1").unwrap()), ..item.clone() },
            ImportItem { price: usage("token", 2), ..item.clone() },
            ImportItem { price: usage("call", 1), ..item.clone() },
            ImportItem { price: PriceBy::Amount(Credits::from_micros(1).unwrap()), ..item.clone() },
            ImportItem { happened_at: Timestamp::from_millis(2), ..item.clone() },
        ];
        for other in others {
            assert_ne!(body_of(&other), body_of(&item), "{other:?}");
        }
        let renamed = ImportItem { id: ImportId::parse("j").unwrap(), ..item.clone() };
        assert_eq!(body_of(&renamed), body_of(&item));
    }
}
