//! What state costs in resident memory: idle allocations, pools, lines. Each is measured in a process of its own, so
//! that nothing else lies there. Not here: what is only there while a user is active.

use benches::claim::{Claim, Target, thousands};
use benches::machine::resident_bytes;
use benches::process::output;
use benches::{NotMeasured, Size};
use clap::ValueEnum;
use ledger::{
    AdminCommand, Change, Command, GrantKind, HolderBatch, LineMessage, NewGrant, State, Used, Wish,
    WorkspaceSettings,
};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use std::path::Path;
use types::{
    Backing, Credits, CycleNumber, Day, DiskId, Feature, GrantId, GrantNo, HolderId, LineNumber, Meter,
    Metered, Model, NodeId, Source, Timestamp, Unit, UserId, WorkspaceId,
};

/// What a child process is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    Allocations,
    Pools,
    Lines,
    /// Lines whose meters count two units each.
    LinesWithUnits,
}

const NOW: Timestamp = Timestamp::from_millis(1_770_000_000_000);
const USERS_PER_WORKSPACE: u64 = 10_000;
const METERS: u64 = 5;
const HOLDER: HolderId = HolderId { node: NodeId(1), disk: DiskId(1) };

pub fn measure(size: Size, _target: &Path) -> Result<Vec<Claim>, NotMeasured> {
    let (allocations, pools, lines) = (size.of(1_000_000), size.of(100_000), size.of(200_000));
    let each = |what, count: u64| Ok::<f64, NotMeasured>(grown(what, count)? as f64 / count as f64);
    let (allocation, pool) = (each(What::Allocations, allocations)?, each(What::Pools, pools)?);
    let (line, with_units) = (each(What::Lines, lines)?, each(What::LinesWithUnits, lines)?);
    Ok(vec![
        claim(
            ["an idle allocation, with its index", "≤ 128 B"],
            (128.0, allocation),
            "a user's record is a flat struct in a B-tree keyed by text, and its earmarks are a vector on the heap".into(),
            &format!("{} of them in workspaces of {}, in random order, ids of 11 characters", thousands(allocations as f64), thousands(USERS_PER_WORKSPACE as f64)),
        ),
        claim(
            ["a pool", "≤ 1 KiB"],
            (1024.0, pool),
            "an empty pool has all its books in place, and a vector of grants that makes room for four".into(),
            &format!("{} workspaces, each with one grant", thousands(pools as f64)),
        ),
        claim(
            ["a line with five meters", "≤ 300 B"],
            (300.0, line),
            "five meters are a vector of 48 B each that has room for eight, beside the line's own numbers and its two indexes".into(),
            &format!(
                "{} lines of as many users who had allocations before; {with_units:.0} B where each meter counts two units",
                thousands(lines as f64)
            ),
        ),
    ])
}

