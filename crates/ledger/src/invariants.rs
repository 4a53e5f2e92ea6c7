//! The ledger's invariants as functions named as sentences, recounted in full. S1 and S2 are asserted on running
//! totals after every command as well; this is the slow second opinion that tests and operators ask for.

use crate::allocation::Earmarks;
use crate::plan::Due;
use crate::schedule::{Agenda, Schedule};
use crate::workspace::Workspace;
use crate::{GrantBooks, State};
use std::collections::BTreeMap;
use types::{ByGrant, Credits, GrantId, GrantNo, Source, WorkspaceId};

/// A sentence that turned out to be untrue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    pub workspace: WorkspaceId,
    pub what: String,
}

/// Every term of S1 for one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conservation {
    pub workspace: WorkspaceId,
    pub grants: Vec<GrantTerms>,
    pub violations: Vec<Violation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTerms {
    pub grant: GrantId,
    pub books: GrantBooks,
    /// Recounted from the open lines.
    pub out_on_lines: Credits,
}

impl State {
    /// Every broken sentence in every workspace; empty when the books are right.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found: Vec<Violation> =
            self.workspaces.values().flat_map(|workspace| workspace.violations()).collect();
        let mut schedule = Schedule::default();
        self.workspaces.values().for_each(|workspace| schedule.note(workspace, Agenda::default()));
        if schedule != self.schedule {
            let what = format!("{:?}, of the workspaces {schedule:?}", self.schedule);
            let workspace = self.workspaces.keys().next().expect("a schedule is of workspaces").clone();
            found.push(Violation { invariant: "S18 the schedule has what is due", workspace, what });
        }
        found
    }
}

impl Workspace {
    pub fn conservation(&self) -> Conservation {
        let out = self.out_by_grant();
        let terms = |grant: &crate::Grant| GrantTerms {
            grant: grant.id.clone(),
            books: grant.books,
            out_on_lines: out.get(&grant.no).copied().unwrap_or(Credits::ZERO),
        };
        let grants = self.grants.iter().map(terms).collect();
        Conservation { workspace: self.id.clone(), grants, violations: self.violations() }
    }

