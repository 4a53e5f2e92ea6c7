//! What a workspace has subscribed to, and the credits that come of it: an allowance with each cycle, and so much for each
//! seat.
//!
//! With a cycle's first entry its grants are made, `plan:<cycle>` and `seats:<cycle>`. In mid-cycle the plan is changed, or
//! more members have AI access than had in this cycle so far. Then other credits are owed for the cycle than were given:
//! what is missing is given, what is too much is taken back as far as it is neither used, nor out, nor set aside. Owed and
//! given are kept apart, so that whoever changes to and fro, or switches access off and on, is given nothing twice; and no
//! more is ever owed for a cycle than what the largest plan in it owes for all of it.
//!
//! Not here: when cycles end (`cycle`), what becomes of what they leave (`rollover`).

use crate::command::{GrantKind, NewGrant};
use crate::grant::{Grant, GrantState};
use crate::limits;
use crate::outcome::Rejection;
use crate::overage::OverageRule;
use crate::price::{Cost, Prices};
use crate::rollover::{Rollover, Term};
use crate::term::PlanTerm;
use crate::workspace::Workspace;
use std::collections::BTreeSet;
use types::planted::{Mistake, is_planted};
use types::{Credits, CycleNumber, Feature, GrantId, GrantNo, LineId, PlanId, Revision, Scope, Timestamp};

/// Terms, as they were when they were subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub id: PlanId,
    /// What people are shown.
    pub name: Option<String>,
    /// For each cycle, however many seats there are.
    pub allowance: Credits,
    /// For each cycle and each seat.
    pub per_seat: Credits,
    pub paid: bool,
    /// What is kept of what a cycle leaves.
    pub rollover: Rollover,
    pub mid_cycle: MidCycle,
    /// Whether more may be used than is included, while it runs, unless the workspace has a rule of its own.
    pub overage: Option<OverageRule>,
    /// What may be spent on; `None`: anything.
    pub features: Option<BTreeSet<Feature>>,
    /// In money.
    pub prices: Prices,
    pub term: PlanTerm,
}

/// What is owed for a part of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MidCycle {
    /// As much as for all of it.
    Whole,
    /// By the days that are left of the cycle as the calendar has it, counted back from its end, the one that has begun
    /// included; rounded down to a micro-credit. So a preview stays true for the day. As much as for all of it where its
    /// end is not known.
    Prorated,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one of them is made with each change of a plan, and no more")]
pub enum PlanChange {
    /// Also takes back what was to come with the next cycle.
    Set { plan: Plan, when: When },
    /// The plan ends with its term, or with its cycle where it has none.
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Now,
    NextCycle,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `None`: the first one comes with the next cycle.
    pub plan: Option<Plan>,
    pub next: Option<Next>,
    /// The most seats that there were in this cycle under a plan.
    pub seats: u64,
    pub allowance: Due,
    pub for_seats: Due,
    /// What this cycle costs in money, where a plan in it has a price.
    pub cost: Option<Cost>,
    /// The last cycle of the term.
    pub term: Option<CycleNumber>,
    pub revision: Revision,
}

/// From the next cycle on; what ends, from the end of the term on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one for each workspace that has a plan")]
pub enum Next {
    Plan(Plan),
    Ends,
}

/// Of one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    pub owed: Credits,
    /// Net of what was taken back. Less than is owed where the pool cannot have more, more where it was in use.
    pub given: Credits,
    /// What the largest plan so far owes for all of the cycle. Neither of the two is ever more.
    pub most: Credits,
}

/// When a plan gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Two grants a cycle, also beyond the bound of grants.
    Cycle,
    /// Or takes back.
    Change,
    /// Gives, whatever was given too much before.
    Seat,
}

/// What a plan brings credits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Cycle,
    Seats,
}

const DAY_MS: u128 = 24 * 60 * 60 * 1_000;

/// Whether a grant of that id is a plan's: nobody else makes one.
pub fn is_of_plan(id: &GrantId) -> bool {
    [For::Cycle, For::Seats].iter().any(|what| id.as_str().starts_with(what.prefix()))
}

impl For {
    fn prefix(self) -> &'static str {
        match self {
            Self::Cycle => "plan:",
            Self::Seats => "seats:",
        }
    }

    fn kind(self) -> GrantKind {
        match self {
            Self::Cycle => GrantKind::Plan,
            Self::Seats => GrantKind::Seat,
        }
    }

    fn due(self, subscription: &mut Subscription) -> &mut Due {
        match self {
            Self::Cycle => &mut subscription.allowance,
            Self::Seats => &mut subscription.for_seats,
        }
    }

    /// For a whole cycle with so many seats.
    fn of(self, plan: Option<&Plan>, seats: u64) -> Credits {
        let Some(plan) = plan else { return Credits::ZERO };
        match self {
            Self::Cycle => plan.allowance,
            Self::Seats => times(plan.per_seat, seats),
        }
    }
}

