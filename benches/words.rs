//! P1 and P3: one word, and several words as one. Not here: finding the word (`directory`).

use actors::Handle;
use benches::claim::{Claim, Target, times};
use benches::rounds::{Rounds, now, ns_per, per, pin_this_thread, thread_time};
use benches::{NotMeasured, Size};
use escrow::{Epoch, Escrow, Striped, Stripes};
use journal::HandleNo;
use std::hint::black_box;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{Credits, UserId, WorkspaceId};

/// More than all rounds take, one micro-credit at a time.
const BALANCE: u64 = 1 << 46;
const ROUNDS: usize = 31;
/// Both threads ran for so much of a turn: they met.
const UNDISTURBED: f64 = 0.9;
const TRIES_MAX: usize = 25;

pub fn measure(size: Size, _target: &Path) -> Result<Vec<Claim>, NotMeasured> {
    Ok(vec![one_thread(size), two_threads(size)])
}

fn one_thread(size: Size) -> Claim {
    pin_this_thread(0);
    let operations = size.of(2_000_000);
    let (bare, escrow, handle) = (AtomicU64::new(BALANCE), an_escrow(), a_handle());
    let one = Credits::from_micros(1).expect("a micro-credit is an amount");
    let rounds = Rounds::run(
        size.rounds(ROUNDS),
        &mut [
            &mut || spin(operations, || black_box(bare.fetch_sub(black_box(1), Ordering::AcqRel))),
            &mut || spin(operations, || black_box(escrow.try_spend(black_box(1)))),
            &mut || spin(operations, || black_box(handle.try_spend(black_box(one)))),
        ],
    );
    let ratio = rounds.ratio(2, 0);
    let (ns_bare, ns_escrow, ns_handle) = (rounds.median(0), rounds.median(1), rounds.median(2));
    Claim {
        id: "P1",
        what: "spend on a held handle",
        against: "a bare `fetch_sub`",
        target: "≤ 3×",
        bound: Target::AtMost(3.0),
        value: ratio,
        measured: times(ratio),
        if_missed: String::new(),
        how: format!(
            "one thread, the spend alone, without the journal: `Handle::try_spend` {ns_handle:.1} ns, its word alone (`Escrow`) {ns_escrow:.1} ns, `fetch_sub` {ns_bare:.1} ns; \
             median of {} rounds of {operations}",
            size.rounds(ROUNDS)
        ),
        numbers: vec![
            ("fetch_sub_ns", ns_bare),
            ("escrow_ns", ns_escrow),
            ("handle_ns", ns_handle),
            ("escrow_ratio", rounds.ratio(1, 0)),
        ],
    }
}

fn spin<T>(operations: u64, mut operation: impl FnMut() -> T) -> f64 {
    ns_per(operations, || {
        for _ in 0..operations {
            operation();
        }
    })
}

fn two_threads(size: Size) -> Claim {
    let operations = size.of(400_000);
    let (line, bare, escrow, striped) =
        (AtomicU64::new(BALANCE), AtomicU64::new(BALANCE), an_escrow(), a_striped());
    let rounds = Rounds::run(
        size.rounds(ROUNDS),
        &mut [
            &mut || both(operations, || black_box(check_and_swap(&line, black_box(1)))),
            &mut || both(operations, || black_box(bare.fetch_sub(black_box(1), Ordering::AcqRel) > 0)),
            &mut || both(operations, || black_box(escrow.try_spend(black_box(1)).is_ok())),
            &mut || both(operations, || black_box(striped.try_spend(black_box(1)).is_ok())),
        ],
    );
    let ratio = rounds.ratio(3, 0);
    Claim {
        id: "P3",
        what: "two threads on one allocation",
        against: "one contended line: an atomic that both check and swap",
        target: "≤ 0.5×",
        bound: Target::AtMost(0.5),
        value: ratio,
        measured: times(ratio),
        if_missed: String::new(),
        how: format!(
            "wall time per spend with both threads at it: striped {:.1} ns, contended check-and-swap {:.1} ns, contended `fetch_sub` \
             {:.1} ns, one contended `Escrow` {:.1} ns; striped is {} of the contended `fetch_sub`, which checks nothing",
            rounds.median(3),
            rounds.median(0),
            rounds.median(1),
            rounds.median(2),
            times(rounds.ratio(3, 1))
        ),
        numbers: vec![
            ("striped_ns", rounds.median(3)),
            ("contended_swap_ns", rounds.median(0)),
            ("contended_fetch_sub_ns", rounds.median(1)),
            ("contended_escrow_ns", rounds.median(2)),
            ("striped_to_fetch_sub", rounds.ratio(3, 1)),
        ],
    }
}

/// A spend as one writes it without Tranche.
fn check_and_swap(balance: &AtomicU64, amount: u64) -> bool {
    let take = |now: u64| now.checked_sub(amount);
    balance.fetch_update(Ordering::AcqRel, Ordering::Relaxed, take).is_ok()
}

/// Two threads on two cores begin together; the time until both are done, by all that both did. They meet only while
/// both run, so a turn in which one of them was taken off its core is taken again.
fn both(operations: u64, operation: impl Fn() -> bool + Sync) -> f64 {
    let mut calmest = (0.0, f64::NAN);
    for _ in 0..TRIES_MAX {
        let (share, ns) = both_once(operations, &operation);
        if share > calmest.0 {
            calmest = (share, ns);
        }
        if share >= UNDISTURBED {
            break;
        }
    }
    calmest.1
}

/// Which share of the wall time the busier of both really ran at least, and nanoseconds per operation.
fn both_once(operations: u64, operation: &(impl Fn() -> bool + Sync)) -> (f64, f64) {
    let start = Barrier::new(2);
    let run = |core| {
        pin_this_thread(core);
        start.wait();
        let (began, before) = (now(), thread_time());
        for _ in 0..operations {
            assert!(operation(), "there is more than all rounds take");
        }
        (began, now(), thread_time() - before)
    };
    let [one, other] = std::thread::scope(|scope| {
        [scope.spawn(|| run(0)), scope.spawn(|| run(1))].map(|thread| thread.join().expect("it spends"))
    });
    let wall = one.1.max(other.1) - one.0.min(other.0);
    let share = one.2.min(other.2).as_secs_f64() / wall.as_secs_f64();
    (share, per(wall, 2 * operations))
}

fn an_escrow() -> Escrow {
    let escrow = Escrow::new(Epoch::START);
    let epoch = escrow.open(Epoch::START).expect("a new escrow is sealed in its first epoch");
    escrow.deposit(epoch, BALANCE).expect("it fits");
    escrow
}

fn a_striped() -> Striped {
    let striped = Striped::new(Stripes::Two, Epoch::START);
    let epoch = striped.open(Epoch::START).expect("a new one is sealed in its first epoch");
    striped.deposit(epoch, BALANCE).expect("it fits");
    striped
}

fn a_handle() -> Handle {
    let workspace = WorkspaceId::parse("acme").expect("an id");
    let user = UserId::parse("ann").expect("an id");
    Handle::filled(HandleNo(1), workspace, user, Credits::from_micros(BALANCE).expect("an amount"))
}
