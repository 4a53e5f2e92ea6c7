//! All handles of this node, by workspace and user. Looked up by each consume, changed seldom.
//!
//! Not here: when a handle is made or dropped.

use crate::handle::Handle;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use types::{UserId, WorkspaceId};

const PARTS: usize = 64;

#[derive(Debug)]
pub struct Directory {
    parts: Vec<RwLock<HashMap<WorkspaceId, HashMap<UserId, Arc<Handle>>>>>,
    hasher: RandomState,
    len: AtomicUsize,
    max: usize,
}

impl Directory {
    pub fn new(max: usize) -> Self {
        let parts = (0..PARTS).map(|_| RwLock::default()).collect();
        Self { parts, hasher: RandomState::new(), len: AtomicUsize::new(0), max }
    }

    fn part(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
    ) -> &RwLock<HashMap<WorkspaceId, HashMap<UserId, Arc<Handle>>>> {
        let hash = self.hasher.hash_one((workspace.as_str(), user.as_str()));
        &self.parts[(hash % PARTS as u64) as usize]
    }

    pub fn find(&self, workspace: &WorkspaceId, user: &UserId) -> Option<Arc<Handle>> {
        let part = self.part(workspace, user).read().expect("nobody panics holding it");
        part.get(workspace)?.get(user).cloned()
    }

    /// The handle that is there, or the one that `make` makes; `None` where there are too many.
    pub fn find_or_make(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        make: impl FnOnce() -> Handle,
    ) -> Option<Arc<Handle>> {
        let mut part = self.part(workspace, user).write().expect("nobody panics holding it");
        if let Some(known) = part.get(workspace).and_then(|users| users.get(user)) {
            return Some(known.clone());
        }
        if self.len.fetch_add(1, Ordering::AcqRel) >= self.max {
            self.len.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let handle = Arc::new(make());
        part.entry(workspace.clone()).or_default().insert(user.clone(), handle.clone());
        Some(handle)
    }

    /// Drops this very handle.
    pub fn drop_handle(&self, handle: &Arc<Handle>) {
        let mut part = self.part(&handle.workspace, &handle.user).write().expect("nobody panics holding it");
        let Some(users) = part.get_mut(&handle.workspace) else { return };
        if users.get(&handle.user).is_some_and(|known| Arc::ptr_eq(known, handle)) {
            users.remove(&handle.user);
            self.len.fetch_sub(1, Ordering::AcqRel);
        }
        if users.is_empty() {
            part.remove(&handle.workspace);
        }
    }

    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }
}
