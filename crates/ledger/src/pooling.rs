//! Whose the credits are that a plan brings for seats: everybody's, each seat's own, or each seat's own first.
//!
//! Where they are not pooled each seat has a *share* of what is owed for seats in this cycle, and the member who has the seat
//! has a *part*: an allocation of what is left of the share, set aside of the cycle's grants for seats before any other. What
//! he used in this cycle counts against his share, whatever mode it was used in, and what is out for him counts as used until
//! it is back: so whoever switches to and fro, or access off and on, gives nobody anything twice. The share of a member whose
//! access is switched off stays with him until somebody takes the free seat, who gets what is left of it.
//!
//! What an administrator sets aside by hand stands instead of the part. Not here: what is owed (`plan`), how a part that is
//! short is made up for (`cycle`), the draw (`draw`).

use crate::admin::Decided;
use crate::allocation::{Allocation, Overflow, Owner};
use crate::limits;
use crate::outcome::{Event, Outcome, Pending, Rejection};
use crate::workspace::{User, Workspace};
use std::collections::BTreeSet;
use types::{Credits, LineId, Revision, Source, Timestamp, UserId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Everybody draws on what is set aside for nobody.
    Pooled,
    /// Each seat has its own, and nothing is shared.
    PerSeat,
    /// Each seat has its own, and then what is shared.
    OwnFirst,
}

/// What is pooled, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolingAnswer {
    pub mode: Pooling,
    /// Members with AI access.
    pub seats: u64,
    /// Of what is owed for seats in this cycle, each seat's equal part.
    pub share: Credits,
    /// Members who have a part, what is set aside in all of them, and missing from them.
    pub parts: u64,
    pub set_aside: Credits,
    pub short: Credits,
    /// Members with access whose allocation was set by hand.
    pub by_hand: u64,
    pub shared: Credits,
    /// Out on leases that are called back.
    pub pending: Vec<Pending>,
    pub revision: Revision,
    pub at: Timestamp,
}

impl Workspace {
    /// Whether he may draw on what is shared.
    pub fn may_share(&self, user: &UserId) -> bool {
        self.chain_may_share(self.chain_user(user))
    }

    /// The same of one on whose chain it is, of whom this is known.
    pub(crate) fn chain_may_share(&self, whose: Option<&User>) -> bool {
        self.pooling != Pooling::PerSeat && !whose.is_some_and(User::keeps_to_himself)
    }

    /// Of what is owed for seats in this cycle one seat's equal part.
    fn share_of_a_seat(&self) -> Credits {
        let known = self.subscription.as_deref();
        known.map_or(Credits::ZERO, |known| equal_part(known.for_seats.owed, known.seats))
    }

    /// What is out for him of his own and of what is shared, on lines of this cycle.
    fn out_against_share(&self, user: &UserId) -> Credits {
        let lines = self.user(user).into_iter().flat_map(crate::User::all_lines).map(|id| &self.lines[id]);
        let lines = lines.filter(|line| line.cycle == self.cycle && line.draws_on() == user);
        let out = lines.map(against_share);
        Credits::checked_sum(out).expect("parts of one pool")
    }

    /// What counts against his share: used, and out.
    fn spent_of_share(&self, user: &UserId) -> Credits {
        let used = self.user(user).map_or(Credits::ZERO, |user| user.of_share);
        used.saturating_add(self.out_against_share(user))
    }

    pub fn left_of_share(&self, user: &UserId) -> Credits {
        let share = self.user(user).and_then(|user| user.share).unwrap_or(Credits::ZERO);
        share.saturating_sub(self.spent_of_share(user))
    }

    fn has_part(&self, user: &UserId) -> bool {
        self.user(user).and_then(|user| user.allocation.as_ref()).is_some_and(|a| a.of_seat)
    }