impl Plan {
    /// Whether a seat brings credits or costs money: then it is paid for to the end of the cycle.
    fn has_paid_seats(&self) -> bool {
        !self.per_seat.is_zero() || self.prices.seat.is_some_and(|seat| seat.micros() > 0)
    }

    fn has_too_many_features(&self) -> bool {
        self.features.as_ref().is_some_and(|features| features.len() > limits::PLAN_FEATURES_MAX)
    }
}

/// As much as a pool can have at most.
fn times(amount: Credits, count: u64) -> Credits {
    let product = amount.micros().saturating_mul(count);
    Credits::from_micros(product).unwrap_or(Credits::MAX)
}

impl Workspace {
    /// Answers the lines that have more overage out than the plan's rule allows.
    pub(crate) fn decide_plan(&self, change: &PlanChange) -> Result<Vec<LineId>, Rejection> {
        if let PlanChange::Set { plan, when } = change {
            self.check_prices(plan, *when == When::Now)?;
        }
        match change {
            PlanChange::Set { plan, .. } if !plan.rollover.is_valid() => Err(Rejection::BadRollover),
            PlanChange::Set { plan, .. } if plan.has_too_many_features() => {
                Err(Rejection::TooMany { what: "features of a plan", max: limits::PLAN_FEATURES_MAX })
            }
            // A line of another list may be spent on what this plan does not have.
            PlanChange::Set { plan, when: When::Now } if plan.features != self.limited.allowed => {
                Ok(self.lines.keys().copied().collect())
            }
            PlanChange::Set { plan, when: When::Now } if self.overage_rule.is_none() => {
                Ok(self.lines_beyond_rule(plan.overage.unwrap_or(OverageRule::Off)))
            }
            PlanChange::Set { .. } => Ok(Vec::new()),
            PlanChange::Cancel => self.subscription.as_ref().map(|_| Vec::new()).ok_or(Rejection::NoPlan),
        }
    }

    pub(crate) fn commit_plan(&mut self, change: &PlanChange, at: Timestamp) {
        let revision = self.next_revision();
        let none = || Subscription {
            plan: None,
            next: None,
            seats: 0,
            allowance: Due::default(),
            for_seats: Due::default(),
            cost: None,
            term: None,
            revision,
        };
        let mut subscription = self.subscription.take().map_or_else(none, |known| *known);
        subscription.revision = revision;
        match change {
            PlanChange::Set { plan, when: When::Now } => {
                subscription.next = None;
                let were_paid = subscription.plan.as_ref().is_some_and(Plan::has_paid_seats);
                let seats = if were_paid { self.seats.max(subscription.seats) } else { self.seats };
                // What seats have too much of is free before it is taken back.
                let due = self.due_after(&mut subscription, For::Seats, plan, seats, at);
                self.share_out(due.owed, seats, &BTreeSet::new());
                for what in [For::Cycle, For::Seats] {
                    self.owe(&mut subscription, what, plan, seats, at, At::Change);
                }
                subscription.cost = self.cost_after(&subscription, plan, seats, at);
                (subscription.plan, subscription.seats) = (Some(plan.clone()), seats);
                subscription.term = self.term_of(&subscription);
            }
            PlanChange::Set { plan, when: When::NextCycle } => {
                subscription.next =
                    Some(Next::Plan(plan.clone())).filter(|_| subscription.plan.as_ref() != Some(plan));
            }
            PlanChange::Cancel => {
                subscription.next = Some(Next::Ends);
                if subscription.plan.is_none() {
                    return;
                }
            }
        }
        self.subscription = Some(Box::new(subscription));
        self.plan_allows(revision);
    }

    /// What may be spent on is what the plan says. Where that is something else than before there is another list of it, and
    /// lines of the one before draw no more.
    fn plan_allows(&mut self, now: Revision) {
        let features = self.plan().and_then(|plan| plan.features.as_ref());
        if features != self.limited.allowed.as_ref() {
            (self.limited.allowed, self.limited.revision) = (features.cloned(), now);
        }
    }

    /// The plan, where it does not have what a line of that scope is for.
    pub(crate) fn plan_without(&self, scope: &Scope) -> Option<&PlanId> {
        scope.feature.as_ref().filter(|feature| !self.limited.allows(feature))?;
        Some(&self.plan()?.id)
    }