fn claim(
    [what, target]: [&'static str; 2],
    (bound, bytes): (f64, f64),
    if_missed: String,
    how: &str,
) -> Claim {
    Claim {
        id: "memory",
        what,
        against: "–",
        target,
        bound: Target::AtMost(bound),
        value: bytes,
        measured: format!("{bytes:.0} B"),
        if_missed,
        how: format!("one replica's ledger in a process of its own, growth of resident memory ÷ {how}"),
        numbers: Vec::new(),
    }
}

fn grown(what: What, count: u64) -> Result<u64, NotMeasured> {
    let me = std::env::current_exe().map_err(NotMeasured::io("this program's own path"))?;
    let name = what.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut command = std::process::Command::new(me);
    command.arg("memory").arg(name).arg(count.to_string());
    let text = output("the child that is filled", &mut command)?;
    text.trim().parse().map_err(|_| NotMeasured::wrong(format!("the child said {text}")))
}

/// Fills this process and answers by how many bytes it grew.
pub fn fill(what: What, count: u64) -> u64 {
    let mut ledger = Ledger::new();
    let workspaces = match what {
        What::Pools => count,
        What::Allocations | What::Lines | What::LinesWithUnits => count.div_ceil(USERS_PER_WORKSPACE),
    };
    let users = shuffled(count);
    // The first of everything: code is loaded and pages are touched before anything is counted.
    ledger.make_pool(u64::MAX);
    let mut before = resident_bytes();
    (0..workspaces).for_each(|number| ledger.make_pool(number));
    if what == What::Pools {
        return resident_bytes().saturating_sub(before);
    }
    before = resident_bytes();
    users.iter().for_each(|user| ledger.allocate(*user));
    if what == What::Allocations {
        return resident_bytes().saturating_sub(before);
    }
    before = resident_bytes();
    users.iter().for_each(|user| ledger.open_line(*user, what == What::LinesWithUnits));
    resident_bytes().saturating_sub(before)
}

fn shuffled(count: u64) -> Vec<u64> {
    let mut users: Vec<u64> = (0..count).collect();
    users.shuffle(&mut SmallRng::seed_from_u64(3));
    users
}

/// One replica's state, changed as the log changes it.
struct Ledger(State);

impl Ledger {
    fn new() -> Self {
        let mut ledger = Self(State::new());
        ledger.apply(&Command::Register { holder: HOLDER, journal_sequence: 0 });
        ledger
    }

    fn apply(&mut self, command: &Command) {
        let applied = self.0.apply(NOW, command);
        assert!(applied.result.is_ok(), "{command:?}: {:?}", applied.result);
    }

    fn change(&mut self, workspace: WorkspaceId, change: Change) {
        self.apply(&Command::Admin(AdminCommand { workspace, keyed: None, if_match: None, change }));
    }

    fn make_pool(&mut self, number: u64) {
        let id = workspace(number);
        let settings = WorkspaceSettings::unchanged();
        self.change(id.clone(), Change::PutWorkspace(settings));
        let grant = NewGrant {
            id: GrantId::parse("2026-01").expect("an id"),
            kind: GrantKind::Plan,
            amount: credits(1_000_000_000),
            priority: 50,
            paid: true,
            starts_at: None,
            expires_at: None,
            term: ledger::Term::Lasting,
        };
        self.change(id, Change::MakeGrant(grant));
    }

    fn allocate(&mut self, user: u64) {
        let change = Change::SetAllocation { user: name(user), amount: credits(100), overflow: None };
        self.change(workspace(user / USERS_PER_WORKSPACE), change);
    }

    /// Draws once, and reports use on five meters.
    fn open_line(&mut self, user: u64, with_units: bool) {
        let wish = Wish::Draw { target: credits(20), floor: credits(20), need: credits(20) };
        self.send(user, Used::default(), wish);
        let unit = |name| (Unit::parse(name).expect("an id"), 1_200);
        let units = if with_units { vec![unit("input_token"), unit("output_token")] } else { Vec::new() };
        let metered = |number| {
            let meter = Meter {
                feature: Feature::parse("chat").expect("an id"),
                model: Some(Model::parse(&format!("m-{number}")).expect("an id")),
                day: Day(20_000),
            };
            (meter, Metered { credits: credits(1), calls: 1, units: units.clone() })
        };
        let backing = Backing { source: Source::Allocation, grant: GrantNo(0) };
        let used = Used {
            by_backing: vec![(backing, credits(METERS), Credits::ZERO)],
            by_meter: (1..=METERS).map(metered).collect(),
        };
        self.send(user, used, Wish::Report);
    }

    fn send(&mut self, user: u64, used: Used, wish: Wish) {
        let message = LineMessage {
            number: LineNumber(user + 1),
            user: name(user),
            cycle: CycleNumber::FIRST,
            scope: types::Scope::ANYTHING,
            returned: Vec::new(),
            used,
            held: Credits::ZERO,
            confirmed: Credits::ZERO,
            wish,
        };
        let workspace = workspace(user / USERS_PER_WORKSPACE);
        let batch = HolderBatch {
            holder: HOLDER,
            journal_sequence: 0,
            workspace,
            lines: vec![message],
            recalled: false,
        };
        self.apply(&Command::Holder(batch));
    }
}

fn workspace(number: u64) -> WorkspaceId {
    WorkspaceId::parse(&format!("workspace-{number}")).expect("an id")
}

fn name(user: u64) -> UserId {
    UserId::parse(&format!("user-{:06}", user % USERS_PER_WORKSPACE)).expect("an id")
}

fn credits(whole: u64) -> Credits {
    Credits::whole(whole).expect("an amount")
}
