//! The holder's half of a line: the spendable balance of one user's allocation on one node, shared by
//! many request tasks on one atomic word. Not in this room: who draws, returns or journals (the actors
//! decide, the journal remembers), what a credit is worth, and any clock, lock, mailbox or allocation.
//!
//! A consume must cost about one atomic instruction, yet the moment an administrator takes credits back
//! no task may spend one of them. Both are had by keeping **epoch and balance in one word**: a spend is
//! a compare-and-swap that fails when either has changed, so a recall and a consume are decided by the
//! same instruction, and there is nothing between them in which both could win.
//!
//! ```text
//!   63        48 47                                              0
//!  ┌────────────┬─────────────────────────────────────────────────┐
//!  │   epoch    │          balance in micro-credits               │   even epoch: open
//!  └────────────┴─────────────────────────────────────────────────┘   odd epoch: sealed, balance 0
//! ```
//!
//! Read in this order: [`word`] has every transition as a pure function; [`Escrow`] makes one atomic
//! with one loop; [`Striped`] spreads a hot allocation over several; [`Words`] is what a holder keeps: one
//! of them or the other, and a [`Bell`] that calls the owner. [`Places`] bounds who may wait for credits.
//!
//! Whatever threads share without a lock in a protocol of several steps lives here, because here it can be
//! explored: under loom every interleaving of small scenarios, under shuttle many random ones of larger
//! (`tests/races`). Nothing else in the workspace compiles under either.
//!
//! **The invariant.** For every escrow, at rest and for any interleaving:
//!
//! ```text
//!  deposited  =  spent  +  taken by seal and withdraw  +  stray  +  balance
//! ```
//!
//! exactly; no counter keeps it, it follows from each step moving credits in one compare-and-swap.
//! Only [`Striped`] makes strays.
//!
//! ```
//! use escrow::{Epoch, Escrow, NoSpend};
//!
//! let escrow = Escrow::new(Epoch::START);
//! let june = escrow.open(Epoch::START).unwrap();
//! escrow.deposit(june, 100).unwrap();
//! assert_eq!(escrow.try_spend(30).unwrap().left, 70);
//! assert_eq!(escrow.seal(june), Ok(70)); // recalled: in one swap nobody can spend them any more
//! assert!(matches!(escrow.try_spend(1), Err(NoSpend::Sealed { .. })));
//! assert!(escrow.deposit(june, 5).is_err()); // too late for june, and it lands nowhere else
//! ```
//!
//! **Amounts** are plain `u64` micro-credits everywhere in this crate.
//!
//! **Orderings.** Every successful step is `AcqRel`: a spend sees what was written before the deposit
//! it lives on (the watermark on disk), and a seal sees what a spender wrote before its spend (that it
//! is under way). A look is `Acquire` for the same reason. A step's first load and a failed swap are `Relaxed`: they only propose a value, which the
//! swap then confirms or refutes. So a *refusal* may rest on a value that is a moment old; it is an
//! answer about "just now", and a caller for whom that matters asks again on its slow path. Swaps never
//! act on an old value, because a read-modify-write always reads the last one.

#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::wildcard_enum_match_arm)]

mod answer;
mod bell;
mod places;
mod single;
mod striped;
mod sync;
pub mod word;
mod words;

pub use answer::{NoSpend, Refused, Snapshot, Spent};
pub use bell::Bell;
pub use places::Places;
pub use single::Escrow;
pub use striped::{Striped, Stripes};
pub use word::{BALANCE_MAX, Epoch};
pub use words::Words;
