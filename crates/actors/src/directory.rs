//! All handles of this node, by workspace and user. Looked up by each consume, changed seldom.
//!
//! One hash a look-up, and the handle itself is the key: at a million users what counts is how often memory is
//! touched. Not here: when a handle is made or dropped.

use crate::handle::Handle;
use escrow::Places;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use types::{UserId, WorkspaceId};

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

    /// By the middle bits: the table itself uses the ends.
    fn part(&self, hash: u64) -> &Part {
        &self.parts[(hash >> 32) as usize % PARTS]
    }

    pub fn find(&self, workspace: &WorkspaceId, user: &UserId) -> Option<Arc<Handle>> {
        let hash = self.hash(workspace, user);
        self.part(hash).read().find(hash, |handle| handle.is_of(workspace, user)).cloned()
    }

    /// The handle that is there, or the one that `make` makes; `None` where there are too many.
    pub fn find_or_make(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        make: impl FnOnce() -> Handle,
    ) -> Option<Arc<Handle>> {
        let hash = self.hash(workspace, user);
        let mut part = self.part(hash).write();
        if let Some(known) = part.find(hash, |handle| handle.is_of(workspace, user)) {
            return Some(known.clone());
        }
        if !self.handles.take(self.max) {
            return None;
        }
        let handle = Arc::new(make());
        part.insert_unique(hash, handle.clone(), |handle| self.hash(&handle.workspace, &handle.user));
        Some(handle)
    }

    /// Drops this very handle.
    pub fn drop_handle(&self, handle: &Arc<Handle>) {
        let hash = self.hash(&handle.workspace, &handle.user);
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
    use types::ShardId;

    #[test]
    fn one_handle_a_user_and_no_more_than_allowed() {
        let directory = Directory::new(2);
        let workspace = WorkspaceId::parse("w").unwrap();
        let user = |name: &str| UserId::parse(name).unwrap();
        let make = |name: &str| {
            let user = user(name);
            directory.find_or_make(&workspace, &user, || {
                Handle::new(HandleNo(1), workspace.clone(), user.clone(), ShardId(0), 1)
            })
        };
        let ann = make("ann").unwrap();
        assert!(Arc::ptr_eq(&ann, &make("ann").unwrap()));
        assert!(make("bob").is_some() && make("eve").is_none(), "at the bound and one past it");
        directory.drop_handle(&ann);
        directory.drop_handle(&ann);
        assert_eq!((directory.len(), directory.find(&workspace, &user("ann")).is_none()), (1, true));
        assert!(make("eve").is_some());
    }
}
