//! Every variant of every message there and back, what no node may send, and bytes that are wrong in any place.

use super::*;
use actors::{BatchAnswer, LeaderRequest, Recall, RecallAnswer};
use leasing::RecallLine;
use ledger::{Answer, Query, Rejection};
use placement::MembershipEpoch;
use quota::{Charge, Consume, PriceBy, Refusal, Remaining};
use replication::GroupId;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::str::FromStr;
use types::{AnyCharge, ChargeId, HoldId, HoldNumber, Meter, ShardId};

fn id<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn credits(micros: u64) -> Credits {
    Credits::from_micros(micros).unwrap()
}

pub(super) fn there_and_back<T>(value: &T) -> Bytes
where
    T: Travels<Shape: Frozen> + PartialEq + Debug,
{
    let bytes = to_bytes(value).unwrap();
    assert_eq!(from_bytes::<T>(&bytes).as_ref(), Ok(value));
    bytes
}

/// Sends all values; the byte at `place` says which variant it is, and all variants up to the highest were sent.
pub(super) fn all_variants<T>(values: &[T], place: usize)
where
    T: Travels<Shape: Frozen> + PartialEq + Debug,
{
    let seen: BTreeSet<u8> = values.iter().map(|value| there_and_back(value)[place]).collect();
    assert!(seen.iter().copied().eq(0..=*seen.last().unwrap()), "not all variants: {seen:?}");
}

fn holder() -> HolderId {
    HolderId { node: NodeId(2), disk: DiskId(u64::MAX) }
}

fn backings() -> Vec<(Backing, Credits)> {
    let sources = [Source::Allocation, Source::Reserve(2), Source::Shared, Source::Overage];
    let of = |source| (Backing { source, grant: types::GrantNo(7) }, Credits::MAX);
    sources.map(of).to_vec()
}

fn lines() -> Vec<ledger::LineMessage> {
    let meter = Meter { feature: id("chat"), model: Some(id("m-1")), day: Day(-1) };
    let metered = Metered {
        credits: credits(1),
        calls: 2,
        units: vec![(id("token"), u64::MAX)],
        by_grant: [(GrantNo(7), credits(1))].into_iter().collect(),
    };
    let by_backing = backings().into_iter().map(|(backing, used)| (backing, used, Credits::ZERO)).collect();
    let used = ledger::Used { by_backing, by_meter: vec![(meter, metered)] };
    let wishes = [
        ledger::Wish::Report,
        ledger::Wish::Draw { target: credits(9), floor: credits(7), need: credits(8) },
        ledger::Wish::Close,
    ];
    let line = |wish| ledger::LineMessage {
        number: LineNumber(1),
        user: id("ann"),
        cycle: CycleNumber::FIRST,
        scope: scope(),
        returned: backings(),
        used: used.clone(),
        held: credits(2),
        confirmed: credits(1),
        wish,
    };
    wishes.map(line).to_vec()
}

fn scope() -> types::Scope {
    types::Scope { list: types::Revision(7), feature: Some(id("chat")), model: Some(id("opus")) }
}

fn which() -> ledger::WhichMembers {
    ledger::WhichMembers { kind: Some(ledger::MemberKind::Service), owner: Some(id("ann")) }
}

fn usage_key() -> ledger::UsageKey {
    ledger::UsageKey {
        day: Some(Day(1)),
        user: Some(id("ann")),
        owner: Some(id("bob")),
        team: Some(id("design")),
        feature: Some(id("chat")),
        model: None,
        grant: Some(id("pack-1")),
    }
}

fn any_charge() -> AnyCharge {
    AnyCharge::Hold(HoldId { node: NodeId(3), number: HoldNumber(u64::MAX) })
}

