//! The hash of a parsed command, kept with its idempotency key: the same command has the same hash however it was
//! written (`1.50` and `"1.5"`, fields in any order, a default left out or spelled out).
//!
//! Hashed is the workspace and what is to be changed, not `If-Match`: a retry that has read the resource again is
//! still the same command. The encoding is injective: a tag per command, texts with their length in front, numbers as
//! eight bytes, options behind a byte that says whether they are there. All integers are little-endian.
//!
//! Frozen: two nodes of different versions must agree. A changed encoding is a new domain.

use crate::translate;
use quota::{
    Change, Keep, Minimum, NewGrant, NewImport, NewRefund, OverageRule, Plan, PlanChange, Price, PriceChange,
    PriceList, Rollover, ServiceChange, Shares, Subject, TeamChange, Term, Tier, WorkspaceSettings,
};
use types::{Credits, CreditsDelta, CycleDays, Timestamp, WorkspaceId};
use wire::json::{Durability, Enforcement, Shown, Word};

const DOMAIN: &str = "tranche administrator command 1";
const PRICES_DOMAIN: &str = "tranche price command 1";

/// BLAKE3 of a command's canonical encoding.
pub(crate) fn of(workspace: &WorkspaceId, change: &Change) -> [u8; 32] {
    let mut print = Fingerprint(blake3::Hasher::new());
    print.text(DOMAIN).text(workspace.as_str());
    match change {
        // The ends that are looked up for a rule are none of the caller's words.
        Change::PutWorkspace(WorkspaceSettings {
            name,
            membership,
            durability,
            enforcement,
            timezone,
            cycle,
            ends: _,
            began: _,
            clock: _,
        }) => {
            print.tag(1).maybe(name.as_deref(), |print, name| print.text(name));
            print
                .maybe(membership.as_ref(), |print, choice| print.word(&translate::membership_json(*choice)));
            print.maybe(durability.as_ref(), |print, choice| print.word(&Durability::from(*choice)));
            // Said after these or not at all: so those that say nothing of it are what they were.
            if let Some(timezone) = timezone {
                print.tag(1).word(timezone);
            }
            if let Some(CycleDays { every, anchor }) = cycle {
                print.tag(2).word(&translate::every_json(*every)).word(anchor);
            }
            if let Some(enforcement) = enforcement {
                print.tag(40).word(&Enforcement::from(*enforcement));
            }
        }
        Change::MakeGrant(NewGrant { id, kind, amount, priority, paid, starts_at, expires_at, term }) => {
            print.tag(2).word(id).word(&translate::grant_kind_json(*kind)).credits(*amount);
            print.number(u64::from(*priority)).flag(*paid);
            print.maybe(starts_at.as_ref(), |print, at| print.instant(*at));
            print.maybe(expires_at.as_ref(), |print, at| print.instant(*at));
            if let Term::Cycle(rollover) = term {
                print.rollover(rollover);
            }
        }
        Change::VoidGrant { grant } => {
            print.tag(3).word(grant);
        }
        Change::PutMember { user, ai_access, team, role, service } => {
            print.tag(4).word(user).maybe(ai_access.as_ref(), |print, on| print.flag(*on));
            // Out of every team: said by another byte than those that say whether one is named.
            match team {
                Some(None) => print.tag(2),
                Some(Some(team)) => print.flag(true).word(team),
                None => print.flag(false),
            };
            print.maybe(role.as_ref(), |print, role| print.word(&translate::role_json(*role)));
            let ServiceChange { kind, owner, shares } = service;
            // Said after these or not at all, as of a workspace's settings.
            if let Some(kind) = kind {
                print.tag(30).word(&translate::member_kind_json(*kind));
            }
            if let Some(owner) = owner {
                print.tag(31).word(owner);
            }
            match shares {
                None => {}
                Some(Shares::Nothing) => {
                    print.tag(32);
                }
                Some(Shares::WithOwner) => {
                    print.tag(33);
                }
                Some(Shares::With(service)) => {
                    print.tag(34).word(service);
                }
            }
        }
        Change::SetAllocation { user, amount, overflow } => {
            print.tag(5).word(user).credits(*amount);
            print.maybe(overflow.as_ref(), |print, choice| print.word(&translate::overflow_json(*choice)));
        }
        Change::AdjustAllocation { user, delta } => {
            let (up, by) = match delta {
                CreditsDelta::Raise(by) => (true, by),
                CreditsDelta::Lower(by) => (false, by),
            };
            print.tag(6).word(user).flag(up).credits(*by);
        }
        Change::RemoveAllocation { user } => {
            print.tag(7).word(user);
        }
        Change::Reallocate { id, from, to, amount } => {
            print.tag(8).word(id).word(from).word(to).credits(*amount);
        }
        Change::SetLimit { of: Subject::User(user), window, amount } => {
            print.tag(9).word(user).word(&translate::window_json(*window));
            print.maybe(amount.as_ref(), |print, amount| print.credits(*amount));
        }
        Change::SetLimit { of: Subject::Team(team), window, amount } => {
            print.tag(20).word(team).word(&translate::window_json(*window));
            print.maybe(amount.as_ref(), |print, amount| print.credits(*amount));
        }
        Change::SetLimit { of: Subject::Feature(feature), window, amount } => {
            print.tag(22).word(feature).word(&translate::window_json(*window));
            print.maybe(amount.as_ref(), |print, amount| print.credits(*amount));
        }
        Change::SetLimit { of: Subject::Model(model), window, amount } => {
            print.tag(23).word(model).word(&translate::window_json(*window));
            print.maybe(amount.as_ref(), |print, amount| print.credits(*amount));
        }
        Change::LiftLimits { of: Subject::User(user) } => {
            print.tag(13).word(user);
        }
        Change::LiftLimits { of: Subject::Team(team) } => {
            print.tag(21).word(team);
        }
        Change::LiftLimits { of: Subject::Feature(feature) } => {
            print.tag(24).word(feature);
        }
        Change::LiftLimits { of: Subject::Model(model) } => {
            print.tag(25).word(model);
        }
        Change::Plan(PlanChange::Set { plan, when }) => {
            let Plan { id, allowance, per_seat, paid, rollover, mid_cycle, overage, features } = plan;
            print.tag(10).word(id).credits(*allowance).credits(*per_seat).flag(*paid).rollover(rollover);
            print.word(&translate::mid_cycle_json(*mid_cycle)).word(&translate::when_json(*when));
            // Said after these or not at all: a plan that says nothing of it is what it was.
            if let Some(rule) = overage {
                print.overage(*rule);
            }
            if let Some(features) = features {
                print.tag(30).number(features.len() as u64);
                for feature in features {
                    print.word(feature);
                }
            }
        }
        Change::SetPooling(mode) => {
            print.tag(16).word(&translate::pooling_json(*mode));
        }
        Change::Plan(PlanChange::Cancel) => {
            print.tag(11);
        }
        Change::Team { team, change } => {
            print.tag(15).word(team);
            match change {
                TeamChange::Put { parent } => {
                    print.tag(1).maybe(parent.as_ref(), |print, parent| print.word(parent))
                }
                TeamChange::Remove => print.tag(2),
                TeamChange::SetReserve { amount } => print.tag(3).credits(*amount),
                TeamChange::AdjustReserve { delta: CreditsDelta::Raise(by) } => print.tag(4).credits(*by),
                TeamChange::AdjustReserve { delta: CreditsDelta::Lower(by) } => print.tag(5).credits(*by),
                TeamChange::RemoveReserve => print.tag(6),
            };
        }
        // What the charge drew is the holder's word, and the same whenever it is asked.
        Change::Refund(refund) => {
            let NewRefund { id, holder: _, charge, user: _, parts: _, amount } = refund.as_ref();
            print.tag(14).word(charge).maybe(id.as_ref(), |print, id| print.word(id));
            print.maybe(amount.as_ref(), |print, amount| print.credits(*amount));
        }
        // What it costs is nobody's word.
        Change::ImportUsage(items) => {
            print.tag(17).number(items.len() as u64);
            for NewImport { id, body, .. } in items {
                print.word(id).0.update(body);
            }
        }
        Change::SetOverage { user, rule } => {
            print.tag(12).maybe(user.as_ref(), |print, user| print.word(user));
            print.maybe(rule.as_ref(), |print, rule| print.overage(*rule));
        }
    }
    *print.0.finalize().as_bytes()
}

