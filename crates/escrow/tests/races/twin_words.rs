//! Twins of what a holder keeps of a line, each with one planted mistake, behind the same interface as the real
//! [`Words`]. The races are not here, and know nothing of twins.

use std::marker::PhantomData;

use escrow::{Bell, Epoch, Escrow, NoSpend, Refused, Striped, Stripes, Words};

use crate::under::{AtomicBool, AtomicU64, Ordering};

/// A line's credits as the races see them, with 10 on the word in [`FIRST`].
pub trait Line: Sized + Send + Sync + 'static {
    fn filled() -> Self;
    /// Returns the epoch, what is left, and whether the owner must be told.
    fn spend(&self, thread: usize, amount: u64) -> Result<(Epoch, u64, bool), NoSpend>;
    fn with_above(&self, left: u64) -> u64;
    fn balance(&self) -> u64;
    /// Returns what the owner saw.
    fn rest(&self, low_water: u64) -> u64;
    fn set_above(&self, above: u64);
    fn raise(&self, amount: u64, rest: u64);
    /// Ends the first epoch, goes over to several words, puts `amount` there. Returns what was on the word.
    fn spread(&self, amount: u64) -> u64;
}

/// The epoch in which a line begins.
pub const FIRST: Epoch = Epoch::START.next();

fn opened(words: Words) -> Words {
    words.open(Epoch::START).expect("a new one is sealed in START");
    words
}

impl Line for Words {
    fn filled() -> Words {
        let words = opened(Words::one(Epoch::START));
        words.deposit(FIRST, 10).expect("it is open");
        words
    }
    fn spend(&self, thread: usize, amount: u64) -> Result<(Epoch, u64, bool), NoSpend> {
        self.try_spend_at(thread, amount).map(|spent| (spent.epoch, spent.left, self.rings(spent)))
    }
    fn with_above(&self, left: u64) -> u64 {
        self.with_above(left)
    }
    fn balance(&self) -> u64 {
        self.observe().balance
    }
    fn rest(&self, low_water: u64) -> u64 {
        self.rest(low_water).balance
    }
    fn set_above(&self, above: u64) {
        self.set_above(above);
    }
    fn raise(&self, amount: u64, rest: u64) {
        self.raise(FIRST, amount, rest).expect("nobody seals");
    }
    fn spread(&self, amount: u64) -> u64 {
        let taken = self.seal(FIRST).expect("nobody else seals");
        self.spread(Stripes::Two, FIRST.sealed()).expect("it is sealed in it");
        let epoch = self.open(FIRST.sealed()).expect("nobody else opens");
        self.deposit(epoch, amount).expect("nobody else seals");
        taken
    }
}

/// The real one with two stripes from the start.
pub struct Two(Words);

impl Line for Two {
    fn filled() -> Two {
        let words = opened(Words::striped(Stripes::Two, Epoch::START));
        // One after the other, so that they fall on both.
        words.deposit(FIRST, 5).expect("it is open");
        words.deposit(FIRST, 5).expect("it is open");
        Two(words)
    }
    fn spend(&self, thread: usize, amount: u64) -> Result<(Epoch, u64, bool), NoSpend> {
        Line::spend(&self.0, thread, amount)
    }
    fn with_above(&self, left: u64) -> u64 {
        self.0.with_above(left)
    }
    fn balance(&self) -> u64 {
        Line::balance(&self.0)
    }
    fn rest(&self, low_water: u64) -> u64 {
        Line::rest(&self.0, low_water)
    }
    fn set_above(&self, above: u64) {
        self.0.set_above(above);
    }
    fn raise(&self, amount: u64, rest: u64) {
        Line::raise(&self.0, amount, rest);
    }
    fn spread(&self, _amount: u64) -> u64 {
        panic!("it is spread")
    }
}

/// What a twin does otherwise than [`Words`]. Without an override it is right.
pub trait Flaw: Send + Sync + 'static {
    fn rest(twin: &Parts, low_water: u64) -> u64 {
        twin.bell.set(low_water);
        twin.one.look_in_turn().balance
    }
    fn raise(twin: &Parts, amount: u64, rest: u64) {
        twin.above.store(rest, Ordering::Relaxed);
        twin.one.deposit(FIRST, amount).expect("nobody seals");
    }
    /// Ends the one word. Returns what is taken from it and the epoch in which the several are made.
    fn end(twin: &Parts) -> (u64, Epoch) {
        (twin.one.seal(FIRST).expect("nobody else seals"), FIRST.sealed())
    }
}