    /// For `violations`.
    pub(crate) fn what_the_plan_has_is_allowed(&self) -> Option<String> {
        let features = self.plan().and_then(|plan| plan.features.as_ref());
        let allowed = self.limited.allowed.as_ref();
        (features != allowed).then(|| format!("the plan has {features:?}, {allowed:?} are allowed"))
    }

    pub fn plan(&self) -> Option<&Plan> {
        self.subscription.as_deref()?.plan.as_ref()
    }

    /// There are more or fewer seats than before. Those that are free stay paid for until the cycle ends.
    pub(crate) fn seats_changed(&mut self, at: Timestamp) {
        let Some(mut subscription) = self.subscription.take() else { return };
        if is_planted(Mistake::SeatPaidAgain) {
            subscription.seats = subscription.seats.min(self.seats);
        }
        if let Some(plan) = subscription.plan.clone()
            && self.seats > subscription.seats
        {
            subscription.cost = self.cost_after(&subscription, &plan, self.seats, at);
            self.owe(&mut subscription, For::Seats, &plan, self.seats, at, At::Seat);
            subscription.seats = self.seats;
        }
        self.subscription = Some(subscription);
    }

    /// A cycle has begun, with what was to come with it.
    pub(crate) fn renew_plan(&mut self, at: Timestamp) {
        let Some(mut subscription) = self.subscription.take() else { return };
        let has_more = subscription.term.is_some_and(|last| last >= self.cycle);
        let next = if has_more {
            subscription.next.take_if(|next| *next != Next::Ends)
        } else {
            subscription.next.take()
        };
        if let Some(next) = next {
            subscription.revision = self.next_revision();
            subscription.plan = match next {
                Next::Plan(plan) => Some(plan),
                Next::Ends => return self.plan_allows(subscription.revision),
            };
        }
        (subscription.seats, subscription.allowance, subscription.for_seats) =
            (self.seats, Due::default(), Due::default());
        if let Some(plan) = subscription.plan.clone() {
            for what in [For::Cycle, For::Seats] {
                let all = what.of(Some(&plan), self.seats);
                let given = self.give(what, &plan, all, at, At::Cycle);
                *what.due(&mut subscription) = Due { owed: all, given, most: all };
            }
            subscription.cost = Self::cost_of_cycle(&plan, self.seats);
            subscription.term = self.term_of(&subscription);
        }
        let revision = subscription.revision;
        self.subscription = Some(subscription);
        self.plan_allows(revision);
    }

    /// For the rest of the cycle it is this plan with so many seats. Gives what is missing, takes back what is too much.
    fn owe(
        &mut self,
        subscription: &mut Subscription,
        what: For,
        plan: &Plan,
        seats: u64,
        at: Timestamp,
        when: At,
    ) {
        let Due { owed, given, most } = self.due_after(subscription, what, plan, seats, at);
        let given = if owed < given && is_planted(Mistake::KeptIsForgotten) {
            self.take_from_plan(what, given.saturating_sub(owed));
            owed
        } else if owed > given {
            given.saturating_add(self.give(what, plan, owed.saturating_sub(given), at, when))
        } else if when == At::Change {
            given.saturating_sub(self.take_from_plan(what, given.saturating_sub(owed)))
        } else {
            given
        };
        *what.due(subscription) = Due { owed, given, most };
    }

    /// What would be owed if it was this plan from now on with so many seats; given is what was.
    fn due_after(
        &self,
        subscription: &mut Subscription,
        what: For,
        plan: &Plan,
        seats: u64,
        at: Timestamp,
    ) -> Due {
        let was = what.of(subscription.plan.as_ref(), subscription.seats);
        let is = what.of(Some(plan), seats);
        let due = *what.due(subscription);
        let most = due.most.max(is);
        let owed = match plan.mid_cycle {
            MidCycle::Whole => is,
            // The plan before keeps its share of the days that are over.
            MidCycle::Prorated => {
                let (was, is) = (self.part(was, at), self.part(is, at));
                due.owed.saturating_sub(was).saturating_add(is).min(most)
            }
        };
        Due { owed, most, ..due }
    }

    /// What is owed for the rest of the cycle, of so much for all of it.
    fn part(&self, amount: Credits, at: Timestamp) -> Credits {
        Credits::from_micros(self.part_of(amount.micros(), at)).unwrap_or(amount)
    }

    /// The same of millionths of anything.
    pub(crate) fn part_of(&self, amount: u64, at: Timestamp) -> u64 {
        let Some(end) = self.cycle_ends_at() else { return amount };
        let days = |from: Timestamp| u128::try_from(end.since_ms(from)).unwrap_or(0).div_ceil(DAY_MS);
        let (length, left) = (days(self.calendar_starts_at), days(at));
        let part = u128::from(amount).saturating_mul(left).checked_div(length);
        let part = part.and_then(|part| u64::try_from(part).ok());
        part.map_or(amount, |part| part.min(amount))
    }

