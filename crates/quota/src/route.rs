//! Where a consume is decided: here, or at the user's home. Not here: how it gets there.
//!
//! A keyed one goes home. Without a key it is decided where it lands, if the user is active here or was seen here
//! repeatedly within seconds; a stray goes home, so that one request does not pull a lease to another node.

use crate::{Consume, Quota};
use actors::Handle;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use types::planted::{Mistake, is_planted};
use types::{NodeId, UserId, WorkspaceId};

pub(crate) enum Route {
    /// With the user's handle, where the user is active.
    Here(Option<Arc<Handle>>),
    Home(NodeId),
}

impl Quota {
    pub(crate) fn route(&self, consume: &Consume) -> Route {
        let membership = self.membership();
        if membership.nodes().len() == 1 {
            return Route::Here(None);
        }
        let (workspace, user) = (&consume.workspace, &consume.user);
        if consume.key.is_some() && is_planted(Mistake::KeyAnywhere) {
            return Route::Here(self.holder().find_for(
                workspace,
                user,
                &consume.feature,
                consume.model.as_ref(),
            ));
        }
        if consume.key.is_none() {
            let active = self.holder().find_for(workspace, user, &consume.feature, consume.model.as_ref());
            if active.is_some() || self.strays().is_regular(workspace, user, self.clock().boottime_ms()) {
                return Route::Here(active);
            }
        }
        let home = self.home_of(workspace, user);
        if home == self.node() { Route::Here(None) } else { Route::Home(home) }
    }
}

impl Quota {
    /// The keys of a node that was forgotten are lost with its disk; its users find a home elsewhere.
    fn home_of(&self, workspace: &WorkspaceId, user: &UserId) -> NodeId {
        let home = self.membership().home(workspace, user);
        if !self.is_forgotten(home) {
            return home;
        }
        let others = self.membership().homes(workspace, user);
        others.into_iter().find(|node| !self.is_forgotten(*node)).unwrap_or(home)
    }
}

/// Requests of users who are not active here, counted over the last few seconds.
#[derive(Debug)]
pub(crate) struct Strays {
    hasher: RandomState,
    /// Two generations: the current one and the one before.
    seen: Mutex<Generations>,
    generation_ms: u64,
    regular_from: u32,
}

#[derive(Debug, Default)]
struct Generations {
    since_ms: u64,
    now: HashMap<u64, u32>,
    before: HashMap<u64, u32>,
}

/// Users counted in one generation; past it new ones count as strays.
const SEEN_MAX: usize = 65_536;

impl Strays {
    pub fn new(generation_ms: u64, regular_from: u32) -> Self {
        Self { hasher: RandomState::new(), seen: Mutex::default(), generation_ms, regular_from }
    }

    /// Counts one more request, and says whether that makes the user a regular here.
    pub fn is_regular(&self, workspace: &WorkspaceId, user: &UserId, now_ms: u64) -> bool {
        let who = self.hasher.hash_one((workspace.as_str(), user.as_str()));
        let mut seen = self.seen.lock().expect("nobody panics holding it");
        let age_ms = now_ms.saturating_sub(seen.since_ms);
        if age_ms >= self.generation_ms {
            seen.before =
                if age_ms < 2 * self.generation_ms { std::mem::take(&mut seen.now) } else { HashMap::new() };
            seen.now.clear();
            seen.since_ms = now_ms;
        }
        let before = seen.before.get(&who).copied().unwrap_or(0);
        if seen.now.len() >= SEEN_MAX && !seen.now.contains_key(&who) {
            return false;
        }
        let count = seen.now.entry(who).or_insert(0);
        *count += 1;
        *count + before >= self.regular_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_again_within_seconds_is_a_regular() {
        let strays = Strays::new(2_000, 3);
        let (w, ann, bob) = (id("w"), user("ann"), user("bob"));
        assert!(!strays.is_regular(&w, &ann, 0));
        assert!(!strays.is_regular(&w, &ann, 1_900));
        assert!(!strays.is_regular(&w, &bob, 1_950), "users are apart");
        assert!(strays.is_regular(&w, &ann, 2_100), "the generation before still counts");
        assert!(!strays.is_regular(&w, &ann, 9_000), "long ago does not");
    }

    fn id(text: &str) -> WorkspaceId {
        WorkspaceId::parse(text).unwrap()
    }

    fn user(text: &str) -> UserId {
        UserId::parse(text).unwrap()
    }
}