fn queries() -> Vec<Query> {
    let page = |after: Option<&str>, limit| ledger::Page { after: after.map(Into::into), limit };
    let usage = |group_by, interval| ledger::UsageQuery {
        group_by,
        interval,
        from: Some(Day(-3)),
        to: None,
        after: Some(usage_key()),
        limit: 1_000,
    };
    let by = || {
        vec![ledger::GroupBy::Model, ledger::GroupBy::Feature, ledger::GroupBy::Team, ledger::GroupBy::User]
    };
    vec![
        Query::Workspace { id: id("w") },
        Query::Grant { id: id("w"), grant: id("g") },
        Query::Grants { id: id("w"), page: page(None, 1) },
        Query::Member { id: id("w"), user: id("ann") },
        Query::Members { id: id("w"), which: which(), page: page(Some(&"x".repeat(128)), 1_000) },
        Query::Allocation { id: id("w"), user: id("ann") },
        Query::Reallocation { id: id("w"), reallocation: id("r") },
        Query::Teams { id: id("w"), team: Some(id("t")), page: page(None, 1) },
        Query::Limits { id: id("w"), of: ledger::Subject::Team(id("t")) },
        Query::Usage { id: id("w"), query: usage(by(), Some(ledger::Interval::Month)) },
        Query::Usage { id: id("w"), query: usage(vec![], Some(ledger::Interval::Day)) },
        Query::Usage { id: id("w"), query: usage(vec![], None) },
        Query::Refund { id: id("w"), refund: id("r") },
        Query::Charge { id: id("w"), charge: any_charge(), grants: vec![GrantNo(u32::MAX)] },
        Query::Plan { id: id("w") },
        Query::Overage { id: id("w"), user: Some(id("ann")) },
        Query::Pooling { id: id("w"), after: None },
        Query::Pooling { id: id("w"), after: Some(ledger::Pooling::OwnFirst) },
        Query::PlanAfter { id: id("w"), change: ledger::PlanChange::Cancel },
    ]
}

fn read(query: Query) -> Ask {
    Ask { group: GroupId::Meta, request: LeaderRequest::Read { query, fresh: true } }
}

fn asks() -> Vec<Ask> {
    let batch = ledger::HolderBatch {
        holder: holder(),
        journal_sequence: 3,
        workspace: id("w"),
        lines: lines(),
        recalled: false,
    };
    let command = ledger::Command::Tick { workspace: id("w") };
    let requests = [
        LeaderRequest::Batch(batch),
        LeaderRequest::Command(Box::new(command)),
        LeaderRequest::Renew { holder: holder() },
        LeaderRequest::Read { query: Query::Workspace { id: id("w") }, fresh: false },
    ];
    let group = GroupId::Shard(ShardId(0));
    requests.map(|request| Ask { group, request }).to_vec()
}

fn answers() -> Vec<Answer> {
    use ledger::UnknownThing::{Allocation, Grant, Plan, Reallocation, Refund, User, Workspace};
    let at = Timestamp::from_millis(-5);
    let pending = || vec![ledger::Pending { node: NodeId(2), amount: credits(1) }];
    let allocation = ledger::AllocationAnswer {
        user: id("ann"),
        amount: None,
        standing: credits(1),
        overflow: ledger::Overflow::Shared,
        of_seat: true,
        short: credits(7),
        used: credits(2),
        pending: pending(),
        revision: Revision(3),
        at,
    };
    let reallocation = ledger::ReallocationAnswer {
        id: id("r"),
        from: id("ann"),
        to: id("bob"),
        asked: credits(3),
        moved: credits(2),
        lapsed: Credits::ZERO,
        pending: pending(),
        at,
    };
    let place = ledger::RefundPlace::Expired;
    let refund = ledger::RefundAnswer {
        id: id("r"),
        charge: any_charge(),
        user: id("ann"),
        cycle: CycleNumber(2),
        charged: credits(5),
        asked: None,
        amount: credits(4),
        refunded: credits(4),
        to: vec![ledger::RefundedTo { from: Source::Overage, grant: id("g"), amount: credits(4), place }],
        at,
    };
    let row = ledger::UsageGroup { key: usage_key(), metered: Metered::default() };
    let mut answers = vec![
        Answer::Grants(vec![]),
        Answer::Members(vec![]),
        Answer::Allocation(allocation),
        Answer::Reallocation(reallocation),
        Answer::Usage(ledger::UsageReport {
            rows: vec![row],
            unattributed: credits(1),
            at,
            uncovered: credits(2),
        }),
        Answer::Refused(Box::new(Rejection::TooMuch)),
        Answer::Refund(Box::new(refund)),
        Answer::Charge(ledger::ChargeBooks {
            refunded: Credits::MAX,
            grants: vec![(GrantNo(3), id("g"))],
            at,
        }),
    ];
    answers.extend([Workspace, Grant, User, Allocation, Reallocation, Plan, Refund].map(Answer::Unknown));
    answers.extend(answers_of_a_ledger());
    answers
}

