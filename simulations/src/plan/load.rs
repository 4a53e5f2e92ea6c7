//! A load: pools, who spends from them, and what administrators change meanwhile; described in a file, or recorded as a
//! CSV. Drawn for each seed before the run. Not here: reading the CSV (`trace`).

use super::text::{Amount, BadPlan, Granted, Text, Times};
use super::trace::{self, Clients, Row, Size};
use crate::chance::{Stream, stream};
use crate::world_a::{AdminStep, Arrival, Listed, Wanted, home, user_id};
use ledger::{Change, GrantKind, Membership, NewGrant, Overflow, WorkspaceSettings};
use rand::Rng;
use rand::seq::IndexedRandom;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Spanned;
use types::{Credits, GrantId, ReallocationId};

pub const POOLS_MAX: usize = 16;
pub const MEMBERS_MAX: usize = 10_000;
/// A day.
pub const MINUTES_MAX: u64 = 1_440;
/// Of one run.
pub const REQUESTS_MAX: usize = 5_000_000;
const TRIES_MAX: u32 = 10;
/// Pools are made before the first request comes.
const WARM_UP_US: u64 = 3_000_000;
/// A request that says nothing else.
const PRICE: Credits = Credits::whole(1).expect("one");

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
    changes: Vec<PlannedChange>,
    requests: Requests,
}

#[derive(Debug)]
enum Requests {
    Described { per_second: f64, prices: Vec<Credits>, zipf: f64 },
    Recorded { rows: Vec<Recorded>, clients: Option<(Clients, u64)>, zipf: f64 },
}

#[derive(Clone, Copy, Debug)]
struct Recorded {
    at_us: u64,
    user: Option<usize>,
    price: Credits,
}

