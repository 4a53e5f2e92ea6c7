//! Holders' messages: a line's numbers are merged, then its wish is granted or denied.
//!
//! Not here: how much to ask for and when (`leasing`); recalls and waiting (the leader's desk).

use crate::chain::{Takes, takes_of};
use crate::command::{HolderBatch, LineMessage, Used, Wish};
use crate::grant::{Grant, GrantState, ReturnedTo};
use crate::limits;
use crate::line::{Growth, Line};
use crate::meters::check_meters;
use crate::outcome::{Denial, DenialReason, LineAnswer, LineRejection, LineResult};
use crate::window::LimitHit;
use crate::workspace::Workspace;
use types::planted::{Mistake, is_planted};
use types::{Backing, Credits, Enforcement, LineId, LineNumber, Source, Timestamp};

impl Workspace {
    /// Takes one message. `fenced`: the holder was declared lost, so only final closes count, as evidence.
    pub(crate) fn apply_line(
        &mut self,
        batch: &HolderBatch,
        message: &LineMessage,
        fenced: bool,
        at: Timestamp,
    ) -> LineAnswer {
        let id = batch.line_id(message);
        let result = match self.decide_line(id, message, fenced) {
            Err(rejection) => LineResult::Rejected(rejection),
            Ok(LineStep::AlreadyGone) => {
                self.raise_highest(id);
                LineResult::Closed
            }
            Ok(LineStep::Evidence(growth)) => {
                self.commit_evidence(id, &growth);
                let by_meter = self.commit_meters(id, &message.used);
                self.name_scopes(id, &by_meter, at);
                self.fold_line(id);
                LineResult::Closed
            }
            Ok(LineStep::Numbers(growth)) => {
                self.commit_numbers(id, message, &growth, at);
                self.grant_wish(id, message, batch.recalled, at)
            }
        };
        LineAnswer { number: message.number, result }
    }

    /// Whether applying these messages could change anything but the time they were heard at. Checkers hold what an entry
    /// did against it: every message becomes one.
    pub fn would_change(&self, batch: &HolderBatch, fenced: bool, at: Timestamp) -> bool {
        batch.lines.iter().any(|message| {
            let id = batch.line_id(message);
            match self.decide_line(id, message, fenced) {
                Err(_) => false,
                Ok(LineStep::AlreadyGone | LineStep::Evidence(_)) => true,
                Ok(LineStep::Numbers(growth)) => {
                    let draws = match message.wish {
                        Wish::Report => false,
                        Wish::Close => true,
                        Wish::Draw { .. } => {
                            let takes = self.decide_draw(id, message, batch.recalled, at);
                            takes.is_ok_and(|takes| !takes.is_empty() || self.opens(id, message))
                        }
                    };
                    draws || growth.iter().any(|step| !step.is_nothing())
                }
            }
        })
    }

    fn decide_line(
        &self,
        id: LineId,
        message: &LineMessage,
        fenced: bool,
    ) -> Result<LineStep, LineRejection> {
        let closes = message.wish == Wish::Close;
        let Some(line) = self.lines.get(&id) else {
            return self.decide_unknown_line(id, message, closes, fenced);
        };
        if line.user != message.user || line.cycle != message.cycle || line.scope != message.scope {
            return Err(LineRejection::OtherLine);
        }
        check_meters(&message.used)?;
        if line.written_off {
            if !closes {
                return Err(LineRejection::WrittenOff);
            }
            let growth = line.evidence(&message.used)?;
            self.check_meters_grow_alike(line, &message.used, &growth)?;
            return Ok(LineStep::Evidence(growth));
        }
        let growth = line.growth(&message.returned, &message.used)?;
        self.check_meters_grow_alike(line, &message.used, &growth)?;
        Ok(LineStep::Numbers(growth))
    }

