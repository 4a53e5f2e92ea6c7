//! Pooling in the naive pool: what each seat has of the plan's credits. Not here: what is owed for seats (`plans`).

use super::{Allocation, Pool, of};
use ledger::Pooling;
use std::collections::BTreeSet;
use types::UserId;

impl Pool {
    pub(super) fn set_pooling(&mut self, mode: Pooling) {
        let was = std::mem::replace(&mut self.pooling, mode);
        if mode == Pooling::Pooled {
            for user in self.users.values_mut() {
                user.share = None;
                user.allocation.take_if(|allocation| allocation.of_seat);
            }
        } else if was == Pooling::Pooled {
            self.share_out(&BTreeSet::new());
        }
    }

    /// Whether anything but his own and his teams' is his.
    pub(super) fn may_share(&self, user: &UserId) -> bool {
        let overflows =
            self.allocation(&of(&self.spends_by(user))).is_none_or(|allocation| allocation.overflows);
        overflows && self.pooling != Pooling::PerSeat
    }

    fn left_of_share(&self, user: &UserId) -> u64 {
        let user = &self.users[user];
        user.share.unwrap_or(0).saturating_sub(user.of_share)
    }

    /// Every seat that is paid for has as much; whoever has none gets none.
    pub(super) fn share_out(&mut self, by_hand: &BTreeSet<UserId>) {
        if self.pooling == Pooling::Pooled {
            return;
        }
        let (paid, owed) = self.seats_paid();
        let share = owed.checked_div(paid).unwrap_or(0);
        let mut free = paid.saturating_sub(self.seats());
        let names: Vec<UserId> = self.users.keys().cloned().collect();
        for name in names {
            let user = self.user(&name);
            if user.has_seat() {
                user.share = Some(share);
            } else if user.share.is_some() {
                user.share = (free > 0).then_some(share);
                free = free.saturating_sub(1);
            }
            if !by_hand.contains(&name) {
                self.give_part(&name);
            }
        }
        self.parts_follow();
    }

    pub(super) fn give_part(&mut self, name: &UserId) {
        let user = self.user(name);
        let wants_one = user.has_seat() && user.share > Some(0) && user.allocation.is_none();
        if wants_one && self.pooling != Pooling::Pooled {
            let part = Allocation { of_seat: true, ..self.fresh_allocation(true) };
            self.user(name).allocation = Some(part);
        }
    }

    /// A part is what is left of the share.
    pub(super) fn parts_follow(&mut self) {
        let names: Vec<UserId> = self.users.keys().cloned().collect();
        for name in names {
            let Some(part) = self.users[&name].allocation.as_ref().filter(|part| part.of_seat) else {
                continue;
            };
            let (left, has) = (self.left_of_share(&name), part.unused());
            self.release(&of(&name), has.saturating_sub(left));
            self.allocation_mut(&of(&name)).short = left.saturating_sub(has);
        }
    }

    /// He has access now, or has none any more. `before`: seats that were paid for, and what was owed for them.
    pub(super) fn seat_moves(&mut self, name: &UserId, had_seat: bool, before: (u64, u64)) {
        if self.pooling == Pooling::Pooled || self.users[name].has_seat() == had_seat {
            return;
        }
        let is_paid_for = self.seats_paid().0 > self.seats();
        let user = self.user(name);
        if had_seat {
            let spent = user.of_share > 0;
            if user.allocation.take_if(|allocation| allocation.of_seat).is_some() {
                user.chains += u64::from(spent);
            }
            user.share = user.share.filter(|share| is_paid_for || *share > 0);
            return;
        }
        if user.share.is_none() {
            let spent = user.of_share;
            let (paid, owed) = self.seats_paid();
            let free = self.users.iter().filter(|(_, user)| user.share.is_some() && !user.has_seat());
            let mut free: Vec<(u64, UserId)> =
                free.map(|(other, _)| (self.left_of_share(other), other.clone())).collect();
            free.sort_by(|(x, a), (y, b)| y.cmp(x).then(a.cmp(b)));
            let share = match free.first() {
                _ if paid > before.0 => owed - before.1,
                Some((left, other)) => {
                    self.user(other).share = None;
                    left + spent
                }
                None => owed.checked_div(paid).unwrap_or(0),
            };
            self.user(name).share = Some(share);
        }
        self.give_part(name);
    }
}