/// The same of a change of prices, whose lists are in the one order of a listing.
pub(crate) fn of_prices(change: &PriceChange) -> [u8; 32] {
    let mut print = Fingerprint(blake3::Hasher::new());
    print.text(PRICES_DOMAIN);
    match change {
        PriceChange::PutCard { list, effective_at } => {
            print.tag(1).prices(list).maybe(effective_at.as_ref(), |print, at| print.instant(*at));
        }
        PriceChange::RemoveCard { version } => {
            print.tag(2).number(*version);
        }
        PriceChange::SetOwn { workspace, list } => {
            print.tag(3).word(workspace).prices(list);
        }
    }
    *print.0.finalize().as_bytes()
}

struct Fingerprint(blake3::Hasher);

impl Fingerprint {
    fn tag(&mut self, tag: u8) -> &mut Self {
        self.0.update(&[tag]);
        self
    }

    fn flag(&mut self, on: bool) -> &mut Self {
        self.tag(u8::from(on))
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    fn credits(&mut self, credits: Credits) -> &mut Self {
        self.number(credits.micros())
    }

    fn overage(&mut self, rule: OverageRule) -> &mut Self {
        match rule {
            OverageRule::Off => self.tag(0),
            OverageRule::On => self.tag(1),
            OverageRule::UpTo(cap) => self.tag(2).credits(cap),
        }
    }

    fn rollover(&mut self, Rollover { keep, cycles }: &Rollover) -> &mut Self {
        match keep {
            Keep::None => self.tag(1),
            Keep::All => self.tag(2),
            Keep::UpTo(amount) => self.tag(3).credits(*amount),
            Keep::Percent(percent) => self.tag(4).tag(*percent),
        };
        self.maybe(*cycles, |print, cycles| print.number(u64::from(cycles)))
    }

    fn prices(&mut self, PriceList { prices, minimums }: &PriceList) -> &mut Self {
        self.number(prices.len() as u64);
        for Price { feature, model, unit, per, credits, tiers } in prices {
            self.word(feature).maybe(model.as_ref(), Self::word).word(unit).number(*per).credits(*credits);
            self.number(tiers.len() as u64);
            for Tier { above, credits } in tiers {
                self.number(*above).credits(*credits);
            }
        }
        self.number(minimums.len() as u64);
        for Minimum { feature, model, credits } in minimums {
            self.word(feature).maybe(model.as_ref(), Self::word).credits(*credits);
        }
        self
    }

    fn instant(&mut self, at: Timestamp) -> &mut Self {
        self.0.update(&at.millis().to_le_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
        self
    }

    fn word<T: Word>(&mut self, word: &T) -> &mut Self {
        self.text(&Shown(word).to_string())
    }

    fn maybe<T>(&mut self, value: Option<T>, there: impl FnOnce(&mut Self, T) -> &mut Self) -> &mut Self {
        self.flag(value.is_some());
        match value {
            Some(value) => there(self, value),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
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
            })
        };
        let rolling = |keep, cycles| {
            let Change::MakeGrant(grant) = grant("g", 1, 50, true, None, None) else { unreachable!() };
            Change::MakeGrant(NewGrant { term: Term::Cycle(Rollover { keep, cycles }), ..grant })
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
        let price =
            |feature: &str, model: Option<&str>, unit: &str, per, micros, tiers: &[(u64, u64)]| Price {
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
        let mut changes =
            vec![PriceChange::RemoveCard { version: 1 }, PriceChange::RemoveCard { version: 2 }];
        for effective_at in [None, Some(1), Some(2)] {
            let effective_at = effective_at.map(Timestamp::from_millis);
            changes
                .extend(lists.iter().map(|list| PriceChange::PutCard { list: list.clone(), effective_at }));
        }
        for workspace in ["acme", "acm"] {
            let workspace = WorkspaceId::parse(workspace).unwrap();
            let own =
                |list: &PriceList| PriceChange::SetOwn { workspace: workspace.clone(), list: list.clone() };
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
}
