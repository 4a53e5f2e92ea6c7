//! Usage that is told of later, as the ledger answered it: what was charged, and that it was charged once. One record per
//! workspace. Not here: what paid (`naive`).

use crate::checkers::{Broken, Verdict};
use crate::told::Told;
use ledger::{AdminCommand, Applied, Change, Command, Import, ImportResult, NewImport, Outcome};
use std::collections::BTreeSet;
use types::{Credits, ImportId, Timestamp, UserId};

#[derive(Clone, Debug, Default)]
pub struct Imports {
    charged: BTreeSet<ImportId>,
}

/// What an entry charged: each item with what was answered. Under a request's key answers are given again: not for those.
pub fn items_of<'a>(
    command: &'a Command,
    applied: &'a Applied,
) -> impl Iterator<Item = (&'a NewImport, &'a Import)> {
    let both = match (command, &applied.result) {
        (
            Command::Admin(AdminCommand { change: Change::ImportUsage(items), .. }),
            Ok(Outcome::Imported(answers)),
        ) => Some(items.iter().zip(answers)),
        _ => None,
    };
    let charged = |(item, answer): (&'a NewImport, &'a ledger::ImportAnswer)| {
        let import = answer.import.as_deref().filter(|_| answer.result == ImportResult::Charged)?;
        Some((item, import))
    };
    both.into_iter().flatten().filter_map(charged)
}

/// By whom, how much, and when it happened.
pub fn charged(command: &Command, applied: &Applied) -> Vec<(UserId, u64, Timestamp)> {
    let one = |(item, _): (&NewImport, &Import)| {
        (item.user.clone(), item.charge.map_or(0, Credits::micros), item.happened_at)
    };
    items_of(command, applied).map(one).collect()
}

impl Imports {
    /// The ledger took it, not under a key again: what it charged was asked for and told.
    pub fn applied(&mut self, told: &mut Told, command: &Command, applied: &Applied) -> Verdict {
        for (item, import) in items_of(command, applied) {
            if !self.charged.insert(item.id.clone()) {
                let sentence = "S7 usage that is told of again is not charged again";
                return Err(Broken { sentence, what: format!("{item:?}: {import:?}") });
            }
            told.charged_elsewhere(&item.user, import.charged, import.uncovered);
        }
        Ok(())
    }
}
