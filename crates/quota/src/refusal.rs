//! Why a client does not get what it asked for: one value per code of the error table.

use ledger::{DenialReason, LimitHit, PriceRejection, Rejection, ServiceRejection, TeamRejection};
use types::{Credits, Feature, Model, PlanId, Revision, Unit, UserId};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    // 402: nothing left of what would pay
    #[error(
        "the pool has {available} credits left that {user} may draw; nothing is out elsewhere that could be fetched"
    )]
    Exhausted { user: UserId, available: Credits },
    #[error(
        "{available} credits are left of what is set aside for {user}, and he may not go on with what is shared"
    )]
    AllocationExhausted { user: UserId, available: Credits },
    #[error("{}'s limit of {} credits per {} leaves {available} credits", limit.of, limit.amount, limit.window)]
    LimitReached { user: UserId, available: Credits, limit: LimitHit },
    #[error(
        "what is included is used, and the cap on overage leaves {user} {available} credits in this cycle"
    )]
    OverageCapReached { user: UserId, available: Credits },
    #[error("only {available} credits of what is shared can back this to the end of the cycle")]
    InsufficientShared { available: Credits },
    #[error("{user}'s allocation has only {available} unused credits")]
    InsufficientAllocation { user: UserId, available: Credits },

    #[error("the hold has {held} credits")]
    HoldExceeded { held: Credits },

    // 403, 404
    #[error("AI access of {0} is switched off")]
    AccessDisabled(UserId),
    #[error("the plan {plan} does not have the feature {feature}; it has {}", named(features))]
    FeatureNotInPlan { feature: Feature, plan: PlanId, features: Vec<Feature> },
    #[error("there is no such workspace")]
    UnknownWorkspace,
    #[error("{0} is no member of this workspace, and its membership is listed")]
    UnknownUser(UserId),
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("{0}")]
    UnknownCharge(String),

    // 409, 412, 413
    #[error("this idempotency key was used for another command")]
    KeyConflict,
    #[error("a command with this idempotency key is being decided right now")]
    KeyInFlight,
    #[error("this {0} id is taken by another one with other content; ids are permanent")]
    IdConflict(&'static str),
    #[error("the resource changed meanwhile: its ETag is \"{}\" now", now.0)]
    Stale { now: Revision },
    #[error("{0}")]
    Conflict(String),
    #[error("the hold has ended: {0}")]
    HoldOver(String),
    #[error("{left} credits of this charge are left to refund")]
    BeyondCharge { left: Credits },
    #[error("its cycle has ended, or what it is on was taken away: it can be settled, and have no more")]
    HoldEnding,

    // 422
    #[error("{0}")]
    Invalid(String),
    #[error("the rate card has no price for {feature} / {} / {unit}", model.as_ref().map_or("no model", |m| m.as_str()))]
    Unpriced { feature: Feature, model: Option<Model>, unit: Unit },

    // 429
    #[error("this node has more requests in hand than it takes")]
    Overloaded,
    #[error("the window of idempotency keys is full")]
    KeyWindowFull,
    #[error("{0}")]
    TooManyHolds(String),

    // 503
    #[error(
        "this node holds {available} credits for {user}, and no more came in time from the shard's leader or the nodes that hold some"
    )]
    CreditsUnreachable { user: UserId, available: Credits },
    #[error("the node that decides this user's keyed requests cannot be reached")]
    HomeUnreachable,
    #[error("the node that has this hold or charge cannot be reached")]
    HolderUnreachable,
    #[error("the shard of this workspace has no leader at the moment")]
    NoLeader,
    #[error("it is not known whether this was done; ask again with the same key or id")]
    OutcomeUnknown,
    #[error("this node cannot write to its disk: {0}")]
    StorageUnavailable(String),
}

