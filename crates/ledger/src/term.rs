//! A plan that is bought for a year and has months for cycles: when that year is over.
//!
//! A term is counted in cycles: twelve, where they are months, the one in which it begins counted in; one, where they are
//! years. Cancelling ends the plan with its term. Who does not cancel has another term after it. Plans that have terms
//! follow each other within one; what a change brings, and when, has nothing to do with it. Not here: the calendar.

use crate::plan::Subscription;
use crate::workspace::Workspace;
use types::{CycleNumber, CycleRule, Every};

/// What a plan is bought for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanTerm {
    Cycle,
    Year,
}

const MONTHS: u32 = 12;

impl Workspace {
    /// The last cycle of the term that the subscription is in now, with the plan that it has.
    pub(crate) fn term_of(&self, subscription: &Subscription) -> Option<CycleNumber> {
        match subscription.plan.as_ref()?.term {
            PlanTerm::Cycle => None,
            PlanTerm::Year => {
                let running = subscription.term.filter(|last| *last >= self.cycle);
                Some(running.unwrap_or_else(|| self.last_of_term_from(self.cycle)))
            }
        }
    }

    fn last_of_term_from(&self, first: CycleNumber) -> CycleNumber {
        let cycles = match self.cycle_rule.as_ref().map(CycleRule::days).map(|days| days.every) {
            Some(Every::Year) => 1,
            Some(Every::Month) | None => MONTHS,
        };
        (1..cycles).fold(first, |cycle, _| cycle.next())
    }

    /// Cycles are years from now on, or months: a term that was counted in months is no dozen of years, and ends with the first.
    pub(crate) fn term_goes_by_rule(&mut self) {
        let last = self.last_of_term_from(self.cycle);
        if let Some(term) = self.subscription.as_deref_mut().and_then(|known| known.term.as_mut()) {
            *term = last.min(*term);
        }
    }

    /// How many cycles of the term come after this one.
    pub fn term_goes_on_for(&self) -> Option<u32> {
        let last = self.subscription.as_deref()?.term?;
        Some(last.0.saturating_sub(self.cycle.0))
    }
}
