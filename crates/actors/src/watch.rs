//! Which workspaces of the groups led here may have frozen lines, so that somebody sees to them, and no holder's session
//! is renewed past them. Not here: recalling them (`desk`).

use replication::GroupId;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use types::WorkspaceId;

#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// Groups whose ledger was looked through, and in which term.
    led: BTreeMap<GroupId, u64>,
    /// How often each was put in: what changed while it was seen to is seen to again.
    workspaces: BTreeMap<(GroupId, WorkspaceId), u64>,
}

/// A workspace to be seen to.
#[derive(Clone, Debug)]
pub(crate) struct ToSee {
    pub group: GroupId,
    pub workspace: WorkspaceId,
    times: u64,
}

impl Watch {
    fn inner(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().expect("nobody panics holding it")
    }

    pub fn add(&self, group: GroupId, workspace: WorkspaceId) {
        *self.inner().workspaces.entry((group, workspace)).or_default() += 1;
    }

    /// This node leads the group in this term, and put in what its ledger has.
    pub fn took_over(&self, group: GroupId, term: u64) {
        self.inner().led.insert(group, term);
    }

    pub fn leads(&self, group: GroupId, term: u64) -> bool {
        self.inner().led.get(&group) == Some(&term)
    }

    /// Another node leads the group.
    pub fn lost(&self, group: GroupId) {
        let mut inner = self.inner();
        if inner.led.remove(&group).is_some() {
            inner.workspaces.retain(|(of, _), _| *of != group);
        }
    }

    /// All of a group.
    pub fn of(&self, group: GroupId) -> Vec<WorkspaceId> {
        let inner = self.inner();
        let of_group = inner.workspaces.keys().filter(|(of, _)| *of == group);
        of_group.map(|(_, workspace)| workspace.clone()).collect()
    }

    pub fn all(&self) -> Vec<ToSee> {
        let to_see = |((group, workspace), times): (&(GroupId, WorkspaceId), &u64)| ToSee {
            group: *group,
            workspace: workspace.clone(),
            times: *times,
        };
        self.inner().workspaces.iter().map(to_see).collect()
    }

    /// Nothing is frozen there any more, as of when it was taken from [`Watch::all`].
    pub fn done(&self, seen: &ToSee) {
        let key = (seen.group, seen.workspace.clone());
        let mut inner = self.inner();
        if inner.workspaces.get(&key) == Some(&seen.times) {
            inner.workspaces.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_while_it_is_seen_to_is_seen_to_again() {
        let (watch, group) = (Watch::default(), GroupId::Meta);
        let workspace = || WorkspaceId::parse("w").unwrap();
        watch.add(group, workspace());
        let seen = watch.all().remove(0);
        watch.add(group, workspace());
        watch.done(&seen);
        assert_eq!(watch.of(group), [workspace()]);
        watch.done(&watch.all().remove(0));
        assert_eq!(watch.of(group), []);
        watch.add(group, workspace());
        watch.took_over(group, 3);
        assert!(watch.leads(group, 3) && !watch.leads(group, 4), "each term is looked through anew");
        watch.lost(group);
        assert!(!watch.leads(group, 3) && watch.all().is_empty());
    }
}
