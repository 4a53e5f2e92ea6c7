//! Rate cards that come into force, are taken back, replaced and kept; workspaces' own prices; every bound at it and one
//! past it. Not here: what a call costs (`pricing`).

use ledger::limits::{
    KEY_WINDOW_MS, OWN_PRICES_KEPT_MAX, OWN_PRICES_MAX, OWN_PRICES_WORKSPACES_MAX, PRICE_KEYS_MAX,
    RATE_CARDS_MAX, REPLACED_PRICES_KEPT_AT_LEAST_MS, REPLACED_PRICES_KEPT_MS,
};
use ledger::{Command, KeyedBy, Outcome, PriceAnswer, PriceChange, PriceCommand, Rejection, Retry, State};
use pricing::{OWN_ENTRIES_MAX, Price, PriceList};
use types::{Credits, IdempotencyKey, Revision, Timestamp, WorkspaceId};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A meta group's state and the time.
#[derive(Clone)]
struct Desk {
    state: State,
    now: i64,
}

fn price(unit: &str, model: &str) -> Price {
    Price {
        feature: "chat".parse().unwrap(),
        model: Some(model.parse().unwrap()),
        unit: unit.parse().unwrap(),
        per: 1,
        credits: Credits::whole(1).unwrap(),
        tiers: Vec::new(),
    }
}

fn prices(count: usize) -> PriceList {
    (0..count).map(|n| price("call", &format!("m{n}"))).collect::<Vec<_>>().into()
}

fn workspace(name: &str) -> WorkspaceId {
    name.parse().unwrap()
}

fn put(effective_at: Option<i64>) -> PriceChange {
    PriceChange::PutCard { list: prices(1), effective_at: effective_at.map(Timestamp::from_millis) }
}

fn set_own(name: &str, count: usize) -> PriceChange {
    PriceChange::SetOwn { workspace: workspace(name), list: prices(count) }
}

fn keyed(key: &str, hash: u8) -> Option<KeyedBy> {
    Some(KeyedBy { key: IdempotencyKey::parse(key).unwrap(), command_hash: [hash; 32] })
}

impl Desk {
    fn new() -> Self {
        Self { state: State::new(), now: 1_000 }
    }

    fn apply(&mut self, command: PriceCommand) -> Result<PriceAnswer, Rejection> {
        let before = self.state.meta.clone();
        let applied = self.state.apply(Timestamp::from_millis(self.now), &Command::Prices(command));
        assert!(applied.result.is_ok() || before == self.state.meta, "a rejection writes nothing");
        applied.result.map(|outcome| match outcome {
            Outcome::Prices(answer) => answer,
            other => panic!("{other:?}"),
        })
    }

    fn change(&mut self, change: PriceChange) -> Result<u64, String> {
        self.change_if(None, change)
    }

    fn change_if(&mut self, if_match: Option<u64>, change: PriceChange) -> Result<u64, String> {
        let command = PriceCommand { keyed: None, if_match: if_match.map(Revision), change };
        self.apply(command).map(|answer| answer.version).map_err(|why| format!("{:?}: {why}", why.retry()))
    }

    /// The version in force so many ms from now.
    fn in_force(&self, in_ms: i64) -> Option<u64> {
        let at = Timestamp::from_millis(self.now + in_ms);
        self.state.meta.card_at(at).map(|dated| dated.card.version())
    }

    fn versions(&self) -> Vec<u64> {
        self.state.meta.cards.iter().map(|dated| dated.card.version()).collect()
    }

    fn own(&self, name: &str) -> Option<u64> {
        self.state.meta.own_prices(&workspace(name)).map(|dated| dated.card.version())
    }
}

#[track_caller]
fn refused(result: Result<u64, String>, why: &str) {
    let said = result.expect_err(why);
    assert!(said.contains(why), "{said}");
}

