//! Writes what an administrator's change was decided to do. Nothing here can be refused.
//!
//! Not here: the decisions (`admin`), what returns do to intents (`intent`).

use crate::admin::{Decided, Shift};
use crate::allocation::{Allocation, Earmarks, Overflow, Owner};
use crate::command::{NewGrant, WorkspaceSettings};
use crate::grant::{Grant, GrantState};
use crate::intent::{Intent, Pledge, Recipient};
use crate::outcome::{Event, GrantAnswer, Outcome, ReallocationAnswer};
use crate::workspace::{Member, Workspace};
use types::{Credits, GrantNo, LineId, ReallocationId, Timestamp, UserId};

impl Workspace {
    pub(crate) fn commit(&mut self, plan: Decided, at: Timestamp) -> (Outcome, Vec<Event>) {
        let mut events = Vec::new();
        let outcome = match plan {
            Decided::Replay(outcome) => outcome,
            Decided::Settings { settings, freeze } => {
                self.recall(&freeze, &mut events);
                self.commit_settings(settings, at)
            }
            Decided::MakeGrant(new) => self.commit_grant(new, at),
            Decided::VoidGrant { grant, rebacked, freeze } => {
                self.commit_void(grant, rebacked, at, &mut events, &freeze)
            }
            Decided::Member { user, mut member, freeze } => {
                member.revision = self.next_revision();
                self.put_member(&user, member, at);
                self.recall(&freeze, &mut events);
                Outcome::Member(Box::new(
                    self.member_view(&user, self.shared_at(at), at).expect("just written"),
                ))
            }
            Decided::Allocation { user, standing, overflow, shift, short, freeze } => {
                let owner = Owner::User(user.clone());
                self.commit_allocation(&owner, standing, overflow, shift, short, &mut events);
                self.recall(&freeze, &mut events);
                Outcome::Allocation(self.allocation_answer(&user, at))
            }
            Decided::RemoveAllocation { user, shift } => {
                self.commit_removal(&Owner::User(user.clone()), shift, &mut events);
                self.give_part(&user);
                self.make_up_for_shortfalls(at);
                let answer = self.allocation_answer(&user, at);
                self.drop_nobody(&user);
                Outcome::Allocation(answer)
            }
            Decided::Reallocate { id, from, to, amount, shift } => {
                self.commit_reallocation(&id, &from, &to, amount, shift, at, &mut events)
            }
            Decided::Limits { of, by_window, freeze } => {
                let outcome = self.commit_limits(&of, by_window, at);
                self.recall(&freeze, &mut events);
                outcome
            }
            Decided::Overage { user, rule, freeze } => {
                self.commit_overage(user.as_ref(), rule);
                self.recall(&freeze, &mut events);
                Outcome::Overage(Box::new(self.overage_answer(user.as_ref(), at)))
            }
            Decided::Team { team, change } => self.commit_team(&team, change, at, &mut events),
            Decided::Refund(plan) => self.commit_refund(*plan, at),
            Decided::Imports(items) => self.commit_imports(items, at),
            Decided::Pooling { mode, freeze } => self.commit_pooling(mode, &freeze, at, &mut events),
            Decided::Plan { change, freeze } => {
                self.recall(&freeze, &mut events);
                self.commit_plan(&change, at);
                Outcome::Plan(Box::new(self.plan_answer(at)))
            }
        };
        // Whatever it was that is free now.
        self.make_up_for_shortfalls(at);
        (outcome, events)
    }

    fn put_member(&mut self, user: &UserId, member: Member, at: Timestamp) {
        self.note_other_chain(user, &member);
        let entry = self.user_mut(user);
        let had_seat = entry.has_seat();
        entry.member = Some(Box::new(member));
        let has_seat = entry.has_seat();
        self.note_service(user);
        self.seats = self.seats.saturating_sub(u64::from(had_seat)).saturating_add(u64::from(has_seat));
        let before = self.seats_paid();
        self.seats_changed(at);
        self.seat_moves(user, had_seat, before);
        self.make_up_for_shortfalls(at);
    }

