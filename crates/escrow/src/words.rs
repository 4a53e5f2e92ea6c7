//! The credits of one line as its holder's tasks see them: what is on the word, or on several once the allocation is
//! hot; what is beside it; and the bell that calls the owner. Not here: the steps of a word (`word`), and when the
//! owner does what (the actors).

use crate::answer::{NoSpend, Refused, Snapshot, Spent};
use crate::bell::Bell;
use crate::single::Escrow;
use crate::striped::{Striped, Stripes};
use crate::sync::{AtomicU64, OnceLock, Ordering};
use crate::word::Epoch;

/// Any number of tasks spend; one owner does the rest.
///
/// The fields stand in the order in which a spend touches them. 48 bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Words {
    /// Sealed for good once `striped` is there.
    one: Escrow,
    /// By the stripe.
    low_water: Bell,
    striped: OnceLock<Striped>,
    /// Micro-credits of the line that are here and on no word yet.
    above: AtomicU64,
}

impl Words {
    /// One word, empty, in `epoch`; see [`Escrow::new`]. Silent, and nothing above.
    pub fn one(epoch: Epoch) -> Words {
        Words {
            one: Escrow::new(epoch),
            low_water: Bell::silent(),
            striped: OnceLock::new(),
            above: AtomicU64::new(0),
        }
    }

    /// Several from the start.
    pub fn striped(stripes: Stripes, epoch: Epoch) -> Words {
        let words = Words::one(epoch.sealed());
        let _first = words.striped.set(Striped::new(stripes, epoch));
        words
    }

    /// Goes over to several words, for good; once it has, nothing more. Refused unless sealed in `sealed`.
    ///
    /// They are made sealed, in the epoch in which the one word stays sealed: whoever still has that one finds it
    /// sealed and looks again, and epochs go on counting. Fill them by [`Words::open`] and [`Words::deposit`].
    pub fn spread(&self, stripes: Stripes, sealed: Epoch) -> Result<(), Refused> {
        if !self.is_striped() {
            self.one.look().open(sealed)?;
            let _first = self.striped.set(Striped::new(stripes, sealed));
        }
        Ok(())
    }

    pub fn is_striped(&self) -> bool {
        self.striped.get().is_some()
    }

    /// How many words.
    pub fn stripes(&self) -> usize {
        self.striped.get().map_or(1, Striped::stripes)
    }

    // ── What tasks do ────────────────────────────────────────────────────────────────────────────

    /// See [`Escrow::try_spend`] and [`Striped::try_spend`]. Ask [`Words::rings`] after it.
    #[inline]
    pub fn try_spend(&self, amount: u64) -> Result<Spent, NoSpend> {
        match self.striped.get() {
            None => self.one.try_spend(amount),
            Some(words) => words.try_spend(amount),
        }
    }

    /// See [`Striped::try_spend_at`]. One word is the same for all.
    #[inline]
    pub fn try_spend_at(&self, thread: usize, amount: u64) -> Result<Spent, NoSpend> {
        match self.striped.get() {
            None => self.one.try_spend(amount),
            Some(words) => words.try_spend_at(thread, amount),
        }
    }

    /// Whether the owner must be told of this spend, by who made it and at once; see [`Words::rest`].
    #[inline]
    pub fn rings(&self, spent: Spent) -> bool {
        self.low_water.rings(spent.left)
    }

    /// What is here, by who has just left so much on the word. No credit that was raised counts twice in it; what has
    /// come or gone since the spend may be in it or not.
    #[inline]
    pub fn with_above(&self, left: u64) -> u64 {
        left.saturating_add(self.above.load(Ordering::Relaxed))
    }

    /// See [`Escrow::observe`] and [`Striped::observe`].
    pub fn observe(&self) -> Snapshot {
        match self.striped.get() {
            None => self.one.observe(),
            Some(words) => words.observe(),
        }
    }

    // ── What the owner does ──────────────────────────────────────────────────────────────────────

    /// See [`Escrow::deposit`] and [`Striped::deposit`].
    pub fn deposit(&self, epoch: Epoch, amount: u64) -> Result<u64, Refused> {
        match self.striped.get() {
            None => self.one.deposit(epoch, amount),
            Some(words) => words.deposit(epoch, amount),
        }
    }

    /// A deposit of credits that were above; `rest` still are. They are gone there before they come here, so that
    /// who sees them on the word does not count them twice.
    pub fn raise(&self, epoch: Epoch, amount: u64, rest: u64) -> Result<u64, Refused> {
        self.set_above(rest);
        self.deposit(epoch, amount)
    }

    /// So much of the line is here and on no word.
    pub fn set_above(&self, above: u64) {
        // Whoever sees a deposit that was made after this sees this: the word hands it on.
        self.above.store(above, Ordering::Relaxed);
    }

    /// See [`Escrow::withdraw`] and [`Striped::withdraw`].
    pub fn withdraw(&self, epoch: Epoch, keep: u64) -> Result<u64, Refused> {
        match self.striped.get() {
            None => self.one.withdraw(epoch, keep),
            Some(words) => words.withdraw(epoch, keep),
        }
    }

    /// See [`Escrow::seal`] and [`Striped::seal`].
    pub fn seal(&self, epoch: Epoch) -> Result<u64, Refused> {
        match self.striped.get() {
            None => self.one.seal(epoch),
            Some(words) => words.seal(epoch),
        }
    }

    /// See [`Escrow::open`] and [`Striped::open`].
    pub fn open(&self, sealed: Epoch) -> Result<Epoch, Refused> {
        match self.striped.get() {
            None => self.one.open(sealed),
            Some(words) => words.open(sealed),
        }
    }

    /// The owner rests until he is told: from here on a spend that leaves less than `low_water` rings (of several
    /// words, less than its share). Returns what is there now. **Every spend is either in that or sees this bell**:
    /// none falls between, so an owner who finds nothing to do in it may sleep.
    ///
    /// That needs more than two lines in the right order. With a plain look a processor may read the word while
    /// others do not see its bell yet: then a spend goes by the old bell, and the look does not know of the spend. So
    /// the look takes its turn on the word: of two steps on one word one comes first, and the other sees what was
    /// written before it. A spend that gathers makes steps on several words; if one of them comes after the look at
    /// that word, it sees the bell, and if none does, all of it is in the look.
    pub fn rest(&self, low_water: u64) -> Snapshot {
        match self.striped.get() {
            None => {
                self.low_water.set(low_water);
                self.one.look_in_turn()
            }
            Some(words) => {
                let stripes = u64::try_from(words.stripes()).unwrap_or(u64::MAX);
                self.low_water.set(low_water.checked_div(stripes).unwrap_or(low_water));
                words.look_in_turn()
            }
        }
    }
}
