//! The bytes of a workspace and of what a group knows beside. Not here: commands and answers.

use super::*;

fn workspace() -> Workspace {
    let numbers = BackingNumbers {
        backing: backing(Source::Shared),
        drawn: 1,
        used: 2,
        returned: 3,
        unattributed: 4,
        written_off: 5,
    };
    let line = Line {
        user: "a".into(),
        cycle: 1,
        team: some("t"),
        scope: scope(),
        chain_of: some("o"),
        backings: vec![numbers],
        meters: vec![(0, metered())],
        held: 1,
        confirmed: 2,
        allocation: Some(3),
        reserves: vec![(1, 4)],
        frozen: true,
        written_off: false,
        pledges: vec![Pledge { intent: 1, source: Source::Reserve(1), amount: 2 }],
        heard_at: 3,
    };
    let intent = |from, to| Intent {
        cycle: 1,
        reallocation: some("r"),
        from,
        from_allocation: 1,
        to,
        asked: 2,
        moved: 3,
        lapsed: 4,
        lines: vec![line_id()],
        first_answer: Some(reallocation()),
    };
    let allocation = Allocation {
        no: 1,
        standing: 2,
        overflow: Overflow::Shared,
        of_seat: true,
        used: 3,
        out: 4,
        pledged: 5,
        earmarks: vec![(0, 6)],
        short: 8,
        revision: 7,
    };
    let member = Member {
        ai_access: true,
        team: None,
        role: Role::Owner,
        service: Some(Box::new(service())),
        revision: 1,
    };
    let by_services = Some(Box::new(ByServices { lines: vec![line_id()], out: 1, used: 300, charged: 3 }));
    let user = User {
        member: Some(Box::new(member)),
        allocation: Some(allocation.clone()),
        limits: Some(Box::new(window::golden::limits())),
        recent: Recent { at: 1, hour: 2, day: 300, week: 4 },
        used: 3,
        late: 5,
        past: 6,
        refunded: 2,
        past_refunded: 9,
        share: Some(300),
        of_share: 10,
        out: 4,
        overage_rule: Some((OverageRule::On, 8)),
        lines: vec![line_id()],
        by_services,
    };
    let (limits, recent) =
        (Some(Box::new(window::golden::limits())), Recent { at: 1, hour: 2, day: 3, week: 4 });
    let reserve = Some(allocation);
    let of_scope = OfScope { limits: limits.clone(), since: 300, recent: recent.clone(), used: 7, out: 8 };
    let team = Team { parent: some("e"), reserve, limits, recent, used: 5, out: 6, revision: 9 };
    let states = [GrantState::Live, GrantState::Expired, GrantState::Voided];
    let payer = |allocation| OveragePayer { grant: 0, allocation, amount: 300 };
    let paid_by = vec![payer(None), payer(Some(1))];
    let account = OverageAccount { made: 4, shares: true, chain_of: some("o"), reserves: vec![5], paid_by };
    let overage = Overage { grant: 1, accounts: vec![("a".into(), account)], closed: vec![(0, 5)] };
    let subscription = Subscription {
        plan: Some(plan(MidCycle::Prorated)),
        next: Some(Next::Plan(plan(MidCycle::Whole))),
        seats: 3,
        allowance: Due { owed: 4, given: 5, most: 1 },
        for_seats: Due { owed: 6, given: 7, most: 2 },
        cost: Some(Cost { owed: money(), most: money() }),
        term: Some(9),
        revision: 8,
    };
    Workspace {
        id: "w".into(),
        name: "n".into(),
        membership: Membership::Listed,
        durability: Durability::Quorum,
        enforcement: Enforcement::Shadow,
        created_at: 1,
        settings: 2,
        revision: 3,
        cycle: 4,
        cycle_starts_at: 5,
        calendar_starts_at: 4,
        timezone: "UTC".into(),
        clock: window::golden::clock(),
        cycle_rule: Some(rule(Every::Year)),
        cycle_ends: vec![6, 7],
        spent_before: Spent { used: 1, unattributed: 2, written_off: 3 },
        refunded_before: 9,
        refunds: vec![("r".into(), refund_answer())],
        lost_allocations: vec![("a".into(), vec![(holder(), 7)])],
        subscription: Some(Box::new(subscription)),
        pooling: Pooling::OwnFirst,
        pooling_set: 10,
        overage_rule: Some((OverageRule::UpTo(1), 2)),
        overages: vec![(3, overage)],
        begun_to: 8,
        grants: (0..).zip(states).map(|(no, state)| grant(no, state)).collect(),
        users: vec![("a".into(), user)],
        teams: vec![("t".into(), team)],
        limited: window::golden::limited(),
        by_model: vec![(
            "m-1".into(),
            OfScope { limits: None, since: 0, used: 9, out: 0, ..of_scope.clone() },
        )],
        by_feature: vec![("chat".into(), of_scope)],
        lines: vec![(line_id(), line)],
        highest_line: vec![(holder(), 7)],
        intents: vec![
            (1, intent(Owner::Team("t".into()), Recipient::Shared)),
            (2, intent(Owner::User("a".into()), Recipient::Allocation("b".into(), 1))),
        ],
        next_intent: 3,
        reallocations: vec![("r".into(), 1)],
        next_allocation: 2,
        meters: vec![meter()],
        metered_names: vec![("chat".into(), some("m-1"))],
        usage: vec![("a".into(), vec![(0, metered())])],
        keys: vec![KeyEntry { at: 1, key: "k".into(), command_hash: [9; 32], outcome: Outcome::Ticked }],
        shared_out: 8,
        frozen_out: 9,
        previous_starts_at: Some(4),
        imports: vec![("i".into(), ImportRecord { body: [9; 32], import: import() })],
        uncovered: vec![(3, 2)],
    }
}

fn meta() -> Meta {
    let dated = |version| DatedCard { effective_at: 1, version, list: price_list() };
    let key = PriceKey {
        at: 1,
        workspace: some("w"),
        keyed: KeyedBy { key: "k".into(), command_hash: [9; 32] },
        answer: PriceAnswer { version: 2, effective_at: 3 },
    };
    Meta { last_version: 3, cards: vec![dated(1)], own: vec![("w".into(), vec![dated(2)])], keys: vec![key] }
}

#[test]
fn the_state_is_golden() {
    let record = |status| (holder(), HolderRecord { journal_sequence: 1, status });
    check(
        "state",
        StateHead {
            now: 1,
            meta: meta(),
            holders: vec![record(HolderStatus::Active), record(HolderStatus::Fenced)],
            workspaces: 3,
        },
    );
    check("a-workspace", workspace());
}
