//! Which workspaces time has something to do with next, so that a leader finds them among a hundred thousand. Follows from
//! the workspaces and is not stored. Not here: what is then done (`cycle`).

use crate::workspace::Workspace;
use std::collections::BTreeSet;
use types::{Timestamp, WorkspaceId};

/// A cycle's end is looked up when fewer are known than these: this one's, and the next one's.
const ENDS_MIN: usize = 2;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    due: BTreeSet<(Timestamp, WorkspaceId)>,
    /// Those whose next ends of cycles, or whose zone's clocks, are to be looked up.
    ending: BTreeSet<WorkspaceId>,
}

/// What one workspace has in the schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Agenda {
    due: Option<Timestamp>,
    wants_ends: bool,
}

impl Workspace {
    pub(crate) fn agenda(&self) -> Agenda {
        let wants_ends = self.cycle_rule.is_some() && self.cycle_ends.len() < ENDS_MIN || self.wants_clock();
        Agenda { due: self.next_due, wants_ends }
    }
}

impl Schedule {
    /// Those with something due at `at`, the longest due first; at most `most`.
    pub fn due(&self, at: Timestamp, most: usize) -> Vec<WorkspaceId> {
        let due = self.due.iter().take_while(|(due, _)| *due <= at);
        due.take(most).map(|(_, id)| id.clone()).collect()
    }

    /// Those of which too few ends of cycles are known, or too little of what clocks show.
    pub fn short_of_ends(&self) -> impl Iterator<Item = &WorkspaceId> {
        self.ending.iter()
    }

    /// `was`: what it had in the schedule so far.
    pub(crate) fn note(&mut self, workspace: &Workspace, was: Agenda) {
        let now = workspace.agenda();
        if was.due != now.due {
            if let Some(due) = was.due {
                self.due.remove(&(due, workspace.id.clone()));
            }
            self.due.extend(now.due.map(|due| (due, workspace.id.clone())));
        }
        if was.wants_ends && !now.wants_ends {
            self.ending.remove(&workspace.id);
        } else if now.wants_ends && !was.wants_ends {
            self.ending.insert(workspace.id.clone());
        }
    }
}