/// A workspace, a grant and a member are more than one writes down: the ledger makes them.
fn answers_of_a_ledger() -> Vec<Answer> {
    let mut state = ledger::State::default();
    let at = Timestamp::from_millis(1_000);
    let settings = ledger::WorkspaceSettings::unchanged();
    let grant = ledger::NewGrant {
        id: id("g"),
        kind: ledger::GrantKind::Pack,
        amount: credits(5),
        priority: 50,
        paid: true,
        starts_at: None,
        expires_at: Some(Timestamp::from_millis(9_000)),
        term: ledger::Term::Lasting,
        price: None,
    };
    let plan = ledger::Plan {
        id: id("p"),
        name: Some("Pro".to_owned()),
        allowance: credits(1),
        per_seat: Credits::ZERO,
        paid: true,
        rollover: ledger::Rollover::NONE,
        mid_cycle: ledger::MidCycle::Whole,
        overage: Some(ledger::OverageRule::On),
        features: Some([id("chat"), id("image")].into()),
        prices: ledger::Prices { cycle: Some("49EUR".parse().unwrap()), ..ledger::Prices::NONE },
        term: ledger::PlanTerm::Year,
    };
    for change in [
        ledger::Change::PutWorkspace(settings),
        ledger::Change::MakeGrant(grant),
        ledger::Change::Plan(ledger::PlanChange::Set { plan, when: ledger::When::Now }),
        ledger::Change::PutMember {
            user: id("ann"),
            ai_access: Some(true),
            team: Some(Some(id("design"))),
            role: Some(ledger::Role::Admin),
            service: ledger::ServiceChange::NONE,
        },
        ledger::Change::PutMember {
            user: id("bot"),
            ai_access: None,
            team: None,
            role: None,
            service: ledger::ServiceChange {
                kind: Some(ledger::MemberKind::Service),
                owner: Some(id("ann")),
                shares: Some(ledger::Shares::WithOwner),
            },
        },
    ] {
        let command = ledger::AdminCommand { workspace: id("w"), keyed: None, if_match: None, change };
        assert!(state.apply(at, &ledger::Command::Admin(command)).result.is_ok());
    }
    let queries = [
        Query::Workspace { id: id("w") },
        Query::Grant { id: id("w"), grant: id("g") },
        Query::Member { id: id("w"), user: id("ann") },
        Query::Member { id: id("w"), user: id("bot") },
        Query::Plan { id: id("w") },
        Query::Pooling { id: id("w"), after: None },
        Query::Overage { id: id("w"), user: None },
        Query::Teams { id: id("w"), team: None, page: ledger::Page { after: None, limit: 1 } },
        Query::Limits { id: id("w"), of: ledger::Subject::User(id("ann")) },
    ];
    queries.map(|query| state.answer(&query, at)).to_vec()
}

fn led() -> Vec<Led> {
    let line = ledger::LineResult::Line { drawn: backings(), frozen: true, denied: None };
    let (features, models) = ([id("chat")].into(), [id("opus")].into());
    let allowed = Some([id("chat")].into());
    let limited = types::Limited { revision: types::Revision(7), features, models, allowed };
    let batch = BatchAnswer {
        lines: vec![ledger::LineAnswer { number: LineNumber(1), result: line }],
        elsewhere: vec![Credits::MAX],
        durability: Durability::Disk,
        enforcement: types::Enforcement::Shadow,
        cut_off: true,
        limited: Some(limited),
    };
    let applied = ledger::Applied { result: Ok(ledger::Outcome::Ticked), events: vec![] };
    let answer = Answer::Unknown(ledger::UnknownThing::User);
    [
        LeaderAnswer::Batch(batch),
        LeaderAnswer::Applied { index: u64::MAX, applied },
        LeaderAnswer::Renewed,
        LeaderAnswer::Read { index: 1, answer, silent: vec![NodeId(1), NodeId(u16::MAX)] },
    ]
    .map(|answer| Led(Ok(answer)))
    .to_vec()
}

