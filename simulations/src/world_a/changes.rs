//! What administrators change, drawn before the run so that any may be left out. Reallocations between users who spend come
//! first everywhere. Not here: the asking (`admins`), what a change means (`ledger`).

use super::START;
use super::admins::{AdminStep, Wanted, user_id, workspace_id};
use super::config::{Config, Rush, WorkspaceConfig};
use super::given_up::GivenUp;
use super::refunds::RefundWish;
use super::words::Index;
use crate::chance::{Stream, stream};
use crate::fault::{Fault as PlannedFault, What as Fault};
use crate::swarm::log_uniform;
use ledger::{
    Change, GrantKind, Keep, MidCycle, NewGrant, NewImport, OverageRule, Overflow, Plan, PlanChange, Pooling,
    Rollover, Subject, TeamChange, Term, When, WorkspaceSettings,
};
use rand::Rng;
use std::collections::BTreeSet;
use testkit::naive::plan;
use types::{
    CivilDate, Credits, CreditsDelta, CycleDays, Durability, Every, Feature, GrantId, ImportId,
    ReallocationId, TeamId, Window,
};

fn micros(micros: u64) -> Credits {
    Credits::from_micros(micros).expect("below the bound of credits")
}

/// Everything at once around one user: the node that holds his credits is cut off and goes on spending, his credits are
/// moved away, the node dies, and so does the leader.
#[derive(Clone, Debug)]
pub struct Storm {
    at_ms: u64,
    workspace: usize,
    user: usize,
}

impl Storm {
    pub fn draw(config: &Config, seed: u64) -> Vec<Self> {
        let mut chance = stream(seed, "storms");
        let count =
            if config.run_ms < 30_000 { 0 } else { chance.random_range(0..=config.run_ms / 200_000 + 1) };
        let one = |_| Self {
            at_ms: chance.random_range(5_000..config.run_ms - 20_000),
            workspace: chance.random_range(0..config.workspaces.len()),
            user: chance.random_range(0..2),
        };
        (0..count).map(one).collect()
    }

    /// He goes on spending while his credits are moved away.
    pub fn rush(&self) -> Rush {
        let Self { at_ms, workspace, user } = *self;
        Rush { at_ms, for_ms: 10_000, workspace, user, node: None }
    }

    pub fn faults(&self, config: &Config) -> Vec<PlannedFault> {
        let (members, workspace) = (super::membership(&config.ids), workspace_id(self.workspace));
        let homes = super::homes(&members, &config.ids, &workspace, &user_id(self.user));
        let node = homes[self.user % 2 % homes.len()];
        let at = |after_ms: u64, for_ms: u64, what: Fault| PlannedFault {
            at_ms: self.at_ms + after_ms,
            for_ms,
            what,
        };
        let mut faults = vec![
            at(2_000, 5_000, Fault::Partition { nodes: vec![node] }),
            // While a round waits for what it answers.
            at(8_200, 800, Fault::LeaderCrash),
            at(9_000, 1_500, Fault::Crash { node }),
            at(9_500, 1_500, Fault::LeaderCrash),
        ];
        // In between it hears that the credits are recalled, and no leader hears what it answers.
        let others = (0..config.replicas).filter(|to| *to != node);
        faults.extend(others.map(|to| at(7_000, 4_500, Fault::OneWay { from: node, to })));
        faults
    }

