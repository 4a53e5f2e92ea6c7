//! All handles of this node, by workspace, user and scope. Looked up by each consume, changed seldom.
//!
//! One hash a look-up, and the handle itself is the key: at a million users what counts is how often memory is
//! touched. Not here: when a handle is made or dropped.

use crate::handle::Handle;
use escrow::Places;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use types::{Scope, UserId, WorkspaceId};

const PARTS: usize = 64;

#[derive(Debug)]
pub struct Directory {
    parts: Vec<Part>,
    hasher: DefaultHashBuilder,
    handles: Places,
    max: u64,
}

/// On a cache line of its own, so that readers of different parts do not meet.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(RwLock<HashTable<Arc<Handle>>>);

impl Part {
    fn read(&self) -> RwLockReadGuard<'_, HashTable<Arc<Handle>>> {
        self.0.read().expect("nobody panics holding it")
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashTable<Arc<Handle>>> {
        self.0.write().expect("nobody panics holding it")
    }
}

impl Directory {
    pub fn new(max: usize) -> Self {
        let parts = (0..PARTS).map(|_| Part::default()).collect();
        Self { parts, hasher: DefaultHashBuilder::default(), handles: Places::free(), max: max as u64 }
    }

    fn hash(&self, workspace: &WorkspaceId, user: &UserId) -> u64 {
        self.hasher.hash_one((workspace.as_str(), user.as_str()))
    }

    fn hash_in(&self, workspace: &WorkspaceId, user: &UserId, scope: &Scope) -> u64 {
        if scope.is_anything() {
            return self.hash(workspace, user);
        }
        self.hasher.hash_one((workspace.as_str(), user.as_str(), scope))
    }

    fn hash_of(&self, handle: &Handle) -> u64 {
        self.hash_in(&handle.workspace, &handle.user, handle.scope())
    }

    /// By the middle bits: the table itself uses the ends.
    fn part(&self, hash: u64) -> &Part {
        &self.parts[(hash >> 32) as usize % PARTS]
    }

    /// Where nothing is limited: what most consumes look for, and all of them first.
    pub fn find(&self, workspace: &WorkspaceId, user: &UserId) -> Option<Arc<Handle>> {
        let hash = self.hash(workspace, user);
        self.part(hash).read().find(hash, |handle| handle.is_of(workspace, user)).cloned()
    }

    pub fn find_in(&self, workspace: &WorkspaceId, user: &UserId, scope: &Scope) -> Option<Arc<Handle>> {
        let hash = self.hash_in(workspace, user, scope);
        self.part(hash).read().find(hash, |handle| handle.is_in(workspace, user, scope)).cloned()
    }

    /// The handle that is there, or the one that `make` makes; `None` where there are too many.
    pub fn find_or_make(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        scope: &Scope,
        make: impl FnOnce() -> Handle,
    ) -> Option<Arc<Handle>> {
        let hash = self.hash_in(workspace, user, scope);
        let mut part = self.part(hash).write();
        if let Some(known) = part.find(hash, |handle| handle.is_in(workspace, user, scope)) {
            return Some(known.clone());
        }
        if !self.handles.take(self.max) {
            return None;
        }
        let handle = Arc::new(make());
        part.insert_unique(hash, handle.clone(), |handle| self.hash_of(handle));
        Some(handle)
    }

    /// Drops this very handle.
    pub fn drop_handle(&self, handle: &Arc<Handle>) {
        let hash = self.hash_of(handle);
        let mut part = self.part(hash).write();
        if let Ok(entry) = part.find_entry(hash, |known| Arc::ptr_eq(known, handle)) {
            entry.remove();
            self.handles.leave();
        }
    }

    pub fn len(&self) -> usize {
        self.handles.taken() as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::HandleNo;
    use types::{Feature, Revision, ShardId};

    #[test]
    fn one_handle_a_user_and_no_more_than_allowed() {
        let directory = Directory::new(2);
        let workspace = WorkspaceId::parse("w").unwrap();
        let user = |name: &str| UserId::parse(name).unwrap();
        let make_in = |name: &str, scope: &Scope| {
            let user = user(name);
            directory.find_or_make(&workspace, &user, scope, || {
                Handle::new(HandleNo(1), workspace.clone(), user.clone(), scope, ShardId(0), 1)
            })
        };
        let make = |name: &str| make_in(name, &Scope::ANYTHING);
        let ann = make("ann").unwrap();
        assert!(Arc::ptr_eq(&ann, &make("ann").unwrap()));
        assert!(make("bob").is_some() && make("eve").is_none(), "at the bound and one past it");
        directory.drop_handle(&ann);
        directory.drop_handle(&ann);
        assert_eq!((directory.len(), directory.find(&workspace, &user("ann")).is_none()), (1, true));
        let scope = Scope { list: Revision(7), feature: Feature::parse("chat").ok(), model: None };
        let eve = make_in("eve", &scope).unwrap();
        assert!(directory.find(&workspace, &user("eve")).is_none(), "it is of another scope");
        assert!(Arc::ptr_eq(&eve, &directory.find_in(&workspace, &user("eve"), &scope).unwrap()));
        directory.drop_handle(&eve);
        assert!(make("eve").is_some());
    }
}
