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
    workspaces: BTreeMap<(GroupId, WorkspaceId), Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// How often it was put in: what changed while it was seen to is seen to again.
    times: u64,
    /// A command about it may be in the log and not applied yet.
    in_doubt: bool,
}

/// A workspace to be seen to.
#[derive(Clone, Debug)]
pub(crate) struct ToSee {
    pub group: GroupId,
    pub workspace: WorkspaceId,
    /// What its ledger says now is not all: a command whose fate nobody was told may still be applied.
    pub in_doubt: bool,
    times: u64,
}

impl Watch {
    fn inner(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().expect("nobody panics holding it")
    }

    pub fn add(&self, group: GroupId, workspace: WorkspaceId) {
        self.inner().workspaces.entry((group, workspace)).or_default().times += 1;
    }

    /// Nobody was told what became of a command about it.
    pub fn doubt(&self, group: GroupId, workspace: WorkspaceId) {
        let mut inner = self.inner();
        let entry = inner.workspaces.entry((group, workspace)).or_default();
        (entry.times, entry.in_doubt) = (entry.times + 1, true);
    }

    /// What was in doubt when it was taken from [`Watch::all`] is applied, or never will be.
    pub fn settled(&self, seen: &ToSee) {
        let mut inner = self.inner();
        let entry = inner.workspaces.get_mut(&(seen.group, seen.workspace.clone()));
        if let Some(entry) = entry.filter(|entry| entry.times == seen.times) {
            entry.in_doubt = false;
        }
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
        let to_see = |((group, workspace), entry): (&(GroupId, WorkspaceId), &Entry)| ToSee {
            group: *group,
            workspace: workspace.clone(),
            in_doubt: entry.in_doubt,
            times: entry.times,
        };
        self.inner().workspaces.iter().map(to_see).collect()
    }

    /// Nothing is frozen there any more, as of when it was taken from [`Watch::all`].
    pub fn done(&self, seen: &ToSee) {
        let key = (seen.group, seen.workspace.clone());
        let mut inner = self.inner();
        if inner.workspaces.get(&key).is_some_and(|entry| entry.times == seen.times) {
            inner.workspaces.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_that_comes_while_another_one_is_settled_stays() {
        let (watch, group) = (Watch::default(), GroupId::Meta);
        let workspace = || WorkspaceId::parse("w").unwrap();
        watch.doubt(group, workspace());
        let first = watch.all().remove(0);
        watch.doubt(group, workspace());
        watch.settled(&first);
        watch.done(&first);
        let second = watch.all().remove(0);
        assert!(first.in_doubt && second.in_doubt);
        watch.settled(&second);
        assert!(!watch.all().remove(0).in_doubt);
        watch.done(&second);
        assert_eq!(watch.of(group), []);
    }

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
