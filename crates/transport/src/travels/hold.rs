//! Holds on their way to the node that has them, and what it says. Not here: which node that is (`quota`).

use super::consume::usage_in;
use super::{BadShape, Travels, travels};
use placement::MembershipEpoch;
use quota::{
    EndOfHold, ExtendHold, HoldAnswer, HoldCommand, HoldEnd, HoldOpened, HoldState, OpenHold, Refusal,
    SettleHold, Shortfall, UsedBy,
};
use types::{Credits, HoldId, HoldNumber};
use wire::rpc;

/// A hold to be opened, and the membership by which its home was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardHold {
    pub(crate) epoch: MembershipEpoch,
    pub(crate) open: OpenHold,
}

/// What the home decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardedHold(pub(crate) Result<HoldOpened, Refusal>);

/// What the node that has a hold says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HoldAnswered(pub(crate) Result<HoldAnswer, Refusal>);

travels! {
    struct ForwardHold as ForwardHold { epoch, open }
    struct OpenHold as OpenHold { consume, ttl_ms }
    struct HoldId as HoldId { node, number }
    struct HoldOpened as HoldOpened { hold, held, expires_at, cycle, shadow }
    struct ExtendHold as ExtendHold { workspace, hold, amount, confirmed }
    struct SettleHold as SettleHold { workspace, hold, used, shortfall }
    struct HoldState as HoldState { hold, held, confirmed, expires_at, shadow }
    struct HoldEnd as HoldEnd { hold, end, charged, freed, sources, durability, cycle, shadow }
}

travels! {
    enum HoldCommand as HoldCommand {
        Extend(extend), Settle(settle), Release { workspace, hold },
    }
    enum HoldAnswer as HoldAnswer {
        Extended(state), Ended(end),
    }
    enum Shortfall as Shortfall { Reject, Cap, }
    enum EndOfHold as EndOfHold { Settled, Released, Expired, SettledLate, Unknown, }
}

impl Travels for HoldNumber {
    type Shape = u64;

    fn shape(&self) -> u64 {
        self.0
    }

    fn from_shape(shape: u64) -> Result<Self, BadShape> {
        Ok(Self(shape))
    }
}

impl Travels for UsedBy {
    type Shape = rpc::UsedBy;

    fn shape(&self) -> rpc::UsedBy {
        match self {
            Self::Amount(amount) => rpc::UsedBy::Amount(amount.shape()),
            Self::Usage(usage) => rpc::UsedBy::Usage(usage.shape()),
        }
    }

    fn from_shape(shape: rpc::UsedBy) -> Result<Self, BadShape> {
        match shape {
            rpc::UsedBy::Amount(amount) => Credits::from_shape(amount).map(Self::Amount),
            rpc::UsedBy::Usage(usage) => usage_in(usage).map(Self::Usage),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{all_variants, there_and_back};
    use super::*;
    use quota::{Consume, PriceBy};
    use types::{CycleNumber, Durability, NodeId, Source, Timestamp, Unit, WorkspaceId};

    fn hold() -> HoldId {
        HoldId { node: NodeId(3), number: HoldNumber(u64::MAX) }
    }

    fn shadow() -> types::Shadowed {
        types::Shadowed { code: types::WouldRefuse::HoldExceeded, would_have_cost: Credits::MAX }
    }

    fn workspace() -> WorkspaceId {
        WorkspaceId::parse(&"w".repeat(128)).unwrap()
    }

    #[test]
    fn holds_there_and_back() {
        let consume = Consume {
            workspace: workspace(),
            user: types::UserId::parse("ann").unwrap(),
            feature: types::Feature::parse("chat").unwrap(),
            model: None,
            price: PriceBy::Amount(Credits::MAX),
            durability: Some(Durability::Quorum),
            key: None,
        };
        there_and_back(&ForwardHold {
            epoch: MembershipEpoch(3),
            open: OpenHold { consume, ttl_ms: u32::MAX },
        });
        let expires_at = Timestamp::from_millis(-1);
        let (cycle, shadow) = (CycleNumber(2), Some(shadow()));
        let opened = HoldOpened { hold: hold(), held: Credits::MAX, expires_at, cycle, shadow };
        there_and_back(&ForwardedHold(Ok(opened)));
        there_and_back(&ForwardedHold(Err(Refusal::NoLeader)));
    }

    #[test]
    fn all_that_is_asked_of_holds_and_answered_there_and_back() {
        let unit = |i: usize| (Unit::parse(&format!("{i:0>128}")).unwrap(), u64::MAX);
        let settle = |used, shortfall| {
            HoldCommand::Settle(SettleHold { workspace: workspace(), hold: hold(), used, shortfall })
        };
        let extend = ExtendHold {
            workspace: workspace(),
            hold: hold(),
            amount: Credits::MAX,
            confirmed: Credits::ZERO,
        };
        all_variants(
            &[
                HoldCommand::Extend(extend),
                settle(UsedBy::Amount(Credits::ZERO), Shortfall::Reject),
                // The largest.
                settle(UsedBy::Usage((0..16).map(unit).collect()), Shortfall::Cap),
                HoldCommand::Release { workspace: workspace(), hold: hold() },
            ],
            2,
        );
        let expires_at = Timestamp::from_millis(1);
        let (confirmed, shadow) = (Credits::ZERO, Some(shadow()));
        let state = HoldState { hold: hold(), held: Credits::MAX, confirmed, expires_at, shadow };
        there_and_back(&HoldAnswered(Ok(HoldAnswer::Extended(state))));
        there_and_back(&HoldAnswered(Err(Refusal::HoldEnding)));
        for end in [
            EndOfHold::Settled,
            EndOfHold::Released,
            EndOfHold::Expired,
            EndOfHold::SettledLate,
            EndOfHold::Unknown,
        ] {
            let ended = HoldEnd {
                hold: hold(),
                end,
                charged: Credits::MAX,
                freed: Credits::ZERO,
                sources: vec![(Source::Shared, Credits::MAX)],
                durability: Durability::Disk,
                cycle: (end != EndOfHold::Unknown).then_some(CycleNumber(1)),
                shadow: None,
            };
            there_and_back(&HoldAnswered(Ok(HoldAnswer::Ended(ended))));
        }
    }

    #[test]
    fn what_no_node_may_ask_of_a_hold() {
        let usage =
            |usage: &[&str]| rpc::UsedBy::Usage(usage.iter().map(|unit| ((*unit).into(), 1)).collect());
        for bad in [
            usage(&["b", "a"]),
            usage(&["a", "a"]),
            usage(&["a b"]),
            usage(&["a"; 17]),
            rpc::UsedBy::Amount(u64::MAX),
        ] {
            assert!(UsedBy::from_shape(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
