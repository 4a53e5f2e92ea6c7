//! A hot allocation spread over several words, so that threads do not fight for one. Which steps a word
//! makes stands in `word`; here is only how several words act as one balance.
//!
//! **Spend.** Each thread spends from its own stripe, its *home*. When home is short it **gathers**:
//!
//! 1. look at all stripes; together short → refused, nothing touched (`Sealed` if that is why);
//! 2. take from the others, into its hand, what is missing (half of a rich stripe, so as not to come
//!    again soon), and settle at home: hand in and amount out in one swap;
//! 3. home was spent from meanwhile → take what is at home too, then from the others whatever the hand
//!    still lacks, and settle at stripe 0: again one swap, which either spends or leaves the hand there.
//!
//! The spend happens in one swap on a stripe that is still in its epoch; that is why it can't succeed
//! once that stripe is sealed. All meet at stripe 0 so that of two gatherers who have each taken half of
//! what one of them needs, the later one finds what the earlier one left and succeeds.
//!
//! **What a refusal means.** The stripes *as seen*, each once, were together short. What another gatherer
//! has in hand, or carries behind the look, is not seen: a refusal may be pessimistic while another
//! gathers, never otherwise, and who is refused asks again on the slow path. No success is optimistic.
//!
//! **Seal and open** sweep in opposite directions: seal from stripe 0 up, open down to stripe 0. So
//! stripe 0 is open only while all are, and the last is sealed only when all are: whoever wins stripe 0
//! is alone in sealing, whoever wins the last is alone in opening. (Here the orderings are needed: who
//! sees one stripe of a sweep must see those that went before it.)
//!
//! **Strays.** A gatherer whose epoch is sealed while it has credits in hand can't put them back. It
//! returns them as [`NoSpend::Stray`]; seal has not counted them, the owner must. Lost on the way (a
//! crash), they count as spent: rounded against us, never for us.

use std::fmt;

use crate::answer::{NoSpend, Refused, Snapshot, Spent};
use crate::single::Escrow;
use crate::sync::thread_number;
use crate::word::{BALANCE_MAX, Epoch, Unsettled};

/// How many stripes: as many as threads will spend, no more; each takes 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stripes {
    Two,
    Four,
    Eight,
}

impl Stripes {
    /// Enough for this many spending threads; eight at the most.
    pub const fn for_threads(threads: usize) -> Stripes {
        match threads {
            0..=2 => Stripes::Two,
            3..=4 => Stripes::Four,
            5.. => Stripes::Eight,
        }
    }

    pub const fn count(self) -> usize {
        match self {
            Stripes::Two => 2,
            Stripes::Four => 4,
            Stripes::Eight => 8,
        }
    }
}

/// The same interface as [`Escrow`], for an allocation that several threads spend from all the time.
///
/// Together the stripes hold at most [`BALANCE_MAX`], by the sum a deposit sees. (A gather that moves
/// credits behind that look could let more in. That breaks nothing: each stripe has its own bound, and a
/// settlement that would pass it answers [`NoSpend::Stray`].)
pub struct Striped {
    stripes: Box<[Stripe]>,
}

/// Two cache lines: processors fetch them in pairs.
#[repr(align(128))]
struct Stripe(Escrow);

impl Striped {
    /// Empty, in `epoch`; see [`Escrow::new`].
    pub fn new(stripes: Stripes, epoch: Epoch) -> Striped {
        Striped { stripes: (0..stripes.count()).map(|_| Stripe(Escrow::new(epoch))).collect() }
    }

    /// Spends all of `amount` or nothing, from the stripe of the calling thread first.
    #[inline]
    pub fn try_spend(&self, amount: u64) -> Result<Spent, NoSpend> {
        self.try_spend_at(thread_number(), amount)
    }

    /// The same for a caller that has a number of its own, such as that of its worker. Any number will
    /// do; those that differ in their low bits are on different stripes.
    #[inline]
    pub fn try_spend_at(&self, thread: usize, amount: u64) -> Result<Spent, NoSpend> {
        // A power of two, so the remainder is a mask.
        let home = thread & self.stripes.len().wrapping_sub(1);
        match self.stripes[home].0.try_spend(amount) {
            Err(NoSpend::Short { epoch, .. }) => self.gather(epoch, home, amount),
            answer @ (Ok(_) | Err(NoSpend::Sealed { .. } | NoSpend::Stray { .. })) => answer,
        }
    }

    /// Adds `amount`, whole, to the emptiest stripe; the others fetch their part when they need it. So
    /// a deposit is one swap and can't be half done. Returns the total seen after it.
    pub fn deposit(&self, epoch: Epoch, amount: u64) -> Result<u64, Refused> {
        self.must_be_open_in(epoch)?;
        let left = self.total(epoch);
        let after = left.saturating_add(amount);
        if after > BALANCE_MAX {
            return Err(Refused::TooMuch { left });
        }
        let emptiest = self.all().min_by_key(|stripe| stripe.look().balance()).expect("two stripes at least");
        emptiest.deposit(epoch, amount)?;
        Ok(after)
    }

    /// Takes what is seen above `keep` in total; returns how much that was. At rest it leaves `keep`
    /// exactly. While spends and gathers move credits between the looks it may leave more or less than
    /// that: `keep` is a wish, and what is taken is exact all the same.
    pub fn withdraw(&self, epoch: Epoch, keep: u64) -> Result<u64, Refused> {
        self.must_be_open_in(epoch)?;
        let above = self.total(epoch).saturating_sub(keep);
        // A stripe that somebody seals meanwhile gives nothing; what was taken before is the caller's.
        Ok(self.all().fold(0, |taken: u64, stripe| {
            taken.saturating_add(stripe.take(epoch, above.saturating_sub(taken)))
        }))
    }