/// What [`Words`] is made of.
pub struct Parts {
    one: Escrow,
    bell: Bell,
    above: AtomicU64,
    is_striped: AtomicBool,
    striped: std::sync::OnceLock<Striped>,
}

pub struct TwinLine<F>(Parts, PhantomData<F>);

impl<F> TwinLine<F> {
    fn striped(&self) -> Option<&Striped> {
        if self.0.is_striped.load(Ordering::Acquire) { self.0.striped.get() } else { None }
    }
}

impl<F: Flaw> Line for TwinLine<F> {
    fn filled() -> Self {
        let one = Escrow::new(Epoch::START);
        one.open(Epoch::START).expect("a new one is sealed in START");
        one.deposit(FIRST, 10).expect("it is open");
        let parts = Parts {
            one,
            bell: Bell::silent(),
            above: AtomicU64::new(0),
            is_striped: AtomicBool::new(false),
            striped: std::sync::OnceLock::new(),
        };
        TwinLine(parts, PhantomData)
    }
    fn spend(&self, thread: usize, amount: u64) -> Result<(Epoch, u64, bool), NoSpend> {
        let spent = match self.striped() {
            None => self.0.one.try_spend(amount),
            Some(words) => words.try_spend_at(thread, amount),
        }?;
        Ok((spent.epoch, spent.left, self.0.bell.rings(spent.left)))
    }
    fn with_above(&self, left: u64) -> u64 {
        left + self.0.above.load(Ordering::Relaxed)
    }
    fn balance(&self) -> u64 {
        self.striped().map_or_else(|| self.0.one.observe(), Striped::observe).balance
    }
    fn rest(&self, low_water: u64) -> u64 {
        F::rest(&self.0, low_water)
    }
    fn set_above(&self, above: u64) {
        self.0.above.store(above, Ordering::Relaxed);
    }
    fn raise(&self, amount: u64, rest: u64) {
        F::raise(&self.0, amount, rest);
    }
    fn spread(&self, amount: u64) -> u64 {
        let (taken, sealed) = F::end(&self.0);
        assert!(self.0.striped.set(Striped::new(Stripes::Two, sealed)).is_ok(), "spread once");
        self.0.is_striped.store(true, Ordering::Release);
        let words = self.0.striped.get().expect("just set");
        let epoch: Result<Epoch, Refused> = words.open(sealed);
        words.deposit(epoch.expect("nobody else opens"), amount).expect("nobody else seals");
        taken
    }
}

/// No flaw: shows that a twin is caught for its flaw and not for being a twin.
pub struct Faithful;
impl Flaw for Faithful {}

/// Sets the bell and looks as one looks at anything, as this product once did.
#[cfg(loom)]
pub struct LooksOutOfTurn;
#[cfg(loom)]
impl Flaw for LooksOutOfTurn {
    fn rest(twin: &Parts, low_water: u64) -> u64 {
        twin.bell.set(low_water);
        twin.one.observe().balance
    }
}

/// Looks first and rests then.
pub struct LooksFirst;
impl Flaw for LooksFirst {
    fn rest(twin: &Parts, low_water: u64) -> u64 {
        let seen = twin.one.look_in_turn().balance;
        twin.bell.set(low_water);
        seen
    }
}

/// Puts credits on the word before they are gone above.
pub struct RaisesFirst;
impl Flaw for RaisesFirst {
    fn raise(twin: &Parts, amount: u64, rest: u64) {
        twin.one.deposit(FIRST, amount).expect("nobody seals");
        twin.above.store(rest, Ordering::Relaxed);
    }
}

/// Takes what it sees on the word, which stays open.
pub struct LeavesOpen;
impl Flaw for LeavesOpen {
    fn end(twin: &Parts) -> (u64, Epoch) {
        (twin.one.observe().balance, FIRST.sealed())
    }
}

/// Begins to count epochs anew.
pub struct CountsAnew;
impl Flaw for CountsAnew {
    fn end(twin: &Parts) -> (u64, Epoch) {
        (twin.one.seal(FIRST).expect("nobody else seals"), Epoch::START)
    }
}
