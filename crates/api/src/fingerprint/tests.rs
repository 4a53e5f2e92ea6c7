//! What differs has other fingerprints, and what is the same has the same. Not here: how they are made.

use super::*;
use quota::{GrantKind, MemberKind, Membership, MidCycle, Overflow, Pooling, Role, When};
use types::{Every, Feature, GrantId, Model, ReallocationId, TeamId, UserId, ZoneName};

fn credits(micros: u64) -> Credits {
    Credits::from_micros(micros).unwrap()
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn import(id: &str, said: u8) -> NewImport {
    NewImport {
        id: id.parse().unwrap(),
        user: user("ann"),
        feature: "chat".parse().unwrap(),
        model: None,
        units: Vec::new(),
        charge: None,
        happened_at: Timestamp::from_millis(0),
        body: [said; 32],
    }
}

#[test]
fn what_an_import_costs_is_none_of_the_callers_words() {
    let acme = WorkspaceId::parse("acme").unwrap();
    let priced = NewImport { charge: Some(credits(1)), ..import("i", 1) };
    let of = |item| super::of(&acme, &Change::ImportUsage(vec![item]));
    assert_eq!(of(import("i", 1)), of(priced));
}

/// Commands that differ in one thing each.
fn commands() -> Vec<Change> {
    let enforced = |enforcement| {
        let enforcement = Some(enforcement);
        Change::PutWorkspace(WorkspaceSettings { enforcement, ..WorkspaceSettings::unchanged() })
    };
    let settings = |name: Option<&str>, membership, durability| {
        let name = name.map(Into::into);
        Change::PutWorkspace(WorkspaceSettings {
            name,
            membership,
            durability,
            ..WorkspaceSettings::unchanged()
        })
    };
    let cycles = |timezone: Option<&str>, cycle: Option<(Every, &str)>| {
        let timezone = timezone.map(|zone| ZoneName::parse(zone).unwrap());
        let cycle = cycle.map(|(every, anchor)| CycleDays { every, anchor: anchor.parse().unwrap() });
        Change::PutWorkspace(WorkspaceSettings { timezone, cycle, ..WorkspaceSettings::unchanged() })
    };
    let grant = |id: &str, amount, priority, paid, starts_at: Option<i64>, expires_at: Option<i64>| {
        Change::MakeGrant(NewGrant {
            id: GrantId::parse(id).unwrap(),
            kind: GrantKind::Pack,
            amount: credits(amount),
            priority,
            paid,
            starts_at: starts_at.map(Timestamp::from_millis),
            expires_at: expires_at.map(Timestamp::from_millis),
            term: Term::Lasting,
            price: None,
        })
    };
    let rolling = |keep, cycles| {
        let Change::MakeGrant(grant) = grant("g", 1, 50, true, None, None) else { unreachable!() };
        Change::MakeGrant(NewGrant { term: Term::Cycle(Rollover { keep, cycles }), ..grant })
    };
    let priced = |price| {
        let Change::MakeGrant(grant) = grant("g", 1, 50, true, None, None) else { unreachable!() };
        Change::MakeGrant(NewGrant { price, ..grant })
    };
    let member = |ai_access, team: Option<&str>, role| Change::PutMember {
        user: user("ann"),
        ai_access,
        team: team.map(|team| Some(TeamId::parse(team).unwrap())),
        role,
        service: ServiceChange::NONE,
    };
    let service = |kind, owner: Option<&str>, shares| Change::PutMember {
        user: user("ann"),
        ai_access: None,
        team: None,
        role: None,
        service: ServiceChange { kind, owner: owner.map(user), shares },
    };
    let team = |team: &str, change| Change::Team { team: TeamId::parse(team).unwrap(), change };
    let allocation = |amount, overflow| Change::SetAllocation { user: user("ann"), amount, overflow };
    let team_limit = |window, amount| {
        let of = Subject::Team(TeamId::parse("ann").unwrap());
        Change::SetLimit { of, window, amount }
    };
    let scope_limit = |of| Change::SetLimit { of, window: types::Window::Day, amount: None };
    let limit = |window, amount| Change::SetLimit { of: Subject::User(user("ann")), window, amount };
    let adjust = |delta| Change::AdjustAllocation { user: user("ann"), delta };
    let reallocate = |id: &str, from, to, amount| Change::Reallocate {
        id: ReallocationId::parse(id).unwrap(),
        from: user(from),
        to: user(to),
        amount: credits(amount),
    };
    let plan = |id: &str, allowance, per_seat, paid, keep, mid_cycle, when| {
        let rollover = Rollover { keep, cycles: None };
        let (id, allowance, per_seat) = (id.parse().unwrap(), credits(allowance), credits(per_seat));
        Change::Plan(PlanChange::Set {
            plan: Plan {
                id,
                allowance,
                per_seat,
                paid,
                rollover,
                mid_cycle,
                overage: None,
                features: None,
                name: None,
                prices: Prices::NONE,
                term: PlanTerm::Cycle,
            },
            when,
        })
    };
    let (whole, now) = (MidCycle::Whole, When::Now);
    let with = |change: &dyn Fn(&mut Plan)| match plan("p", 1, 2, true, Keep::None, whole, now) {
        Change::Plan(PlanChange::Set { mut plan, when }) => {
            change(&mut plan);
            Change::Plan(PlanChange::Set { plan, when })
        }
        other => other,
    };
    let with_overage = |rule| with(&|plan| plan.overage = Some(rule));
    let named = |names: &[&str]| Some(names.iter().map(|name| name.parse().unwrap()).collect());
    let (euro, dollar) = (Some("1EUR".parse().unwrap()), Some("1USD".parse().unwrap()));
    let with_prices = |prices| with(&|plan| plan.prices = prices);
    let with_features = |names: &[&str]| with(&|plan| plan.features = named(names));
    vec![
        plan("p", 1, 2, true, Keep::None, whole, now),
        plan("q", 1, 2, true, Keep::None, whole, now),
        plan("p", 2, 2, true, Keep::None, whole, now),
        plan("p", 1, 1, true, Keep::None, whole, now),
        plan("p", 1, 2, false, Keep::None, whole, now),
        plan("p", 1, 2, true, Keep::All, whole, now),
        plan("p", 1, 2, true, Keep::None, MidCycle::Prorated, now),
        plan("p", 1, 2, true, Keep::None, whole, When::NextCycle),
        Change::Plan(PlanChange::Cancel),
        with_overage(OverageRule::Off),
        with_overage(OverageRule::On),
        with_overage(OverageRule::UpTo(credits(1))),
        with_features(&[]),
        with_features(&["chat"]),
        with_features(&["chat", "image"]),
        with(&|plan| plan.name = Some("Pro".to_owned())),
        with(&|plan| plan.name = Some("Max".to_owned())),
        with_prices(Prices { cycle: euro, ..Prices::NONE }),
        with_prices(Prices { seat: euro, ..Prices::NONE }),
        with_prices(Prices { overage: euro, ..Prices::NONE }),
        with_prices(Prices { overage: dollar, ..Prices::NONE }),
        with(&|plan| plan.term = PlanTerm::Year),
        Change::SetPooling(Pooling::Pooled),
        Change::SetPooling(Pooling::PerSeat),
        Change::SetPooling(Pooling::OwnFirst),
        settings(None, None, None),
        settings(Some("a"), None, None),
        settings(Some("b"), None, None),
        settings(None, Some(Membership::Open), None),
        settings(None, Some(Membership::Listed), None),
        settings(None, None, Some(types::Durability::Local)),
        enforced(types::Enforcement::On),
        enforced(types::Enforcement::Shadow),
        grant("g", 1, 50, true, None, None),
        grant("h", 1, 50, true, None, None),
        grant("g", 2, 50, true, None, None),
        grant("g", 1, 51, true, None, None),
        grant("g", 1, 50, false, None, None),
        grant("g", 1, 50, true, Some(1), None),
        grant("g", 1, 50, true, None, Some(1)),
        cycles(Some("UTC"), None),
        cycles(Some("Europe/Berlin"), None),
        cycles(None, Some((Every::Month, "2026-01-31"))),
        cycles(None, Some((Every::Year, "2026-01-31"))),
        cycles(None, Some((Every::Month, "2026-01-30"))),
        cycles(Some("UTC"), Some((Every::Month, "2026-01-31"))),
        priced(euro),
        priced(dollar),
        rolling(Keep::None, None),
        rolling(Keep::All, None),
        rolling(Keep::All, Some(1)),
        rolling(Keep::All, Some(2)),
        rolling(Keep::UpTo(credits(1)), None),
        rolling(Keep::UpTo(credits(2)), None),
        rolling(Keep::Percent(1), None),
        rolling(Keep::Percent(2), None),
        Change::VoidGrant { grant: GrantId::parse("g").unwrap() },
        member(None, None, None),
        member(Some(true), None, None),
        member(Some(false), None, None),
        member(None, Some("t"), None),
        member(None, None, Some(Role::Admin)),
        allocation(credits(1), None),
        allocation(credits(2), None),
        allocation(credits(1), Some(Overflow::None)),
        allocation(credits(1), Some(Overflow::Shared)),
        adjust(CreditsDelta::Raise(credits(1))),
        adjust(CreditsDelta::Lower(credits(1))),
        Change::RemoveAllocation { user: user("ann") },
        Change::RemoveAllocation { user: user("bob") },
        reallocate("r", "ann", "bob", 1),
        reallocate("r", "bob", "ann", 1),
        reallocate("r", "annb", "ob", 1),
        reallocate("s", "ann", "bob", 1),
        reallocate("r", "ann", "bob", 2),
        Change::PutMember {
            user: user("ann"),
            ai_access: None,
            team: Some(None),
            role: None,
            service: ServiceChange::NONE,
        },
        service(Some(MemberKind::User), None, None),
        service(Some(MemberKind::Service), None, None),
        service(None, Some("bob"), None),
        service(None, None, Some(Shares::Nothing)),
        service(None, None, Some(Shares::WithOwner)),
        service(None, None, Some(Shares::With(user("bob")))),
        team("t", TeamChange::Put { parent: None }),
        team("t", TeamChange::Put { parent: TeamId::parse("e").ok() }),
        team("te", TeamChange::Put { parent: None }),
        team("t", TeamChange::Remove),
        team("t", TeamChange::SetReserve { amount: credits(1) }),
        team("t", TeamChange::SetReserve { amount: credits(2) }),
        team("t", TeamChange::AdjustReserve { delta: CreditsDelta::Raise(credits(1)) }),
        team("t", TeamChange::AdjustReserve { delta: CreditsDelta::Lower(credits(1)) }),
        team("t", TeamChange::RemoveReserve),
        limit(types::Window::Day, None),
        limit(types::Window::Hour, None),
        limit(types::Window::Day, Some(Credits::ZERO)),
        Change::LiftLimits { of: Subject::User(user("ann")) },
        Change::LiftLimits { of: Subject::Team(TeamId::parse("ann").unwrap()) },
        team_limit(types::Window::Day, Some(credits(1))),
        team_limit(types::Window::Day, None),
        team_limit(types::Window::Week, None),
        scope_limit(Subject::Feature(Feature::parse("ann").unwrap())),
        scope_limit(Subject::Model(Model::parse("ann").unwrap())),
        Change::LiftLimits { of: Subject::Feature(Feature::parse("ann").unwrap()) },
        Change::LiftLimits { of: Subject::Model(Model::parse("ann").unwrap()) },
        Change::ImportUsage(vec![]),
        Change::ImportUsage(vec![import("i", 1)]),
        Change::ImportUsage(vec![import("j", 1)]),
        Change::ImportUsage(vec![import("i", 2)]),
        Change::ImportUsage(vec![import("i", 1), import("j", 1)]),
    ]
}

#[test]
fn commands_that_differ_have_other_hashes() {
    let mut hashes = std::collections::BTreeSet::new();
    for workspace in ["acme", "acm"] {
        let workspace = WorkspaceId::parse(workspace).unwrap();
        for command in commands() {
            assert!(hashes.insert(of(&workspace, &command)), "{command:?}");
            assert_eq!(of(&workspace, &command), of(&workspace, &command.clone()));
        }
    }
}

#[test]
fn changes_of_prices_that_differ_have_other_hashes() {
    let price = |feature: &str, model: Option<&str>, unit: &str, per, micros, tiers: &[(u64, u64)]| Price {
        feature: feature.parse().unwrap(),
        model: model.map(|model| model.parse().unwrap()),
        unit: unit.parse().unwrap(),
        per,
        credits: credits(micros),
        tiers: tiers.iter().map(|(above, m)| Tier { above: *above, credits: credits(*m) }).collect(),
    };
    let minimum = |feature: &str, model: Option<&str>, micros| Minimum {
        feature: feature.parse().unwrap(),
        model: model.map(|model| model.parse().unwrap()),
        credits: credits(micros),
    };
    let plain = || price("f", None, "u", 1, 1, &[]);
    let lists = [
        (vec![], vec![]),
        (vec![plain()], vec![]),
        (vec![plain(), plain()], vec![]),
        (vec![price("g", None, "u", 1, 1, &[])], vec![]),
        (vec![price("*", None, "u", 1, 1, &[])], vec![]),
        (vec![price("f", Some("m"), "u", 1, 1, &[])], vec![]),
        (vec![price("f", Some("*"), "u", 1, 1, &[])], vec![]),
        (vec![price("f", None, "v", 1, 1, &[])], vec![]),
        (vec![price("f", None, "u", 2, 1, &[])], vec![]),
        (vec![price("f", None, "u", 1, 2, &[])], vec![]),
        (vec![price("f", None, "u", 1, 1, &[(1, 1)])], vec![]),
        (vec![price("f", None, "u", 1, 1, &[(2, 1)])], vec![]),
        (vec![price("f", None, "u", 1, 1, &[(1, 2)])], vec![]),
        (vec![plain()], vec![minimum("f", None, 1)]),
        (vec![plain()], vec![minimum("f", None, 2)]),
        (vec![plain()], vec![minimum("f", Some("m"), 1)]),
        (vec![plain()], vec![minimum("g", None, 1)]),
    ];
    let lists = lists.map(|(prices, minimums)| PriceList { prices, minimums });
    let mut changes = vec![PriceChange::RemoveCard { version: 1 }, PriceChange::RemoveCard { version: 2 }];
    for effective_at in [None, Some(1), Some(2)] {
        let effective_at = effective_at.map(Timestamp::from_millis);
        changes.extend(lists.iter().map(|list| PriceChange::PutCard { list: list.clone(), effective_at }));
    }
    for workspace in ["acme", "acm"] {
        let workspace = WorkspaceId::parse(workspace).unwrap();
        let own = |list: &PriceList| PriceChange::SetOwn { workspace: workspace.clone(), list: list.clone() };
        changes.extend(lists.iter().map(own));
    }
    let hashes: std::collections::BTreeSet<_> = changes.iter().map(of_prices).collect();
    assert_eq!(hashes.len(), changes.len());
}

#[test]
fn golden_hash() {
    let acme = WorkspaceId::parse("acme").unwrap();
    let hash = of(&acme, &Change::RemoveAllocation { user: user("ann") });
    let mut bytes = Vec::new();
    for text in ["tranche administrator command 1", "acme"] {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes.push(7);
    bytes.extend(3_u64.to_le_bytes());
    bytes.extend(b"ann");
    assert_eq!(hash, *blake3::hash(&bytes).as_bytes());
}
