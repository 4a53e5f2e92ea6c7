//! The bytes of every message, for ever. A test here that fails is a message that older nodes do not understand.

use super::*;
use crate::envelope::{BadBytes, decode, encode};
use crate::ledger as log;
use std::fmt::Debug;

fn golden<T: Frozen + PartialEq + Debug>(value: &T, hex: &str) {
    let bytes = encode(value).unwrap();
    let seen: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(seen, hex.replace(' ', ""), "{value:?}");
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(value));
}

fn holder() -> log::HolderId {
    log::HolderId { node: 2, disk: 9 }
}

fn backing() -> log::Backing {
    log::Backing { source: log::Source::Reserve(1), grant: 3 }
}

fn metered() -> log::Metered {
    log::Metered { credits: 5, calls: 1, units: vec![("t".into(), 300)], by_grant: vec![(3, 5)] }
}

fn scope() -> log::Scope {
    log::Scope { list: 300, feature: None, model: Some("m-1".into()) }
}

fn line() -> log::LineMessage {
    let meter = log::Meter { feature: "f".into(), model: None, day: -1 };
    let used = log::Used { by_backing: vec![(backing(), 5, 6)], by_meter: vec![(meter, metered())] };
    let (user, returned) = ("u".into(), vec![(backing(), 4)]);
    let wish = log::Wish::Draw { target: 8, floor: 7, need: 6 };
    let scope = scope();
    log::LineMessage { number: 1, user, cycle: 1, scope, returned, used, held: 2, confirmed: 3, wish }
}

#[test]
fn what_is_asked_of_a_leader() {
    let ask = |group, request| Ask { group, request };
    let batch = log::HolderBatch {
        holder: holder(),
        journal_sequence: 7,
        workspace: "w".into(),
        lines: vec![line()],
        recalled: false,
    };
    golden(
        &ask(Group::Shard(1), LeaderRequest::Batch(batch)),
        "5009 01010002090701770101017501fb2c010001036d2d31010101030401010103050601016600010501010174fb2c0101030502030108070600",
    );
    let command = Box::new(log::Command::Tick { workspace: "w".into() });
    golden(&ask(Group::Meta, LeaderRequest::Command(command)), "5009 0001050177");
    golden(&ask(Group::Meta, LeaderRequest::Renew { holder: holder() }), "5009 00020209");
}

#[test]
fn what_is_read() {
    let read = |query, fresh| Ask { group: Group::Meta, request: LeaderRequest::Read { query, fresh } };
    let id = || "w".to_owned();
    let page = || Page { after: Some("x".into()), limit: 9 };
    golden(&read(Query::Workspace { id: id() }, true), "5009 000300017701");
    golden(&read(Query::Grant { id: id(), grant: "g".into() }, false), "5009 0003010177016700");
    golden(&read(Query::Grants { id: id(), page: page() }, false), "5009 00030201770101780900");
    golden(&read(Query::Member { id: id(), user: "u".into() }, false), "5009 0003030177017500");
    let which = WhichMembers { kind: Some(log::MemberKind::Service), owner: Some("o".into()) };
    golden(
        &read(Query::Members { id: id(), which, page: page() }, false),
        "5009 0003040177010101016f0101780900",
    );
    golden(&read(Query::Allocation { id: id(), user: "u".into() }, false), "5009 0003050177017500");
    golden(&read(Query::Reallocation { id: id(), reallocation: "r".into() }, false), "5009 0003060177017200");
    golden(&read(Query::Plan { id: id() }, false), "5009 000308017700");
    let change = log::PlanChange::Cancel;
    golden(&read(Query::Overage { id: id(), user: Some("u".into()) }, false), "5009 00030b017701017500");
    let teams = Query::Teams { id: id(), team: Some("t".into()), page: page() };
    golden(&read(teams, false), "5009 00030c01770101740101780900");
    golden(
        &read(Query::Limits { id: id(), of: log::Subject::User("u".into()) }, false),
        "5009 00030d017700017500",
    );
    golden(&read(Query::Refund { id: id(), refund: "r".into() }, false), "5009 00030e0177017200");
    let charge = log::AnyCharge::Hold(log::HoldId { node: 2, number: 9 });
    golden(&read(Query::Charge { id: id(), charge, grants: vec![5] }, false), "5009 00030f0177010209010500");
    let after = Some(log::Pooling::PerSeat);
    golden(&read(Query::Pooling { id: id(), after }, false), "5009 00030a0177010100");
    golden(&read(Query::PlanAfter { id: id(), change }, false), "5009 00030901770100");
    let query = UsageQuery {
        group_by: vec![
            GroupBy::User,
            GroupBy::Owner,
            GroupBy::Team,
            GroupBy::Feature,
            GroupBy::Model,
            GroupBy::Grant,
        ],
        interval: Some(Interval::Month),
        from: Some(1),
        to: None,
        after: Some(usage_key()),
        limit: 9,
    };
    golden(
        &read(Query::Usage { id: id(), query }, false),
        "5009 000307017706000102030405010101020001010101017501016f00010166000101670900",
    );
}

