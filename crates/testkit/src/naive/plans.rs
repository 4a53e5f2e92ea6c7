//! Plans of the naive pool: what is owed for a cycle and what was given, each a plain number.

use super::{Allowed, Grant, NotAllowed, Pool};
use ledger::{
    GrantKind, GrantState, MidCycle, NewGrant, Next, OverageRule, Plan, PlanChange, PlanTerm, Prices,
    Rollover, Term, When, Workspace,
};
use std::collections::BTreeSet;
use types::{Credits, Currency, Feature, GrantId, Money, Timestamp};

const KINDS: [(&str, GrantKind); 2] = [("plan", GrantKind::Plan), ("seats", GrantKind::Seat)];

#[derive(Clone, Debug, Default)]
pub struct Subscribed {
    plan: Option<Plan>,
    next: Option<Next>,
    /// The most that there were in this cycle.
    seats: u64,
    /// For the allowance, for seats.
    owed: [u64; 2],
    given: [u64; 2],
    /// What the largest plan of the cycle owes for all of it.
    most: [u64; 2],
    /// What the cycle costs in money, and what its dearest plan costs for all of it.
    cost: Option<(Currency, [u64; 2])>,
    /// So many cycles of a year come after this one.
    left_of_term: Option<u64>,
}

impl Subscribed {
    fn paid_seats(&self) -> u64 {
        let costs = |price: Option<Money>| price.is_some_and(|price| price.micros() > 0);
        let are_paid = |plan: &&Plan| !plan.per_seat.is_zero() || costs(plan.prices.seat);
        self.plan.as_ref().filter(are_paid).map_or(0, |_| self.seats)
    }

    fn whole_cost(&self) -> u64 {
        let micros = |price: Option<Money>| price.map_or(0, Money::micros);
        let of = |plan: &Plan| micros(plan.prices.cycle) + micros(plan.prices.seat) * self.seats;
        self.plan.as_ref().map_or(0, of)
    }

    fn whole(&self) -> [u64; 2] {
        let of = |plan: &Plan| [plan.allowance.micros(), plan.per_seat.micros() * self.seats];
        self.plan.as_ref().map_or([0; 2], of)
    }
}

impl Pool {
    pub(super) fn change_plan(&mut self, change: &PlanChange, now: Timestamp) -> Allowed {
        match change {
            PlanChange::Set { plan, when } if !self.takes_prices(plan, *when) => return Err(NotAllowed),
            PlanChange::Set { plan, when: When::Now } => {
                let paid = self.subscribed.get_or_insert_default().paid_seats();
                self.subscribed.get_or_insert_default().next = None;
                self.owe(plan, self.seats().max(paid), now, [0, 1]);
                // What seats have too much of is free before it is taken back.
                self.share_out(&BTreeSet::new());
                self.give_what_is_owed(plan, now, [0, 1]);
                let known = self.subscribed.as_mut().expect("as above");
                known.left_of_term = left_of_term(plan, known.left_of_term);
            }
            PlanChange::Set { plan, when: When::NextCycle } => {
                let known = self.subscribed.get_or_insert_default();
                known.next = (known.plan.as_ref() != Some(plan)).then(|| Next::Plan(plan.clone()));
            }
            PlanChange::Cancel => {
                let known = self.subscribed.as_mut().ok_or(NotAllowed)?;
                known.next = Some(Next::Ends);
                self.subscribed.take_if(|known| known.plan.is_none());
            }
        }
        Ok(())
    }

    /// One currency a plan, and one a cycle.
    fn takes_prices(&self, plan: &Plan, when: When) -> bool {
        let known = self.subscribed.as_ref().and_then(|known| known.cost).filter(|_| when == When::Now);
        let mut currencies: BTreeSet<Currency> = known.into_iter().map(|(currency, _)| currency).collect();
        currencies.extend(prices(plan).map(Money::currency));
        currencies.len() <= 1
    }

    /// What this cycle costs, and how much longer the term is.
    pub fn costs_and_lasts(&self) -> (Option<Money>, Option<u64>) {
        let known = self.subscribed.as_ref();
        let cost = known
            .and_then(|known| known.cost)
            .map(|(currency, [owed, _])| Money::from_micros(owed, currency).expect("small"));
        (cost, known.and_then(|known| known.left_of_term))
    }