    fn commit_settings(&mut self, settings: WorkspaceSettings, at: Timestamp) -> Outcome {
        self.commit_cycles(&settings, at);
        let WorkspaceSettings { name, membership, durability, enforcement, .. } = settings;
        self.name = name.unwrap_or_else(|| std::mem::take(&mut self.name));
        self.membership = membership.unwrap_or(self.membership);
        self.durability = durability.unwrap_or(self.durability);
        self.enforcement = enforcement.unwrap_or(self.enforcement);
        self.settings = self.next_revision();
        Outcome::Workspace(Box::new(self.view(at)))
    }

    fn commit_grant(&mut self, new: NewGrant, at: Timestamp) -> Outcome {
        let no = GrantNo(u32::try_from(self.grants.len()).expect("bounded by GRANTS_MAX"));
        let revision = self.next_revision();
        let grant = Grant::new(no, new, at, revision);
        self.begun_to = at;
        let answer = grant.answer_when_made();
        self.add_grant(grant);
        Outcome::Grant(Box::new(answer))
    }

    fn commit_void(
        &mut self,
        no: GrantNo,
        rebacked: Vec<(Owner, Earmarks)>,
        at: Timestamp,
        events: &mut Vec<Event>,
        freeze: &[LineId],
    ) -> Outcome {
        if self.grant(no).state == GrantState::Live {
            for (owner, other) in rebacked {
                let moved = other.total();
                self.on_grant(no, |g| g.release(moved));
                let allocation = self.allocation_mut(&owner).expect("decided on an allocation");
                allocation.earmarks.remove(no, moved);
                self.earmark_for(&owner, &other);
            }
            let revision = self.next_revision();
            self.on_grant(no, |g| g.end(GrantState::Voided, revision));
            self.grant_ended();
            self.look_ahead();
            self.recall(freeze, events);
        }
        let pending = self.pending_on(no);
        Outcome::Grant(Box::new(GrantAnswer { grant: self.grant(no).clone(), pending, at }))
    }

    pub(crate) fn commit_allocation(
        &mut self,
        owner: &Owner,
        standing: Option<Credits>,
        overflow: Overflow,
        shift: Shift,
        short: Credits,
        events: &mut Vec<Event>,
    ) {
        let revision = self.next_revision();
        self.give_allocation(owner, overflow);
        self.commit_shift(owner, shift, &Recipient::Shared, None, events);
        let allocation = self.allocation_mut(owner).expect("made above");
        allocation.standing = standing.unwrap_or(allocation.standing);
        allocation.overflow = overflow;
        allocation.of_seat = false;
        allocation.revision = revision;
        self.set_short(owner, short);
    }

    /// All that is unused goes to what is shared, and the allocation or reserve is no more.
    pub(crate) fn commit_removal(&mut self, owner: &Owner, shift: Shift, events: &mut Vec<Event>) {
        self.commit_shift(owner, shift, &Recipient::Shared, None, events);
        if let Some(Allocation { no, used, out, .. }) = self.place_of(owner).take() {
            if let Owner::User(user) = owner
                && (!used.is_zero() || !out.is_zero())
            {
                self.note_lost_allocation(user);
            }
            self.short.remove(&no);
            self.reserves.remove(&no);
        }
        self.next_revision();
    }