#[test]
fn what_a_leader_answers() {
    let drawn = vec![(backing(), 8)];
    let denial = log::Denial { reason: log::DenialReason::Exhausted, available: 1, elsewhere: 2 };
    let line = log::LineResult::Line { drawn, frozen: true, denied: Some(denial) };
    let answer = BatchAnswer {
        lines: vec![log::LineAnswer { number: 1, result: line }],
        elsewhere: vec![9],
        durability: log::Durability::Quorum,
        enforcement: log::Enforcement::Shadow,
        cut_off: true,
        limited: Some(log::Limited {
            revision: 300,
            features: vec!["f".into()],
            models: vec![],
            allowed: None,
        }),
    };
    golden(
        &Led(Ok(LeaderAnswer::Batch(answer))),
        "5109 000001010001010103080101000102010902010101fb2c010101660000",
    );
    let applied = log::Applied { result: Err(log::Rejection::KeyConflict), events: vec![] };
    golden(&Led(Ok(LeaderAnswer::Applied { index: 300, applied })), "5109 0001fb2c01010400");
    golden(&Led(Ok(LeaderAnswer::Renewed)), "5109 0002");
    golden(&Led(Err(LeaderRefusal::NotLeader { leader: Some(3) })), "5109 01000103");
    golden(&Led(Err(LeaderRefusal::Overloaded)), "5109 0101");
    golden(&Led(Err(LeaderRefusal::Unknown)), "5109 0102");
    golden(&Led(Err(LeaderRefusal::Stopped("s".into()))), "5109 01030173");
    golden(&Led(Err(LeaderRefusal::Rejected(log::Rejection::Fenced))), "5109 010410");
}