    fn changes(&self, config: &Config, chance: &mut Stream) -> Vec<AdminStep> {
        let users = config.workspaces[self.workspace].users;
        let change = |at_ms: u64, node: Index, change: Change| AdminStep {
            at_ms: self.at_ms + at_ms,
            node,
            what: Wanted::Change { workspace: self.workspace, change },
        };
        let share = (config.workspaces[self.workspace].granted.micros() / users as u64 / 4).max(1);
        let raised = log_uniform(chance, 1.max(share / 100), share);
        let raise =
            Change::AdjustAllocation { user: user_id(self.user), delta: CreditsDelta::Raise(micros(raised)) };
        let mut steps = vec![change(0, 0, raise)];
        for turn in 0..8 {
            let id = ReallocationId::parse(&format!("s{}-{turn}", self.at_ms)).expect("a valid id");
            let (from, to) = (user_id(self.user), user_id((self.user + 1 + turn) % users.max(2)));
            // What is too much is refused, and half of it asked for: in the end some of what goes is out.
            let amount = micros(((4 * raised) >> turn).max(1));
            let node = chance.random_range(0..config.nodes);
            let at_ms = 2_400 + 300 * turn as u64;
            steps.push(change(at_ms, node, Change::Reallocate { id, from, to, amount }));
        }
        steps
    }
}

/// All changes of a run, by time.
pub fn draw(config: &Config, seed: u64, storms: &[Storm], given_up: Option<&GivenUp>) -> Vec<AdminStep> {
    let mut chance = stream(seed, "administrators");
    let mut steps = Vec::new();
    for (at, workspace) in config.workspaces.iter().enumerate() {
        let granted = workspace.granted.micros();
        let mut step = |at_ms: u64, chance: &mut Stream, change: Change| {
            let node = chance.random_range(0..config.nodes);
            steps.push(AdminStep { at_ms, node, what: Wanted::Change { workspace: at, change } });
        };
        step(0, &mut chance, Change::PutWorkspace(settings(declared(seed, at))));
        let first = chance.random_range(granted / 2..=granted);
        step(1, &mut chance, Change::MakeGrant(grant("g0", first, None)));
        if first < granted {
            let ends = chance.random_bool(0.5).then(|| chance.random_range(5_000..config.run_ms.max(5_001)));
            step(2, &mut chance, Change::MakeGrant(grant("g1", granted - first, ends)));
        }
        let share = first / workspace.users as u64 / 2;
        let allocated = [0, 300, 700, 1_000][chance.random_range(0..4)];
        for user in 0..workspace.users {
            if chance.random_range(0..1_000) < allocated && share > 0 {
                let amount = micros(chance.random_range(0..=share));
                let overflow = Some(overflow(&mut chance));
                step(
                    500 + user as u64,
                    &mut chance,
                    Change::SetAllocation { user: user_id(user), amount, overflow },
                );
            }
        }
        let pace = log_uniform(&mut chance, 1_500, 20_000);
        let mut at_ms = 2_000;
        let mut made = 2;
        while at_ms < config.run_ms {
            let change = change(&mut chance, workspace.users, share.max(2), config.run_ms, at_ms, &mut made);
            step(at_ms, &mut chance, change);
            at_ms += log_uniform(&mut chance, (pace / 8).max(1), pace * 2);
        }
        let mut at_ms = 1_000;
        while at_ms < config.run_ms {
            let node = chance.random_range(0..config.nodes);
            steps.push(AdminStep { at_ms, node, what: Wanted::Read { workspace: at } });
            at_ms += log_uniform(&mut chance, 1_000, 30_000);
        }
    }
    for at in 0..config.workspaces.len() {
        cycles(config, seed, at, &mut steps);
        steps.extend(plans(config, seed, at));
        steps.extend(pooling(config, seed, at));
        steps.extend(super::services::draw(config, seed, at));
        steps.extend(overage(config, seed, at));
        steps.extend(teams(config, seed, at));
        feature_limits(config, seed, at, &mut steps);
        steps.extend(refunds(config, seed, at));
        steps.extend(imports(config, seed, at));
    }
    windows(seed, &mut steps);
    steps.extend(given_up.map(GivenUp::forget));
    steps.extend(storms.iter().flat_map(|storm| storm.changes(config, &mut chance)));
    steps.sort_by_key(|step| step.at_ms);
    steps
}

