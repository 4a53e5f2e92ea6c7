//! Races for places. Not here: what the places are for.

use escrow::Places;

use super::{sum, turns};
use crate::under::{Arc, AtomicBool, AtomicU64, MORE, Ordering, explore, thread};

/// Places as the races see them.
trait Room: Send + Sync + 'static {
    fn new() -> Self;
    fn take(&self, all: u64) -> bool;
    fn leave(&self);
}

impl Room for Places {
    fn new() -> Places {
        Places::free()
    }
    fn take(&self, all: u64) -> bool {
        self.take(all)
    }
    fn leave(&self) {
        self.leave();
    }
}

/// All but one find a place; never are more inside than there are.
fn crowd<R: Room>() {
    let all = 1 + MORE as u64;
    let (room, inside) = (Arc::new(R::new()), Arc::new(AtomicU64::new(0)));
    let come_and_go = |_| {
        let (room, inside) = (room.clone(), inside.clone());
        turns(move || {
            if !room.take(all) {
                return 0;
            }
            assert!(inside.fetch_add(1, Ordering::AcqRel) < all, "more are inside than there are places");
            inside.fetch_sub(1, Ordering::AcqRel);
            room.leave();
            1
        })
    };
    let been_inside = sum((0..2 + MORE).map(come_and_go).collect::<Vec<_>>());
    assert!(been_inside > 0, "the first to come finds a place");
    assert!((0..all).all(|_| room.take(all)) && !room.take(all), "all places are free again");
}

/// One is inside and leaves. Who comes after that finds the place, if nobody else has got it meanwhile.
fn handed_on<R: Room>() {
    let (room, free) = (Arc::new(R::new()), Arc::new(AtomicBool::new(false)));
    assert!(room.take(1), "nobody is inside");
    let comer = |_| {
        let (room, free) = (room.clone(), free.clone());
        thread::spawn(move || {
            let is_free = free.load(Ordering::Acquire);
            (is_free, room.take(1))
        })
    };
    let comers: Vec<_> = (0..2 + MORE).map(comer).collect();
    room.leave();
    free.store(true, Ordering::Release);
    let came: Vec<_> = comers.into_iter().map(|comer| comer.join().unwrap()).collect();
    let got = came.iter().filter(|(_, got)| *got).count();
    assert!(got <= 1, "more are inside than there are places");
    assert!(got == 1 || came.iter().all(|(was_free, _)| !was_free), "a place that is free is given");
}

#[test]
fn no_more_are_inside_than_there_are_places() {
    explore("come, go × come, go", 10, crowd::<Places>);
}

#[test]
fn a_place_that_is_free_is_given() {
    explore("leave × come × come", 50, handed_on::<Places>);
}

// ── Twins ────────────────────────────────────────────────────────────────────────────────────────

/// Counts itself first and asks later whether that was too many.
struct CountsFirst(AtomicU64);

impl Room for CountsFirst {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }
    fn take(&self, all: u64) -> bool {
        let fits = self.0.fetch_add(1, Ordering::AcqRel) < all;
        if !fits {
            self.leave();
        }
        fits
    }
    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Asks first and counts later.
struct AsksFirst(AtomicU64);

impl Room for AsksFirst {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }
    fn take(&self, all: u64) -> bool {
        let fits = self.0.load(Ordering::Acquire) < all;
        if fits {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
        fits
    }
    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[test]
#[should_panic(expected = "a place that is free is given")]
fn counting_before_asking_is_caught() {
    explore("twin", 0, handed_on::<CountsFirst>);
}

#[test]
#[should_panic(expected = "more are inside")]
fn asking_before_counting_is_caught() {
    explore("twin", 0, crowd::<AsksFirst>);
}
