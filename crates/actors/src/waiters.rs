//! Consumes that wait for one user's credits, in the order in which they came. Not here: getting credits (`allocation`).

use crate::messages::{Denied, LedgerWord};
use leasing::Waiting;
use ledger::{Denial, DenialReason};
use tokio::sync::oneshot;
use types::{Credits, Enforcement};

#[derive(Debug, Default)]
pub(crate) struct Waiters(Vec<Waiter>);

#[derive(Debug)]
struct Waiter {
    amount: Credits,
    reply: oneshot::Sender<Result<(), Denied>>,
}

impl Waiters {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push(&mut self, amount: Credits, reply: oneshot::Sender<Result<(), Denied>>) {
        self.drop_gone();
        self.0.push(Waiter { amount, reply });
    }

    /// Who has given up waits no more.
    pub fn drop_gone(&mut self) {
        self.0.retain(|waiter| !waiter.reply.is_closed());
    }

    pub fn facts(&self) -> Option<Waiting> {
        let smallest = self.0.iter().map(|waiter| waiter.amount).min()?;
        let sum = self.0.iter().fold(Credits::ZERO, |sum, waiter| sum.saturating_add(waiter.amount));
        Some(Waiting { smallest, sum })
    }

    /// Lets those try again whom `balance` serves, first come first, as far as it goes. Whether there was one.
    pub fn wake(&mut self, balance: Credits) -> bool {
        let (mut left, mut still) = (balance, Vec::new());
        let before = self.0.len();
        for waiter in self.0.drain(..) {
            match left.checked_sub(waiter.amount) {
                Some(rest) => {
                    left = rest;
                    let _gone = waiter.reply.send(Ok(()));
                }
                None => still.push(waiter),
            }
        }
        self.0 = still;
        self.0.len() < before
    }

    /// How much of what the line has serves those who wait, first come first. Where it is too little for each of them it
    /// serves nobody here.
    pub fn served_by(&self, have: Credits) -> Credits {
        let there = self.0.iter().filter(|waiter| !waiter.reply.is_closed());
        let left = there.fold(have, |left, waiter| left.checked_sub(waiter.amount).unwrap_or(left));
        have.saturating_sub(left)
    }

    /// Denies those who want more than that; the others, who may have come since, are drawn for.
    pub fn deny_above(&mut self, most: Credits, why: &Denied) {
        let (may, short): (Vec<_>, Vec<_>) = self.0.drain(..).partition(|waiter| waiter.amount <= most);
        self.0 = may;
        for waiter in short {
            let _gone = waiter.reply.send(Err(why.clone()));
        }
    }

    /// The ledger has denied a draw to `target`.
    pub fn deny_denied(&mut self, denial: Denial, word: LedgerWord, target: Credits) {
        let LedgerWord { cut_off, enforcement, .. } = word;
        let available = denial.available;
        let about_user = matches!(
            denial.reason,
            DenialReason::AccessDisabled | DenialReason::FeatureNotInPlan(_) | DenialReason::UnknownUser
        );
        let denied = Denied::Ledger { denial, cut_off, enforcement };
        let is_shadow = enforcement == Enforcement::Shadow && !target.is_zero();
        match (about_user, is_shadow) {
            // Who was denied before waits for a line on which that is counted: it is drawn for him.
            (true, true) => self.deny_above(Credits::ZERO, &denied),
            (true, false) => self.deny_all(&denied),
            (false, _) => self.deny_above(available, &denied),
        }
    }

    pub fn deny_all(&mut self, why: &Denied) {
        for waiter in self.0.drain(..) {
            let _gone = waiter.reply.send(Err(why.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(n: u64) -> Credits {
        Credits::whole(n).unwrap()
    }

    #[test]
    fn in_shadow_mode_who_waits_for_nothing_is_not_denied_with_others() {
        let denied = |enforcement, target| {
            let mut waiters = Waiters::default();
            let answers = [0, 5].map(|n| {
                let (reply, answer) = oneshot::channel();
                waiters.push(whole(n), reply);
                answer
            });
            let reason = DenialReason::AccessDisabled;
            let denial = Denial { reason, available: Credits::ZERO, elsewhere: Credits::ZERO };
            let (elsewhere, durability) = (Credits::ZERO, types::Durability::Local);
            let word = LedgerWord { elsewhere, durability, enforcement, cut_off: false };
            waiters.deny_denied(denial, word, target);
            answers.map(|mut answer| answer.try_recv().is_ok())
        };
        assert_eq!(denied(Enforcement::Shadow, whole(5)), [false, true]);
        // Not even nothing is to be had.
        assert_eq!(denied(Enforcement::Shadow, Credits::ZERO), [true, true]);
        assert_eq!(denied(Enforcement::On, whole(5)), [true, true]);
    }

    #[test]
    fn first_come_first_as_far_as_it_goes_and_nothing_for_who_has_left() {
        let mut waiters = Waiters::default();
        let wait = |waiters: &mut Waiters, n| {
            let (reply, answer) = oneshot::channel();
            waiters.push(whole(n), reply);
            answer
        };
        let mut answers: Vec<_> = [5, 1, 3, 2].map(|n| wait(&mut waiters, n)).into();
        assert_eq!(waiters.facts(), Some(Waiting { smallest: whole(1), sum: whole(11) }));
        assert_eq!(waiters.served_by(Credits::ZERO), Credits::ZERO);
        assert_eq!(waiters.served_by(whole(4)), whole(4), "of 1 and 3");
        assert_eq!(waiters.served_by(whole(7)), whole(6), "of 5 and 1; a part of 3 serves nobody");
        assert_eq!(waiters.served_by(whole(20)), whole(11));
        drop(answers.remove(1));
        assert_eq!(waiters.served_by(whole(4)), whole(3));
        assert!(!waiters.wake(whole(0)) && waiters.wake(whole(4)));
        assert_eq!(waiters.facts(), Some(Waiting { smallest: whole(2), sum: whole(7) }));
        assert!(answers[1].try_recv().unwrap().is_ok() && answers[0].try_recv().is_err());
        waiters.deny_above(whole(2), &Denied::Gone);
        assert_eq!((answers[0].try_recv(), waiters.served_by(whole(9))), (Ok(Err(Denied::Gone)), whole(2)));
        waiters.deny_all(&Denied::Gone);
        assert!(waiters.is_empty() && answers[2].try_recv() == Ok(Err(Denied::Gone)));
    }
}