#[test]
fn what_was_read() {
    let read = |answer| Led(Ok(LeaderAnswer::Read { index: 1, answer, silent: vec![2] }));
    let pending = || vec![log::Pending { node: 2, amount: 4 }];
    golden(
        &read(ReadAnswer::Workspace(Box::new(workspace()))),
        "5109 00030100017701570101000201040106035554430004051306070801020809120a0b0c0d0e0f1022140102",
    );
    golden(
        &read(ReadAnswer::Grants(vec![log::GrantAnswer { grant: grant(), pending: pending(), at: 6 }])),
        "5109 00030101010101670232010406000000000204050102030405060708090a0b0c0102040c0102",
    );
    golden(
        &read(ReadAnswer::Members(vec![member()])),
        "5109 0003010201017501000101740101016f01010101000702080003080405060102",
    );
    golden(&read(ReadAnswer::Teams(vec![team()])), "5109 0003010b010174010165010102030405060701020408120102");
    let allocation = log::AllocationAnswer {
        user: "u".into(),
        amount: Some(1),
        standing: 2,
        overflow: log::Overflow::Shared,
        of_seat: true,
        used: 3,
        short: 7,
        pending: pending(),
        revision: 5,
        at: 6,
    };
    golden(&read(ReadAnswer::Allocation(allocation)), "5109 00030103017501010201010307010204050c0102");
    let reallocation = log::ReallocationAnswer {
        id: "r".into(),
        from: "a".into(),
        to: "b".into(),
        asked: 9,
        moved: 3,
        lapsed: 2,
        pending: pending(),
        at: 6,
    };
    golden(&read(ReadAnswer::Reallocation(reallocation)), "5109 000301040172016101620903020102040c0102");
    let row = UsageGroup { key: usage_key(), metered: metered() };
    golden(
        &read(ReadAnswer::Usage(UsageReport { rows: vec![row], unattributed: 7, at: 6, uncovered: 8 })),
        "5109 0003010501010101017501016f00010166000101670501010174fb2c01010305070c080102",
    );
    golden(&read(ReadAnswer::Unknown(UnknownThing::Reallocation)), "5109 00030106040102");
    golden(&read(ReadAnswer::Unknown(UnknownThing::Plan)), "5109 00030106050102");
    golden(&read(ReadAnswer::Unknown(UnknownThing::Team)), "5109 00030106060102");
    let plan = log::PlanAnswer {
        plan: None,
        next: Some(log::Next::Ends),
        cycle_ends_at: None,
        seats: 2,
        seats_paid: 3,
        allowance: log::Due { owed: 4, given: 5, most: 1 },
        for_seats: log::Due { owed: 6, given: 7, most: 2 },
        cost: None,
        term: None,
        cycle_rule: None,
        revision: 8,
        at: 9,
    };
    let pooling = log::PoolingAnswer {
        mode: log::Pooling::OwnFirst,
        seats: 1,
        share: 2,
        parts: 3,
        set_aside: 4,
        short: 5,
        by_hand: 6,
        shared: 7,
        pending: pending(),
        revision: 8,
        at: 9,
    };
    golden(&read(ReadAnswer::Pooling(Box::new(pooling))), "5109 00030108020102030405060701020408120102");
    golden(&read(ReadAnswer::Refused(Box::new(log::Rejection::TooMuch))), "5109 000301090b0102");
    golden(&read(ReadAnswer::Unknown(UnknownThing::Refund)), "5109 00030106070102");
    let books = ChargeBooks { refunded: 300, grants: vec![(5, "g".into())], at: 3 };
    golden(&read(ReadAnswer::Charge(books)), "5109 0003010efb2c0101050167060102");
    golden(&read(ReadAnswer::Plan(Box::new(plan))), "5109 0003010700010100020304050106070200000008120102");
}

fn usage_key() -> UsageKey {
    UsageKey {
        day: Some(-1),
        user: Some("u".into()),
        owner: Some("o".into()),
        team: None,
        feature: Some("f".into()),
        model: None,
        grant: Some("g".into()),
    }
}

fn workspace() -> log::WorkspaceView {
    log::WorkspaceView {
        id: "w".into(),
        name: "W".into(),
        membership: log::Membership::Listed,
        durability: log::Durability::Disk,
        enforcement: log::Enforcement::On,
        pooling: log::Pooling::OwnFirst,
        cycle: 1,
        cycle_starts_at: 2,
        cycle_ends_at: Some(3),
        timezone: "UTC".into(),
        cycle_rule: None,
        granted: 4,
        used: 5,
        refunded: 19,
        held: 6,
        available: 7,
        leased: 8,
        leased_by_node: vec![(2, 8)],
        allocated: 9,
        short: 18,
        reserved: 10,
        shared: 11,
        unattributed: 12,
        written_off: 13,
        exposure: 14,
        pending: 15,
        revision: 16,
        at: 17,
        uncovered: 20,
    }
}

fn grant() -> log::Grant {
    let books = log::GrantBooks {
        amount: 1,
        available: 2,
        earmarked: 3,
        out: 4,
        used: 5,
        unattributed: 6,
        written_off: 7,
        expired: 8,
        voided: 9,
        refunded: 10,
        exposure: 11,
        for_overage: 12,
    };
    log::Grant {
        no: 1,
        id: "g".into(),
        kind: log::GrantKind::Pack,
        priority: 50,
        paid: true,
        created_at: 2,
        starts_at: 3,
        expires_at: None,
        term: log::Term::Lasting,
        price: None,
        rolled: None,
        state: log::GrantState::Voided,
        made: 4,
        revision: 5,
        books,
    }
}

fn team() -> log::TeamView {
    log::TeamView {
        team: "t".into(),
        parent: Some("e".into()),
        members: 1,
        reserve: Some(2),
        standing: 3,
        used: 4,
        leased: 5,
        remaining: 6,
        short: 7,
        pending: vec![log::Pending { node: 2, amount: 4 }],
        revision: 8,
        at: 9,
    }
}

