//! A load: pools, who spends from them, and what administrators change meanwhile; described in a file, or recorded as a
//! CSV. Drawn for each seed before the run. Not here: reading files (`file`).

mod file;

use super::text::{Granted, Times};
use super::trace::Clients;
use crate::chance::{Stream, stream};
use crate::world_a::{AdminStep, Arrival, Listed, Wanted, home, user_id};
use ledger::{Change, GrantKind, Membership, NewGrant, Overflow, Subject, WorkspaceSettings};
use rand::Rng;
use rand::seq::IndexedRandom;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{Credits, GrantId, NodeId, ReallocationId};

pub const POOLS_MAX: usize = 16;
pub const MEMBERS_MAX: usize = 10_000;
/// A day.
pub const MINUTES_MAX: u64 = 1_440;
/// Of one run.
pub const REQUESTS_MAX: usize = 5_000_000;
pub const TRIES_MAX: u32 = 10;
/// Pools are made before the first request comes.
const WARM_UP_US: u64 = 3_000_000;

/// Which node a user's requests go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// Always the same, whichever: as behind a load balancer with cookies.
    #[default]
    Sticky,
    /// Any node, each time.
    Spread,
    /// The node that decides his keyed requests: as clients do that know the cluster.
    Home,
}

/// A seed's part of a run.
#[derive(Debug)]
pub struct Drawn {
    pub listed: Listed,
    /// Workspaces, then their grants, then allocations.
    pub setup: Vec<Vec<AdminStep>>,
    pub changes: Vec<AdminStep>,
}

/// Checked, and not yet drawn.
#[derive(Debug)]
pub struct Load {
    pub minutes: u64,
    tries: u32,
    keyed_percent: u32,
    route: Route,
    pools: Vec<Pool>,
}

#[derive(Debug)]
struct Pool {
    granted: Granted,
    members: usize,
    allocated_percent: u64,
    overflow: Overflow,
    reallocate_every: Option<Times>,
    changes: Vec<ChangeAt>,
    requests: Requests,
}