/// Some workspaces have cycles: most from their beginning, some from the middle on, some change them. Then many grants end
/// with theirs, and some are made anew for each.
fn cycles(config: &Config, seed: u64, at: usize, steps: &mut Vec<AdminStep>) {
    let mut chance = stream(seed, &format!("cycles of {at}"));
    if !chance.random_bool(0.4) {
        return;
    }
    for step in steps.iter_mut() {
        if let Wanted::Change { workspace, change: Change::MakeGrant(grant) } = &mut step.what
            && *workspace == at
            && chance.random_bool(0.5)
        {
            grant.term = Term::Cycle(rollover(&mut chance));
        }
    }
    let first = if chance.random_bool(0.7) { 3 } else { chance.random_range(0..config.run_ms) };
    let mut times = vec![first];
    if chance.random_bool(0.3) {
        times.push(chance.random_range(first..config.run_ms.max(first + 1)));
    }
    let mut step = |at_ms: u64, chance: &mut Stream, change: Change| {
        let node = chance.random_range(0..config.nodes);
        steps.push(AdminStep { at_ms, node, what: Wanted::Change { workspace: at, change } });
    };
    for at_ms in times {
        let anchor = CivilDate::new(2026, 1, chance.random_range(2..=24)).expect("a day of January");
        let cycle = Some(CycleDays { every: Every::Month, anchor });
        step(at_ms, &mut chance, Change::PutWorkspace(WorkspaceSettings { cycle, ..settings(None) }));
    }
    let granted = config.workspaces[at].granted.micros();
    let mut at_ms = log_uniform(&mut chance, 5_000, 120_000);
    for made in 0.. {
        if at_ms >= config.run_ms {
            return;
        }
        let plan =
            grant(&format!("p{made}"), log_uniform(&mut chance, granted / 64 + 1, granted / 2 + 2), None);
        let plan = NewGrant { kind: GrantKind::Plan, term: Term::Cycle(rollover(&mut chance)), ..plan };
        step(at_ms, &mut chance, Change::MakeGrant(plan));
        at_ms += log_uniform(&mut chance, 5_000, 120_000);
    }
}

/// Some workspaces subscribe to plans, with and without cycles, change them and cancel them; seats come and go with access.
fn plans(config: &Config, seed: u64, at: usize) -> Vec<AdminStep> {
    let mut chance = stream(seed, &format!("plans of {at}"));
    let mut steps = Vec::new();
    if !chance.random_bool(0.3) {
        return steps;
    }
    let workspace = &config.workspaces[at];
    let most = workspace.granted.micros() / 4 + 2;
    let mut at_ms = log_uniform(&mut chance, 1_000, 60_000);
    let mut of_features = stream(seed, &format!("features of plans of {at}"));
    let has_features = of_features.random_bool(0.3);
    while at_ms < config.run_ms {
        let change = if chance.random_bool(0.15) {
            PlanChange::Cancel
        } else {
            let plan = Plan {
                allowance: micros(chance.random_range(0..most)),
                per_seat: micros(chance.random_range(0..most) / workspace.users as u64),
                rollover: rollover(&mut chance),
                mid_cycle: if chance.random_bool(0.5) { MidCycle::Whole } else { MidCycle::Prorated },
                overage: chance.random_bool(0.2).then(|| OverageRule::UpTo(micros(most))),
                features: Some(features(&mut of_features)).filter(|_| has_features),
                ..plan(["basic", "pro"][chance.random_range(0..2)])
            };
            let when = if chance.random_bool(0.6) { When::Now } else { When::NextCycle };
            PlanChange::Set { plan, when }
        };
        let node = chance.random_range(0..config.nodes);
        steps.push(AdminStep {
            at_ms,
            node,
            what: Wanted::Change { workspace: at, change: Change::Plan(change) },
        });
        for _ in 0..chance.random_range(0..2) {
            let user = user_id(chance.random_range(0..workspace.users));
            let change = Change::PutMember {
                user,
                ai_access: Some(true),
                team: None,
                role: None,
                service: ledger::ServiceChange::NONE,
            };
            let at_ms = at_ms + chance.random_range(1..5_000);
            steps.push(AdminStep { at_ms, node, what: Wanted::Change { workspace: at, change } });
        }
        at_ms += log_uniform(&mut chance, 8_000, 400_000);
    }
    steps
}

