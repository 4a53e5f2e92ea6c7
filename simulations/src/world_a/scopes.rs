//! Which of a user's handles a consume is spent from, as the product's `actors/holder.rs` has it. Not here: handles (`node`).

use super::handle::Handle;
use super::node::Running;
use std::rc::Rc;
use types::{Feature, Limited, Scope, UserId, WorkspaceId};

impl Running {
    /// The handle that such a consume is spent from; one for anything goes first as long as it is there.
    pub fn find(&self, workspace: &WorkspaceId, user: &UserId, feature: &Feature) -> Option<Rc<Handle>> {
        let anything = self.find_in(workspace, user, &Scope::ANYTHING);
        anything.or_else(|| self.find_in(workspace, user, &self.scope_of(workspace, feature)))
    }

    pub fn find_in(&self, workspace: &WorkspaceId, user: &UserId, scope: &Scope) -> Option<Rc<Handle>> {
        self.handles.borrow().get(&(workspace.clone(), user.clone(), scope.clone())).cloned()
    }

    /// What is limited, as far as this process has heard.
    pub fn limited(&self, workspace: &WorkspaceId) -> Option<Limited> {
        self.limited.borrow().get(workspace).cloned()
    }

    pub fn hear_limited(&self, workspace: &WorkspaceId, limited: Limited) {
        let is_new = self.limited(workspace).is_none_or(|known| known.revision < limited.revision);
        if is_new {
            self.limited.borrow_mut().insert(workspace.clone(), limited);
        }
    }

    pub fn scope_of(&self, workspace: &WorkspaceId, feature: &Feature) -> Scope {
        self.limited(workspace).map_or(Scope::ANYTHING, |limited| limited.scope_of(feature, None))
    }
}