    /// Answers how much of it the pool could have.
    fn give(&mut self, what: For, plan: &Plan, amount: Credits, at: Timestamp, when: At) -> Credits {
        let amount = amount.min(Credits::MAX.saturating_sub(self.given_in_all()));
        if amount.is_zero() {
            return amount;
        }
        let (id, known) = self.place_for(what, plan);
        if known.is_none() && self.grants.len() >= limits::GRANTS_MAX && when != At::Cycle {
            return Credits::ZERO;
        }
        let revision = self.next_revision();
        match known {
            Some(no) => self.on_grant(no, |grant| grant.raise(amount, revision)),
            None => {
                let no =
                    GrantNo(u32::try_from(self.grants.len()).expect("two grants a cycle beside GRANTS_MAX"));
                let new = NewGrant {
                    id,
                    kind: what.kind(),
                    amount,
                    priority: limits::PRIORITY_DEFAULT,
                    paid: plan.paid,
                    // With its cycle, so that it ends with it whenever that becomes known.
                    starts_at: Some(self.cycle_starts_at),
                    expires_at: None,
                    term: Term::Cycle(plan.rollover),
                    price: None,
                };
                self.begun_to = self.begun_to.max(at);
                self.add_grant(Grant::new(no, new, at, revision));
            }
        }
        amount
    }

    /// Answers how much of it was neither used, nor out, nor set aside.
    fn take_from_plan(&mut self, what: For, amount: Credits) -> Credits {
        let mut left = amount;
        for no in self.given_in(what, self.cycle).into_iter().rev() {
            let part = left.min(self.grant(no).shared());
            if !part.is_zero() && self.grant(no).state == GrantState::Live {
                let revision = self.next_revision();
                self.on_grant(no, |grant| grant.lower(part, revision));
                left.shrink(part);
            }
        }
        amount.saturating_sub(left)
    }

    /// The grant of this cycle that can be raised, having the same terms and not having been voided; or the id of a new one.
    fn place_for(&self, what: For, plan: &Plan) -> (GrantId, Option<GrantNo>) {
        let given = self.given_in(what, self.cycle);
        let fits = |no: &GrantNo| {
            let grant = self.grant(*no);
            let same = (grant.paid, grant.term) == (plan.paid, Term::Cycle(plan.rollover));
            grant.state == GrantState::Live && same
        };
        let known = given.iter().copied().find(fits);
        (grant_id(what, self.cycle, given.len()), known)
    }

    /// What a plan has given in a cycle, in its order.
    fn given_in(&self, what: For, cycle: CycleNumber) -> Vec<GrantNo> {
        let ids = (0..).map(|number| grant_id(what, cycle, number));
        ids.map_while(|id| self.grant_ids.get(&id).copied()).collect()
    }

    /// The grants of this cycle for seats.
    pub(crate) fn grants_for_seats(&self) -> Vec<GrantNo> {
        self.given_in(For::Seats, self.cycle)
    }

    /// All that a change of plan looks at or changes where all is pooled: of a million users nobody is copied.
    pub(crate) fn without_users(&self) -> Self {
        Self {
            revision: self.revision,
            cycle: self.cycle,
            cycle_starts_at: self.cycle_starts_at,
            calendar_starts_at: self.calendar_starts_at,
            cycle_ends: self.cycle_ends.clone(),
            cycle_rule: self.cycle_rule.clone(),
            subscription: self.subscription.clone(),
            overages: self.overages.clone(),
            seats: self.seats,
            begun_to: self.begun_to,
            grants: self.grants.clone(),
            grant_ids: self.grant_ids.clone(),
            burn_order: self.burn_order.clone(),
            totals: self.totals,
            ..Self::new(self.id.clone(), self.created_at)
        }
    }

    /// Counted again.
    pub fn counted_seats(&self) -> u64 {
        self.users.values().filter(|user| user.has_seat()).count() as u64
    }
}

/// `plan:7`, then `plan:7.2`, `plan:7.3`.
fn grant_id(what: For, cycle: CycleNumber, number: usize) -> GrantId {
    let (prefix, cycle) = (what.prefix(), cycle.0);
    let text = match number {
        0 => format!("{prefix}{cycle}"),
        _ => format!("{prefix}{cycle}.{}", number.saturating_add(1)),
    };
    GrantId::parse(&text).expect("a valid id")
}