/// Where there are plans, whose the credits for seats are changes now and then.
fn pooling(config: &Config, seed: u64, at: usize) -> Vec<AdminStep> {
    let mut chance = stream(seed, &format!("pooling of {at}"));
    let mut steps = Vec::new();
    if !chance.random_bool(0.4) {
        return steps;
    }
    let mut at_ms = log_uniform(&mut chance, 1_000, 60_000);
    while at_ms < config.run_ms {
        let node = chance.random_range(0..config.nodes);
        let mode = [Pooling::Pooled, Pooling::PerSeat, Pooling::OwnFirst][chance.random_range(0..3)];
        let change = Change::SetPooling(mode);
        steps.push(AdminStep { at_ms, node, what: Wanted::Change { workspace: at, change } });
        at_ms += log_uniform(&mut chance, 5_000, 200_000);
    }
    steps
}

/// Some workspaces may use more than is included, most of them up to a cap; now and then that changes, and what one user may.
fn overage(config: &Config, seed: u64, at: usize) -> Vec<AdminStep> {
    let mut chance = stream(seed, &format!("overage of {at}"));
    let mut steps = Vec::new();
    if !chance.random_bool(0.4) {
        return steps;
    }
    let workspace = &config.workspaces[at];
    let most = workspace.granted.micros() / 2 + 2;
    let mut at_ms = log_uniform(&mut chance, 500, 40_000);
    let mut user = None;
    while at_ms < config.run_ms {
        let rule = match chance.random_range(0..8) {
            0 => None,
            1 => Some(OverageRule::Off),
            2 => Some(OverageRule::On),
            _ => Some(OverageRule::UpTo(micros(log_uniform(&mut chance, most / 64 + 1, most)))),
        };
        let node = chance.random_range(0..config.nodes);
        let change = Change::SetOverage { user: user.take(), rule };
        steps.push(AdminStep { at_ms, node, what: Wanted::Change { workspace: at, change } });
        user = chance.random_bool(0.5).then(|| user_id(chance.random_range(0..workspace.users.min(3))));
        at_ms += log_uniform(&mut chance, 10_000, 300_000);
    }
    steps
}

fn rollover(chance: &mut Stream) -> Rollover {
    let keep = match chance.random_range(0..4) {
        0 => Keep::None,
        1 => Keep::All,
        2 => Keep::UpTo(micros(chance.random_range(0..50_000_000))),
        _ => Keep::Percent(chance.random_range(0..=100)),
    };
    Rollover { keep, cycles: chance.random_bool(0.5).then(|| chance.random_range(1..4)) }
}

fn settings(durability: Option<Durability>) -> WorkspaceSettings {
    WorkspaceSettings { durability, ..WorkspaceSettings::unchanged() }
}

/// Some workspaces ask for more than the default from their first day on.
fn declared(seed: u64, at: usize) -> Option<Durability> {
    let mut chance = stream(seed, &format!("durability of {at}"));
    [Some(Durability::Disk), Some(Durability::Quorum)].get(chance.random_range(0..10)).copied().flatten()
}

fn overflow(chance: &mut Stream) -> Overflow {
    if chance.random_bool(0.5) { Overflow::None } else { Overflow::Shared }
}

fn grant(id: &str, amount: u64, ends_ms: Option<u64>) -> NewGrant {
    NewGrant {
        id: GrantId::parse(id).expect("a valid id"),
        kind: GrantKind::Pack,
        amount: micros(amount.max(1)),
        priority: ledger::limits::PRIORITY_DEFAULT,
        paid: true,
        starts_at: None,
        expires_at: ends_ms.map(|ms| START.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX))),
        term: Term::Lasting,
        price: None,
    }
}