#[derive(Debug)]
struct PlannedChange {
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// How long the load and the faults last; by default as long as the longest recording.
    minutes: Option<Spanned<u64>>,
    /// How often a client asks in all before it gives up.
    #[serde(default = "usual_tries")]
    tries: Spanned<u32>,
    /// Requests with an idempotency key.
    #[serde(default)]
    keyed_percent: Option<Spanned<u32>>,
    /// Which node a user's requests go to.
    #[serde(default)]
    route: Route,
    pool: Vec<PoolTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolTable {
    granted: Spanned<Granted>,
    members: Option<Spanned<usize>>,
    /// How uneven members are: the n-th asks n^-zipf as often as the first.
    zipf: Option<Spanned<f64>>,
    requests_per_second: Option<Spanned<f64>>,
    /// Each request has one of these.
    prices: Option<Spanned<Vec<Amount>>>,
    /// A recording.
    trace: Option<Spanned<String>>,
    /// Only these rows of it.
    workspace: Option<Spanned<String>>,
    /// From here on.
    from: Option<Times>,
    /// So many times as fast as it was recorded.
    speed: Option<Spanned<f64>>,
    credits_per_1000_input: Option<Amount>,
    credits_per_1000_output: Option<Amount>,
    /// Rates of clients by time: who asks, where the recording does not know.
    clients: Option<Spanned<String>>,
    clients_from: Option<Times>,
    /// So much of the grant is set aside for members, in equal parts.
    allocated_percent: Option<Spanned<u64>>,
    /// Whether members go on from what is shared when their allocation is used up.
    overflow: Option<bool>,
    /// Administrators move credits from one member's allocation to another's this often.
    reallocate_every: Option<Spanned<Times>>,
    #[serde(default)]
    change: Vec<ChangeTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeTable {
    at: Times,
    what: Spanned<String>,
    amount: Option<Amount>,
    user: Option<Spanned<usize>>,
    from: Option<Spanned<usize>>,
    to: Option<Spanned<usize>>,
    on: Option<bool>,
}

fn usual_tries() -> Spanned<u32> {
    Spanned::new(0..0, 3)
}

fn bounded<T: PartialOrd + Copy + std::fmt::Display>(
    text: &Text,
    value: Option<&Spanned<T>>,
    default: T,
    (least, most): (T, T),
) -> Result<T, BadPlan> {
    let Some(spanned) = value else { return Ok(default) };
    let value = *spanned.get_ref();
    if value >= least && value <= most {
        return Ok(value);
    }
    Err(text.wrong(&spanned.span(), format!("{value}: {least} to {most}")))
}

impl Load {
    /// Reads a description, or a recording itself where the file's name ends in `.csv`: then each workspace in it is a pool
    /// that has just what is asked of it.
    ///
    /// # Errors
    /// Something is not understood, or out of its bounds.
    pub fn read(text: &Text) -> Result<Self, BadPlan> {
        let recording = std::path::Path::new(&text.name).extension().is_some_and(|end| end == "csv");
        if recording { Self::of_recording(text) } else { Self::parse(text) }
    }

    fn of_recording(text: &Text) -> Result<Self, BadPlan> {
        let rows = trace::parse(text)?;
        let mut workspaces: BTreeMap<Option<String>, Vec<Row>> = BTreeMap::new();
        for row in rows {
            workspaces.entry(row.workspace.clone()).or_default().push(row);
        }
        if workspaces.len() > POOLS_MAX {
            let why = format!(
                "{} workspaces; at most {POOLS_MAX} at once: name one in a load file with `workspace`",
                workspaces.len()
            );
            return Err(text.wrong_as_a_whole(why));
        }
        let pools = workspaces.into_values().map(|rows| {
            let (rows, members) = recorded(rows, 1.0, &Tariff::default());
            let members = if members == 0 { 100 } else { members };
            Pool {
                granted: Granted::Percent(100),
                members: members.min(MEMBERS_MAX),
                allocated_percent: 0,
                overflow: Overflow::Shared,
                reallocate_every: None,
                changes: Vec::new(),
                requests: Requests::Recorded { rows, clients: None, zipf: 1.0 },
            }
        });
        let mut load =
            Self { minutes: 1, tries: 3, keyed_percent: 0, route: Route::default(), pools: pools.collect() };
        load.minutes = load.longest_minutes();
        Ok(load)
    }

    fn parse(text: &Text) -> Result<Self, BadPlan> {
        let file: File = text.parse()?;
        if file.pool.is_empty() || file.pool.len() > POOLS_MAX {
            return Err(text.wrong_as_a_whole(format!("one to {POOLS_MAX} tables [[pool]]")));
        }
        let pools: Result<Vec<Pool>, BadPlan> = file.pool.iter().map(|table| pool(text, table)).collect();
        let mut load = Self {
            minutes: 1,
            tries: bounded(text, Some(&file.tries), 3, (1, TRIES_MAX))?,
            keyed_percent: bounded(text, file.keyed_percent.as_ref(), 0, (0, 100))?,
            route: file.route,
            pools: pools?,
        };
        let is_recorded = |pool: &Pool| matches!(pool.requests, Requests::Recorded { .. });
        if file.minutes.is_none() && !load.pools.iter().any(is_recorded) {
            return Err(text.wrong_as_a_whole("minutes is needed where no pool has a trace"));
        }
        load.minutes = bounded(text, file.minutes.as_ref(), load.longest_minutes(), (1, MINUTES_MAX))?;
        let requests: f64 = load.pools.iter().map(|pool| pool.requests_in(load.minutes)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a few millions")]
        if requests > REQUESTS_MAX as f64 {
            let why = format!("about {requests:.0} requests; at most {REQUESTS_MAX} in a run");
            return Err(text.wrong_as_a_whole(why));
        }
        Ok(load)
    }

    fn longest_minutes(&self) -> u64 {
        let last = |pool: &Pool| match &pool.requests {
            Requests::Recorded { rows, .. } => rows.last().map_or(0, |row| row.at_us),
            Requests::Described { .. } => 0,
        };
        let last_us = self.pools.iter().map(last).max().unwrap_or(0);
        (last_us / 60_000_000 + 1).min(MINUTES_MAX)
    }

    /// A seed's requests and changes.
    pub fn draw(&self, seed: u64, nodes: usize) -> (Listed, Vec<AdminStep>) {
        let run_us = self.minutes * 60_000_000;
        let mut arrivals = Vec::new();
        let mut changes = Vec::new();
        for (at, pool) in self.pools.iter().enumerate() {
            let mut chance = stream(seed, &format!("load of {at}"));
            let drawn = pool.draw(at, run_us, &mut chance);
            let asked: u128 = drawn.iter().map(|arrival| u128::from(arrival.price.micros())).sum();
            let mut chance = stream(seed, &format!("changes of {at}"));
            changes.extend(pool.changes(at, asked, run_us / 1_000, nodes, &mut chance));
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
                Route::Home => home(nodes, arrival.workspace, arrival.user),
            };
        }
        arrivals.sort_by_key(|arrival| arrival.at_us);
        changes.sort_by_key(|step| step.at_ms);
        (Listed { arrivals: Arc::new(arrivals), tries: self.tries }, changes)
    }
}

/// What tokens cost.
struct Tariff {
    input: Credits,
    output: Credits,
}

impl Default for Tariff {
    fn default() -> Self {
        Self { input: Credits::whole(1).expect("one"), output: Credits::whole(3).expect("three") }
    }
}

impl Tariff {
    fn price(&self, size: Size) -> Credits {
        match size {
            Size::Credits(credits) => credits,
            Size::Unknown => PRICE,
            Size::Tokens { input, output } => {
                let part = |tokens: u64, per_1000: Credits| {
                    u128::from(tokens) * u128::from(per_1000.micros()).div_ceil(1_000)
                };
                let micros = part(input, self.input) + part(output, self.output);
                u64::try_from(micros).ok().and_then(Credits::from_micros).unwrap_or(Credits::MAX)
            }
        }
    }
}

/// Rows with users by number, and how many users there are; 0: the recording knows none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times of a day"
)]
fn recorded(rows: Vec<Row>, speed: f64, tariff: &Tariff) -> (Vec<Recorded>, usize) {
    let first_us = rows.first().map_or(0, |row| row.at_us);
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    let number = |row: Row| {
        let count = users.len();
        let user = row.user.map(|user| *users.entry(user).or_insert(count));
        let at_us = ((row.at_us - first_us) as f64 / speed) as u64;
        Recorded { at_us, user, price: tariff.price(row.size) }
    };
    let rows: Vec<Recorded> = rows.into_iter().map(number).collect();
    let count = users.len();
    (rows, count)
}