#[derive(Debug)]
enum Requests {
    Described {
        per_second: f64,
        prices: Vec<Credits>,
        zipf: f64,
    },
    /// Rows at the pace of the run; `speed`: so many times that of the recording.
    Recorded {
        rows: Vec<Recorded>,
        clients: Option<(Clients, u64)>,
        zipf: f64,
        speed: f64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Recorded {
    at_us: u64,
    user: Option<usize>,
    price: Credits,
}

#[derive(Debug)]
struct ChangeAt {
    at: Times,
    change: ChangeOf,
}

#[derive(Debug)]
enum ChangeOf {
    Grant(Credits),
    Allocate(usize, Credits),
    Reallocate(usize, usize, Credits),
    Limit(usize, Credits),
    Access(usize, bool),
}

impl Load {
    /// Until the last row has come.
    fn recorded_minutes(&self) -> u64 {
        self.pools.iter().map(Pool::recorded_minutes).max().unwrap_or(1)
    }

    /// A seed's requests and changes.
    pub fn draw(&self, seed: u64, ids: &[NodeId]) -> Drawn {
        let (run_us, nodes) = (self.minutes * 60_000_000, ids.len());
        let mut arrivals = Vec::new();
        let mut changes = Vec::new();
        let mut setup: Vec<Vec<AdminStep>> = Vec::new();
        for (at, pool) in self.pools.iter().enumerate() {
            let mut chance = stream(seed, &format!("load of {at}"));
            let drawn = pool.draw(at, run_us, &mut chance);
            let asked: u128 = drawn.iter().map(|arrival| u128::from(arrival.price.micros())).sum();
            let mut chance = stream(seed, &format!("changes of {at}"));
            let (stages, steps) = pool.changes(at, asked, run_us / 1_000, nodes, &mut chance);
            setup.resize_with(stages.len().max(setup.len()), Vec::new);
            setup.iter_mut().zip(stages).for_each(|(all, stage)| all.extend(stage));
            changes.extend(steps);
            arrivals.extend(drawn);
        }
        let mut chance = stream(seed, "routes");
        let mut sticky: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for arrival in &mut arrivals {
            let any = chance.random_range(0..nodes);
            arrival.keyed = chance.random_range(0..100) < self.keyed_percent;
            arrival.node = match self.route {
                Route::Spread => any,
                Route::Sticky => *sticky.entry((arrival.workspace, arrival.user)).or_insert(any),
                Route::Home => home(ids, arrival.workspace, arrival.user),
            };
        }
        arrivals.sort_by_key(|arrival| arrival.at_us);
        changes.sort_by_key(|step| step.at_ms);
        let listed = Listed { arrivals: Arc::new(arrivals), tries: self.tries };
        Drawn { listed, setup, changes }
    }
}

/// How many minutes a run lasts in which a row comes so late.
const fn minutes_until(at_us: u64) -> u64 {
    WARM_UP_US.saturating_add(at_us) / 60_000_000 + 1
}

impl Pool {
    fn recorded_minutes(&self) -> u64 {
        match &self.requests {
            Requests::Recorded { rows, .. } => minutes_until(rows.last().map_or(0, |row| row.at_us)),
            Requests::Described { .. } => minutes_until(0),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a few millions")]
    fn requests_in(&self, minutes: u64) -> f64 {
        match &self.requests {
            Requests::Described { per_second, .. } => per_second * minutes as f64 * 60.0,
            Requests::Recorded { rows, .. } => rows.len() as f64,
        }
    }

    fn draw(&self, workspace: usize, run_us: u64, chance: &mut Stream) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        let mut add = |at_us: u64, user: usize, price: Credits| {
            arrivals.push(Arrival {
                at_us: WARM_UP_US + at_us,
                workspace,
                user,
                node: 0,
                price,
                keyed: false,
            });
        };
        match &self.requests {
            Requests::Described { per_second, prices, zipf } => {
                let users = Zipf::new(self.members, *zipf);
                let mut at_us = gap_us(*per_second, chance);
                while WARM_UP_US + at_us < run_us {
                    let user = users.draw(chance);
                    add(at_us, user, *prices.choose(chance).expect("at least one"));
                    at_us += gap_us(*per_second, chance);
                }
            }
            Requests::Recorded { rows, clients, zipf, speed } => {
                let users = Zipf::new(self.members, *zipf);
                for row in rows.iter().take_while(|row| WARM_UP_US + row.at_us < run_us) {
                    let drawn = match clients {
                        Some((clients, from_s)) => {
                            #[expect(
                                clippy::cast_precision_loss,
                                clippy::cast_possible_truncation,
                                clippy::cast_sign_loss,
                                reason = "seconds of a recording"
                            )]
                            let recorded_s = (row.at_us as f64 * speed / 1e6) as u64;
                            clients.who(from_s + recorded_s, chance.random())
                        }
                        None => users.draw(chance),
                    };
                    add(row.at_us, row.user.unwrap_or(drawn), row.price);
                }
            }
        }
        arrivals
    }

    fn changes(
        &self,
        workspace: usize,
        asked: u128,
        run_ms: u64,
        nodes: usize,
        chance: &mut Stream,
    ) -> (Vec<Vec<AdminStep>>, Vec<AdminStep>) {
        let granted = match self.granted {
            Granted::Credits(credits) => credits,
            Granted::Percent(percent) => {
                let micros = asked * u128::from(percent) / 100;
                u64::try_from(micros).ok().and_then(Credits::from_micros).unwrap_or(Credits::MAX)
            }
        };
        let change_at = |at_ms: u64, chance: &mut Stream, change: Change| {
            let node = chance.random_range(0..nodes);
            AdminStep { at_ms, node, what: Wanted::Change { workspace, change } }
        };
        let open = Some(Membership::Open);
        let settings = WorkspaceSettings { membership: open, ..WorkspaceSettings::unchanged() };
        let share = granted.micros() / 100 * self.allocated_percent / self.members as u64;
        let share = Credits::from_micros(share).unwrap_or(Credits::ZERO);
        let mut allocations = Vec::new();
        for user in (0..self.members).filter(|_| !share.is_zero()) {
            let change =
                Change::SetAllocation { user: user_id(user), amount: share, overflow: Some(self.overflow) };
            allocations.push(change_at(1_800 + user as u64 * 1_000 / self.members as u64, chance, change));
        }
        // Their times are for those who only have the schedule: here each waits for those before it.
        let setup = vec![
            vec![change_at(800, chance, Change::PutWorkspace(settings))],
            vec![change_at(1_400, chance, grant("g0", granted))],
            allocations,
        ];
        let mut steps = Vec::new();
        let mut step = |at_ms: u64, chance: &mut Stream, change: Change| {
            steps.push(change_at(at_ms, chance, change));
        };
        for (number, planned) in self.changes.iter().enumerate() {
            let at_ms = planned.at.draw_ms(chance);
            let change = match planned.change {
                ChangeOf::Grant(amount) => grant(&format!("planned{number}"), amount),
                ChangeOf::Allocate(user, amount) => {
                    Change::SetAllocation { user: user_id(user), amount, overflow: Some(self.overflow) }
                }
                ChangeOf::Reallocate(from, to, amount) => {
                    reallocate(&format!("planned{number}"), from, to, amount)
                }
                ChangeOf::Limit(user, amount) => Change::SetLimit {
                    of: Subject::User(user_id(user)),
                    window: types::Window::Cycle,
                    amount: Some(amount),
                },
                ChangeOf::Access(user, on) => Change::PutMember {
                    user: user_id(user),
                    ai_access: Some(on),
                    team: None,
                    role: None,
                    service: ledger::ServiceChange::NONE,
                },
            };
            step(at_ms, chance, change);
        }
        if let Some(every) = self.reallocate_every {
            let users = Zipf::new(self.members, 1.0);
            let mut at_ms = 3_000 + every.draw_ms(chance);
            let mut number = 0;
            while at_ms < run_ms {
                // Busy ones give: that is when it is hard.
                let from = users.draw(chance);
                let to = chance.random_range(0..self.members);
                let most = share.micros().max(2);
                let amount = Credits::from_micros(chance.random_range(1..=most)).unwrap_or(Credits::ZERO);
                if from != to {
                    step(at_ms, chance, reallocate(&format!("r{number}"), from, to, amount));
                    number += 1;
                }
                at_ms += every.draw_ms(chance);
            }
        }
        (setup, steps)
    }
}

fn grant(id: &str, amount: Credits) -> Change {
    Change::MakeGrant(NewGrant {
        id: GrantId::parse(id).expect("a valid id"),
        kind: GrantKind::Plan,
        amount,
        priority: ledger::limits::PRIORITY_DEFAULT,
        paid: true,
        starts_at: None,
        expires_at: None,
        term: ledger::Term::Lasting,
        price: None,
    })
}

fn reallocate(id: &str, from: usize, to: usize, amount: Credits) -> Change {
    let id = ReallocationId::parse(id).expect("a valid id");
    Change::Reallocate { id, from: user_id(from), to: user_id(to), amount }
}

/// Gaps of requests that know nothing of each other.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most hours")]
fn gap_us(per_second: f64, chance: &mut Stream) -> u64 {
    let dice: f64 = chance.random();
    (-(1.0 - dice).ln() / per_second * 1e6) as u64
}

/// Draws members, the first ones most often.
struct Zipf {
    ends: Vec<f64>,
}

impl Zipf {
    #[expect(clippy::cast_precision_loss, reason = "thousands of members")]
    fn new(members: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weight = |member: usize| ((member + 1) as f64).powf(-exponent);
        let add = |member: usize| {
            sum += weight(member);
            sum
        };
        Self { ends: (0..members).map(add).collect() }
    }

    fn draw(&self, chance: &mut Stream) -> usize {
        let dice: f64 = chance.random::<f64>() * self.ends.last().copied().unwrap_or(0.0);
        self.ends.partition_point(|end| *end <= dice).min(self.ends.len().saturating_sub(1))
    }
}
