//! What the whole cluster shares: the rate card. Used in the meta group only. Not here: pools.

use crate::{Outcome, Rejection};
use pricing::Price;
use types::Revision;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub prices: Vec<Price>,
    pub rate_card: Revision,
}

impl Meta {
    pub(crate) fn new() -> Self {
        Self { prices: Vec::new(), rate_card: Revision(0) }
    }

    pub(crate) fn decide(&self, if_match: Option<Revision>) -> Result<(), Rejection> {
        match if_match {
            Some(expected) if expected != self.rate_card => Err(Rejection::Stale { now: self.rate_card }),
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn commit(&mut self, prices: Vec<Price>) -> Outcome {
        self.prices = prices;
        self.rate_card = Revision(self.rate_card.0.saturating_add(1));
        Outcome::RateCard { revision: self.rate_card }
    }
}