    /// Takes the balance of every stripe and closes the epoch; returns the sum. Once it has returned no
    /// spend and no deposit of `epoch` succeeds on any stripe. Strays are not in the sum.
    pub fn seal(&self, epoch: Epoch) -> Result<u64, Refused> {
        let mut taken = self.first().seal(epoch)?;
        for stripe in self.all().skip(1) {
            let more = stripe.seal(epoch).expect("who has sealed stripe 0 is alone in sealing the others");
            taken = taken.saturating_add(more);
        }
        Ok(taken)
    }

    /// Opens the next epoch, empty; returns it. Refused unless all stripes are sealed in `sealed`.
    pub fn open(&self, sealed: Epoch) -> Result<Epoch, Refused> {
        let mut downwards = self.all().rev();
        let last = downwards.next().expect("two stripes at least");
        let epoch = last.open(sealed)?;
        for stripe in downwards {
            stripe.open(sealed).expect("who has opened the last stripe is alone in opening the others");
        }
        Ok(epoch)
    }

    /// The epoch of stripe 0 and the sum over the stripes in it: exact at rest, else of about now.
    pub fn observe(&self) -> Snapshot {
        let epoch = self.first().look().epoch();
        Snapshot { epoch, balance: self.total(epoch), sealed: epoch.is_sealed() }
    }

    /// Looks at one stripe after the other; each look takes its turn among the steps on that stripe. See
    /// [`Escrow::look_in_turn`].
    pub fn look_in_turn(&self) -> Snapshot {
        let mut looks = self.all().map(Escrow::look_in_turn);
        let first = looks.next().expect("two stripes at least");
        let same = looks.filter(|look| look.epoch == first.epoch);
        let balance = same.fold(first.balance, |sum, look| sum.saturating_add(look.balance));
        Snapshot { balance, ..first }
    }

    pub fn stripes(&self) -> usize {
        self.stripes.len()
    }

    /// The slow half of a spend, for an `amount` above 0 (an open home always covers 0).
    #[cold]
    fn gather(&self, epoch: Epoch, home: usize, amount: u64) -> Result<Spent, NoSpend> {
        let total = self.total(epoch);
        if total < amount {
            return Err(self.short_or_sealed(epoch, total));
        }

        let here = &self.stripes[home].0;
        let missing = amount.saturating_sub(here.look().balance());
        let mut hand = self.collect(epoch, |i| i != home, missing);
        match here.settle(epoch, hand, amount) {
            Ok(left) => return Ok(Spent { epoch, left }),
            Err(Unsettled::Adrift) => return Err(stray(epoch, hand)),
            Err(Unsettled::Short) => {}
        }

        // Home first and whole; of the rest only what the hand still lacks; stripe 0 in the swap itself.
        hand = hand.saturating_add(self.collect(epoch, |i| i == home, u64::MAX));
        let lacking = amount.saturating_sub(hand);
        hand = hand.saturating_add(self.collect(epoch, |i| i != home && i != 0, lacking));
        match self.first().settle_or_keep(epoch, hand, amount) {
            Ok((left, true)) => Ok(Spent { epoch, left }),
            Ok((left, false)) => Err(NoSpend::Short { epoch, left }),
            Err(Unsettled::Adrift | Unsettled::Short) => Err(stray(epoch, hand)),
        }
    }

    /// Why only `left` was seen. Stripe 0 is looked at after the others: if one of them was sealed, or not
    /// open yet, so is stripe 0, and then it is not credits that are missing.
    fn short_or_sealed(&self, epoch: Epoch, left: u64) -> NoSpend {
        let now = self.first().look().epoch();
        if now == epoch {
            NoSpend::Short { epoch, left }
        } else {
            NoSpend::Sealed { epoch: if now.is_sealed() { now } else { epoch.sealed() } }
        }
    }

    /// Takes at least `missing` from the stripes `of` this gather, if they have it; returns the hand.
    fn collect(&self, epoch: Epoch, of: impl Fn(usize) -> bool, missing: u64) -> u64 {
        let mut hand: u64 = 0;
        for (_, stripe) in self.all().enumerate().filter(|(i, _)| of(*i)) {
            let lacking = missing.saturating_sub(hand);
            if lacking == 0 {
                break;
            }
            hand = hand.saturating_add(stripe.lend(epoch, lacking));
        }
        hand
    }

    /// What the stripes that are in `epoch` hold together, each looked at once.
    fn total(&self, epoch: Epoch) -> u64 {
        let words = self.all().map(Escrow::look).filter(|word| word.epoch() == epoch);
        words.fold(0, |sum, word| sum.saturating_add(word.balance()))
    }

    /// Stripe 0 is open only while all are.
    fn must_be_open_in(&self, epoch: Epoch) -> Result<(), Refused> {
        self.first().look().deposit(epoch, 0).map(|_same| ())
    }

    fn first(&self) -> &Escrow {
        &self.stripes[0].0
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &Escrow> + ExactSizeIterator {
        self.stripes.iter().map(|stripe| &stripe.0)
    }
}

/// The answer of a gatherer whose epoch has ended under it.
fn stray(epoch: Epoch, hand: u64) -> NoSpend {
    match hand {
        0 => NoSpend::Sealed { epoch: epoch.sealed() },
        amount => NoSpend::Stray { epoch, amount },
    }
}

impl fmt::Debug for Striped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}
