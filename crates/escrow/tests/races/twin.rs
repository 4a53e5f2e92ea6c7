//! Twins of one word and of several, each with one planted mistake, behind the same interface as the real ones. The
//! races are not here, and know nothing of twins.

use std::marker::PhantomData;

use escrow::word::Word;
use escrow::{Epoch, Escrow, NoSpend, Refused, Striped, Stripes};

use crate::under::{AtomicU64, Ordering};

/// An escrow as the races see it.
pub trait Purse: Sized + Send + Sync + 'static {
    fn new() -> Self;
    fn spend(&self, amount: u64) -> Result<Epoch, NoSpend>;
    fn deposit(&self, epoch: Epoch, amount: u64) -> Result<u64, Refused>;
    fn seal(&self, epoch: Epoch) -> Result<u64, Refused>;
    fn open(&self, sealed: Epoch) -> Result<Epoch, Refused>;
    fn balance(&self) -> u64;
}

impl Purse for Escrow {
    fn new() -> Escrow {
        Escrow::new(Epoch::START)
    }
    fn spend(&self, amount: u64) -> Result<Epoch, NoSpend> {
        self.try_spend(amount).map(|spent| spent.epoch)
    }
    fn deposit(&self, epoch: Epoch, amount: u64) -> Result<u64, Refused> {
        self.deposit(epoch, amount)
    }
    fn seal(&self, epoch: Epoch) -> Result<u64, Refused> {
        self.seal(epoch)
    }
    fn open(&self, sealed: Epoch) -> Result<Epoch, Refused> {
        self.open(sealed)
    }
    fn balance(&self) -> u64 {
        self.observe().balance
    }
}

/// How a twin makes a step: the right way is `swap`, and asks for the epoch that was meant.
pub trait Flaw: Send + Sync + 'static {
    /// Stores `after` where `before` was read; returns what is there instead if that failed.
    fn write(word: &AtomicU64, before: u64, after: u64) -> Result<u64, u64> {
        word.compare_exchange(before, after, Ordering::AcqRel, Ordering::Relaxed)
    }
    /// Which epoch a deposit is checked against.
    fn meant(_now: Epoch, given: Epoch) -> Epoch {
        given
    }
}

/// No flaw: shows that a twin is caught for its flaw and not for being a twin.
pub struct Faithful;
impl Flaw for Faithful {}

/// Load, then store: what stands between is overwritten.
pub struct LoadThenStore;
impl Flaw for LoadThenStore {
    fn write(word: &AtomicU64, _before: u64, after: u64) -> Result<u64, u64> {
        word.store(after, Ordering::Release);
        Ok(after)
    }
}

/// A deposit takes whatever epoch is there for the one that was meant.
pub struct AnyEpoch;
impl Flaw for AnyEpoch {
    fn meant(now: Epoch, _given: Epoch) -> Epoch {
        now
    }
}

/// Swaps that hand on nothing: a spender need not see what was written before the deposit.
#[cfg(loom)]
pub struct Unordered;
#[cfg(loom)]
impl Flaw for Unordered {
    fn write(word: &AtomicU64, before: u64, after: u64) -> Result<u64, u64> {
        word.compare_exchange(before, after, Ordering::Relaxed, Ordering::Relaxed)
    }
}

pub struct Twin<F> {
    word: AtomicU64,
    flaw: PhantomData<F>,
}

impl<F: Flaw> Twin<F> {
    fn step<E>(&self, next: impl Fn(Word) -> Result<Word, E>) -> Result<(Word, Word), E> {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let before = Word::from_bits(seen);
            let after = next(before)?;
            match F::write(&self.word, seen, after.bits()) {
                Ok(_) => return Ok((before, after)),
                Err(now) => seen = now,
            }
        }
    }
}

impl<F: Flaw> Purse for Twin<F> {
    fn new() -> Twin<F> {
        Twin { word: AtomicU64::new(Word::empty(Epoch::START).bits()), flaw: PhantomData }
    }
    fn spend(&self, amount: u64) -> Result<Epoch, NoSpend> {
        self.step(|word| word.spend(amount)).map(|(_, after)| after.epoch())
    }
    fn deposit(&self, epoch: Epoch, amount: u64) -> Result<u64, Refused> {
        let step = self.step(|word| word.deposit(F::meant(word.epoch(), epoch), amount));
        step.map(|(_, after)| after.balance())
    }
    fn seal(&self, epoch: Epoch) -> Result<u64, Refused> {
        self.step(|word| word.seal(epoch)).map(|(before, _)| before.balance())
    }
    fn open(&self, sealed: Epoch) -> Result<Epoch, Refused> {
        self.step(|word| word.open(sealed)).map(|(_, after)| after.epoch())
    }
    fn balance(&self) -> u64 {
        Word::from_bits(self.word.load(Ordering::Acquire)).balance()
    }
}