fn leader_refusals() -> Vec<Led> {
    [
        LeaderRefusal::NotLeader { leader: None },
        LeaderRefusal::NotLeader { leader: Some(NodeId(3)) },
        LeaderRefusal::Overloaded,
        LeaderRefusal::Unknown,
        LeaderRefusal::Stopped("the disk is full".into()),
        LeaderRefusal::Rejected(Rejection::RolledBack { known: 4 }),
    ]
    .map(|refusal| Led(Err(refusal)))
    .to_vec()
}

fn recall() -> Recall {
    let line = LineId { holder: holder(), number: LineNumber(4) };
    let (user, scope, drawn) = (id("ann"), scope(), backings());
    let line = RecallLine { line, user, scope, drawn, frozen: true, keep: Credits::MAX };
    Recall { workspace: id("w"), lines: vec![line] }
}

fn consume(price: PriceBy, durability: Option<Durability>) -> Forward {
    let consume = Consume {
        workspace: id("w"),
        user: id("ann"),
        feature: id("chat"),
        model: durability.is_some().then(|| id("m-1")),
        price,
        durability,
        key: durability.is_none().then(|| id("key-1")),
    };
    Forward { epoch: MembershipEpoch(u64::MAX), consume }
}

fn charge() -> Forwarded {
    Forwarded(Ok(Charge {
        id: ChargeId { node: NodeId(1), line: LineNumber(42), sequence: 7 },
        charged: credits(5),
        sources: backings().into_iter().map(|(backing, amount)| (backing.source, amount)).collect(),
        remaining: Remaining { at_least: credits(1), at_most: Credits::MAX },
        durability: Durability::Quorum,
        cycle: CycleNumber(2),
        price_version: Some(types::PriceVersion { card: 7, own: Some(9) }),
        shadow: Some(types::Shadowed { code: types::WouldRefuse::UnknownUser, would_have_cost: credits(9) }),
    }))
}

fn limit_hit() -> ledger::LimitHit {
    let (at, resets_at) = (Timestamp::from_millis(1), Some(Timestamp::from_millis(2)));
    ledger::LimitHit {
        of: ledger::Subject::User(id("ann")),
        window: types::Window::Week,
        amount: credits(9),
        at,
        resets_at,
    }
}

fn refusals() -> Vec<Forwarded> {
    let (user, available) = (|| id::<UserId>("ann"), credits(3));
    let mut refusals = vec![
        Refusal::Exhausted { user: user(), available },
        Refusal::AllocationExhausted { user: user(), available },
        Refusal::LimitReached { user: user(), available, limit: limit_hit() },
        Refusal::OverageCapReached { user: user(), available },
        Refusal::InsufficientShared { available },
        Refusal::InsufficientAllocation { user: user(), available },
        Refusal::AccessDisabled(user()),
        Refusal::FeatureNotInPlan { feature: id("image"), plan: id("pro"), features: vec![id("chat")] },
        Refusal::UnknownWorkspace,
        Refusal::UnknownUser(user()),
        Refusal::KeyConflict,
        Refusal::KeyInFlight,
        Refusal::Stale { now: Revision(2) },
        Refusal::Conflict("why".into()),
        Refusal::Invalid("why".into()),
        Refusal::Unpriced { feature: id("chat"), model: Some(id("m-1")), unit: id("token") },
        Refusal::Overloaded,
        Refusal::KeyWindowFull,
        Refusal::CreditsUnreachable { user: user(), available },
        Refusal::HomeUnreachable,
        Refusal::NoLeader,
        Refusal::OutcomeUnknown,
        Refusal::StorageUnavailable("why".into()),
        Refusal::HoldExceeded { held: available },
        Refusal::HoldOver("how".into()),
        Refusal::HoldEnding,
        Refusal::TooManyHolds("why".into()),
        Refusal::HolderUnreachable,
        Refusal::UnknownCharge("none".into()),
        Refusal::BeyondCharge { left: credits(1) },
    ];
    let words = ["grant", "member", "allocation", "reallocation", "holder", "hold"];
    refusals.extend(words.into_iter().flat_map(|word| [Refusal::NotFound(word), Refusal::IdConflict(word)]));
    refusals.into_iter().map(|refusal| Forwarded(Err(refusal))).collect()
}

