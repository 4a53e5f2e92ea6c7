//! S12, judged exactly and without a search: the ledger's answers carry the index of their entry, so operations must
//! be ordered by it as they were in real time. Not here: what the operations were.

use crate::checkers::{Broken, Verdict};

/// What is known when an operation begins.
#[derive(Clone, Copy, Debug)]
pub struct Begun(u64);

#[derive(Debug, Default)]
pub struct RealTime {
    /// The highest index of an operation that has ended.
    ended: u64,
}

impl RealTime {
    pub fn begin(&self) -> Begun {
        Begun(self.ended)
    }

    /// A write ended at `index`: behind all that had ended before it began.
    pub fn wrote(&mut self, begun: Begun, index: u64) -> Verdict {
        self.end(index);
        if index > begun.0 { Ok(()) } else { Err(broken(begun, index)) }
    }

    /// A read saw all up to `index`.
    pub fn read(&mut self, begun: Begun, index: u64) -> Verdict {
        self.end(index);
        if index >= begun.0 { Ok(()) } else { Err(broken(begun, index)) }
    }

    fn end(&mut self, index: u64) {
        self.ended = self.ended.max(index);
    }
}

fn broken(Begun(known): Begun, index: u64) -> Broken {
    let what = format!("answered at index {index}, when {known} had been answered before it was asked");
    Broken { sentence: "S12 ledger operations are linearizable", what }
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
}
