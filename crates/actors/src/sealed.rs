//! Which lines that were taken away are known to be sealed: their holders have answered so, and do not forget it. What is
//! still out on such a line is held, and comes back when its holds have ended; so it is no reason to refuse a session. Not
//! here: asking for them (`desk`).
//!
//! A new leader knows nothing of it, and asks again.

use ledger::{Line, State};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use types::{HolderId, LineId, WorkspaceId};

#[derive(Debug, Default)]
pub(crate) struct Sealed(Mutex<BTreeSet<(WorkspaceId, LineId)>>);

impl Sealed {
    fn inner(&self) -> MutexGuard<'_, BTreeSet<(WorkspaceId, LineId)>> {
        self.0.lock().expect("nobody panics holding it")
    }

    pub fn add(&self, workspace: &WorkspaceId, lines: impl Iterator<Item = LineId>) {
        self.inner().extend(lines.map(|line| (workspace.clone(), line)));
    }

    /// Nothing is frozen there any more.
    pub fn forget(&self, workspace: &WorkspaceId) {
        self.inner().retain(|(of, _)| of != workspace);
    }

    /// Whether the holder may still spend of what was taken away from it.
    pub fn owes(&self, state: &State, watched: &[WorkspaceId], holder: HolderId) -> bool {
        let sealed = self.inner();
        watched.iter().filter_map(|id| Some((id, state.workspace(id)?))).any(|(id, workspace)| {
            let owed = |(line, there): (&LineId, &Line)| {
                let out = there.outstanding();
                let waits = sealed.contains(&(id.clone(), *line)) && out <= there.held;
                line.holder == holder && there.frozen && !there.written_off && !out.is_zero() && !waits
            };
            workspace.lines.iter().any(owed)
        })
    }
}