fn named(features: &[Feature]) -> String {
    let names: Vec<&str> = features.iter().map(Feature::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Refusal {
    /// The refusal a ledger's rejection becomes.
    pub fn from_rejection(rejection: Rejection) -> Self {
        match rejection {
            Rejection::UnknownWorkspace => Self::UnknownWorkspace,
            Rejection::UnknownUser(user) => Self::UnknownUser(user),
            Rejection::UnknownGrant => Self::NotFound("grant"),
            Rejection::IdConflict { what } => Self::IdConflict(what),
            Rejection::KeyConflict => Self::KeyConflict,
            Rejection::KeyWindowFull { .. } => Self::KeyWindowFull,
            Rejection::Stale { now } => Self::Stale { now },
            Rejection::InsufficientShared { available, .. } => Self::InsufficientShared { available },
            Rejection::InsufficientAllocation { user, available } => {
                Self::InsufficientAllocation { user, available }
            }
            Rejection::NoAllocation(_) => Self::NotFound("allocation"),
            Rejection::NoPlan => Self::NotFound("plan"),
            Rejection::Team(why) => match why {
                TeamRejection::Unknown(_) => Self::NotFound("team"),
                TeamRejection::NoReserve(_) => Self::NotFound("reserve"),
                TeamRejection::TooDeep | TeamRejection::Circle(_) => Self::Invalid(why.to_string()),
                TeamRejection::InUse { .. } => Self::Conflict(why.to_string()),
            },
            Rejection::Service(why) => match why {
                ServiceRejection::NoOwner
                | ServiceRejection::UnknownOwner(_)
                | ServiceRejection::UnknownShare(_)
                | ServiceRejection::NoService => Self::Invalid(why.to_string()),
                ServiceRejection::SharesItself(_) | ServiceRejection::InUse { .. } => {
                    Self::Conflict(why.to_string())
                }
            },
            Rejection::Prices(why) => match why {
                PriceRejection::UnknownVersion => Self::NotFound("rate card"),
                PriceRejection::NoOwnPrices => Self::NotFound("prices of its own"),
                PriceRejection::NoCard(_) | PriceRejection::InThePast => Self::Invalid(why.to_string()),
                PriceRejection::TooManyCards
                | PriceRejection::TooManyOwn
                | PriceRejection::TooManyInAll
                | PriceRejection::InForce => Self::Conflict(why.to_string()),
            },
            Rejection::BeyondCharge { left } => Self::BeyondCharge { left },
            Rejection::ChargeTooOld => Self::UnknownCharge(rejection.to_string()),
            Rejection::GrantBacksAllocations { .. }
            | Rejection::NotCharged
            | Rejection::CyclesChanged
            | Rejection::OtherCurrency
            | Rejection::Unregistered
            | Rejection::Fenced
            | Rejection::RolledBack { .. }
            | Rejection::OtherDisk { .. } => Self::Conflict(rejection.to_string()),
            Rejection::TooMuch
            | Rejection::TooMany { .. }
            | Rejection::NeverValid
            | Rejection::BadRollover
            | Rejection::ReservedId
            | Rejection::OverageIsNoGrant
            | Rejection::SameUser => Self::Invalid(rejection.to_string()),
        }
    }

    /// The refusal a denied draw becomes for the consume that waited for it.
    /// `feature` is what it was for, `features` what the plan has, as far as is known here.
    pub fn from_denial(
        reason: DenialReason,
        user: &UserId,
        available: Credits,
        feature: &Feature,
        features: impl FnOnce() -> Vec<Feature>,
    ) -> Self {
        let user = user.clone();
        match reason {
            DenialReason::Exhausted => Self::Exhausted { user, available },
            DenialReason::AllocationExhausted => Self::AllocationExhausted { user, available },
            DenialReason::LimitReached(limit) => Self::LimitReached { user, available, limit },
            DenialReason::OverageCapReached => Self::OverageCapReached { user, available },
            DenialReason::AccessDisabled => Self::AccessDisabled(user),
            DenialReason::FeatureNotInPlan(plan) => {
                Self::FeatureNotInPlan { feature: feature.clone(), plan, features: features() }
            }
            DenialReason::UnknownUser => Self::UnknownUser(user),
            DenialReason::Frozen | DenialReason::ScopesChanged => {
                Self::CreditsUnreachable { user, available }
            }
        }
    }
}