fn change(chance: &mut Stream, users: usize, share: u64, run_ms: u64, at_ms: u64, made: &mut u64) -> Change {
    // Those who spend most are dealt with most.
    let some = |chance: &mut Stream| {
        let most = if chance.random_bool(0.7) { users.min(3) } else { users };
        user_id(chance.random_range(0..most))
    };
    let amount = |chance: &mut Stream| micros(log_uniform(chance, 1, share * 2));
    *made += 1;
    match chance.random_range(0..100) {
        0..36 => {
            let from = some(chance);
            let to = user_id(chance.random_range(0..users));
            let id = ReallocationId::parse(&format!("r{made}")).expect("a valid id");
            Change::Reallocate { id, from, to, amount: amount(chance) }
        }
        36..52 => {
            let amount = micros(chance.random_range(0..=share * 2));
            let overflow = chance.random_bool(0.3).then(|| overflow(chance));
            Change::SetAllocation { user: some(chance), amount, overflow }
        }
        52..64 => {
            let by = amount(chance);
            let delta =
                if chance.random_bool(0.5) { CreditsDelta::Raise(by) } else { CreditsDelta::Lower(by) };
            Change::AdjustAllocation { user: some(chance), delta }
        }
        64..68 => Change::RemoveAllocation { user: some(chance) },
        68..78 => {
            let limit = chance.random_bool(0.5).then(|| micros(chance.random_range(0..=share * 4)));
            Change::SetLimit { of: Subject::User(some(chance)), window: types::Window::Cycle, amount: limit }
        }
        78..88 => {
            let ai_access = Some(chance.random_bool(0.7));
            Change::PutMember {
                user: some(chance),
                ai_access,
                team: None,
                role: None,
                service: ledger::ServiceChange::NONE,
            }
        }
        88..95 => {
            let ends = chance.random_bool(0.6).then(|| at_ms + chance.random_range(1_000..run_ms.max(1_001)));
            Change::MakeGrant(grant(&format!("g{made}"), log_uniform(chance, 1, share * 4), ends))
        }
        95..98 => {
            let id = format!("g{}", chance.random_range(1..=*made));
            Change::VoidGrant { grant: GrantId::parse(&id).expect("a valid id") }
        }
        _ => {
            let durability =
                [Durability::Local, Durability::Disk, Durability::Quorum][chance.random_range(0..3)];
            Change::PutWorkspace(settings(Some(durability)))
        }
    }
}

/// Some workspaces have teams nested in each other, with members and reserves; all of that changes in mid-cycle.
fn teams(config: &Config, seed: u64, at: usize) -> Vec<AdminStep> {
    let mut chance = stream(seed, &format!("teams of {at}"));
    let mut steps = Vec::new();
    if !chance.random_bool(0.4) {
        return steps;
    }
    let workspace = &config.workspaces[at];
    let most = workspace.granted.micros() / 8 + 2;
    let mut step = |at_ms: u64, chance: &mut Stream, change: Change| {
        let node = chance.random_range(0..config.nodes);
        steps.push(AdminStep { at_ms, node, what: Wanted::Change { workspace: at, change } });
    };
    let some = |chance: &mut Stream| user_id(chance.random_range(0..workspace.users.min(6)));
    for number in 0..TEAMS {
        let parent = number.checked_sub(1).map(team_id);
        let at_ms = 600 + number as u64;
        step(at_ms, &mut chance, Change::Team { team: team_id(number), change: TeamChange::Put { parent } });
        let amount = micros(log_uniform(&mut chance, 1, most));
        let reserve = TeamChange::SetReserve { amount };
        step(at_ms + 50, &mut chance, Change::Team { team: team_id(number), change: reserve });
        let (user, team) = (user_id(number % workspace.users), Some(Some(team_id(number))));
        let member = Change::PutMember {
            user,
            ai_access: None,
            team,
            role: None,
            service: ledger::ServiceChange::NONE,
        };
        step(at_ms + 100, &mut chance, member);
    }
    let mut at_ms = log_uniform(&mut chance, 1_000, 20_000);
    while at_ms < config.run_ms {
        let change = match chance.random_range(0..10) {
            0..4 => {
                let team = Some(chance.random_bool(0.8).then(|| some_team(&mut chance)));
                Change::PutMember {
                    user: some(&mut chance),
                    ai_access: None,
                    team,
                    role: None,
                    service: ledger::ServiceChange::NONE,
                }
            }
            _ => Change::Team { team: some_team(&mut chance), change: team_change(&mut chance, most) },
        };
        step(at_ms, &mut chance, change);
        at_ms += log_uniform(&mut chance, 2_000, 60_000);
    }
    team_limits(config, seed, at, &mut steps);
    steps
}

