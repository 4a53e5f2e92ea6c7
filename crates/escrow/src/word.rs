//! One word: epoch and balance, and every step between two of them as a pure function. No atomics here.
//!
//! Public so that a test may make the very same steps in a wrong way and see that it is caught.

use std::fmt;

use crate::answer::{NoSpend, Refused};

const BALANCE_BITS: u32 = 48;

/// The most one escrow holds: 2^48 − 1 micro-credits = 281,474,976.710655 credits. A deposit beyond it
/// is refused whole.
pub const BALANCE_MAX: u64 = (1 << BALANCE_BITS) - 1;

/// Which opening of an escrow is meant: even while open, odd while sealed; each step adds one.
///
/// It has 16 bits and wraps: after 32,768 reopenings the same number comes again. What that can do:
///
/// - **A spend, withdraw, seal, open** reads the word and swaps it nanoseconds later. It could mistake
///   one opening for another only if the escrow were reopened 32,768 times (or a multiple) in between
///   *and* stood at the same balance. Even then no credit is made or lost: the swap debits the word
///   that is there, by the full amount, from credits that are there. Nor is it charged to the wrong
///   line, as long as the caller finds the line by the answer, after the spend.
/// - **A deposit** could land in the wrong opening if its epoch were kept while 32,768 reopenings go by.
///   Each reopening needs a durable Return and a new draw, so this takes minutes at the fastest; a
///   message on the network may be that late. Therefore an epoch never travels: messages carry the
///   *line*, whose number is never reused, and the owner asks for the epoch of that line when the
///   message has come. An epoch guards the time between that look and the deposit, nothing longer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Epoch(u16);

impl Epoch {
    /// Where a new escrow begins: sealed, never opened.
    pub const START: Epoch = Epoch(1);

    /// The epoch with this number; odd is sealed.
    pub const fn new(number: u16) -> Epoch {
        Epoch(number)
    }

    pub const fn number(self) -> u16 {
        self.0
    }

    pub const fn is_sealed(self) -> bool {
        self.0 & 1 == 1
    }

    /// The one after it; wraps.
    pub const fn next(self) -> Epoch {
        Epoch(self.0.wrapping_add(1))
    }

    /// What this epoch is once it is sealed: itself, if it is already.
    pub const fn sealed(self) -> Epoch {
        Epoch(self.0 | 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({}, {})", self.0, if self.is_sealed() { "sealed" } else { "open" })
    }
}

/// An epoch and a balance. A sealed word holds 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(u64);

/// Why credits in hand could not be spent together with those of a stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsettled {
    /// Both together are not enough.
    Short,
    /// The stripe is not in that epoch any more (or, against the rules, has no room): the hand is stray.
    Adrift,
}

impl Word {
    /// An empty word: sealed if the epoch is odd, open if it is even.
    pub const fn empty(epoch: Epoch) -> Word {
        Word((epoch.0 as u64) << BALANCE_BITS)
    }

    pub const fn from_bits(bits: u64) -> Word {
        Word(bits)
    }

