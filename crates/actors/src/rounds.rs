//! Recall rounds, one at a time per pool. Draws that fall short join the next round and are served by it together.
//!
//! A round has two waves, and a third for what was drawn during the second. Who holds the turn books his draws first and
//! starts the next wave only if he is still short: the others of his round find what it brought. While there is a round,
//! nobody draws ahead of need. Not here: which lines a wave asks (`leasing::recall`), asking them (`desk`).

use leasing::{Short, Wave};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use types::{Timestamp, WorkspaceId};

#[derive(Debug, Default)]
pub(crate) struct Rounds {
    pools: Mutex<HashMap<WorkspaceId, Weak<PoolRounds>>>,
}

/// The rounds of one pool.
#[derive(Debug, Default)]
pub(crate) struct PoolRounds {
    turn: tokio::sync::Mutex<()>,
    /// Draws that fall short now are in this one.
    next: Mutex<Arc<Round>>,
}

#[derive(Debug, Default)]
pub(crate) struct Round {
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    short: Vec<Short>,
    ended: usize,
    cut_off: bool,
}

impl Rounds {
    pub fn of(&self, workspace: &WorkspaceId) -> Arc<PoolRounds> {
        let mut pools = held(&self.pools);
        if let Some(running) = pools.get(workspace).and_then(Weak::upgrade) {
            return running;
        }
        pools.retain(|_, rounds| rounds.strong_count() > 0);
        let rounds = Arc::new(PoolRounds::default());
        pools.insert(workspace.clone(), Arc::downgrade(&rounds));
        rounds
    }

    /// Somebody waits for a round of this pool, or runs it.
    pub fn is_running(&self, workspace: &WorkspaceId) -> bool {
        held(&self.pools).get(workspace).is_some_and(|rounds| rounds.strong_count() > 0)
    }
}

impl PoolRounds {
    /// Nobody else recalls from this pool while the guard lives.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub fn join(&self, short: Vec<Short>) -> Arc<Round> {
        let next = held(&self.next);
        held(&next.progress).short.extend(short);
        next.clone()
    }

    /// The wave of `round` that is due and the draws it is for; none after the last. It stays due until it is ended:
    /// who began it may have been dropped in the middle. The last wave closes the round: what falls short from here
    /// on was not thought of when its lines were chosen.
    pub fn next_wave(&self, round: &Arc<Round>, now: Timestamp, young_ms: i64) -> Option<(Wave, Vec<Short>)> {
        let mut next = held(&self.next);
        let progress = held(&round.progress);
        let wave = match progress.ended {
            0 => Wave::Half { now, young_ms },
            1 => Wave::All,
            2 if !progress.cut_off => Wave::All,
            _ => return None,
        };
        let short = progress.short.clone();
        drop(progress);
        if wave == Wave::All && Arc::ptr_eq(&next, round) {
            *next = Arc::default();
        }
        Some((wave, short))
    }
}

impl Round {
    pub fn end_wave(&self, all_answered: bool) {
        let mut progress = held(&self.progress);
        progress.ended += 1;
        // Who was silent is asked again with all others: what counts is the last that was heard.
        progress.cut_off = !all_answered;
    }

    /// Somebody who may hold credits did not answer when he was asked last.
    pub fn is_cut_off(&self) -> bool {
        held(&self.progress).cut_off
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics holding it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::DenialReason;
    use types::{Credits, DiskId, HolderId, LineId, LineNumber, NodeId};

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn short(number: u64) -> Short {
        let holder = HolderId { node: NodeId(1), disk: DiskId(1) };
        Short {
            line: LineId { holder, number: LineNumber(number) },
            user: "ann".parse().unwrap(),
            scope: types::Scope::ANYTHING,
            reason: DenialReason::Exhausted,
            missing: Credits::whole(1).unwrap(),
        }
    }

    #[test]
    fn who_falls_short_before_the_last_wave_is_in_it_and_who_falls_short_during_it_is_in_the_next_round() {
        let rounds = PoolRounds::default();
        let first = rounds.join(vec![short(1)]);
        let (wave, of) = rounds.next_wave(&first, NOW, 50).unwrap();
        assert_eq!((wave, of), (Wave::Half { now: NOW, young_ms: 50 }, vec![short(1)]));

        let second = rounds.join(vec![short(2)]);
        assert!(Arc::ptr_eq(&first, &second));
        first.end_wave(true);
        assert_eq!(rounds.next_wave(&first, NOW, 50), Some((Wave::All, vec![short(1), short(2)])));

        let third = rounds.join(vec![short(3)]);
        assert!(!Arc::ptr_eq(&first, &third));
        first.end_wave(true);
        assert_eq!(rounds.next_wave(&second, NOW, 50), Some((Wave::All, vec![short(1), short(2)])));
        second.end_wave(true);
        assert_eq!(rounds.next_wave(&second, NOW, 50), None);
        assert_eq!(rounds.next_wave(&third, NOW, 50).unwrap().1, vec![short(3)]);
    }

    #[test]
    fn a_wave_that_was_dropped_in_the_middle_is_due_again() {
        let rounds = PoolRounds::default();
        let round = rounds.join(vec![short(1)]);
        for _dropped in 0..2 {
            assert!(matches!(rounds.next_wave(&round, NOW, 50), Some((Wave::Half { .. }, _))));
        }
        round.end_wave(true);
        for _dropped in 0..2 {
            assert_eq!(rounds.next_wave(&round, NOW, 50), Some((Wave::All, vec![short(1)])));
        }
    }

    #[test]
    fn silence_is_that_of_everybody_in_the_round_and_of_nobody_else() {
        let rounds = PoolRounds::default();
        let (mine, yours) = (rounds.join(vec![short(1)]), rounds.join(vec![short(2)]));
        for _wave in 0..2 {
            rounds.next_wave(&mine, NOW, 50).unwrap();
            mine.end_wave(false);
        }
        assert!(yours.is_cut_off());
        assert_eq!(rounds.next_wave(&yours, NOW, 50), None, "who was silent is not asked a third time");
        assert!(!rounds.join(vec![short(3)]).is_cut_off());
    }

    #[test]
    fn who_answers_late_is_not_taken_for_silent() {
        let rounds = PoolRounds::default();
        let round = rounds.join(vec![short(1)]);
        for (all_answered, then) in [(false, true), (true, false), (true, false)] {
            rounds.next_wave(&round, NOW, 50).unwrap();
            round.end_wave(all_answered);
            assert_eq!(round.is_cut_off(), then);
        }
        assert_eq!(rounds.next_wave(&round, NOW, 50), None);
    }

    #[test]
    fn a_pool_without_anybody_waiting_keeps_nothing() {
        let rounds = Rounds::default();
        let acme: WorkspaceId = "acme".parse().unwrap();
        let of_acme = rounds.of(&acme);
        assert!(Arc::ptr_eq(&of_acme, &rounds.of(&acme)));
        assert!(rounds.is_running(&acme));
        drop(of_acme);
        assert!(!rounds.is_running(&acme));
        let _other = rounds.of(&"other".parse().unwrap());
        assert_eq!(held(&rounds.pools).len(), 1);
    }
}