fn member() -> log::MemberView {
    log::MemberView {
        user: "u".into(),
        listed: true,
        ai_access: false,
        team: Some("t".into()),
        role: log::Role::Admin,
        service: Some(log::Service { owner: "o".into(), shares: log::Shares::WithOwner }),
        allocation: Some(1),
        overflow: Some(log::Overflow::None),
        short: 7,
        pending: 2,
        reserve: 8,
        limit: None,
        used: 3,
        refunded: 8,
        leased: 4,
        remaining: 5,
        revision: 6,
    }
}

#[test]
fn what_holders_are_asked_for_and_answer() {
    let recalled = RecallLine {
        line: log::LineId { holder: holder(), number: 1 },
        user: "u".into(),
        scope: scope(),
        drawn: vec![(backing(), 8)],
        frozen: true,
        keep: 2,
    };
    golden(
        &Recall { workspace: "w".into(), lines: vec![recalled] },
        "5202 0177010209010175fb2c010001036d2d3101010103080102",
    );
    golden(
        &RecallAnswer { holder: holder(), journal_sequence: 7, lines: vec![line()] },
        "5303 0209070101017501fb2c010001036d2d31010101030401010103050601016600010501010174fb2c01010305020301080706",
    );
}

#[test]
fn a_consume_and_its_charge() {
    let consume = |price, durability, key: Option<&str>| Consume {
        workspace: "w".into(),
        user: "u".into(),
        feature: "f".into(),
        model: Some("m".into()),
        price,
        durability,
        key: key.map(Into::into),
    };
    let usage = PriceBy::Usage(vec![("call".into(), 1), ("token".into(), 300)]);
    golden(
        &Forward { epoch: 1, consume: consume(usage, Some(log::Durability::Local), Some("k")) },
        "5401 0101770175016601016d01020463616c6c0105746f6b656efb2c01010001016b",
    );
    golden(
        &Forward { epoch: 1, consume: consume(PriceBy::Amount(1_000_000), None, None) },
        "5401 0101770175016601016d00fc40420f000000",
    );
    let charge = Charge {
        id: ChargeId { node: 1, line: 42, sequence: 7 },
        charged: 5,
        sources: vec![(log::Source::Allocation, 2), (log::Source::Shared, 3)],
        remaining: Remaining { at_least: 10, at_most: 20 },
        durability: log::Durability::Local,
        cycle: 1,
        price_version: Some((7, Some(9))),
        shadow: Some(Shadowed { code: WouldRefuse::LimitReached, would_have_cost: 5 }),
    };
    golden(&Forwarded(Ok(charge)), "5506 00012a070502000202030a14000101070109010205");
}

#[test]
fn every_refusal_of_a_consume() {
    let refused = |refusal, hex: &str| golden(&Forwarded(Err(refusal)), &format!("55 06 01 {hex}"));
    let (user, available) = (|| "u".to_owned(), 1);
    refused(Refusal::Exhausted { user: user(), available }, "00 0175 01");
    refused(Refusal::AllocationExhausted { user: user(), available }, "01 0175 01");
    let limit = log::LimitHit {
        of: log::Subject::Team("t".into()),
        window: log::Window::Week,
        amount: 3,
        at: 4,
        resets_at: Some(5),
    };
    refused(Refusal::LimitReached { user: user(), available, limit }, "02 0175 01 01 0174 02 03 08 01 0a");
    refused(Refusal::InsufficientShared { available }, "03 01");
    refused(Refusal::InsufficientAllocation { user: user(), available }, "04 0175 01");
    refused(Refusal::AccessDisabled(user()), "05 0175");
    let (feature, plan, features) = ("f".into(), "p".into(), vec!["g".into()]);
    refused(Refusal::FeatureNotInPlan { feature, plan, features }, "06 0166 0170 01 0167");
    refused(Refusal::UnknownWorkspace, "07");
    refused(Refusal::UnknownUser(user()), "08 0175");
    refused(Refusal::NotFound("x".into()), "09 0178");
    refused(Refusal::KeyConflict, "0a");
    refused(Refusal::KeyInFlight, "0b");
    refused(Refusal::IdConflict("x".into()), "0c 0178");
    refused(Refusal::Stale { now: 2 }, "0d 02");
    refused(Refusal::Conflict("x".into()), "0e 0178");
    refused(Refusal::Invalid("x".into()), "0f 0178");
    let unpriced = Refusal::Unpriced { feature: "f".into(), model: None, unit: "t".into() };
    refused(unpriced, "10 0166 00 0174");
    refused(Refusal::Overloaded, "11");
    refused(Refusal::KeyWindowFull, "12");
    refused(Refusal::CreditsUnreachable { user: user(), available }, "13 0175 01");
    refused(Refusal::HomeUnreachable, "14");
    refused(Refusal::NoLeader, "15");
    refused(Refusal::OutcomeUnknown, "16");
    refused(Refusal::StorageUnavailable("x".into()), "17 0178");
    refused(Refusal::OverageCapReached { user: "u".into(), available: 1 }, "18 017501");
    refused(Refusal::HoldExceeded { held: 1 }, "19 01");
    refused(Refusal::HoldOver("x".into()), "1a 0178");
    refused(Refusal::HoldEnding, "1b");
    refused(Refusal::TooManyHolds("x".into()), "1c 0178");
    refused(Refusal::HolderUnreachable, "1d");
    refused(Refusal::UnknownCharge("x".into()), "1e 0178");
    refused(Refusal::BeyondCharge { left: 1 }, "1f 01");
}