#[test]
fn every_request_of_a_leader_there_and_back() {
    // Type, version, group, shard; the request.
    all_variants(&asks(), 4);
    let groups = [GroupId::Meta, GroupId::Shard(ShardId(u16::MAX))];
    all_variants(&groups.map(|group| Ask { group, request: LeaderRequest::Renew { holder: holder() } }), 2);
    all_variants(&queries().into_iter().map(read).collect::<Vec<_>>(), 4);
}

#[test]
fn every_answer_and_refusal_of_a_leader_there_and_back() {
    all_variants(&led(), 3);
    all_variants(&leader_refusals(), 3);
    let read = |answer| Led(Ok(LeaderAnswer::Read { index: 1, answer, silent: vec![] }));
    let answers: Vec<Led> = answers().into_iter().map(read).collect();
    all_variants(&answers, 5);
}

#[test]
fn recalls_there_and_back() {
    there_and_back(&recall());
    there_and_back(&RecallAnswer { holder: holder(), journal_sequence: u64::MAX, lines: lines() });
}

#[test]
fn consumes_charges_and_every_refusal_there_and_back() {
    for durability in [None, Some(Durability::Local), Some(Durability::Disk), Some(Durability::Quorum)] {
        there_and_back(&consume(PriceBy::Amount(credits(1)), durability));
    }
    let units = (b'a'..).take(16).map(|c| (id(&char::from(c).to_string().repeat(128)), u64::MAX));
    there_and_back(&consume(PriceBy::Usage(units.collect()), None));
    there_and_back(&charge());
    all_variants(&refusals(), 3);
}

#[test]
fn the_largest_consume_fits() {
    let longest = "x".repeat(128);
    let unit = |i: usize| id(&format!("{i:0>128}"));
    let consume = Consume {
        workspace: id(&longest),
        user: id(&longest),
        feature: id(&longest),
        model: Some(id(&longest)),
        price: PriceBy::Usage((0..16).map(|i| (unit(i), u64::MAX)).collect()),
        durability: Some(Durability::Disk),
        key: Some(id(&longest)),
    };
    there_and_back(&Forward { epoch: MembershipEpoch(u64::MAX), consume });
}

#[test]
fn introductions_and_clocks_there_and_back() {
    there_and_back(&Introduce { node: NodeId(1), disk: DiskId(u64::MAX) });
    there_and_back(&Known(None));
    there_and_back(&Known(Some(DiskId(3))));
    there_and_back(&Heard::Starting);
    there_and_back(&Heard::UpTo { sequence: u64::MAX, is_current: true });
    there_and_back(&AskTime);
    for ms in [i64::MIN, -1, 0, i64::MAX] {
        there_and_back(&Time(Timestamp::from_millis(ms)));
    }
}

#[test]
fn a_word_of_a_newer_program_is_some_thing() {
    let newer = rpc::Forwarded(Err(rpc::Refusal::NotFound("moon".into())));
    assert_eq!(Forwarded::from_shape(newer), Ok(Forwarded(Err(Refusal::NotFound("thing")))));
}

/// What `change` makes of a proper shape must be refused, as damaged.
fn refused<T>(proper: &T, change: impl FnOnce(&mut T::Shape))
where
    T: Travels<Shape: Frozen> + PartialEq + Debug,
{
    let mut shape = proper.shape();
    change(&mut shape);
    let read = from_bytes::<T>(&encode(&shape).unwrap());
    assert!(matches!(read, Err(BadBytes::Damaged { .. })), "{read:?}");
}

#[test]
fn what_no_node_may_send() {
    let amount = consume(PriceBy::Amount(credits(1)), None);
    for bad in ["", "a b", "ü", &"x".repeat(129)] {
        refused(&amount, |forward| forward.consume.workspace = bad.into());
        refused(&amount, |forward| forward.consume.user = bad.into());
        refused(&amount, |forward| forward.consume.feature = bad.into());
        refused(&amount, |forward| forward.consume.model = Some(bad.into()));
        refused(&amount, |forward| forward.consume.key = Some(bad.into()));
        refused(&amount, |forward| forward.consume.price = rpc::PriceBy::Usage(vec![(bad.into(), 1)]));
        refused(&recall(), |recall| recall.workspace = bad.into());
        refused(&recall(), |recall| recall.lines[0].user = bad.into());
    }
    refused(&amount, |forward| forward.consume.price = rpc::PriceBy::Amount(0));
    let past = Credits::MAX.micros() + 1;
    refused(&amount, |forward| forward.consume.price = rpc::PriceBy::Amount(past));
    refused(&recall(), |recall| recall.lines[0].keep = past);
    refused(&recall(), |recall| recall.lines[0].drawn[0].1 = past);
}