#[test]
fn a_card_is_in_force_from_its_instant_until_the_next_ones() {
    let mut desk = Desk::new();
    assert_eq!(desk.in_force(0), None);
    assert_eq!(desk.change(put(None)), Ok(1));
    assert_eq!(desk.change(put(Some(5_000))), Ok(2));
    assert_eq!(desk.change(put(Some(3_000))), Ok(3), "before one that is scheduled");
    assert_eq!(desk.versions(), [1, 3, 2]);
    let of = [-1, 0, 1_999, 2_000, 3_999, 4_000, i64::MAX / 2].map(|ms| desk.in_force(ms));
    assert_eq!(of, [None, Some(1), Some(1), Some(3), Some(3), Some(2), Some(2)]);
    assert_eq!(desk.change(put(None)), Ok(4), "now is before what is scheduled, and after what there is");
    assert_eq!((desk.in_force(0), desk.in_force(2_000)), (Some(4), Some(3)));
    desk.now = 3_000;
    assert_eq!(desk.change(put(Some(3_000))), Ok(5), "of two at one instant the later one");
    assert_eq!(desk.in_force(0), Some(5));
    refused(desk.change(put(Some(2_999))), "Never: a rate card comes into force later than now");
    let bad = PriceChange::PutCard { list: vec![price("u", "m"); 2].into(), effective_at: None };
    refused(desk.change(bad), "prices[1] (chat, m, u): prices[0] is a price for the same");
    assert_eq!(desk.change(put(None)), Ok(6), "what is refused takes no number");
}

#[test]
fn what_is_scheduled_is_taken_back_until_it_is_in_force() {
    let mut desk = Desk::new();
    desk.change(put(None)).unwrap();
    desk.change(put(Some(2_000))).unwrap();
    desk.change(put(Some(3_000))).unwrap();
    let remove = |version| PriceChange::RemoveCard { version };
    refused(desk.change(remove(1)), "Never: this rate card is in force, or was");
    refused(desk.change(remove(9)), "AfterChange: there is no rate card of this version");
    refused(desk.change_if(Some(1), remove(2)), "AfterChange: the resource changed meanwhile");
    assert_eq!(desk.change_if(Some(2), remove(2)), Ok(2));
    refused(desk.change(remove(2)), "there is no rate card of this version");
    assert_eq!(desk.versions(), [1, 3]);
    desk.now = 2_999;
    assert_eq!(desk.change(remove(3)), Ok(3));
    desk.change(put(Some(3_000))).unwrap();
    desk.now = 3_000;
    refused(desk.change(remove(4)), "this rate card is in force");
    assert_eq!(desk.in_force(0), Some(4), "and the number of the one taken back is not given again");
}

#[test]
fn who_has_seen_another_version_in_force_changes_nothing() {
    let mut desk = Desk::new();
    assert_eq!(desk.change_if(Some(0), put(None)), Ok(1));
    refused(desk.change_if(Some(0), put(None)), "the resource changed meanwhile");
    assert_eq!(desk.change_if(Some(1), put(Some(2_000))), Ok(2));
    assert_eq!(desk.change_if(Some(1), put(None)), Ok(3), "what is scheduled is not in force");
    desk.now = 2_000;
    refused(desk.change_if(Some(3), put(None)), "the resource changed meanwhile");
    assert_eq!(desk.change_if(Some(2), put(None)), Ok(4), "by time alone");

    assert_eq!(desk.change_if(Some(0), set_own("w", 1)), Ok(5));
    refused(desk.change_if(Some(0), set_own("w", 2)), "the resource changed meanwhile");
    assert_eq!(desk.change_if(Some(5), set_own("w", 0)), Ok(6));
    assert_eq!(desk.change_if(Some(0), set_own("w", 2)), Ok(7), "what was taken away is none");
}