    pub fn violations(&self) -> Vec<Violation> {
        let checks: [(&'static str, Option<String>); 31] = [
            ("S1 each grant is conserved", self.each_grant_is_conserved()),
            ("S1 what is out is what lines have out", self.what_is_out_is_what_lines_have_out()),
            ("S1 running totals are the sums over grants", self.totals_are_the_sums_over_grants()),
            ("S2 no line settles more than was drawn", self.no_line_settles_more_than_was_drawn()),
            ("S6 every allocation is funded by named grants", self.every_allocation_is_funded()),
            ("reserves' sums are what lines say", self.reserves_sums_are_what_lines_say()),
            ("teams are a forest of bounded depth", self.teams_are_a_forest()),
            (
                "S6 what is out in teams is what lines have out",
                self.what_is_out_in_teams_is_what_lines_have_out(),
            ),
            ("S6 scopes count what lines have out", self.scopes_count_what_lines_have_out()),
            ("lines that draw are of the list of now", self.lines_that_draw_are_of_the_list()),
            ("S8 usage by meter sums to used", self.usage_by_meter_sums_to_used()),
            ("users' sums are what their lines say", self.users_sums_are_what_their_lines_say()),
            ("every intent is moved, pending or lapsed", self.every_intent_is_moved_pending_or_lapsed()),
            ("S9 no line of an ended cycle draws", self.no_line_of_an_ended_cycle_draws()),
            ("S9 what was charged is of this cycle or of one before", self.charges_are_of_their_cycles()),
            ("S18 nothing that is due is passed over", self.nothing_due_is_passed_over()),
            ("seats are members with AI access", self.seats_are_counted()),
            ("services have owners and share once", self.services_have_owners_and_share_once()),
            ("chains know their services' lines", self.chains_know_their_services_lines()),
            ("a plan gives a cycle no more than its largest one", self.plans_give_no_more_than_the_largest()),
            ("what the plan has is allowed", self.what_the_plan_has_is_allowed()),
            ("overage is made by draws and paid by returns", self.overage_is_made_by_draws()),
            ("S6 windows count what was charged", self.windows_count_what_was_charged()),
            ("S2 no more is refunded than was charged", self.no_more_is_refunded_than_was_charged()),
            ("S8 refunds are of users and of grants", self.refunds_are_of_users_and_of_grants()),
            (
                "S8 users were charged what the pool was, and what nothing covered",
                self.what_is_uncovered_is_of_users(),
            ),
            ("imports are remembered in order", self.imports_are_remembered_in_order()),
            ("who is short is known by name", self.who_is_short_is_known()),
            ("S6 a seat's part is what is left of its share", self.parts_are_what_is_left_of_shares()),
            ("a share is of a seat", self.shares_are_of_seats()),
            ("nobody is short of what is free", self.nobody_is_short_of_what_is_free()),
        ];
        let broken = checks.into_iter().filter_map(|(invariant, what)| Some((invariant, what?)));
        broken.map(|(invariant, what)| Violation { invariant, workspace: self.id.clone(), what }).collect()
    }

    fn each_grant_is_conserved(&self) -> Option<String> {
        let broken = self.grants.iter().find(|g| !g.books.is_conserved())?;
        Some(format!("{}: {:?}", broken.id, broken.books))
    }

    fn out_by_grant(&self) -> BTreeMap<GrantNo, Credits> {
        let mut out: BTreeMap<GrantNo, Credits> = BTreeMap::new();
        for numbers in self.lines.values().flat_map(|line| &line.backings) {
            out.entry(numbers.backing.grant).or_insert(Credits::ZERO).grow(numbers.outstanding());
        }
        out
    }

    fn what_is_out_is_what_lines_have_out(&self) -> Option<String> {
        let out = self.out_by_grant();
        let broken =
            self.grants.iter().find(|g| g.books.out != out.get(&g.no).copied().unwrap_or(Credits::ZERO))?;
        Some(format!("{}: books say {}, lines say {:?}", broken.id, broken.books.out, out.get(&broken.no)))
    }

    fn totals_are_the_sums_over_grants(&self) -> Option<String> {
        let sum =
            |of: fn(&GrantBooks) -> Credits| Credits::checked_sum(self.grants.iter().map(|g| of(&g.books)));
        let same = |of: fn(&GrantBooks) -> Credits| sum(of) == Some(of(&self.totals));
        let shared = self.counted_shared_out();
        let frozen = self.lines.values().filter(|line| line.frozen).count() as u64;
        let all = same(|b| b.amount)
            && same(|b| b.available)
            && same(|b| b.earmarked)
            && same(|b| b.out)
            && same(|b| b.used)
            && same(|b| b.unattributed)
            && same(|b| b.written_off)
            && same(|b| b.expired)
            && same(|b| b.voided)
            && same(|b| b.refunded)
            && same(|b| b.exposure)
            && same(|b| b.for_overage)
            && shared == self.shared_out
            && frozen == self.frozen_out;
        (!all).then(|| {
            format!("{:?}, shared out {} of {shared}, frozen {frozen}", self.totals, self.shared_out)
        })
    }

    fn no_line_settles_more_than_was_drawn(&self) -> Option<String> {
        let all = self.lines.iter().flat_map(|(id, line)| line.backings.iter().map(move |n| (id, n)));
        let (id, numbers) = all.into_iter().find(|(_, numbers)| !numbers.is_within_drawn())?;
        Some(format!("{id:?}: {numbers:?}"))
    }

    fn every_allocation_is_funded(&self) -> Option<String> {
        let mut earmarked: BTreeMap<GrantNo, Credits> = BTreeMap::new();
        for (_, allocation) in self.allocations() {
            for (grant, amount) in allocation.earmarks.iter() {
                earmarked.entry(grant).or_insert(Credits::ZERO).grow(amount);
            }
        }
        let differs = |g: &&crate::Grant| {
            let sum = earmarked.get(&g.no).copied().unwrap_or(Credits::ZERO);
            sum != g.books.earmarked || sum > g.books.available
        };
        let broken = self.grants.iter().find(differs)?;
        Some(format!("{}: {:?}, allocations say {:?}", broken.id, broken.books, earmarked.get(&broken.no)))
    }

    fn usage_by_meter_sums_to_used(&self) -> Option<String> {
        for (id, line) in &self.lines {
            let used = Credits::checked_sum(line.backings.iter().map(|n| n.used));
            let metered = Credits::checked_sum(line.meters.iter().map(|(_, m)| m.credits));
            let numbers = line.backings.iter();
            let by_backing: ByGrant = numbers.map(|numbers| (numbers.backing.grant, numbers.used)).collect();
            let by_meter: ByGrant =
                line.meters.iter().flat_map(|(_, metered)| metered.by_grant.iter()).collect();
            if used != metered || by_backing != by_meter {
                return Some(format!(
                    "{id:?}: used {used:?}, metered {metered:?}: {by_backing:?}, {by_meter:?}"
                ));
            }
        }
        let metered = Credits::checked_sum(self.usage_parts().map(|(_, _, metered)| metered.credits));
        let used = self.totals.used.checked_add(self.uncovered_in_all());
        let by_grant: ByGrant =
            self.usage_parts().flat_map(|(_, _, metered)| metered.by_grant.iter()).collect();
        let books: ByGrant = self.grants.iter().map(|grant| (grant.no, grant.books.used)).collect();
        if by_grant != books {
            return Some(format!("grants say {books:?} used, metered {by_grant:?}"));
        }
        (metered != used).then(|| format!("used and uncovered {used:?}, metered {metered:?}"))
    }

    fn users_sums_are_what_their_lines_say(&self) -> Option<String> {
        for (name, user) in &self.users {
            let lines = || user.lines.iter().map(|id| &self.lines[id]);
            let out = Credits::checked_sum(lines().map(crate::Line::outstanding));
            if out != Some(user.out) {
                return Some(format!("{name}: out {}, lines say {out:?}", user.out));
            }
            let Some(allocation) = &user.allocation else { continue };
            let all = || user.all_lines().map(|id| &self.lines[id]).filter(|line| line.draws_on() == name);
            let own = || all().filter(|line| line.allocation == Some(allocation.no));
            let out = Credits::checked_sum(own().map(|line| line.outstanding_from(Source::Allocation)));
            let pledged = Credits::checked_sum(own().map(|line| line.pledged_from(Source::Allocation)));
            if out != Some(allocation.out)
                || pledged != Some(allocation.pledged)
                || allocation.pledged > allocation.out
            {
                return Some(format!("{name}: {allocation:?}, lines say out {out:?}, pledged {pledged:?}"));
            }
        }
        let known = self.users.values().map(|user| user.lines.len()).sum::<usize>();
        (known != self.lines.len()).then(|| format!("{} lines, users know {known}", self.lines.len()))
    }

    fn no_line_of_an_ended_cycle_draws(&self) -> Option<String> {
        let draws = |line: &crate::Line| line.cycle < self.cycle && !line.frozen && !line.written_off;
        let (id, line) = self.lines.iter().find(|(_, line)| draws(line) || line.cycle > self.cycle)?;
        Some(format!("{id:?}: {line:?}"))
    }

    fn charges_are_of_their_cycles(&self) -> Option<String> {
        let (totals, before) = (&self.totals, &self.spent_before);
        let is_part = before.used <= totals.used
            && before.unattributed <= totals.unattributed
            && before.written_off <= totals.written_off;
        (!is_part).then(|| format!("{before:?} before, of {totals:?}"))
    }

    fn plans_give_no_more_than_the_largest(&self) -> Option<String> {
        let plan = self.subscription.as_deref()?;
        let over = |due: &Due| due.owed > due.most || due.given > due.most;
        [plan.allowance, plan.for_seats].iter().any(over).then(|| format!("{plan:?}"))
    }

    fn seats_are_counted(&self) -> Option<String> {
        let counted = self.counted_seats();
        (counted != self.seats).then(|| format!("{} are known, {counted} there are", self.seats))
    }

    fn who_is_short_is_known(&self) -> Option<String> {
        let short = self.short_allocations();
        (short != self.short).then(|| format!("{:?}, allocations say {short:?}", self.short))
    }

    fn nobody_is_short_of_what_is_free(&self) -> Option<String> {
        let any = Credits::from_micros(1).filter(|_| !self.short.is_empty())?;
        let (free, missing) = self.fundable_parts(any, None, &Earmarks::default(), self.begun_to);
        missing.is_zero().then(|| format!("{:?} are short, {free:?} is free", self.short))
    }

    fn nothing_due_is_passed_over(&self) -> Option<String> {
        let due = self.first_due();
        (self.next_due != due).then(|| format!("{:?} is noted, {due:?} is due", self.next_due))
    }

    fn every_intent_is_moved_pending_or_lapsed(&self) -> Option<String> {
        for (no, intent) in &self.intents {
            let pending = self.pending_of_intent(*no).into_iter().map(|p| p.amount);
            let sum = Credits::checked_sum(pending.chain([intent.moved, intent.lapsed]));
            if sum != Some(intent.asked) {
                return Some(format!("{no:?}: {intent:?}, sum {sum:?}"));
            }
        }
        None
    }
}
