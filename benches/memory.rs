//! What state costs in resident memory: workspaces, members, idle allocations, grants, limits, lines. Each is measured in
//! a process of its own, so that nothing else lies there. Not here: what is only there while a user is active.

use crate::replica::{Replica, credits, line, says, user, workspace};
use benches::claim::{Claim, Target, thousands};
use benches::machine::resident_bytes;
use benches::process::output;
use benches::{NotMeasured, Size};
use clap::ValueEnum;
use ledger::{Change, ServiceChange, Subject, Used, Wish};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use std::path::Path;
use types::{
    Backing, Credits, Day, Feature, GrantNo, Meter, Metered, Model, Source, Unit, UserId, Window, WorkspaceId,
};

/// What a child process is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    Pools,
    Members,
    Allocations,
    /// Grants after a workspace's first.
    Grants,
    /// One for each user; the users have allocations already.
    Limits,
    Lines,
    /// Lines whose meters count two units each.
    LinesWithUnits,
}

impl What {
    /// How many of them are in one workspace.
    fn per_workspace(self) -> u64 {
        match self {
            Self::Pools => 1,
            Self::Grants => GRANTS_PER_WORKSPACE,
            _ => USERS_PER_WORKSPACE,
        }
    }

    /// Whether its users have allocations before it is counted.
    fn of_allocated_users(self) -> bool {
        matches!(self, Self::Limits | Self::Lines | Self::LinesWithUnits)
    }
}

const USERS_PER_WORKSPACE: u64 = 10_000;
const GRANTS_PER_WORKSPACE: u64 = 1_000;
const METERS: u64 = 5;

pub fn measure(size: Size, _target: &Path) -> Result<Vec<Claim>, NotMeasured> {
    let (users, pools, lines) = (size.of(1_000_000), size.of(100_000), size.of(200_000));
    let each = |what, count: u64| Ok::<f64, NotMeasured>(grown(what, count)? as f64 / count as f64);
    let in_workspaces = |count: u64, per: u64| {
        format!("{} of them in workspaces of {}", thousands(count as f64), thousands(per as f64))
    };
    let of_users = |count| {
        format!("{}, in random order, ids of 11 characters", in_workspaces(count, USERS_PER_WORKSPACE))
    };
    let with_units = each(What::LinesWithUnits, lines)?;
    Ok(vec![
        stated("a member without an allocation", each(What::Members, users)?, &of_users(users)),
        claim(
            ["an idle allocation, with its index", "≤ 128 B"],
            (128.0, each(What::Allocations, users)?),
            "a user's record is a flat struct in a B-tree keyed by text, and its earmarks are a vector on the heap",
            &of_users(users),
        ),
        claim(
            ["a pool", "≤ 1 KiB"],
            (1024.0, each(What::Pools, pools)?),
            "an empty pool has all its books in place, and a vector of grants that makes room for four",
            &format!("{} workspaces, each with one grant", thousands(pools as f64)),
        ),
        stated("a grant", each(What::Grants, lines)?, &in_workspaces(lines, GRANTS_PER_WORKSPACE)),
        stated("a user's limit by day", each(What::Limits, lines)?, &of_users(lines)),
        claim(
            ["a line with five meters", "≤ 300 B"],
            (300.0, each(What::Lines, lines)?),
            "five meters are a vector of 48 B each that has room for eight, beside the line's own numbers and its two indexes",
            &format!(
                "{} lines of as many users who had allocations before; {with_units:.0} B where each meter counts two units",
                thousands(lines as f64)
            ),
        ),
    ])
}

fn claim([what, target]: [&'static str; 2], (bound, bytes): (f64, f64), if_missed: &str, how: &str) -> Claim {
    let if_missed = if_missed.to_owned();
    Claim { target, bound: Target::AtMost(bound), if_missed, ..stated(what, bytes, how) }
}

fn stated(what: &'static str, bytes: f64, how: &str) -> Claim {
    Claim {
        id: "memory",
        what,
        against: "–",
        target: "none; stated as it is",
        bound: Target::Stated,
        value: bytes,
        measured: format!("{bytes:.0} B"),
        if_missed: String::new(),
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
    let mut replica = Replica::new();
    let numbers = shuffled(count);
    // The first of everything: code is loaded and pages are touched before anything is counted.
    replica.make_pool(&workspace(u64::MAX));
    let mut before = resident_bytes();
    (0..count.div_ceil(what.per_workspace())).for_each(|number| replica.make_pool(&workspace(number)));
    if what == What::Pools {
        return resident_bytes().saturating_sub(before);
    }
    if what.of_allocated_users() {
        numbers.iter().for_each(|number| one_more(&mut replica, What::Allocations, *number));
    }
    before = resident_bytes();
    numbers.iter().for_each(|number| one_more(&mut replica, what, *number));
    resident_bytes().saturating_sub(before)
}

fn shuffled(count: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..count).collect();
    numbers.shuffle(&mut SmallRng::seed_from_u64(3));
    numbers
}

fn one_more(replica: &mut Replica, what: What, number: u64) {
    let (at, user) = (workspace(number / what.per_workspace()), user(number % USERS_PER_WORKSPACE));
    match what {
        What::Pools => replica.make_pool(&at),
        What::Members => {
            let service = ServiceChange::NONE;
            replica.change(&at, Change::PutMember { user, ai_access: None, team: None, role: None, service });
        }
        What::Allocations => {
            replica.change(&at, Change::SetAllocation { user, amount: credits(100), overflow: None });
        }
        What::Grants => replica.grant(&at, &format!("pack-{number:06}"), 100),
        What::Limits => {
            let (of, amount) = (Subject::User(user), Some(credits(1_000)));
            replica.change(&at, Change::SetLimit { of, window: Window::Day, amount });
        }
        What::Lines => open_line(replica, &at, &user, number, &[]),
        What::LinesWithUnits => open_line(replica, &at, &user, number, &["input_token", "output_token"]),
    }
}

/// Draws once, and reports use on five meters.
fn open_line(replica: &mut Replica, at: &WorkspaceId, user: &UserId, number: u64, units: &[&str]) {
    let wish = Wish::Draw { target: credits(20), floor: credits(20), need: credits(20) };
    replica.apply(&says(at, line(user, number, Used::default(), wish)));
    let units: Vec<_> = units.iter().map(|unit| (Unit::parse(unit).expect("an id"), 1_200)).collect();
    let metered = |number| {
        let meter = Meter {
            feature: Feature::parse("chat").expect("an id"),
            model: Some(Model::parse(&format!("m-{number}")).expect("an id")),
            day: Day(20_000),
        };
        let by_grant = [(GrantNo(0), credits(1))].into_iter().collect();
        (meter, Metered { credits: credits(1), calls: 1, units: units.clone(), by_grant })
    };
    let backing = Backing { source: Source::Allocation, grant: GrantNo(0) };
    let used = Used {
        by_backing: vec![(backing, credits(METERS), Credits::ZERO)],
        by_meter: (1..=METERS).map(metered).collect(),
    };
    replica.apply(&says(at, line(user, number, used, Wish::Report)));
}
