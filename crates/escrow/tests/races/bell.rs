//! Races for a bell alone. Not here: what the owner knows when nobody rings (`words`).

use escrow::Bell;

use super::{sum, turns};
use crate::under::{Arc, AtomicU64, MORE, Ordering, explore};

/// A bell as the races see it; silent when it is new.
trait Rings: Send + Sync + 'static {
    fn new() -> Self;
    fn rings(&self, left: u64) -> bool;
    fn set(&self, low_water: u64);
}

impl Rings for Bell {
    fn new() -> Bell {
        Bell::silent()
    }
    fn rings(&self, left: u64) -> bool {
        self.rings(left)
    }
    fn set(&self, low_water: u64) {
        self.set(low_water);
    }
}

/// Some leave less than low water, all at once, and the owner sets the bell once more: he is told as often as he has
/// asked, and not by each of them.
fn ring<B: Rings>() {
    let bell = Arc::new(B::new());
    bell.set(5);
    let spender = |left| {
        let bell = bell.clone();
        turns(move || u64::from(bell.rings(left)))
    };
    let spenders: Vec<_> = [4, 0, 3, 2, 1].into_iter().take(2 + MORE).map(spender).collect();
    bell.set(6);
    let told = sum(spenders);
    let told_later = u64::from(bell.rings(5));
    assert!(told + told_later >= 1, "who asked is told");
    assert!(told + told_later <= 2, "told more often than he has asked");
    assert!(!bell.rings(0), "silent once it has rung");
}

#[test]
fn a_bell_rings_as_often_as_it_is_set() {
    explore("ring × ring × set", 50, ring::<Bell>);
}

/// Looks whether it is set, and silences it then.
struct LooksThenSilences(AtomicU64);

impl Rings for LooksThenSilences {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }
    fn rings(&self, left: u64) -> bool {
        let is_low = left < self.0.load(Ordering::Acquire);
        if is_low {
            self.0.store(0, Ordering::Release);
        }
        is_low
    }
    fn set(&self, low_water: u64) {
        self.0.store(low_water, Ordering::Release);
    }
}

#[test]
#[should_panic(expected = "told more often than he has asked")]
fn silencing_without_asking_is_caught() {
    explore("twin", 0, ring::<LooksThenSilences>);
}
