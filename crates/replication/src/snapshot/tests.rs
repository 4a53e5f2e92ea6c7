//! Whatever the ledger can hold comes back from a snapshot as it was, and goes on as it would have.

use super::format::{read, write};
use super::{Replicated, state_digest};
use crate::histories::{history, steps};
use crate::raft::StoredMembership;
use crate::{decode_applied, decode_command, encode_applied, encode_command, shapes};
use ledger::State;
use platform::{Disk, MemDisk};
use proptest::prelude::*;
use std::path::Path;

fn through_a_file(state: State) -> Replicated {
    let file = MemDisk::new().directory(Path::new("/d")).unwrap().create("s").unwrap();
    let log_id = shapes::log_id(wire::raft::LogId { term: 2, node: 3, index: 4 });
    let nodes = wire::raft::Membership { configs: vec![vec![1, 2, 3]], nodes: vec![1, 2, 3, 4] };
    let membership = StoredMembership::new(Some(log_id), shapes::membership(nodes).unwrap());
    let replicated = Replicated { state, last: Some(log_id), membership };
    let (digest, bytes) = write(5, &replicated, &*file).unwrap();
    assert!(read(6, &*file).unwrap_err().to_string().contains("it is of group 5"));
    let (again, same_digest, same_bytes) = read(5, &*file).unwrap();
    assert_eq!((digest, bytes), (same_digest, same_bytes));
    assert_eq!(again, replicated);
    again
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_snapshot_and_the_tail_are_the_full_replay(steps in steps(150), cut in 0..150_usize) {
        let history = history(&steps);
        let cut = cut.min(history.len());
        let mut full = State::new();
        let mut outcomes = Vec::new();
        for (at, command) in &history {
            outcomes.push(full.apply(*at, command));
        }
        let mut begun = State::new();
        for (at, command) in &history[..cut] {
            begun.apply(*at, command);
        }
        let mut resumed = through_a_file(begun).state;
        for ((at, command), outcome) in history[cut..].iter().zip(&outcomes[cut..]) {
            prop_assert_eq!(&resumed.apply(*at, command), outcome);
        }
        prop_assert_eq!(&resumed, &full);
        prop_assert_eq!(state_digest(&resumed).unwrap(), state_digest(&full).unwrap());
        prop_assert_eq!(full.violations(), vec![]);
    }

    #[test]
    fn commands_and_answers_come_back_as_they_were(steps in steps(60)) {
        let mut state = State::new();
        for (at, command) in history(&steps) {
            let bytes = encode_command(&command).unwrap();
            prop_assert_eq!(decode_command(&bytes), Ok(command.clone()));
            let applied = state.apply(at, &command);
            let bytes = encode_applied(&applied).unwrap();
            prop_assert_eq!(decode_applied(&bytes), Ok(applied));
        }
    }
}

#[test]
fn the_histories_reach_what_they_are_for() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut intents, mut folded, mut frozen, mut written_off, mut keys, mut expired) = (0, 0, 0, 0, 0, 0);
    for _ in 0..60 {
        let steps = steps(150).new_tree(&mut runner).unwrap().current();
        let mut state = State::new();
        for (at, command) in history(&steps) {
            state.apply(at, &command);
        }
        for workspace in state.workspaces.values() {
            intents += workspace.intents.len();
            folded += workspace.usage.len();
            frozen += workspace.lines.values().filter(|line| line.frozen).count();
            written_off += workspace.lines.values().filter(|line| line.written_off).count();
            keys += workspace.keys.len();
            expired += workspace.grants.iter().filter(|g| g.state == ledger::GrantState::Expired).count();
        }
    }
    let reached = [intents, folded, frozen, written_off, keys, expired];
    assert!(reached.iter().all(|count| *count > 5), "{reached:?}");
}

#[test]
fn the_most_prices_there_can_be_fit_in_a_snapshot() {
    use ledger::DatedCard;
    use ledger::limits::{OWN_PRICES_KEPT_MAX, RATE_CARDS_MAX};
    use pricing::{ENTRIES_MAX, OWN_ENTRIES_MAX, Price, RateCard};
    // The longest names, so far apart that none stands twice.
    let prices = |count: usize| -> Vec<Price> {
        let price = |n: usize| Price {
            feature: format!("{n:0>128}").parse().unwrap(),
            model: Some("m".repeat(128).parse().unwrap()),
            unit: "u".repeat(128).parse().unwrap(),
            per: pricing::PER_MAX,
            credits: types::Credits::MAX,
            tiers: Vec::new(),
        };
        (0..count).map(price).collect()
    };
    let dated = |card| DatedCard { effective_at: types::Timestamp::from_millis(i64::MAX), card };
    let card = std::sync::Arc::new(RateCard::new(u64::MAX, prices(ENTRIES_MAX)).unwrap());
    let own = std::sync::Arc::new(RateCard::own(u64::MAX, prices(OWN_ENTRIES_MAX)).unwrap());
    let mut state = State::new();
    state.meta.cards = vec![dated(card); RATE_CARDS_MAX];
    let of_workspace = |n: usize| (format!("{n:0>128}").parse().unwrap(), vec![dated(own.clone())]);
    state.meta.own = (0..OWN_PRICES_KEPT_MAX / OWN_ENTRIES_MAX).map(of_workspace).collect();
    through_a_file(state);
}
