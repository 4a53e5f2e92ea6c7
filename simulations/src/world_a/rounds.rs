//! Recall rounds, one at a time per pool: the product's `actors/rounds.rs`, whose words stand there.
//! Not here: which lines a wave asks (`leasing`), asking them (`desk`).

use leasing::{Short, Wave};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use types::{Timestamp, WorkspaceId};

#[derive(Default)]
pub struct Rounds {
    pools: RefCell<BTreeMap<WorkspaceId, Weak<PoolRounds>>>,
}

#[derive(Default)]
pub struct PoolRounds {
    turn: tokio::sync::Mutex<()>,
    next: RefCell<Rc<Round>>,
}

#[derive(Default)]
pub struct Round {
    short: RefCell<Vec<Short>>,
    ended: Cell<usize>,
    cut_off: Cell<bool>,
}

impl Rounds {
    pub fn of(&self, workspace: &WorkspaceId) -> Rc<PoolRounds> {
        let mut pools = self.pools.borrow_mut();
        if let Some(running) = pools.get(workspace).and_then(Weak::upgrade) {
            return running;
        }
        let rounds = Rc::new(PoolRounds::default());
        pools.insert(workspace.clone(), Rc::downgrade(&rounds));
        rounds
    }

    pub fn is_running(&self, workspace: &WorkspaceId) -> bool {
        self.pools.borrow().get(workspace).is_some_and(|rounds| rounds.strong_count() > 0)
    }

    pub fn any_runs(&self) -> bool {
        self.pools.borrow().values().any(|rounds| rounds.strong_count() > 0)
    }
}

impl PoolRounds {
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub fn join(&self, short: Vec<Short>) -> Rc<Round> {
        let next = self.next.borrow().clone();
        next.short.borrow_mut().extend(short);
        next
    }

    pub fn next_wave(&self, round: &Rc<Round>, now: Timestamp, young_ms: i64) -> Option<(Wave, Vec<Short>)> {
        let wave = match round.ended.get() {
            0 => Wave::Half { now, young_ms },
            1 => Wave::All,
            2 if !round.cut_off.get() => Wave::All,
            _ => return None,
        };
        let short = round.short.borrow().clone();
        if wave == Wave::All && Rc::ptr_eq(&self.next.borrow(), round) {
            *self.next.borrow_mut() = Rc::default();
        }
        Some((wave, short))
    }
}

impl Round {
    pub fn end_wave(&self, all_answered: bool) {
        self.ended.set(self.ended.get() + 1);
        self.cut_off.set(!all_answered);
    }

    pub fn is_cut_off(&self) -> bool {
        self.cut_off.get()
    }
}