    fn decide_unknown_line(
        &self,
        id: LineId,
        message: &LineMessage,
        closes: bool,
        fenced: bool,
    ) -> Result<LineStep, LineRejection> {
        let highest = self.highest_line.get(&id.holder).copied().unwrap_or(LineNumber(0));
        let opens_again = is_planted(Mistake::ClosedOpensAgain) && !closes && !fenced;
        let is_over = id.number <= highest && !opens_again;
        if is_over || fenced && !is_planted(Mistake::FencedDraws) {
            return Err(LineRejection::StaleLine { highest });
        }
        if closes {
            // Opened at the holder, but no draw of it ever got here.
            return Ok(LineStep::AlreadyGone);
        }
        if message.cycle != self.cycle {
            return Err(LineRejection::OtherCycle { now: self.cycle });
        }
        let spent_nothing = message.returned.iter().all(|(_, r)| r.is_zero())
            && message.used.by_backing.iter().all(|(_, u, z)| u.is_zero() && z.is_zero());
        if !spent_nothing {
            return Err(LineRejection::BeyondDrawn);
        }
        let is_like = |l: &&LineId| l.holder == id.holder && self.lines[*l].scope.is_like(&message.scope);
        let alike = |user: &crate::User| user.lines.iter().filter(is_like).count();
        if self.user(&message.user).map_or(0, alike) >= limits::LINES_PER_HOLDER_AND_SCOPE_MAX {
            return Err(LineRejection::TooManyLines);
        }
        Ok(LineStep::Numbers(Vec::new()))
    }

    pub(crate) fn raise_highest(&mut self, id: LineId) {
        let highest = self.highest_line.entry(id.holder).or_insert(id.number);
        *highest = (*highest).max(id.number);
    }