    /// Of what could serve him if it came back, what is out on his other lines: it is his again, whatever it was drawn from.
    pub(crate) fn comes_back_to_his_part(&self, user: &UserId, not_on: LineId) -> Option<Credits> {
        let user = self.chain_of(user);
        let here = self.lines.get(&not_on).filter(|line| line.cycle == self.cycle);
        let here = here.map_or(Credits::ZERO, against_share);
        self.has_part(user).then(|| self.out_against_share(user).saturating_sub(here))
    }

    /// A part is what is left of the share, set aside or missing; what it has too much is free.
    pub(crate) fn part_follows(&mut self, user: &UserId) {
        if self.pooling == Pooling::Pooled {
            // Nobody has one.
            return;
        }
        let whose = self.chain_of(user).clone();
        let user = &whose;
        if !self.has_part(user) {
            return;
        }
        let owner = Owner::User(user.clone());
        let left = self.left_of_share(user);
        let set_aside = self.allocation_of(&owner).map_or(Credits::ZERO, |part| part.earmarks.total());
        let (release, _) = self.give_up(&owner, set_aside.saturating_sub(left));
        self.release_for(&owner, &release);
        self.set_short(&owner, left.saturating_sub(set_aside));
    }

    /// What came back of what counted against his share is his before anybody else's who is short.
    pub(crate) fn part_gets_back(&mut self, user: &UserId, at: Timestamp) {
        if self.pooling == Pooling::Pooled {
            // Nobody has one.
            return;
        }
        let whose = self.chain_of(user).clone();
        let user = &whose;
        self.part_follows(user);
        if self.has_part(user) {
            self.make_up(&Owner::User(user.clone()), at);
        }
    }

    /// Who has a seat and no allocation has a part.
    pub(crate) fn give_part(&mut self, user: &UserId) {
        let Some(entry) = self.user(user).filter(|entry| entry.has_seat()) else { return };
        let wants_one = entry.allocation.is_none() && entry.share.is_some_and(|share| !share.is_zero());
        if self.pooling != Pooling::Pooled && wants_one {
            let revision = self.next_revision();
            let part = self.give_allocation(&Owner::User(user.clone()), Overflow::Shared);
            (part.of_seat, part.revision) = (true, revision);
        }
        self.part_follows(user);
    }

    /// What is unused of it is free, and what comes back of it is shared.
    fn take_part(&mut self, user: &UserId) {
        let owner = Owner::User(user.clone());
        let Some(earmarks) = self.allocation_of(&owner).map(|part| part.earmarks.clone()) else { return };
        self.release_for(&owner, &earmarks);
        if let Some(Allocation { no, .. }) = self.place_of(&owner).take() {
            self.short.remove(&no);
        }
        self.next_revision();
    }

