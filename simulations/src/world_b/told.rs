//! What clients were told, noted at the instant they were told it; nobody in the system knows this. Not here: what must
//! follow from it (`judge`).

use crate::crossings::Seen;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use types::NodeId;

/// Clones are the same record.
#[derive(Clone, Debug, Default)]
pub struct Told(Arc<Mutex<Record>>);

#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Charges by workspace, user, and their id: node, line, sequence. In micro-credits.
    pub charges: BTreeMap<(String, String, ChargeId), u64>,
    pub by_workspace: BTreeMap<String, u64>,
    pub by_user: BTreeMap<(String, String), u64>,
    pub by_line: BTreeMap<(String, NodeId, u64), u64>,
    /// Charged with no answer that came: at most so much more may have been spent, by workspace.
    pub unknown: BTreeMap<String, u64>,
    /// Consumes that were refused, by code.
    pub refusals: BTreeMap<String, u64>,
    pub no_answer: u64,
    pub changes: u64,
    pub changes_refused: u64,
    pub seen: Seen,
    /// Nodes whose disk is gone, for the operator to forget.
    pub lost: BTreeSet<usize>,
    /// Refusals for want of credits once nothing was wrong any more, to be compared with what there was: workspace and
    /// micro-credits.
    pub exhausted: Vec<(String, u64)>,
    /// Sentences that an answer itself broke.
    pub broken: Vec<String>,
    pub operations: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChargeId {
    pub node: NodeId,
    pub line: u64,
    pub sequence: u64,
}

impl ChargeId {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let node = parts.next()?.parse().ok()?;
        let (line, sequence) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(Self { node, line, sequence })
    }
}

impl Told {
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().expect("nothing panics holding it")
    }
}

impl Record {
    /// `again`: an answer to a key that may have been answered before.
    pub fn charged(&mut self, workspace: &str, user: &str, id: ChargeId, micros: u64, again: bool) {
        let about = (workspace.to_owned(), user.to_owned(), id);
        if let Some(before) = self.charges.get(&about) {
            if !again || *before != micros {
                self.broken.push(format!("S7 {about:?} was told twice: {before}, then {micros}"));
            }
            return;
        }
        self.charges.insert(about, micros);
        *self.by_workspace.entry(workspace.to_owned()).or_default() += micros;
        *self.by_user.entry((workspace.to_owned(), user.to_owned())).or_default() += micros;
        *self.by_line.entry((workspace.to_owned(), id.node, id.line)).or_default() += micros;
    }
}