#[test]
fn units_of_a_consume_are_few_sorted_and_none_twice() {
    let amount = consume(PriceBy::Amount(credits(1)), None);
    let units = |names: &[&str]| rpc::PriceBy::Usage(names.iter().map(|name| ((*name).into(), 1)).collect());
    refused(&amount, |forward| forward.consume.price = units(&["b", "a"]));
    refused(&amount, |forward| forward.consume.price = units(&["a", "a"]));
    let many: Vec<String> = (b'a'..).take(17).map(|c| char::from(c).into()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    refused(&amount, |forward| forward.consume.price = units(&many));
    let mut shape = amount.shape();
    shape.consume.price = units(&many[..16]);
    assert!(Forward::from_shape(shape).is_ok());
}

#[test]
fn pages_and_reports_have_bounds() {
    let page = read(Query::Grants { id: id("w"), page: ledger::Page { after: None, limit: 1 } });
    let with = |after: Option<String>, limit| {
        refused(&page, |ask| {
            let rpc::LeaderRequest::Read { query: rpc::Query::Grants { page, .. }, .. } = &mut ask.request
            else {
                unreachable!("it is a read of grants")
            };
            *page = rpc::Page { after, limit };
        });
    };
    with(None, 0);
    with(None, 1_001);
    with(None, u64::MAX);
    with(Some("x".repeat(129)), 1);
    let query =
        ledger::UsageQuery { group_by: vec![], interval: None, from: None, to: None, after: None, limit: 1 };
    let with = |damage: &dyn Fn(&mut rpc::UsageQuery)| {
        refused(&read(Query::Usage { id: id("w"), query: query.clone() }), |ask| {
            let rpc::LeaderRequest::Read { query: rpc::Query::Usage { query, .. }, .. } = &mut ask.request
            else {
                unreachable!("it is a read of usage")
            };
            damage(query);
        });
    };
    with(&|query| query.group_by = vec![rpc::GroupBy::User; 7]);
    with(&|query| query.limit = 0);
    with(&|query| query.limit = 1_001);
}

/// Cut anywhere, or with any one byte changed to any other, a message is another one or an error.
fn survives_damage<T>(value: &T)
where
    T: Travels<Shape: Frozen> + PartialEq + Debug,
{
    let bytes = to_bytes(value).unwrap();
    for end in 0..bytes.len() {
        assert!(from_bytes::<T>(&bytes[..end]).is_err(), "cut at {end}");
    }
    let mut damaged = bytes.to_vec();
    for place in 0..bytes.len() {
        for byte in 0..=255 {
            damaged[place] = byte;
            let _another_or_none = from_bytes::<T>(&damaged);
        }
        damaged[place] = bytes[place];
    }
}

#[test]
fn no_damage_is_a_panic() {
    asks().iter().for_each(survives_damage);
    queries().into_iter().map(read).for_each(|ask| survives_damage(&ask));
    led().iter().chain(&leader_refusals()).for_each(survives_damage);
    survives_damage(&recall());
    survives_damage(&RecallAnswer { holder: holder(), journal_sequence: 1, lines: lines() });
    survives_damage(&consume(PriceBy::Usage(vec![(id("a"), 1), (id("b"), 2)]), Some(Durability::Disk)));
    survives_damage(&charge());
    refusals().iter().for_each(survives_damage);
    survives_damage(&Introduce { node: NodeId(1), disk: DiskId(u64::MAX) });
    survives_damage(&Known(Some(DiskId(3))));
    survives_damage(&Heard::UpTo { sequence: 300, is_current: true });
    survives_damage(&Time(Timestamp::from_millis(1_700_000_000_000)));
}