/// Some workspaces with teams have limits of teams, of their own stream: who has none draws what he drew before.
fn team_limits(config: &Config, seed: u64, at: usize, steps: &mut Vec<AdminStep>) {
    let mut chance = stream(seed, &format!("limits of teams of {at}"));
    if !chance.random_bool(0.5) {
        return;
    }
    let most = config.workspaces[at].granted.micros() / 2 + 2;
    let mut at_ms = log_uniform(&mut chance, 800, 20_000);
    while at_ms < config.run_ms {
        let (of, window) = (Subject::Team(some_team(&mut chance)), Window::ALL[chance.random_range(0..4)]);
        let amount = chance.random_bool(0.8).then(|| micros(log_uniform(&mut chance, 1, most)));
        let change = Change::SetLimit { of, window, amount };
        let node = chance.random_range(0..config.nodes);
        steps.push(AdminStep { at_ms, node, what: Wanted::Change { workspace: at, change } });
        at_ms += log_uniform(&mut chance, 5_000, 90_000);
    }
}

/// What a plan has: always what is asked for when all has come to rest.
fn features(chance: &mut Stream) -> BTreeSet<Feature> {
    let others = ["image", "search"].into_iter().filter(|_| chance.random_bool(0.6));
    std::iter::once("chat").chain(others).map(|name| Feature::parse(name).expect("a valid id")).collect()
}

/// Some workspaces limit features, of their own stream: never the one that is asked for when all has come to rest.
fn feature_limits(config: &Config, seed: u64, at: usize, steps: &mut Vec<AdminStep>) {
    let mut chance = stream(seed, &format!("limits of features of {at}"));
    if !chance.random_bool(0.6) {
        return;
    }
    let most = config.workspaces[at].granted.micros() / 2 + 2;
    let mut at_ms = log_uniform(&mut chance, 800, 20_000);
    while at_ms < config.run_ms {
        let feature = ["image", "search", "elsewhere"][chance.random_range(0..3)];
        let of = Subject::Feature(Feature::parse(feature).expect("a valid id"));
        let window = Window::ALL[chance.random_range(0..4)];
        let amount = chance.random_bool(0.7).then(|| micros(log_uniform(&mut chance, 1, most)));
        let change = Change::SetLimit { of, window, amount };
        let node = chance.random_range(0..config.nodes);
        steps.push(AdminStep { at_ms, node, what: Wanted::Change { workspace: at, change } });
        at_ms += log_uniform(&mut chance, 300, 20_000);
    }
}

const TEAMS: usize = 3;

fn team_id(number: usize) -> TeamId {
    TeamId::parse(&format!("t{number}")).expect("a valid id")
}

fn some_team(chance: &mut Stream) -> TeamId {
    team_id(chance.random_range(0..TEAMS))
}

