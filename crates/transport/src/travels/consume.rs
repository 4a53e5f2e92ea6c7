//! A consume on its way to the user's home, and what the home decided. Not here: which node that is (`quota`).

use super::{BadShape, Travels, travels};
use placement::MembershipEpoch;
use quota::{Charge, Consume, PriceBy, Refusal, Remaining};
use types::{ChargeId, Credits, PriceVersion, Shadowed, Unit, WouldRefuse};
use wire::rpc;

/// Most units one consume counts.
const UNITS_MAX: usize = 16;

/// A consume and the membership by which its home was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forward {
    pub(crate) epoch: MembershipEpoch,
    pub(crate) consume: Consume,
}

/// What the home decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forwarded(pub(crate) Result<Charge, Refusal>);

travels! {
    struct Forward as Forward { epoch, consume }
    struct Consume as Consume { workspace, user, feature, model, price, durability, key }
    struct Charge as Charge { id, charged, sources, remaining, durability, cycle, price_version, shadow }
    struct Shadowed as Shadowed { code, would_have_cost }
    struct ChargeId as ChargeId { node, line, sequence }
    struct Remaining as Remaining { at_least, at_most }
}

travels! {
    enum WouldRefuse as WouldRefuse {
        Exhausted, AllocationExhausted, LimitReached, OverageCapReached, HoldExceeded, AccessDisabled, FeatureNotInPlan, UnknownUser,
    }
    enum Refusal as Refusal {
        Exhausted { user, available }, AllocationExhausted { user, available }, LimitReached { user, available, limit },
        InsufficientShared { available }, InsufficientAllocation { user, available },
        AccessDisabled(user), FeatureNotInPlan { feature, plan, features }, UnknownWorkspace, UnknownUser(user), NotFound(thing),
        KeyConflict, KeyInFlight, IdConflict(thing), Stale { now }, Conflict(why),
        Invalid(why), Unpriced { feature, model, unit },
        Overloaded, KeyWindowFull,
        CreditsUnreachable { user, available }, HomeUnreachable, NoLeader, OutcomeUnknown, StorageUnavailable(why),
        OverageCapReached { user, available },
        HoldExceeded { held }, HoldOver(how), HoldEnding, TooManyHolds(why), HolderUnreachable,
        UnknownCharge(why), BeyondCharge { left },
    }
}

/// Every word a [`Refusal`] names a kind of thing by.
const THINGS: [&str; 8] =
    ["grant", "member", "allocation", "reallocation", "holder", "plan", "hold", "refund"];

impl Travels for &'static str {
    type Shape = String;

    fn shape(&self) -> String {
        (*self).to_owned()
    }

    fn from_shape(shape: String) -> Result<Self, BadShape> {
        // A word of a newer program is no reason to refuse its answer.
        Ok(THINGS.into_iter().find(|word| *word == shape).unwrap_or("thing"))
    }
}

impl Travels for MembershipEpoch {
    type Shape = u64;

    fn shape(&self) -> u64 {
        self.0
    }

    fn from_shape(shape: u64) -> Result<Self, BadShape> {
        Ok(Self(shape))
    }
}

impl Travels for PriceBy {
    type Shape = rpc::PriceBy;

    fn shape(&self) -> rpc::PriceBy {
        match self {
            Self::Amount(amount) => rpc::PriceBy::Amount(amount.shape()),
            Self::Usage(usage) => rpc::PriceBy::Usage(usage.shape()),
        }
    }

    fn from_shape(shape: rpc::PriceBy) -> Result<Self, BadShape> {
        match shape {
            rpc::PriceBy::Amount(0) => Err(BadShape("a consume has an amount above 0".into())),
            rpc::PriceBy::Amount(amount) => Credits::from_shape(amount).map(Self::Amount),
            rpc::PriceBy::Usage(usage) => usage_in(usage).map(Self::Usage),
        }
    }
}

impl Travels for PriceVersion {
    type Shape = (u64, Option<u64>);

    fn shape(&self) -> Self::Shape {
        (self.card, self.own)
    }

    fn from_shape((card, own): Self::Shape) -> Result<Self, BadShape> {
        Ok(Self { card, own })
    }
}

pub(super) fn usage_in(usage: Vec<(String, u64)>) -> Result<Vec<(Unit, u64)>, BadShape> {
    if usage.len() > UNITS_MAX {
        return Err(BadShape(format!("a consume counts at most {UNITS_MAX} units, not {}", usage.len())));
    }
    let usage: Vec<(Unit, u64)> = Travels::from_shape(usage)?;
    if usage.is_sorted_by(|(a, _), (b, _)| a < b) {
        Ok(usage)
    } else {
        Err(BadShape("the units of a consume are sorted, none twice".into()))
    }
}