    /// Members who may spend.
    pub(super) fn seats(&self) -> u64 {
        self.users.values().filter(|user| user.has_seat()).count() as u64
    }

    /// How many are paid for, and what is owed for them.
    pub(super) fn seats_paid(&self) -> (u64, u64) {
        self.subscribed.as_ref().map_or((0, 0), |known| (known.seats, known.owed[1]))
    }

    pub(super) fn overage_of_plan(&self) -> Option<OverageRule> {
        self.subscribed.as_ref()?.plan.as_ref()?.overage
    }

    pub(super) fn plan_has(&self, feature: &Feature) -> bool {
        let plan = self.subscribed.as_ref().and_then(|known| known.plan.as_ref());
        plan.and_then(|plan| plan.features.as_ref()).is_none_or(|features| features.contains(feature))
    }

    pub(super) fn pay_for_new_seats(&mut self, now: Timestamp) {
        let seats = self.seats();
        let Some(Subscribed { plan: Some(plan), seats: paid, .. }) = self.subscribed.clone() else { return };
        if seats > paid {
            self.follow(&plan, seats, now, [1, 1]);
        }
    }

    /// A cycle has begun.
    pub(super) fn renew_plan(&mut self, now: Timestamp) {
        let Some(Subscribed { plan, next, left_of_term: left, .. }) = self.subscribed.take() else { return };
        let left = left.and_then(|left| left.checked_sub(1));
        let (mut ends_later, was) = (None, plan.clone());
        let plan = match next {
            Some(Next::Ends) if left.is_some() => {
                ends_later = Some(Next::Ends);
                was
            }
            None => plan,
            Some(Next::Plan(plan)) => Some(plan),
            Some(Next::Ends) => None,
        };
        if let Some(plan) = plan {
            self.subscribed = Some(Subscribed::default());
            // All of it is left: prorated or not.
            let whole = Plan { mid_cycle: MidCycle::Whole, ..plan.clone() };
            self.follow(&whole, self.seats(), now, [0, 1]);
            let known = self.subscribed.as_mut().expect("just put there");
            (known.left_of_term, known.next) = (left_of_term(&plan, left), ends_later);
            known.plan = Some(plan);
        }
    }

    /// From now on it is this plan with so many seats, as far as `what` is concerned.
    fn follow(&mut self, plan: &Plan, seats: u64, now: Timestamp, what: [usize; 2]) {
        self.owe(plan, seats, now, what);
        self.give_what_is_owed(plan, now, what);
    }

    fn owe(&mut self, plan: &Plan, seats: u64, now: Timestamp, what: [usize; 2]) {
        let known = self.subscribed.as_mut().expect("somebody subscribed");
        let (was, cost) = (known.whole(), known.whole_cost());
        (known.plan, known.seats) = (Some(plan.clone()), seats);
        let (is, dearer) = (known.whole(), known.whole_cost());
        let days = |from: Timestamp, to: Timestamp| (to.since_ms(from) + 86_399_999) / 86_400_000;
        let part = |whole: u64| match self.cycle_ends.first() {
            Some(end) => {
                let (left, all) = (days(now, *end), days(self.calendar_starts_at, *end));
                u64::try_from(i128::from(whole) * i128::from(left) / i128::from(all)).expect("a part of it")
            }
            None => whole,
        };
        let currency = known.cost.map(|(currency, _)| currency);
        if let Some(currency) = currency.or_else(|| prices(plan).next().map(Money::currency)) {
            let [owed, most] = known.cost.map_or([0; 2], |(_, cost)| cost);
            let most = most.max(dearer);
            let owed = match plan.mid_cycle {
                MidCycle::Whole => dearer,
                MidCycle::Prorated => most.min(owed.saturating_sub(part(cost)) + part(dearer)),
            };
            known.cost = Some((currency, [owed, most]));
        }
        for what in what[0]..=what[1] {
            known.most[what] = known.most[what].max(is[what]);
            let so_far = known.owed[what].saturating_sub(part(was[what])) + part(is[what]);
            known.owed[what] = match plan.mid_cycle {
                MidCycle::Whole => is[what],
                MidCycle::Prorated => so_far.min(known.most[what]),
            };
        }
    }

