//! Prices in money, of a plan, its seats and its overage, and what a plan costs in a cycle. They are shown and previewed, and
//! nobody collects anything.
//!
//! What a plan costs in a cycle goes by the same rule as the credits that it owes (`plan`): whole, or prorated by days, never more
//! than the dearest plan in the cycle costs for all of it. Seats are those that there were at most. Not here: amounts and
//! currencies (`types`).

use crate::outcome::Rejection;
use crate::plan::{MidCycle, Plan, Subscription};
use crate::workspace::Workspace;
use types::{Currency, Money, Timestamp};

/// All of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// Of each cycle.
    pub cycle: Option<Money>,
    /// Of each cycle and each seat.
    pub seat: Option<Money>,
    /// Of each credit of overage.
    pub overage: Option<Money>,
}

/// Of one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub owed: Money,
    /// What the dearest plan so far costs for all of the cycle.
    pub most: Money,
}

impl Prices {
    pub const NONE: Self = Self { cycle: None, seat: None, overage: None };

    fn all(&self) -> impl Iterator<Item = Money> + use<> {
        [self.cycle, self.seat, self.overage].into_iter().flatten()
    }

    fn currency(&self) -> Option<Currency> {
        self.all().next().map(Money::currency)
    }

    /// Whether all of them are of one currency, and of this one where there is one.
    fn are_in(&self, currency: Option<Currency>) -> bool {
        let mut all = currency.into_iter().chain(self.all().map(Money::currency));
        let first = all.next();
        all.all(|other| Some(other) == first)
    }

    /// For a whole cycle with so many seats, in millionths.
    fn whole(&self, seats: u64) -> u64 {
        let seat = self.seat.map_or(0, |seat| seat.micros().saturating_mul(seats));
        let all = self.cycle.map_or(0, Money::micros).saturating_add(seat);
        all.min(Money::MICROS_MAX)
    }
}

impl Workspace {
    /// Within a cycle there is one currency.
    pub(crate) fn check_prices(&self, plan: &Plan, is_now: bool) -> Result<(), Rejection> {
        let running = self.subscription.as_deref().and_then(|known| known.cost).filter(|_| is_now);
        let currency = running.map(|cost| cost.owed.currency());
        if plan.prices.are_in(currency) { Ok(()) } else { Err(Rejection::OtherCurrency) }
    }

    /// What a whole cycle costs that has begun.
    pub(crate) fn cost_of_cycle(plan: &Plan, seats: u64) -> Option<Cost> {
        let owed = Money::up_to_most(plan.prices.whole(seats), plan.prices.currency()?);
        Some(Cost { owed, most: owed })
    }

    /// What the cycle costs if it is this plan from now on with so many seats.
    pub(crate) fn cost_after(
        &self,
        subscription: &Subscription,
        plan: &Plan,
        seats: u64,
        at: Timestamp,
    ) -> Option<Cost> {
        let known = subscription.cost;
        let currency = known.map(|cost| cost.owed.currency()).or(plan.prices.currency())?;
        let (owed, most) = known.map_or((0, 0), |cost| (cost.owed.micros(), cost.most.micros()));
        let before = subscription.plan.as_ref();
        let was = before.map_or(0, |plan| plan.prices.whole(subscription.seats));
        let is = plan.prices.whole(seats);
        let most = most.max(is);
        let owed = match plan.mid_cycle {
            MidCycle::Whole => is,
            MidCycle::Prorated => {
                let (was, is) = (self.part_of(was, at), self.part_of(is, at));
                owed.saturating_sub(was).saturating_add(is).min(most)
            }
        };
        let money = |micros| Money::up_to_most(micros, currency);
        Some(Cost { owed: money(owed), most: money(most) })
    }
}