fn pool(text: &Text, table: &PoolTable) -> Result<Pool, BadPlan> {
    let members = bounded(text, table.members.as_ref(), 100, (1, MEMBERS_MAX))?;
    let zipf = bounded(text, table.zipf.as_ref(), 1.0, (0.0, 3.0))?;
    let mut known = members;
    let requests = match (&table.trace, &table.requests_per_second) {
        (Some(_), Some(rate)) => {
            return Err(text.wrong(&rate.span(), "a pool has a trace or a rate of requests, not both"));
        }
        (None, None) => {
            return Err(text.wrong(&table.granted.span(), "this pool needs requests_per_second or a trace"));
        }
        (None, Some(rate)) => {
            let per_second = bounded(text, Some(rate), 1.0, (0.001, 100_000.0))?;
            let prices: Vec<Credits> = match &table.prices {
                Some(prices) if prices.get_ref().is_empty() => {
                    return Err(text.wrong(&prices.span(), "at least one price"));
                }
                Some(prices) => prices.get_ref().iter().map(|price| price.0).collect(),
                None => vec![PRICE],
            };
            Requests::Described { per_second, prices, zipf }
        }
        (Some(file), None) => {
            let speed = bounded(text, table.speed.as_ref(), 1.0, (0.001, 1_000.0))?;
            let usual = Tariff::default();
            let tariff = Tariff {
                input: table.credits_per_1000_input.map_or(usual.input, |amount| amount.0),
                output: table.credits_per_1000_output.map_or(usual.output, |amount| amount.0),
            };
            let unreadable = |why: BadPlan| text.wrong(&file.span(), why.to_string());
            let recording = Text::read(&text.beside(file.get_ref())).map_err(unreadable)?;
            let mut rows = trace::parse(&recording)?;
            let from_us = table.from.map_or(0, |from| from.least_us);
            rows.retain(|row| row.at_us >= from_us);
            if let Some(workspace) = &table.workspace {
                rows.retain(|row| row.workspace.as_ref() == Some(workspace.get_ref()));
            }
            if rows.is_empty() {
                return Err(text.wrong(&file.span(), "no row of it is left"));
            }
            let (rows, count) = recorded(rows, speed, &tariff);
            let clients = match &table.clients {
                Some(file) => {
                    let clients = Text::read(&text.beside(file.get_ref()));
                    let clients =
                        Clients::parse(&clients.map_err(|why| text.wrong(&file.span(), why.to_string()))?)?;
                    known = clients.count;
                    Some((clients, table.clients_from.map_or(0, |from| from.least_us / 1_000_000)))
                }
                None => None,
            };
            if count > 0 {
                known = count;
            }
            if known > MEMBERS_MAX {
                let why = format!("{known} users; at most {MEMBERS_MAX} in a pool");
                return Err(text.wrong(&file.span(), why));
            }
            Requests::Recorded { rows, clients, zipf }
        }
    };
    if let Some(every) = &table.reallocate_every
        && every.get_ref().least_us < 10_000
    {
        return Err(text.wrong(&every.span(), "at least 10 ms"));
    }
    if let (Some(every), None) = (&table.reallocate_every, &table.allocated_percent) {
        let why = "credits are moved between allocations: allocated_percent is needed";
        return Err(text.wrong(&every.span(), why));
    }
    let changes: Result<Vec<_>, BadPlan> =
        table.change.iter().map(|change| planned(text, change, known)).collect();
    Ok(Pool {
        granted: *table.granted.get_ref(),
        members: known,
        allocated_percent: bounded(text, table.allocated_percent.as_ref(), 0, (0, 100))?,
        overflow: if table.overflow.unwrap_or(true) { Overflow::Shared } else { Overflow::None },
        reallocate_every: table.reallocate_every.as_ref().map(|every| *every.get_ref()),
        changes: changes?,
        requests,
    })
}