    fn give_what_is_owed(&mut self, plan: &Plan, now: Timestamp, what: [usize; 2]) {
        // A new seat takes nothing away.
        let is_change = what[0] == 0;
        for what in what[0]..=what[1] {
            let Subscribed { owed, given, .. } = self.subscribed.as_ref().expect("as above");
            let (owed, given) = (owed[what], given[what]);
            let too_much = if is_change { given.saturating_sub(owed) } else { 0 };
            let taken = self.take_from_plan(what, too_much);
            self.give(what, plan, owed.saturating_sub(given), now);
            self.subscribed.as_mut().expect("as above").given[what] = given.max(owed) - taken;
        }
    }

    fn give(&mut self, what: usize, plan: &Plan, amount: u64, now: Timestamp) {
        if amount == 0 {
            return;
        }
        let ids = self.given_by_plan(what);
        let same = |grant: &Grant| {
            grant.ended.is_none()
                && grant.made.paid == plan.paid
                && grant.made.term == Term::Cycle(plan.rollover)
        };
        if let Some(id) = ids.iter().find(|id| same(&self.grants[*id])) {
            let made = &mut self.grants.get_mut(id).expect("just found").made;
            made.amount = Credits::from_micros(made.amount.micros() + amount).expect("small");
            return;
        }
        let new = NewGrant {
            id: self.plan_grant(what, ids.len()),
            kind: KINDS[what].1,
            amount: Credits::from_micros(amount).expect("small"),
            priority: ledger::limits::PRIORITY_DEFAULT,
            paid: plan.paid,
            starts_at: Some(self.cycle_starts_at),
            expires_at: None,
            term: Term::Cycle(plan.rollover),
            price: None,
        };
        self.make_grant(&new, now).expect("nobody else has such ids");
    }

    fn take_from_plan(&mut self, what: usize, amount: u64) -> u64 {
        let mut left = amount;
        for id in self.given_by_plan(what).iter().rev() {
            let part = left.min(self.free_on(id));
            let made = &mut self.grants.get_mut(id).expect("a known grant").made;
            made.amount = made.amount.saturating_sub(Credits::from_micros(part).expect("small"));
            left -= part;
        }
        amount - left
    }

    fn plan_grant(&self, what: usize, number: usize) -> GrantId {
        let first = format!("{}:{}", KINDS[what].0, self.cycle);
        let text = if number == 0 { first } else { format!("{first}.{}", number + 1) };
        GrantId::parse(&text).expect("a valid id")
    }

    pub(super) fn given_by_plan(&self, what: usize) -> Vec<GrantId> {
        let ids = (0..).map(|number| self.plan_grant(what, number));
        ids.take_while(|id| self.grants.contains_key(id)).collect()
    }

    /// How much of what was given nobody used is not to be known here where credits are out on leases: `ledger`, just
    /// after the change, says what it took back.
    pub fn took_back_as(&mut self, ledger: &Workspace) {
        for what in 0..KINDS.len() {
            for id in self.given_by_plan(what) {
                let theirs = ledger.grant_ids.get(&id).map(|no| ledger.grant(*no));
                let made = &mut self.grants.get_mut(&id).expect("a known grant").made;
                if let Some(theirs) = theirs.filter(|theirs| theirs.state == GrantState::Live)
                    && let Some(known) = &mut self.subscribed
                {
                    known.given[what] =
                        known.given[what] + theirs.books.amount.micros() - made.amount.micros();
                    made.amount = theirs.books.amount;
                }
            }
        }
    }
}

fn prices(plan: &Plan) -> impl Iterator<Item = Money> {
    let Prices { cycle, seat, overage } = plan.prices;
    [cycle, seat, overage].into_iter().flatten()
}

/// Of the year that a plan is bought for, where there is none yet; histories have months.
fn left_of_term(plan: &Plan, left: Option<u64>) -> Option<u64> {
    match plan.term {
        PlanTerm::Cycle => None,
        PlanTerm::Year => Some(left.unwrap_or(11)),
    }
}

/// A plan that gives nothing, for tests to build on.
pub fn plan(id: &str) -> Plan {
    let (allowance, per_seat) = (Credits::ZERO, Credits::ZERO);
    let (rollover, mid_cycle) = (Rollover::NONE, MidCycle::Whole);
    let id = id.parse().expect("a valid id");
    let (prices, term) = (Prices::NONE, PlanTerm::Cycle);
    let (paid, overage, features, name) = (true, None, None, None);
    Plan { id, name, allowance, per_seat, paid, rollover, mid_cycle, overage, features, prices, term }
}