    /// Each seat gets an equal share of what is owed for so many; also those that are free since their members lost access.
    /// Whom something comes `by_hand` gets no part.
    pub(crate) fn share_out(&mut self, owed: Credits, seats: u64, by_hand: &BTreeSet<UserId>) {
        if self.pooling == Pooling::Pooled {
            return;
        }
        let share = equal_part(owed, seats);
        let mut free = seats.saturating_sub(self.seats);
        let known: Vec<UserId> = self
            .users
            .iter()
            .filter(|(_, user)| user.has_seat() || user.share.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in known {
            let entry = self.user_mut(&name);
            let has_seat = entry.has_seat();
            let counts = has_seat || free > 0;
            if !has_seat {
                free = free.saturating_sub(1);
            }
            entry.share = counts.then_some(share);
            if !by_hand.contains(&name) {
                self.give_part(&name);
            }
        }
    }

    /// So many seats are paid for, and so much is owed for them.
    pub(crate) fn seats_paid(&self) -> (u64, Credits) {
        self.subscription.as_deref().map_or((0, Credits::ZERO), |s| (s.seats, s.for_seats.owed))
    }

    /// A member gets access or loses it. `before`: what was paid for until then.
    pub(crate) fn seat_moves(&mut self, user: &UserId, had_seat: bool, before: (u64, Credits)) {
        let has_seat = self.user(user).is_some_and(crate::User::has_seat);
        if self.pooling == Pooling::Pooled || had_seat == has_seat {
            return;
        }
        if !has_seat {
            if self.has_part(user) {
                if !self.spent_of_share(user).is_zero() {
                    self.note_lost_allocation(user);
                }
                self.take_part(user);
            }
            // A seat that is free and paid for stays known, also one of which nothing is left: else its share would be given again.
            let is_paid_for = self.seats_paid().0 > self.seats;
            let entry = self.user_mut(user);
            entry.share = entry.share.filter(|share| is_paid_for || !share.is_zero());
            return;
        }
        if self.user(user).is_some_and(|user| user.share.is_none()) {
            let (seats, owed) = self.seats_paid();
            let share = if seats > before.0 {
                // The new seat's alone, however much of the cycle was left when the others came.
                owed.saturating_sub(before.1)
            } else {
                self.free_share(user)
            };
            self.user_mut(user).share = Some(share);
        }
        self.give_part(user);
    }

    /// Of the free seats the one with most left, and what he spent before he has it; the share of one that nobody had so far.
    fn free_share(&mut self, user: &UserId) -> Credits {
        let is_free = |entry: &crate::User| entry.share.is_some() && !entry.has_seat();
        let free = self.users.iter().filter(|(_, entry)| is_free(entry));
        let left = free.map(|(name, _)| (self.left_of_share(name), std::cmp::Reverse(name)));
        let Some((left, std::cmp::Reverse(name))) = left.max() else { return self.share_of_a_seat() };
        let name = name.clone();
        self.user_mut(&name).share = None;
        left.saturating_add(self.spent_of_share(user))
    }

    /// Seats whose credits are not pooled are bounded: a cycle and a switch go through all of them.
    pub(crate) fn may_have_seats(&self, mode: Pooling, seats: u64) -> Result<(), Rejection> {
        let (what, max) = ("seats whose credits are not pooled", limits::SEATS_NOT_POOLED_MAX);
        let is_too_many = mode != Pooling::Pooled && seats > max as u64;
        if is_too_many { Err(Rejection::TooMany { what, max }) } else { Ok(()) }
    }

    pub(crate) fn decide_pooling(&self, mode: Pooling) -> Result<Decided, Rejection> {
        self.may_have_seats(mode, self.seats)?;
        // Every switch numbers the parts anew; cycles need the rest.
        if mode != Pooling::Pooled && self.next_allocation.0 > limits::ALLOCATIONS_BEFORE_SWITCH_MAX {
            let max = limits::ALLOCATIONS_BEFORE_SWITCH_MAX as usize;
            return Err(Rejection::TooMany { what: "allocations in a workspace's life", max });
        }
        // A line that drew on what its user may no longer draw on may not go on with it.
        let changes = |line: &crate::Line| match (self.pooling, mode) {
            (_, Pooling::PerSeat) => !line.outstanding_from(Source::Shared).is_zero(),
            (Pooling::PerSeat | Pooling::OwnFirst, Pooling::Pooled) => {
                self.has_part(line.draws_on()) && !line.outstanding_from(Source::Allocation).is_zero()
            }
            (Pooling::Pooled, Pooling::Pooled) | (_, Pooling::OwnFirst) => false,
        };
        let is_open = |line: &crate::Line| line.cycle == self.cycle && !line.written_off;
        let lines = self.lines.iter().filter(|(_, line)| is_open(line) && changes(line));
        Ok(Decided::Pooling { mode, freeze: lines.map(|(id, _)| *id).collect() })
    }

    pub(crate) fn commit_pooling(
        &mut self,
        mode: Pooling,
        freeze: &[LineId],
        at: Timestamp,
        events: &mut Vec<Event>,
    ) -> Outcome {
        self.recall(freeze, events);
        let was = std::mem::replace(&mut self.pooling, mode);
        self.pooling_set = self.next_revision();
        if mode == Pooling::Pooled {
            self.pool_all();
        } else if was == Pooling::Pooled {
            let (seats, owed) = self.seats_paid();
            self.share_out(owed, seats, &BTreeSet::new());
        }
        self.make_up_for_shortfalls(at);
        Outcome::Pooling(Box::new(self.pooling_answer(at)))
    }

    fn pool_all(&mut self) {
        let last = self.last_lines();
        let known: Vec<UserId> = self.users.keys().cloned().collect();
        for name in known {
            let entry = self.user_mut(&name);
            entry.share = None;
            if self.has_part(&name) {
                if !self.spent_of_share(&name).is_zero() {
                    self.lost_allocations.insert(name.clone(), last.clone());
                }
                self.take_part(&name);
            }
        }
    }

    pub fn pooling_answer(&self, at: Timestamp) -> PoolingAnswer {
        let (mut parts, mut by_hand) = (0_u64, 0_u64);
        let (mut set_aside, mut short) = (Credits::ZERO, Credits::ZERO);
        for user in self.users.values() {
            let Some(allocation) = &user.allocation else { continue };
            if allocation.of_seat {
                parts = parts.saturating_add(1);
                set_aside.grow(allocation.earmarks.total());
                short = short.saturating_add(allocation.short);
            } else if user.has_seat() {
                by_hand = by_hand.saturating_add(1);
            }
        }
        let frozen = self.lines.iter().filter(|(_, line)| line.frozen && line.cycle == self.cycle);
        PoolingAnswer {
            mode: self.pooling,
            seats: self.seats,
            share: self.share_of_a_seat(),
            parts,
            set_aside,
            short,
            by_hand,
            shared: self.shared_at(at),
            pending: self.pending_by_node(frozen.map(|(id, line)| (*id, line.outstanding()))),
            revision: self.pooling_set,
            at,
        }
    }

    /// What there would be after a switch: it happens to a copy.
    pub(crate) fn pooling_after(&self, mode: Pooling, at: Timestamp) -> Result<PoolingAnswer, Rejection> {
        let mut copy = self.clone();
        copy.settle_due(at, &mut Vec::new());
        let decided = copy.decide_pooling(mode)?;
        let _ = copy.commit(decided, at);
        Ok(copy.pooling_answer(at))
    }

    /// For `violations`.
    pub(crate) fn parts_are_what_is_left_of_shares(&self) -> Option<String> {
        for (name, user) in &self.users {
            let Some(part) = user.allocation.as_ref().filter(|a| a.of_seat) else { continue };
            let has = part.earmarks.total().saturating_add(part.short);
            let left = self.left_of_share(name);
            let may_have_one = self.pooling != Pooling::Pooled && user.has_seat();
            if has != left || !may_have_one {
                return Some(format!("{name}: {left} are left of {:?}, {part:?}", user.share));
            }
        }
        let shares = self.users.iter().find(|(_, user)| user.share.is_some());
        let (name, user) = shares.filter(|_| self.pooling == Pooling::Pooled)?;
        Some(format!("{name} has a share of {:?}, and all is pooled", user.share))
    }

    /// For `violations`.
    pub(crate) fn shares_are_of_seats(&self) -> Option<String> {
        let shares = self.users.values().filter(|user| user.share.is_some()).count() as u64;
        let (paid, owed) = self.seats_paid();
        (shares > paid.max(self.seats)).then(|| format!("{shares} shares of {owed} for {paid}"))
    }
}

impl Allocation {
    /// As its user has it: of a part the mode says where he goes on.
    pub fn overflow_in(&self, mode: Pooling) -> Overflow {
        if self.of_seat && mode == Pooling::PerSeat { Overflow::None } else { self.overflow }
    }
}

fn against_share(line: &crate::Line) -> Credits {
    line.outstanding_from(Source::Allocation).saturating_add(line.outstanding_from(Source::Shared))
}

fn equal_part(owed: Credits, seats: u64) -> Credits {
    let part = owed.micros().checked_div(seats).and_then(Credits::from_micros);
    part.unwrap_or(Credits::ZERO)
}