fn team_change(chance: &mut Stream, most: u64) -> TeamChange {
    let amount = micros(log_uniform(chance, 1, most));
    match chance.random_range(0..10) {
        0 | 1 => TeamChange::Put { parent: chance.random_bool(0.6).then(|| some_team(chance)) },
        2 => TeamChange::Remove,
        3..6 => TeamChange::SetReserve { amount },
        6 | 7 => TeamChange::AdjustReserve { delta: CreditsDelta::Raise(amount) },
        8 => TeamChange::AdjustReserve { delta: CreditsDelta::Lower(amount) },
        _ => TeamChange::RemoveReserve,
    }
}

/// Half of the limits hold for less than a cycle.
fn windows(seed: u64, steps: &mut [AdminStep]) {
    let mut chance = stream(seed, "windows");
    for step in steps {
        if let Wanted::Change { change: Change::SetLimit { window, .. }, .. } = &mut step.what
            && chance.random_bool(0.5)
        {
            *window = [Window::Hour, Window::Day, Window::Week][chance.random_range(0..3)];
        }
    }
}

/// Some workspaces are told later of what was used elsewhere, now and then again.
fn imports(config: &Config, seed: u64, at: usize) -> Vec<AdminStep> {
    let mut chance = stream(seed, &format!("imports of {at}"));
    let mut steps = Vec::new();
    if !chance.random_bool(0.3) {
        return steps;
    }
    let workspace = &config.workspaces[at];
    let mut told: Vec<Vec<NewImport>> = Vec::new();
    let mut at_ms = log_uniform(&mut chance, 2_000, 20_000);
    while at_ms < config.run_ms {
        let items = match told.last() {
            Some(last) if chance.random_bool(0.3) => last.clone(),
            _ => {
                let names = (0..chance.random_range(1..4)).map(|item| format!("i{}-{item}", told.len()));
                let item = |name: String| {
                    let ago_ms = chance.random_range(0..60_000.min(at_ms));
                    import(&mut chance, &name, workspace, at_ms - ago_ms)
                };
                names.collect::<Vec<_>>().into_iter().map(item).collect()
            }
        };
        told.push(items.clone());
        let (node, change) = (chance.random_range(0..config.nodes), Change::ImportUsage(items));
        steps.push(AdminStep { at_ms, node, what: Wanted::Change { workspace: at, change } });
        at_ms += log_uniform(&mut chance, 2_000, 60_000);
    }
    steps
}

fn import(chance: &mut Stream, name: &str, workspace: &WorkspaceConfig, happened_ms: u64) -> NewImport {
    let (least, most) = workspace.prices;
    let mut body = [0; 32];
    body[..name.len().min(32)].copy_from_slice(&name.as_bytes()[..name.len().min(32)]);
    NewImport {
        id: ImportId::parse(name).expect("a valid id"),
        user: user_id(chance.random_range(0..workspace.users)),
        feature: Feature::parse("elsewhere").expect("a valid id"),
        model: None,
        units: Vec::new(),
        charge: Some(micros(chance.random_range(least..=most.max(least)))),
        happened_at: START.plus_ms(i64::try_from(happened_ms).unwrap_or(0)),
        body,
    }
}

/// Some workspaces refund some of what they charged, all of it or a part, and ask again.
fn refunds(config: &Config, seed: u64, at: usize) -> Vec<AdminStep> {
    let mut chance = stream(seed, &format!("refunds of {at}"));
    let mut steps = Vec::new();
    if !chance.random_bool(0.4) {
        return steps;
    }
    let mut at_ms = log_uniform(&mut chance, 2_000, 20_000);
    while at_ms < config.run_ms {
        let node = chance.random_range(0..config.nodes);
        let part_percent = chance.random_bool(0.5).then(|| chance.random_range(1..=60));
        let wish = RefundWish { pick: chance.random(), part_percent, again: chance.random_bool(0.3) };
        steps.push(AdminStep { at_ms, node, what: Wanted::Refund { workspace: at, wish } });
        at_ms += log_uniform(&mut chance, 500, 20_000);
    }
    steps
}