#[test]
fn who_is_known() {
    golden(&Introduce { node: 300, disk: 0xFFFF_FFFF_FFFF_FFFF }, "56 01 fb2c01 fdffffffffffffffff");
    golden(&Known(None), "57 01 00");
    golden(&Known(Some(9)), "57 01 01 09");
}

#[test]
fn how_far_a_disk_was_heard() {
    golden(&Heard::Starting, "5a 01 00");
    golden(&Heard::UpTo { sequence: 300, is_current: false }, "5a 01 01 fb2c01 00");
    golden(&Heard::UpTo { sequence: u64::MAX, is_current: true }, "5a 01 01 fdffffffffffffffff 01");
}

#[test]
fn what_time_it_is() {
    golden(&AskTime, "58 01");
    golden(&Time(-1), "59 01 01");
    golden(&Time(i64::MAX), "59 01 fdfeffffffffffffff");
}

#[test]
fn no_length_is_believed() {
    // A workspace whose name says it has 2^60, 2^64 - 1, and 64 MiB bytes.
    for length in ["fd0000000000000010", "fdffffffffffffffff", "fc00000004"] {
        let hex = format!("5202{length}");
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        assert!(matches!(decode::<Recall>(&bytes), Err(BadBytes::Damaged { .. })), "{hex}");
    }
}

#[test]
fn a_message_of_the_largest_size_is_read_and_one_past_it_is_not() {
    // Numbers of one byte each claim the most memory.
    let lines = |count| {
        let drawn = vec![(log::Backing { source: log::Source::Shared, grant: 0 }, 0); count];
        let line = log::LineId { holder: log::HolderId { node: 0, disk: 0 }, number: 0 };
        let scope = log::Scope { list: 0, feature: None, model: None };
        let line = RecallLine { line, user: String::new(), scope, drawn, frozen: false, keep: 0 };
        Recall { workspace: "w".into(), lines: vec![line] }
    };
    // 18 bytes around the list, 3 for each of it.
    let fitting = (Recall::BYTES_MAX - 18) / 3;
    let bytes = encode(&lines(fitting)).unwrap();
    assert!(bytes.len() > Recall::BYTES_MAX - 3, "{} bytes", bytes.len());
    assert_eq!(decode::<Recall>(&bytes), Ok(lines(fitting)));
    assert!(matches!(encode(&lines(fitting + 1)), Err(BadBytes::TooLarge { .. })));
    let mut longer = bytes;
    longer.resize(Recall::BYTES_MAX + 3, 0);
    assert!(matches!(decode::<Recall>(&longer), Err(BadBytes::TooLarge { .. })));
}