    /// Books what a message's numbers added: use is charged, returns go back to their grant and earmark.
    fn commit_numbers(&mut self, id: LineId, message: &LineMessage, growth: &[Growth], at: Timestamp) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        line.grow(growth);
        line.heard_at = line.heard_at.max(at);
        line.held = message.held;
        line.confirmed = message.confirmed;
        let by_meter = self.commit_meters(id, &message.used);
        let charged = growth.iter().flat_map(|step| [step.used, step.unattributed]);
        let charged = Credits::checked_sum(charged).expect("parts of one pool");
        self.count_scopes(id, &by_meter, charged, at);
        for step in growth.iter().filter(|step| !step.is_nothing()) {
            let spent = step.used.checked_add(step.unattributed).expect("parts of one pool");
            self.on_grant(step.backing.grant, |g| g.book_used(step.used, step.unattributed));
            if self.is_late(id) {
                self.charge_before(step);
            }
            self.book_used(id, step.backing, spent, at);
            self.take_back(id, step.backing, step.returned, at);
        }
        self.lapse_pledges(id);
        self.part_of_line_follows(id, at);
    }

    fn part_of_line_follows(&mut self, id: LineId, at: Timestamp) {
        let user = self.lines[&id].draws_on().clone();
        self.part_gets_back(&user, at);
        self.make_up_for_shortfalls(at);
    }

    /// What a line tells now was charged in a cycle that has ended.
    fn is_late(&self, id: LineId) -> bool {
        self.lines[&id].cycle < self.cycle && !is_planted(Mistake::LateChargeHere)
    }

    /// Takes `amount` off what is out for the line's user, and of what it was drawn from.
    fn book_out(&mut self, id: LineId, backing: Backing, amount: Credits) {
        let line = &self.lines[&id];
        let (user, team, scope) = (line.user.clone(), line.team.clone(), line.scope.clone());
        let behind = self.still_behind(line, backing.source);
        if let Some(whose) = line.chain_of.clone() {
            self.user_mut(&whose).by_services_mut().out.shrink(amount);
        }
        self.user_mut(&user).out.shrink(amount);
        self.in_teams_from(team, |team| team.out.shrink(amount));
        self.in_scopes(&scope, |of| of.out.shrink(amount));
        if backing.source == Source::Shared && self.grant(backing.grant).state == GrantState::Live {
            self.shared_out.shrink(amount);
        }
        if let Some((owner, no)) = behind
            && let Some(allocation) = self.current_allocation(&owner, no)
        {
            allocation.out.shrink(amount);
        }
    }

    /// The same where it was charged.
    fn book_used(&mut self, id: LineId, backing: Backing, amount: Credits, at: Timestamp) {
        self.book_out(id, backing, amount);
        let line = &self.lines[&id];
        let (user, behind) = (line.user.clone(), self.still_behind(line, backing.source));
        let (chain_of, team) = (line.chain_of.clone(), line.team.clone());
        let is_late = self.is_late(id);
        self.count(&user, team.as_ref(), amount, at);
        if let Some(whose) = &chain_of {
            self.charge_for_service(whose, amount, at);
        }
        let entry = self.user_mut(&user);
        if is_late {
            entry.late.grow(amount);
            entry.past.grow(amount);
        } else {
            entry.used.grow(amount);
            if matches!(backing.source, Source::Allocation | Source::Shared) {
                self.user_mut(chain_of.as_ref().unwrap_or(&user)).of_share.grow(amount);
            }
        }
        if let Some((owner, no)) = behind
            && let Some(allocation) = self.current_allocation(&owner, no)
        {
            allocation.used.grow(amount);
        }
    }

    fn take_back(&mut self, id: LineId, backing: Backing, amount: Credits, at: Timestamp) {
        if amount.is_zero() {
            return;
        }
        let line = &self.lines[&id];
        let (user, drawn_in) = (line.user.clone(), line.cycle);
        let current = self.still_behind(line, backing.source);
        let back = match backing.source {
            Source::Overage => {
                self.strike_overage(drawn_in, &user, amount, at, Grant::unmake);
                Credits::ZERO
            }
            Source::Allocation | Source::Reserve(_) if current.is_some() => amount,
            // Set aside for nobody any more.
            Source::Allocation | Source::Shared | Source::Reserve(_) => {
                let pays = self.pay_overage(drawn_in, backing.grant, None, amount, at);
                self.on_grant(backing.grant, |g| g.pay_overage(pays));
                amount.saturating_sub(pays)
            }
        };
        let to = self.on_grant(backing.grant, |g| g.take_back(back, drawn_in));
        self.book_out(id, backing, amount);
        // Where the grant or its cycle has ended there is nothing to pay with: what cannot be paid any more lapses.
        if backing.source.is_set_aside() && to == ReturnedTo::Available {
            let shared = self.grant(backing.grant).shared().saturating_sub(back);
            let for_donor = self.pay_pledges(id, backing, back);
            if let Some((owner, no)) = current.filter(|_| !is_planted(Mistake::ReturnLosesEarmark)) {
                let pays = self.pay_overage(drawn_in, backing.grant, Some((&owner, no)), for_donor, at);
                self.on_grant(backing.grant, |g| g.pay_overage_of_available(pays));
                self.set_aside(&owner, no, backing.grant, for_donor.saturating_sub(pays));
                // What was cut off it meanwhile.
                let free = self.grant(backing.grant).shared().saturating_sub(shared);
                let pays = self.pay_overage(drawn_in, backing.grant, None, free, at);
                self.on_grant(backing.grant, |g| g.pay_overage_of_available(pays));
            }
        }
    }

    fn grant_wish(&mut self, id: LineId, message: &LineMessage, recalled: bool, at: Timestamp) -> LineResult {
        let denied = match message.wish {
            Wish::Report => None,
            Wish::Close => {
                self.close(id, at);
                return LineResult::Closed;
            }
            Wish::Draw { .. } => match self.decide_draw(id, message, recalled, at) {
                Ok(takes) => {
                    self.commit_draw(id, message, &takes, at);
                    None
                }
                Err(denial) => Some(denial),
            },
        };
        let line = self.lines.get(&id);
        let drawn = line.map_or_else(Vec::new, |l| l.backings.iter().map(|n| (n.backing, n.drawn)).collect());
        LineResult::Line { drawn, frozen: line.is_some_and(|l| l.frozen), denied }
    }

    /// What the draw may take, or why it gets nothing. `recalled`: what lies idle elsewhere was asked for.
    fn decide_draw(
        &self,
        id: LineId,
        message: &LineMessage,
        recalled: bool,
        at: Timestamp,
    ) -> Result<Takes, Denial> {
        let Wish::Draw { target, floor, need } = message.wish else { return Ok(Takes::new()) };
        let line = self.lines.get(&id);
        self.check_may_draw(line, message)?;
        let drawn = line.map_or(Credits::ZERO, Line::drawn);
        let (target, floor, need) = if is_planted(Mistake::RelativeDraw) && target <= drawn {
            [target, floor, need].map(|asked| asked.saturating_add(drawn)).into()
        } else {
            (target, floor, need)
        };
        let room = self.room_under_limits(id, message, at);
        let mut chain = self.chain(&message.user, at);
        let available = Credits::checked_sum(chain.iter().map(|(_, part)| *part)).expect("parts of one pool");
        // What the holder gave back since it asked is missing from what it counted on: less than both serves nobody there,
        // and two holders could take it from each other by turns. The holder knows, and asks anew.
        let since = line.map_or(Credits::ZERO, |line| line.returned().saturating_sub(message.returned()));
        let waits = floor.min(target) > drawn;
        let floor = floor.min(target).saturating_add(if waits { since } else { Credits::ZERO });
        let denial = |reason, available: Credits, elsewhere| {
            Err(Denial { reason, available: available.min(room), elsewhere })
        };
        if floor > target {
            return denial(DenialReason::Exhausted, available, Credits::ZERO);
        }
        let must = floor.saturating_sub(drawn);
        let want = target.saturating_sub(drawn).min(room);
        let needed = need.min(target).saturating_sub(drawn).max(must);
        let mut left = want.min(self.fair_share(available).max(needed));
        let mut all = available;
        if needed.min(room) > available && (recalled || self.why_short(id, message, None).1.is_zero()) {
            let missing = [want, needed].map(|amount| amount.saturating_sub(available));
            let beyond = self.beyond(&message.user, missing[0], missing[1]);
            // All that is included goes before it.
            chain.extend(beyond);
            all = available.saturating_add(beyond.map_or(Credits::ZERO, |(_, part)| part));
            left = left.max(all);
        }
        let (takes, within_places) = takes_of(chain, line, left);
        if within_places.min(room) >= must {
            return Ok(takes);
        }
        if all.min(room) >= must {
            // There is enough, behind more backings than one line may have: on a new line there is more room.
            return match line {
                Some(_) => denial(DenialReason::Frozen, within_places, Credits::ZERO),
                // What is out of the first ones may come back and suffice.
                None => denial(DenialReason::Exhausted, within_places, self.why_short(id, message, None).1),
            };
        }
        let may_exceed = |missing| self.overage_room(&message.user).is_some_and(|room| room >= missing);
        let by_limit = room < must && (available >= must || may_exceed(must.saturating_sub(available)));
        let by_limit = by_limit.then(|| self.limit_hit(id, message, must, at)).flatten();
        let is_by_limit = by_limit.is_some();
        let (reason, elsewhere) = self.why_short(id, message, by_limit);
        let denied = Denial { reason, available: all.min(room), elsewhere };
        let is_recalled = recalled || elsewhere.is_zero();
        Err(if is_recalled && !is_by_limit { self.denied_by_cap(id, &message.user, denied) } else { denied })
    }

    /// Whether the line draws at all, and its user may spend.
    fn check_may_draw(&self, line: Option<&Line>, message: &LineMessage) -> Result<(), Denial> {
        let no = |reason| Err(Denial { reason, available: Credits::ZERO, elsewhere: Credits::ZERO });
        if !self.limited.has(&message.scope) && !is_planted(Mistake::FrozenDraws) {
            return no(DenialReason::ScopesChanged);
        }
        // What would have been refused to who may not spend is counted on a line of his own that has nothing.
        let is_counted = self.enforcement == Enforcement::Shadow && is_to_nothing(message);
        let plan = self.plan_without(&message.scope).filter(|_| !is_counted);
        if let Some(plan) = plan.filter(|_| !is_planted(Mistake::AnyFeature)) {
            return no(DenialReason::FeatureNotInPlan(plan.clone()));
        }
        if line.is_some_and(|l| l.frozen) && !is_planted(Mistake::FrozenDraws) {
            return no(DenialReason::Frozen);
        }
        let user = self.user(&message.user);
        let is_one_too_many = user.is_none() && self.users.len() >= limits::USERS_MAX;
        if !self.is_member(&message.user) && !is_counted || is_one_too_many {
            return no(DenialReason::UnknownUser);
        }
        if !self.may_spend(&message.user) && !is_counted {
            return no(DenialReason::AccessDisabled);
        }
        Ok(())
    }

    /// No holder takes more than half of an equal share ahead of need, so that a pool that runs dry does not end
    /// up with one of them; near the end draws shrink to the exact price.
    pub(crate) fn fair_share(&self, available: Credits) -> Credits {
        let shares = self.highest_line.len().max(1).saturating_mul(2);
        let part = available.micros().checked_div(shares as u64).unwrap_or(0);
        Credits::from_micros(part).unwrap_or(available)
    }

    /// Why a draw falls short, and how much is out elsewhere that could serve it if it came back.
    fn why_short(
        &self,
        id: LineId,
        message: &LineMessage,
        by_limit: Option<(LimitHit, Credits)>,
    ) -> (DenialReason, Credits) {
        let here = |source| self.lines.get(&id).map_or(Credits::ZERO, |l| l.outstanding_from(source));
        let user = self.chain_user(&message.user);
        if let Some((hit, elsewhere)) = by_limit {
            return (DenialReason::LimitReached(hit), elsewhere);
        }
        let allocation = user.and_then(|u| u.allocation.as_ref());
        let own_out = allocation.map_or(Credits::ZERO, |a| a.out.saturating_sub(a.pledged));
        let own_elsewhere = own_out.saturating_sub(here(Source::Allocation));
        let reserved = self.reserves_of(user).map(|(source, reserve)| {
            reserve.out.saturating_sub(reserve.pledged).saturating_sub(here(source))
        });
        let reserved = reserved.fold(Credits::ZERO, Credits::saturating_add);
        if !self.chain_may_share(user) {
            let own = self.comes_back_to_his_part(&message.user, id).unwrap_or(own_elsewhere);
            return (DenialReason::AllocationExhausted, own.saturating_add(reserved));
        }
        let shared_elsewhere = self.shared_out.saturating_sub(here(Source::Shared));
        let shared_elsewhere = shared_elsewhere.saturating_add(self.paid_for_what_is_out());
        let elsewhere = own_elsewhere.saturating_add(shared_elsewhere).saturating_add(reserved);
        (DenialReason::Exhausted, elsewhere)
    }

    /// A draw to nothing at all wants the line to be there: what costs nothing is counted on it.
    fn opens(&self, id: LineId, message: &LineMessage) -> bool {
        is_to_nothing(message) && !self.lines.contains_key(&id)
    }

    fn commit_draw(
        &mut self,
        id: LineId,
        message: &LineMessage,
        takes: &[(Backing, Credits)],
        at: Timestamp,
    ) {
        if takes.is_empty() && !self.opens(id, message) {
            return;
        }
        let user = message.user.clone();
        if !self.lines.contains_key(&id) {
            // Known from now on, but no number is passed over: draws of several users may overtake each other.
            self.highest_line.entry(id.holder).or_insert(LineNumber(0));
            let chain_of = self.other_chain_of(&user);
            if let Some(whose) = &chain_of {
                self.user_mut(whose).by_services_mut().lines.push(id);
            }
            // Of the team that he draws in here, whatever the holder knew.
            let team = self.team_of(self.chain_of(&user)).cloned();
            let scope = message.scope.clone();
            self.lines.insert(id, Line::new(user.clone(), chain_of, message.cycle, team, scope, at));
            self.user_mut(&user).lines.push(id);
        }
        for (backing, amount) in takes {
            let behind = self.drawn_by(&user, backing.source);
            if backing.source == Source::Overage {
                self.make_overage(*backing, &user, *amount, at);
            }
            self.on_grant(backing.grant, |g| g.draw(*amount, behind.is_some()));
            let line = self.lines.get_mut(&id).expect("made above");
            line.backing_mut(*backing).drawn.grow(*amount);
            if let Some((owner, no)) = behind {
                line.set_behind(backing.source, no);
                let set_aside = self.current_allocation(&owner, no).expect("drawn on it");
                set_aside.earmarks.remove(backing.grant, *amount);
                set_aside.out.grow(*amount);
            } else if backing.source == Source::Shared {
                self.shared_out.grow(*amount);
            }
            self.user_mut(&user).out.grow(*amount);
            let line = &self.lines[&id];
            let (chain_of, team, scope) = (line.chain_of.clone(), line.team.clone(), line.scope.clone());
            if let Some(whose) = chain_of {
                self.user_mut(&whose).by_services_mut().out.grow(*amount);
            }
            self.in_teams_from(team, |team| team.out.grow(*amount));
            self.in_scopes(&scope, |of| of.out.grow(*amount));
        }
        self.part_follows(&user);
    }

    /// The holder's final word: what it neither used nor returned it never had, and comes back.
    fn close(&mut self, id: LineId, at: Timestamp) {
        let Some(line) = self.lines.get(&id) else { return };
        let rest: Vec<(Backing, Credits)> =
            line.backings.iter().map(|n| (n.backing, n.outstanding())).collect();
        for (backing, amount) in rest {
            let line = self.lines.get_mut(&id).expect("closed at the end");
            line.backing_mut(backing).returned.grow(amount);
            self.take_back(id, backing, amount, at);
        }
        self.lapse_pledges(id);
        self.part_of_line_follows(id, at);
        self.fold_line(id);
    }

    /// Charges all that is out on a line whose holder is declared lost.
    pub(crate) fn write_off(&mut self, id: LineId, at: Timestamp) -> Credits {
        let Some(line) = self.lines.get(&id).filter(|line| !line.written_off) else { return Credits::ZERO };
        let out: Vec<(Backing, Credits)> =
            line.backings.iter().map(|n| (n.backing, n.outstanding())).collect();
        let mut total = Credits::ZERO;
        for (backing, amount) in out {
            let line = self.lines.get_mut(&id).expect("found above");
            line.backing_mut(backing).written_off.grow(amount);
            self.on_grant(backing.grant, |g| g.write_off(amount));
            if self.is_late(id) {
                self.spent_before.written_off.grow(amount);
            }
            self.book_used(id, backing, amount, at);
            total.grow(amount);
        }
        self.count_scopes(id, &[], total, at);
        let line = self.lines.get_mut(&id).expect("found above");
        line.written_off = true;
        if line.frozen {
            line.frozen = false;
            self.frozen_out = self.frozen_out.saturating_sub(1);
        }
        self.lapse_pledges(id);
        total
    }

    /// R7: evidence re-labels what was written off as used. It makes nothing available.
    fn commit_evidence(&mut self, id: LineId, growth: &[Growth]) {
        let is_late = self.is_late(id);
        for step in growth.iter().filter(|step| !step.is_nothing()) {
            let line = self.lines.get_mut(&id).expect("decided on it");
            let numbers = line.backing_mut(step.backing);
            let relabelled = step.used.checked_add(step.unattributed).expect("parts of one pool");
            numbers.written_off.shrink(relabelled);
            numbers.used.grow(step.used);
            numbers.unattributed.grow(step.unattributed);
            if is_late {
                self.spent_before.written_off.shrink(relabelled);
                self.charge_before(step);
            }
            self.on_grant(step.backing.grant, |g| g.relabel(step.used, step.unattributed));
        }
    }

    /// What a planted mistake takes for given back.
    fn taken_for_returned(&mut self, id: LineId, at: Timestamp) {
        let Some(line) = self.lines.get(&id).filter(|line| !line.written_off) else { return };
        let out: Vec<_> = line.backings.iter().map(|n| (n.backing, n.outstanding())).collect();
        for (backing, amount) in out {
            let line = self.lines.get_mut(&id).expect("found above");
            line.backing_mut(backing).returned.grow(amount);
            self.take_back(id, backing, amount, at);
        }
        self.part_of_line_follows(id, at);
    }

    /// Before a batch is taken: mistakes about lines whose holders have said nothing. Without one nothing is looked at.
    pub(crate) fn make_mistakes_about_silence(&mut self, at: Timestamp) {
        const LONG_MS: i64 = 3_000;
        if !is_planted(Mistake::SilenceReturns) && !is_planted(Mistake::RecallAtDeadline) {
            return;
        }
        let wrongly = |line: &Line| {
            is_planted(Mistake::SilenceReturns) && at.since_ms(line.heard_at) > LONG_MS
                || is_planted(Mistake::RecallAtDeadline) && line.frozen
        };
        let ids: Vec<LineId> =
            self.lines.iter().filter(|(_, line)| wrongly(line)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.taken_for_returned(id, at));
    }
}

fn is_to_nothing(message: &LineMessage) -> bool {
    matches!(message.wish, Wish::Draw { target, .. } if target.is_zero())
}

enum LineStep {
    /// Merge these and see to the wish.
    Numbers(Vec<Growth>),
    /// Late proof of what a lost holder used.
    Evidence(Vec<Growth>),
    /// Nothing of the line ever got here, and now nothing will.
    AlreadyGone,
}

impl Line {
    /// What final numbers tell about a line that was written off: at most what was written off.
    fn evidence(&self, used: &Used) -> Result<Vec<Growth>, LineRejection> {
        let mut open = self.clone();
        for numbers in &mut open.backings {
            numbers.written_off = Credits::ZERO;
        }
        open.growth(&[], used)
    }
}

impl crate::User {
    /// Charged in all cycles.
    pub fn charged(&self) -> Credits {
        self.used.saturating_add(self.past)
    }
}