    /// Writes a shift of `owner`'s allocation towards `to`. What is released at once has moved; what is pledged
    /// becomes an intent, which a reallocation also keeps when nothing is pending.
    fn commit_shift(
        &mut self,
        owner: &Owner,
        shift: Shift,
        to: &Recipient,
        reallocation: Option<(ReallocationId, Credits)>,
        events: &mut Vec<Event>,
    ) {
        let Shift { fund, release, pledge } = shift;
        self.earmark_for(owner, &fund);
        self.release_for(owner, &release);
        let pledged =
            Credits::checked_sum(pledge.iter().map(|(_, amount)| *amount)).expect("parts of one pool");
        let allocation = self.allocation_mut(owner).expect("a shift is of an allocation");
        allocation.pledged.grow(pledged);
        let from_allocation = allocation.no;
        if pledge.is_empty() && reallocation.is_none() {
            return;
        }
        let no = self.next_intent;
        self.next_intent = no.next();
        for (line, amount) in &pledge {
            let entry = self.lines.get_mut(line).expect("decided on a line");
            let source = entry.source_of(from_allocation).expect("decided on what is out of it there");
            entry.pledges.push(Pledge { intent: no, source, amount: *amount });
        }
        let lines: Vec<LineId> = pledge.into_iter().map(|(line, _)| line).collect();
        self.recall(&lines, events);
        let (id, asked) = reallocation.map_or((None, pledged), |(id, asked)| (Some(id), asked));
        if let Some(id) = &id {
            self.reallocations.insert(id.clone(), no);
        }
        let moved = asked.saturating_sub(pledged);
        let intent = Intent {
            cycle: self.cycle,
            reallocation: id,
            from: owner.clone(),
            from_allocation,
            to: to.clone(),
            asked,
            moved,
            lapsed: Credits::ZERO,
            lines,
            first_answer: None,
        };
        self.intents.insert(no, intent);
    }

    #[expect(clippy::too_many_arguments, reason = "a reallocation is exactly these facts")]
    fn commit_reallocation(
        &mut self,
        id: &ReallocationId,
        from: &UserId,
        to: &UserId,
        amount: Credits,
        shift: Shift,
        at: Timestamp,
        events: &mut Vec<Event>,
    ) -> Outcome {
        let revision = self.next_revision();
        let [donor, receiver] = [from, to].map(|user| Owner::User(user.clone()));
        // Where he has none: so that a gift never shrinks what its receiver may spend.
        let no = self.give_allocation(&receiver, Overflow::Shared).no;
        let gift = shift.release.clone();
        let recipient = Recipient::Allocation(to.clone(), no);
        self.commit_shift(&donor, shift, &recipient, Some((id.clone(), amount)), events);
        self.earmark_for(&receiver, &gift);
        for user in [to, from] {
            let allocation = self.user_mut(user).allocation.as_mut().expect("decided on it, or made above");
            (allocation.revision, allocation.of_seat) = (revision, false);
        }
        let answer = self.reallocation_answer(id, at).expect("made above");
        let no = self.reallocations[id];
        self.intents.get_mut(&no).expect("made above").first_answer = Some(answer.clone());
        Outcome::Reallocation(answer)
    }

    /// Sets these aside for who has an allocation or reserve.
    pub(crate) fn earmark_for(&mut self, owner: &Owner, parts: &Earmarks) {
        for (grant, amount) in parts.iter() {
            self.on_grant(grant, |g| g.earmark(amount));
            let allocation = self.allocation_mut(owner).expect("set aside for an allocation");
            allocation.earmarks.add(grant, amount);
        }
    }

    /// What was set aside for him is free.
    pub(crate) fn release_for(&mut self, owner: &Owner, parts: &Earmarks) {
        for (grant, amount) in parts.iter() {
            self.on_grant(grant, |g| g.release(amount));
            let allocation = self.allocation_mut(owner).expect("it was set aside for an allocation");
            allocation.earmarks.remove(grant, amount);
        }
    }

    /// Freezes lines and asks for a recall of each that was not frozen before.
    pub(crate) fn recall(&mut self, lines: &[LineId], events: &mut Vec<Event>) {
        for line in lines {
            if self.freeze(*line) {
                events.push(Event::Recall { line: *line, user: self.lines[line].user.clone() });
            }
        }
    }

    pub fn reallocation_answer(&self, id: &ReallocationId, at: Timestamp) -> Option<ReallocationAnswer> {
        let no = self.reallocations.get(id)?;
        let intent = &self.intents[no];
        let (Owner::User(from), Recipient::Allocation(to, _)) = (&intent.from, &intent.to) else {
            return None;
        };
        Some(ReallocationAnswer {
            id: id.clone(),
            from: from.clone(),
            to: to.clone(),
            asked: intent.asked,
            moved: intent.moved,
            lapsed: intent.lapsed,
            pending: self.pending_of_intent(*no),
            at,
        })
    }
}
