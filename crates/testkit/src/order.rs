//! S12, judged exactly and without a search: answers carry their place (the index of their entry, a revision, a number on
//! a line), so operations must be ordered by it as they were in real time. Not here: what the operations were.

use crate::checkers::{Broken, Verdict};
use std::collections::BTreeSet;
use std::fmt::Debug;

/// What is known when an operation begins.
#[derive(Clone, Copy, Debug)]
pub struct Begun<I = u64>(Option<I>);

#[derive(Clone, Debug)]
pub struct RealTime<I = u64> {
    /// The highest index of an operation that has ended.
    ended: Option<I>,
}

impl<I> Default for RealTime<I> {
    fn default() -> Self {
        Self { ended: None }
    }
}

impl<I: Ord + Copy + Debug> RealTime<I> {
    pub fn begin(&self) -> Begun<I> {
        Begun(self.ended)
    }

    /// A write ended at `index`: behind all that had ended before it began.
    pub fn wrote(&mut self, begun: Begun<I>, index: I) -> Verdict {
        self.end(index);
        if begun.0.is_none_or(|known| index > known) { Ok(()) } else { Err(broken(begun, index)) }
    }

    /// A read saw all up to `index`.
    pub fn read(&mut self, begun: Begun<I>, index: I) -> Verdict {
        self.end(index);
        if begun.0.is_none_or(|known| index >= known) { Ok(()) } else { Err(broken(begun, index)) }
    }

    fn end(&mut self, index: I) {
        self.ended = self.ended.max(Some(index));
    }
}

/// A moment of the one clock that all clients share.
pub type Moment = u64;

/// One operation as its client saw it: when it was first asked for, when it was answered, and its place.
#[derive(Clone, Copy, Debug)]
pub struct Operation<I = u64> {
    pub sent: Moment,
    pub answered: Moment,
    pub index: I,
    pub wrote: bool,
}

/// All operations on one thing, in any order: their places are ordered as they were in real time, and no two writes
/// have one.
pub fn operations_follow_real_time<I: Ord + Copy + Debug>(operations: &[Operation<I>]) -> Verdict {
    let mut steps: Vec<(Moment, bool, usize)> = Vec::with_capacity(2 * operations.len());
    for (at, one) in operations.iter().enumerate() {
        // What begins when another ends may have come before it.
        steps.extend([(one.sent, false, at), (one.answered, true, at)]);
    }
    steps.sort_unstable();
    let (mut order, mut writes) = (RealTime::default(), BTreeSet::new());
    let mut begun = vec![order.begin(); operations.len()];
    for (_, is_end, at) in steps {
        let Operation { index, wrote, .. } = operations[at];
        match (is_end, wrote) {
            (false, _) => begun[at] = order.begin(),
            (true, false) => order.read(begun[at], index)?,
            (true, true) => {
                order.wrote(begun[at], index)?;
                if !writes.insert(index) {
                    let what = format!("two writes were answered at index {index:?}");
                    return Err(Broken { sentence: SENTENCE, what });
                }
            }
        }
    }
    Ok(())
}

const SENTENCE: &str = "S12 ledger operations are linearizable";

fn broken<I: Debug>(Begun(known): Begun<I>, index: I) -> Broken {
    let what = format!("answered at index {index:?}, when {known:?} had been answered before it was asked");
    Broken { sentence: SENTENCE, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_begins_after_another_has_ended_comes_behind_it() {
        let mut order = RealTime::default();
        let (first, second) = (order.begin(), order.begin());
        order.wrote(second, 7).unwrap();
        order.wrote(first, 5).unwrap();
        let third = order.begin();
        assert!(order.wrote(third, 7).is_err());
        assert!(order.read(third, 7).is_ok() && order.read(third, 6).is_err());
    }

    #[test]
    fn what_was_noted_is_ordered_afterwards() {
        let of = |index, sent, answered, wrote| Operation { sent, answered, index, wrote };
        let good = [of(3, 0, 5, true), of(3, 1, 9, false), of(4, 4, 6, true), of(2, 5, 7, false)];
        operations_follow_real_time(&good).unwrap();
        let back = [of(3, 0, 5, false), of(2, 6, 7, false)];
        assert!(operations_follow_real_time(&back).is_err());
        let lost = [of(3, 0, 5, true), of(3, 0, 5, true)];
        assert!(operations_follow_real_time(&lost).is_err(), "one of two writes");
        let pairs = [((1, 9), 0, 5), ((2, 1), 6, 7)];
        let pair = |(index, sent, answered)| Operation { sent, answered, index, wrote: true };
        operations_follow_real_time(&pairs.map(pair)).unwrap();
        assert!(operations_follow_real_time(&[((2, 1), 0, 5), ((1, 9), 6, 7)].map(pair)).is_err());
    }
}