#[test]
fn so_many_cards_are_kept_and_replaced_ones_make_room() {
    let mut desk = Desk::new();
    let scheduled = 3;
    for n in 0..scheduled {
        desk.change(put(Some(100 * DAY_MS + n))).unwrap();
    }
    for n in scheduled as usize..RATE_CARDS_MAX {
        assert_eq!(desk.change(put(None)), Ok(n as u64 + 1));
        desk.now += 1;
    }
    refused(desk.change(put(None)), "Later: there are 16 rate cards");
    refused(desk.change(put(Some(200 * DAY_MS))), "Later: there are 16 rate cards");
    // The first was replaced when the second was put, a millisecond after it.
    let mut later = desk.clone();
    later.now = 1_001 + REPLACED_PRICES_KEPT_MS - 1;
    refused(later.change(put(Some(200 * DAY_MS))), "there are 16 rate cards");
    later.now += 1;
    assert_eq!(later.change(put(Some(200 * DAY_MS))), Ok(17), "after a day for what is to come");
    desk.now = 1_001 + REPLACED_PRICES_KEPT_AT_LEAST_MS - 1;
    refused(desk.change(put(None)), "there are 16 rate cards");
    assert!(desk.state.meta.card_of(4).is_some());
    desk.now += 1;
    assert_eq!(desk.change(put(None)), Ok(17), "after an hour for what is put right at once");
    assert!(desk.state.meta.card_of(4).is_none() && desk.state.meta.card_of(5).is_some());
    assert_eq!(desk.versions().len(), RATE_CARDS_MAX);
    desk.now += 10 * DAY_MS;
    assert_eq!(desk.in_force(0), Some(17), "what is in force stays however old it is");
    assert_eq!(desk.change(PriceChange::RemoveCard { version: 1 }), Ok(1));
    assert_eq!(desk.change(put(None)), Ok(18));
    assert_eq!(desk.in_force(100 * DAY_MS), Some(3));
}

#[test]
fn a_workspaces_own_prices_are_set_taken_away_and_kept_for_a_day() {
    let mut desk = Desk::new();
    refused(desk.change(set_own("w", 0)), "AfterChange: the workspace has no prices of its own");
    assert_eq!((desk.change(set_own("w", 2)), desk.own("w")), (Ok(1), Some(1)));
    assert_eq!((desk.change(put(None)), desk.own("v")), (Ok(2), None), "one count for all versions");
    desk.now += 1;
    assert_eq!((desk.change(set_own("w", 0)), desk.own("w")), (Ok(3), None));
    refused(desk.change(set_own("w", 0)), "has no prices of its own");
    let of = |desk: &Desk, version| {
        let known = desk.state.meta.own_prices_of(&workspace("w"), version);
        known.map(|dated| dated.card.list().entries())
    };
    assert_eq!([of(&desk, 1), of(&desk, 3), of(&desk, 2)], [Some(2), Some(0), None]);
    // A day later they go with the next change of any workspace's prices.
    desk.now += REPLACED_PRICES_KEPT_MS - 1;
    desk.change(set_own("v", 1)).unwrap();
    assert_eq!(of(&desk, 1), Some(2));
    desk.now += 1;
    desk.change(set_own("v", 1)).unwrap();
    assert_eq!([of(&desk, 1), of(&desk, 3)], [None, None]);
    assert_eq!(desk.state.meta.own.len(), 1);
    let starred = vec![Price { model: Some("*".parse().unwrap()), ..price("call", "m") }];
    let starred = PriceChange::SetOwn { workspace: workspace("w"), list: starred.into() };
    refused(desk.change(starred), "`*` stands on rate cards");
}

#[test]
fn own_prices_are_changed_so_often_and_can_always_be_taken_away() {
    let mut desk = Desk::new();
    for _ in 0..OWN_PRICES_MAX {
        desk.change(set_own("w", 1)).unwrap();
    }
    refused(desk.change(set_own("w", 1)), "Later: the workspace's prices were changed 16 times");
    desk.change(set_own("v", 1)).unwrap();
    desk.change(set_own("w", 0)).unwrap();
    assert_eq!(desk.own("w"), None);
    refused(desk.change(set_own("w", 1)), "were changed 16 times");
    desk.now += REPLACED_PRICES_KEPT_MS;
    desk.change(set_own("w", 1)).unwrap();
    assert_eq!(desk.state.meta.own[&workspace("w")].len(), 1, "a day without any leaves nothing");
}