/// Two stripes as the races see them; each deposit falls on the emptier one.
pub trait Pair: Sized + Send + Sync + 'static {
    fn new() -> Self;
    fn spend_at(&self, stripe: usize, amount: u64) -> Result<Epoch, NoSpend>;
    fn deposit(&self, epoch: Epoch, amount: u64) -> Result<u64, Refused>;
    fn seal(&self, epoch: Epoch) -> Result<u64, Refused>;
    fn open(&self, sealed: Epoch) -> Result<Epoch, Refused>;
    fn balance(&self) -> u64;
}

impl Pair for Striped {
    fn new() -> Striped {
        Striped::new(Stripes::Two, Epoch::START)
    }
    fn spend_at(&self, stripe: usize, amount: u64) -> Result<Epoch, NoSpend> {
        self.try_spend_at(stripe, amount).map(|spent| spent.epoch)
    }
    fn deposit(&self, epoch: Epoch, amount: u64) -> Result<u64, Refused> {
        self.deposit(epoch, amount)
    }
    fn seal(&self, epoch: Epoch) -> Result<u64, Refused> {
        self.seal(epoch)
    }
    fn open(&self, sealed: Epoch) -> Result<Epoch, Refused> {
        self.open(sealed)
    }
    fn balance(&self) -> u64 {
        self.observe().balance
    }
}

/// What a naive gatherer does with credits it can't put back.
pub trait Ending: Send + Sync + 'static {
    /// Returns what the gatherer answers.
    fn end(home: &Escrow, epoch: Epoch, hand: u64) -> NoSpend;
}

/// Drops them.
pub struct Forgetful;
impl Ending for Forgetful {
    fn end(_home: &Escrow, epoch: Epoch, _hand: u64) -> NoSpend {
        NoSpend::Sealed { epoch: epoch.sealed() }
    }
}

/// Puts them into whatever epoch is open.
pub struct Misplacing;
impl Ending for Misplacing {
    fn end(home: &Escrow, epoch: Epoch, hand: u64) -> NoSpend {
        match home.deposit(home.observe().epoch, hand) {
            Ok(_) => NoSpend::Sealed { epoch: epoch.sealed() },
            Err(_) => NoSpend::Stray { epoch, amount: hand },
        }
    }
}

/// Gathers as one would at first: empties the other stripe, puts all of it at home, spends there.
pub struct Naive<E>([Escrow; 2], PhantomData<E>);

impl<E: Ending> Naive<E> {
    fn gather(&self, epoch: Epoch, home: usize, amount: u64) -> Result<Epoch, NoSpend> {
        let sealed = NoSpend::Sealed { epoch: epoch.sealed() };
        let hand = self.0[1 - home].withdraw(epoch, 0).map_err(|_late| sealed)?;
        match self.0[home].deposit(epoch, hand) {
            Ok(_) => self.0[home].try_spend(amount).map(|spent| spent.epoch),
            Err(_) if hand == 0 => Err(sealed),
            Err(_) => Err(E::end(&self.0[home], epoch, hand)),
        }
    }
}

impl<E: Ending> Pair for Naive<E> {
    fn new() -> Self {
        Naive([Escrow::new(Epoch::START), Escrow::new(Epoch::START)], PhantomData)
    }
    fn spend_at(&self, stripe: usize, amount: u64) -> Result<Epoch, NoSpend> {
        match self.0[stripe].try_spend(amount) {
            Err(NoSpend::Short { epoch, .. }) => self.gather(epoch, stripe, amount),
            answer => answer.map(|spent| spent.epoch),
        }
    }
    fn deposit(&self, epoch: Epoch, amount: u64) -> Result<u64, Refused> {
        self.0.iter().min_by_key(|stripe| stripe.observe().balance).expect("two").deposit(epoch, amount)
    }
    fn seal(&self, epoch: Epoch) -> Result<u64, Refused> {
        Ok(self.0[0].seal(epoch)? + self.0[1].seal(epoch)?)
    }
    fn open(&self, sealed: Epoch) -> Result<Epoch, Refused> {
        self.0[1].open(sealed)?;
        self.0[0].open(sealed)
    }
    fn balance(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.observe().balance).sum()
    }
}
