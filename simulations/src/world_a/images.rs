//! The ledger's state as it was at some indexes, for replicas to be compared with. Not here: the comparison (`oracle`).

use ledger::State;
use std::collections::BTreeMap;

/// Entries between two of them, and how many are kept.
const EVERY: u64 = 256;
const IMAGES_MAX: usize = 32;

#[derive(Default)]
pub struct Images(BTreeMap<u64, State>);

impl Images {
    /// The state after the entry at `index`: of some entries.
    pub fn keep(&mut self, index: u64, state: &State) {
        if !index.is_multiple_of(EVERY) {
            return;
        }
        self.0.insert(index, state.clone());
        if self.0.len() > IMAGES_MAX {
            self.0.pop_first();
        }
    }

    pub fn at(&self, index: u64) -> Option<&State> {
        self.0.get(&index)
    }

    /// The last that is kept of those up to `index`.
    pub fn up_to(&self, index: u64) -> Option<(u64, &State)> {
        self.0.range(..=index).next_back().map(|(index, image)| (*index, image))
    }
}