    pub const fn bits(self) -> u64 {
        self.0
    }

    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> BALANCE_BITS) as u16)
    }

    /// Micro-credits.
    pub const fn balance(self) -> u64 {
        self.0 & BALANCE_MAX
    }

    /// All of `amount` or nothing.
    #[inline]
    pub fn spend(self, amount: u64) -> Result<Word, NoSpend> {
        let epoch = self.epoch();
        if epoch.is_sealed() {
            return Err(NoSpend::Sealed { epoch });
        }
        match self.balance().checked_sub(amount) {
            Some(left) => Ok(self.holding(left)),
            None => Err(NoSpend::Short { epoch, left: self.balance() }),
        }
    }

    /// Adds `amount`, if this is `epoch` and it fits.
    pub fn deposit(self, epoch: Epoch, amount: u64) -> Result<Word, Refused> {
        self.must_be_open_in(epoch)?;
        match self.balance().checked_add(amount) {
            Some(balance) if balance <= BALANCE_MAX => Ok(self.holding(balance)),
            Some(_) | None => Err(Refused::TooMuch { left: self.balance() }),
        }
    }

    /// Takes everything above `keep`, if this is `epoch`.
    pub fn withdraw(self, epoch: Epoch, keep: u64) -> Result<Word, Refused> {
        self.must_be_open_in(epoch)?;
        Ok(self.holding(self.balance().min(keep)))
    }

    /// Takes everything and closes the epoch.
    pub fn seal(self, epoch: Epoch) -> Result<Word, Refused> {
        self.must_be_open_in(epoch)?;
        Ok(Word::empty(epoch.next()))
    }

    /// Opens the next epoch, empty, if this is `sealed`.
    pub fn open(self, sealed: Epoch) -> Result<Word, Refused> {
        let now = self.epoch();
        if !now.is_sealed() {
            Err(Refused::Open { now })
        } else if now != sealed {
            Err(Refused::WrongEpoch { now })
        } else {
            Ok(Word::empty(now.next()))
        }
    }

    /// Takes `at_most`, or all if there is less. `None`: another epoch, or nothing to take.
    pub(crate) fn take(self, epoch: Epoch, at_most: u64) -> Option<Word> {
        if self.epoch() != epoch || self.balance() == 0 || at_most == 0 {
            return None;
        }
        Some(self.holding(self.balance().saturating_sub(at_most)))
    }

    /// Gives a gatherer what is missing, or half of what is here if that is more, so that it need not
    /// come again soon.
    pub(crate) fn lend(self, epoch: Epoch, missing: u64) -> Option<Word> {
        self.take(epoch, missing.max(self.balance() / 2))
    }

    /// Spends `amount` out of what is here and a gatherer's `hand` together; what remains stays here.
    pub(crate) fn settle(self, epoch: Epoch, hand: u64, amount: u64) -> Result<Word, Unsettled> {
        if self.epoch() != epoch || epoch.is_sealed() {
            return Err(Unsettled::Adrift);
        }
        let together = self.balance().saturating_add(hand);
        match together.checked_sub(amount) {
            None => Err(Unsettled::Short),
            Some(left) if left <= BALANCE_MAX => Ok(self.holding(left)),
            Some(_) => Err(Unsettled::Adrift),
        }
    }

    /// Like [`Word::settle`], but when both together are not enough the hand is left here.
    pub(crate) fn settle_or_keep(self, epoch: Epoch, hand: u64, amount: u64) -> Result<Word, Unsettled> {
        match self.settle(epoch, hand, amount) {
            Err(Unsettled::Short) => self.deposit(epoch, hand).map_err(|_refused| Unsettled::Adrift),
            settled @ (Ok(_) | Err(Unsettled::Adrift)) => settled,
        }
    }

    fn must_be_open_in(self, epoch: Epoch) -> Result<(), Refused> {
        let now = self.epoch();
        if now.is_sealed() {
            Err(Refused::Sealed { now })
        } else if now != epoch {
            Err(Refused::WrongEpoch { now })
        } else {
            Ok(())
        }
    }

    const fn holding(self, balance: u64) -> Word {
        debug_assert!(balance <= BALANCE_MAX, "every caller has checked the bound");
        Word((self.0 & !BALANCE_MAX) | balance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch::new(2);

    fn holding(balance: u64) -> Word {
        Word::empty(EPOCH).deposit(EPOCH, balance).expect("it fits")
    }

    #[test]
    fn a_settlement_leaves_at_most_the_bound() {
        let full = holding(BALANCE_MAX);
        assert_eq!(full.settle(EPOCH, 5, 5), Ok(full));
        assert_eq!(full.settle(EPOCH, 6, 5), Err(Unsettled::Adrift), "no room: the hand is stray");
        assert_eq!(holding(3).settle(EPOCH, 4, 7), Ok(holding(0)));
        assert_eq!(holding(3).settle(EPOCH, 3, 7), Err(Unsettled::Short));
        assert_eq!(holding(3).settle_or_keep(EPOCH, 3, 7), Ok(holding(6)));
    }

    #[test]
    fn nothing_settles_in_another_epoch() {
        let other = EPOCH.next().next();
        assert_eq!(holding(9).settle(other, 9, 1), Err(Unsettled::Adrift));
        assert_eq!(holding(9).settle_or_keep(other, 9, 100), Err(Unsettled::Adrift));
        let sealed = Word::empty(EPOCH.sealed());
        assert_eq!(sealed.settle(EPOCH, 9, 1), Err(Unsettled::Adrift));
        assert_eq!(sealed.settle(EPOCH.sealed(), 9, 1), Err(Unsettled::Adrift), "not even in its own");
        assert_eq!(sealed.lend(EPOCH, 1), None);
    }

    #[test]
    fn a_stripe_lends_what_is_missing_or_half() {
        assert_eq!(holding(10).lend(EPOCH, 3), Some(holding(5)));
        assert_eq!(holding(10).lend(EPOCH, 8), Some(holding(2)));
        assert_eq!(holding(10).lend(EPOCH, 11), Some(holding(0)));
        assert_eq!(holding(1).lend(EPOCH, 0), None, "half of one is none");
        assert_eq!(holding(10).take(EPOCH, 3), Some(holding(7)), "taking is exact");
    }
}