#[test]
fn so_many_workspaces_and_entries_in_all() {
    let mut desk = Desk::new();
    for n in 0..OWN_PRICES_WORKSPACES_MAX {
        desk.change(set_own(&format!("w{n}"), 1)).unwrap();
    }
    refused(desk.change(set_own("another", 1)), "Later: at most 1024 workspaces");
    desk.change(set_own("w7", 2)).unwrap();
    desk.change(set_own("w8", 0)).unwrap();
    desk.now += REPLACED_PRICES_KEPT_MS;
    desk.change(set_own("another", 1)).unwrap();
    refused(desk.change(set_own("a-third", 1)), "at most 1024 workspaces");

    let mut desk = Desk::new();
    for n in 0..OWN_PRICES_KEPT_MAX / OWN_ENTRIES_MAX {
        desk.change(set_own(&format!("w{n}"), OWN_ENTRIES_MAX)).unwrap();
    }
    refused(desk.change(set_own("another", 1)), "with 65536 entries in all");
    refused(desk.change(set_own("w1", 1)), "with 65536 entries in all");
    desk.change(set_own("w1", 0)).unwrap();
    refused(desk.change(set_own("w1", 1)), "those replaced within 24 hours included");
    desk.now += REPLACED_PRICES_KEPT_MS;
    desk.change(set_own("w1", OWN_ENTRIES_MAX)).unwrap();
}

#[test]
fn a_key_repeats_its_answer_and_no_other_workspaces() {
    let mut desk = Desk::new();
    let mut apply = |key: &str, hash, change| {
        desk.now += 1;
        desk.apply(PriceCommand { keyed: keyed(key, hash), if_match: None, change })
    };
    let first = apply("k", 1, put(None)).unwrap();
    assert_eq!(apply("k", 1, put(None)), Ok(first), "also when it was put");
    assert_eq!(apply("k", 2, put(None)), Err(Rejection::KeyConflict));
    assert_eq!(apply("k", 1, set_own("w", 1)).unwrap().version, 2, "keys of a workspace are its own");
    assert_eq!(apply("k", 1, set_own("w", 1)).unwrap().version, 2);
    assert_eq!(apply("k", 1, set_own("v", 1)).unwrap().version, 3);
    assert!(apply("free", 1, put(Some(0))).is_err());
    assert_eq!(apply("free", 2, put(None)).unwrap().version, 4, "the key of a rejection is free");
    desk.now += KEY_WINDOW_MS;
    let command = PriceCommand { keyed: keyed("k", 2), if_match: None, change: put(None) };
    assert_eq!(desk.apply(command).unwrap().version, 5, "a day later it is a new one");
    assert_eq!(desk.state.meta.keys.len(), 1);
}

#[test]
fn keys_are_bounded_and_none_is_forgotten_early() {
    let mut desk = Desk::new();
    let command = |n: usize| PriceCommand {
        keyed: keyed(&format!("k{n}"), 1),
        if_match: None,
        change: set_own(&format!("w{}", n / OWN_PRICES_MAX), 1),
    };
    for n in 0..PRICE_KEYS_MAX {
        desk.apply(command(n)).unwrap();
    }
    let full = desk.apply(command(PRICE_KEYS_MAX)).unwrap_err();
    assert_eq!(full, Rejection::KeyWindowFull { max: PRICE_KEYS_MAX });
    assert_eq!(full.retry(), Retry::Later);
    assert_eq!(desk.apply(command(0)).unwrap().version, 1, "what is known is answered");
    let unkeyed = PriceCommand { keyed: None, ..command(PRICE_KEYS_MAX) };
    assert_eq!(desk.apply(unkeyed).unwrap().version, PRICE_KEYS_MAX as u64 + 1);
    desk.now += KEY_WINDOW_MS;
    assert_eq!(desk.apply(command(PRICE_KEYS_MAX)).unwrap().version, PRICE_KEYS_MAX as u64 + 2);
}