fn planned(text: &Text, table: &ChangeTable, members: usize) -> Result<PlannedChange, BadPlan> {
    let what = table.what.get_ref().as_str();
    let missing = |field: &str| text.wrong(&table.what.span(), format!("{what:?} needs {field}"));
    let amount = || table.amount.map(|amount| amount.0).ok_or_else(|| missing("amount"));
    let member = |field: &str, given: &Option<Spanned<usize>>| {
        let given = given.as_ref().ok_or_else(|| missing(field))?;
        bounded(text, Some(given), 1, (1, members)).map(|user| user - 1)
    };
    let change = match what {
        "grant" => ChangeOf::Grant(amount()?),
        "allocate" => ChangeOf::Allocate(member("user", &table.user)?, amount()?),
        "reallocate" => {
            ChangeOf::Reallocate(member("from", &table.from)?, member("to", &table.to)?, amount()?)
        }
        "limit" => ChangeOf::Limit(member("user", &table.user)?, amount()?),
        "access" => ChangeOf::Access(member("user", &table.user)?, table.on.ok_or_else(|| missing("on"))?),
        _ => {
            let why = format!("{what:?}: there are grant, allocate, reallocate, limit, access");
            return Err(text.wrong(&table.what.span(), why));
        }
    };
    Ok(PlannedChange { at: table.at, change })
}

impl Pool {
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
            Requests::Recorded { rows, clients, zipf } => {
                let users = Zipf::new(self.members, *zipf);
                for row in rows.iter().take_while(|row| WARM_UP_US + row.at_us < run_us) {
                    let drawn = match clients {
                        Some((clients, from_s)) => {
                            clients.who(from_s + row.at_us / 1_000_000, chance.random())
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
    ) -> Vec<AdminStep> {
        let granted = match self.granted {
            Granted::Credits(credits) => credits,
            Granted::Percent(percent) => {
                let micros = asked * u128::from(percent) / 100;
                u64::try_from(micros).ok().and_then(Credits::from_micros).unwrap_or(Credits::MAX)
            }
        };
        let mut steps = Vec::new();
        let mut step = |at_ms: u64, chance: &mut Stream, change: Change| {
            let node = chance.random_range(0..nodes);
            steps.push(AdminStep { at_ms, node, what: Wanted::Change { workspace, change } });
        };
        let open = Some(Membership::Open);
        let settings = WorkspaceSettings { name: None, membership: open, durability: None };
        step(800, chance, Change::PutWorkspace(settings));
        step(1_400, chance, grant("g0", granted));
        let share = granted.micros() / 100 * self.allocated_percent / self.members as u64;
        let share = Credits::from_micros(share).unwrap_or(Credits::ZERO);
        if !share.is_zero() {
            for user in 0..self.members {
                let at_ms = 1_800 + user as u64 * 1_000 / self.members as u64;
                let (user, overflow) = (user_id(user), Some(self.overflow));
                step(at_ms, chance, Change::SetAllocation { user, amount: share, overflow });
            }
        }
        for (number, planned) in self.changes.iter().enumerate() {
            let at_ms = planned.at.draw_ms(chance).min(run_ms);
            let change = match planned.change {
                ChangeOf::Grant(amount) => grant(&format!("planned{number}"), amount),
                ChangeOf::Allocate(user, amount) => {
                    Change::SetAllocation { user: user_id(user), amount, overflow: Some(self.overflow) }
                }
                ChangeOf::Reallocate(from, to, amount) => {
                    reallocate(&format!("planned{number}"), from, to, amount)
                }
                ChangeOf::Limit(user, amount) => {
                    Change::SetLimit { user: user_id(user), amount: Some(amount) }
                }
                ChangeOf::Access(user, on) => {
                    Change::PutMember { user: user_id(user), ai_access: Some(on), team: None, role: None }
                }
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
        steps
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