#[test]
fn what_is_not_the_message() {
    assert_eq!(decode::<Known>(&[]), Err(BadBytes::Short));
    assert_eq!(decode::<Known>(&[86, 1, 0]), Err(BadBytes::Type { expected: 87, found: 86 }));
    let newer = BadBytes::Version { type_id: 87, version: 2, newest: 1 };
    assert_eq!(decode::<Known>(&[87, 2, 0]), Err(newer));
    for damaged in [&[87, 1][..], &[87, 1, 0, 0], &[87, 1, 2], &[87, 1, 1]] {
        assert!(matches!(decode::<Known>(damaged), Err(BadBytes::Damaged { .. })), "{damaged:?}");
    }
}

#[test]
fn what_is_asked_of_holds() {
    let hold = || HoldId { node: 2, number: 300 };
    let consume = Consume {
        workspace: "w".into(),
        user: "u".into(),
        feature: "f".into(),
        model: Some("m".into()),
        price: PriceBy::Amount(1),
        durability: None,
        key: None,
    };
    let open = OpenHold { consume, ttl_ms: 60_000 };
    golden(&ForwardHold { epoch: 1, open }, "5b01 0101770175016601016d00010000fb60ea");
    let opened = HoldOpened { hold: hold(), held: 5, expires_at: -1, cycle: 3, shadow: None };
    golden(&ForwardedHold(Ok(opened)), "5c05 0002fb2c0105010300");
    golden(&ForwardedHold(Err(Refusal::NoLeader)), "5c05 0115");
    let workspace = || "w".to_owned();
    let extend = ExtendHold { workspace: workspace(), hold: hold(), amount: 5, confirmed: 4 };
    golden(&HoldCommand::Extend(extend), "5d01 00017702fb2c010504");
    let usage = UsedBy::Usage(vec![("call".into(), 1)]);
    let settle = SettleHold { workspace: workspace(), hold: hold(), used: usage, shortfall: Shortfall::Cap };
    golden(&HoldCommand::Settle(settle), "5d01 01017702fb2c0101010463616c6c0101");
    let settle = SettleHold {
        workspace: workspace(),
        hold: hold(),
        used: UsedBy::Amount(0),
        shortfall: Shortfall::Reject,
    };
    golden(&HoldCommand::Settle(settle), "5d01 01017702fb2c01000000");
    golden(&HoldCommand::Release { workspace: workspace(), hold: hold() }, "5d01 02017702fb2c01");
    let state = HoldState { hold: hold(), held: 5, confirmed: 4, expires_at: 1, shadow: None };
    golden(&HoldAnswered(Ok(HoldAnswer::Extended(state))), "5e05 000002fb2c0105040200");
    for (number, end) in [
        EndOfHold::Settled,
        EndOfHold::Released,
        EndOfHold::Expired,
        EndOfHold::SettledLate,
        EndOfHold::Unknown,
    ]
    .into_iter()
    .enumerate()
    {
        let sources = vec![(log::Source::Shared, 3)];
        let durability = log::Durability::Disk;
        let shadow = Some(Shadowed { code: WouldRefuse::HoldExceeded, would_have_cost: 5 });
        let (charged, freed, cycle) = (3, 2, Some(1));
        let ended = HoldEnd { hold: hold(), end, charged, freed, sources, durability, cycle, shadow };
        let hex = format!("5e05 000102fb2c010{number}0302010203010101010405");
        golden(&HoldAnswered(Ok(HoldAnswer::Ended(ended))), &hex);
    }
}

#[test]
fn charges_that_are_looked_up() {
    let consume = || log::AnyCharge::Consume(log::ChargeId { node: 2, line: 300, sequence: 7 });
    let find = FindCharge { workspace: "w".into(), charge: consume(), reported: true };
    golden(&find, "5f01 01770002fb2c010701");
    let facts = ChargeFacts {
        holder: holder(),
        charge: consume(),
        user: "u".into(),
        feature: "f".into(),
        model: None,
        day: -1,
        cycle: 3,
        units: vec![("t".into(), 300)],
        parts: vec![log::ChargePart { line: 300, cycle: 3, backing: backing(), amount: 5 }],
    };
    golden(&FoundCharge(Ok(facts)), "6002 0002090002fb2c0107017501660001030101 74fb2c0101fb2c0103010103 05");
    golden(&FoundCharge(Err(Refusal::UnknownCharge("x".into()))), "6002 011e0178");
}
