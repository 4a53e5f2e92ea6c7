//! Reads a load: its description, or a recording. Not here: drawing it (`load`), the CSV itself (`trace`).

use super::{
    ChangeAt, ChangeOf, Load, MEMBERS_MAX, MINUTES_MAX, POOLS_MAX, Pool, REQUESTS_MAX, Recorded, Requests,
    Route, TRIES_MAX, minutes_until,
};
use crate::plan::text::{Amount, BadPlan, Exactly, Granted, Text, Times};
use crate::plan::trace::{self, Clients, PRICE_MAX, Row, Size};
use ledger::Overflow;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;
use types::Credits;

/// A request that says nothing else.
const PRICE: Credits = Credits::whole(1).expect("one");

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
    pool: Vec<Spanned<PoolTable>>,
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
    from: Option<Spanned<Exactly>>,
    /// So many times as fast as it was recorded.
    speed: Option<Spanned<f64>>,
    credits_per_1000_input: Option<Amount>,
    credits_per_1000_output: Option<Amount>,
    /// Rates of clients by time: who asks, where the recording does not know.
    clients: Option<Spanned<String>>,
    clients_from: Option<Spanned<Exactly>>,
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
    at: Spanned<Times>,
    what: Spanned<String>,
    amount: Option<Amount>,
    user: Option<Spanned<String>>,
    from: Option<Spanned<String>>,
    to: Option<Spanned<String>>,
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
        let recording =
            std::path::Path::new(&text.name).extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
        if recording { Self::of_recording(text) } else { Self::parse(text) }
    }

    fn of_recording(text: &Text) -> Result<Self, BadPlan> {
        let rows = trace::parse(text)?;
        let in_time = rows.partition_point(|row| minutes_until(row.at_us) <= MINUTES_MAX);
        if let Some(late) = rows.get(in_time) {
            let why = format!(
                "at minute {}; at most {MINUTES_MAX} in a run: cut it with `minutes` in a load file",
                minutes_until(late.at_us)
            );
            return Err(at_row(text, late, why));
        }
        let mut workspaces: BTreeMap<Option<String>, Vec<Row>> = BTreeMap::new();
        for row in rows {
            if workspaces.len() == POOLS_MAX && !workspaces.contains_key(&row.workspace) {
                let why = format!(
                    "workspace number {}; at most {POOLS_MAX} at once: name one in a load file with `workspace`",
                    POOLS_MAX + 1
                );
                return Err(at_row(text, &row, why));
            }
            workspaces.entry(row.workspace.clone()).or_default().push(row);
        }
        let pools = workspaces.into_values().map(|rows| {
            if let Some(row) = first_too_many(&rows) {
                let why = format!("user number {} of one workspace; at most {MEMBERS_MAX}", MEMBERS_MAX + 1);
                return Err(at_row(text, row, why));
            }
            let (rows, members) = recorded(rows, 0, 1.0, &Tariff::default());
            let members = if members == 0 { 100 } else { members };
            Ok(Pool {
                granted: Granted::Percent(100),
                members,
                allocated_percent: 0,
                overflow: Overflow::Shared,
                reallocate_every: None,
                changes: Vec::new(),
                requests: Requests::Recorded { rows, clients: None, zipf: 1.0, speed: 1.0 },
            })
        });
        let pools: Vec<Pool> = pools.collect::<Result<_, BadPlan>>()?;
        let mut load = Self { minutes: 1, tries: 3, keyed_percent: 0, route: Route::default(), pools };
        load.minutes = load.recorded_minutes();
        Ok(load)
    }

    fn parse(text: &Text) -> Result<Self, BadPlan> {
        let file: File = text.parse()?;
        if let Some(one_more) = file.pool.get(POOLS_MAX) {
            return Err(text.wrong(&one_more.span(), format!("one to {POOLS_MAX} tables [[pool]]")));
        }
        let Some(first) = file.pool.first() else {
            return Err(text.wrong_as_a_whole(format!("one to {POOLS_MAX} tables [[pool]]")));
        };
        let minutes = file.minutes.as_ref().map_or(MINUTES_MAX, |minutes| *minutes.get_ref());
        let minutes_us = minutes.saturating_mul(60_000_000);
        let pools: Result<Vec<Pool>, BadPlan> =
            file.pool.iter().map(|table| pool(text, table.get_ref(), minutes_us)).collect();
        let mut load = Self {
            minutes: 1,
            tries: bounded(text, Some(&file.tries), 3, (1, TRIES_MAX))?,
            keyed_percent: bounded(text, file.keyed_percent.as_ref(), 0, (0, 100))?,
            route: file.route,
            pools: pools?,
        };
        let is_recorded = |pool: &Pool| matches!(pool.requests, Requests::Recorded { .. });
        if file.minutes.is_none() && !load.pools.iter().any(is_recorded) {
            return Err(text.wrong(&first.span(), "`minutes` is needed where no pool has a trace"));
        }
        load.minutes = bounded(text, file.minutes.as_ref(), load.recorded_minutes(), (1, MINUTES_MAX))?;
        let tables = || load.pools.iter().zip(&file.pool).map(|(pool, table)| (pool, table.get_ref()));
        if load.minutes > MINUTES_MAX {
            let longest = tables().max_by_key(|(pool, _)| pool.recorded_minutes());
            let span = longest.and_then(|(_, table)| table.source()).unwrap_or_else(|| first.span());
            let why = format!(
                "the recording takes {} minutes, at most {MINUTES_MAX}: `minutes` cuts it",
                load.minutes
            );
            return Err(text.wrong(&span, why));
        }
        let mut requests = 0.0;
        for (pool, table) in tables() {
            requests += pool.requests_in(load.minutes);
            #[expect(clippy::cast_precision_loss, reason = "a few millions")]
            if requests > REQUESTS_MAX as f64 {
                let why =
                    format!("about {requests:.0} requests by this pool; at most {REQUESTS_MAX} in a run");
                return Err(text.wrong(&table.source().unwrap_or_else(|| first.span()), why));
            }
        }
        Ok(load)
    }
}

impl PoolTable {
    /// Where it says where requests come from.
    fn source(&self) -> Option<std::ops::Range<usize>> {
        let rate = self.requests_per_second.as_ref().map(Spanned::span);
        self.trace.as_ref().map(Spanned::span).or(rate)
    }
}

/// This row of a recording is wrong.
fn at_row(text: &Text, row: &Row, why: String) -> BadPlan {
    BadPlan { line: row.line as usize, ..text.wrong_as_a_whole(why) }
}

/// The row with which a workspace has more users than a pool may have.
fn first_too_many(rows: &[Row]) -> Option<&Row> {
    let mut users = BTreeSet::new();
    rows.iter().find(|row| {
        users.extend(row.user.as_ref());
        users.len() > MEMBERS_MAX
    })
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
                u64::try_from(micros).ok().and_then(Credits::from_micros).unwrap_or(PRICE_MAX).min(PRICE_MAX)
            }
        }
    }
}

/// Rows from `from_us` on with users by number, and how many users there are; 0: the recording knows none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times of a day"
)]
fn recorded(rows: Vec<Row>, from_us: u64, speed: f64, tariff: &Tariff) -> (Vec<Recorded>, usize) {
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    let number = |row: Row| {
        let count = users.len();
        let user = row.user.map(|user| *users.entry(user).or_insert(count));
        let at_us = (row.at_us.saturating_sub(from_us) as f64 / speed) as u64;
        Recorded { at_us, user, price: tariff.price(row.size) }
    };
    let rows: Vec<Recorded> = rows.into_iter().map(number).collect();
    let count = users.len();
    (rows, count)
}

/// Fields that say nothing to a pool of this kind.
fn only_where_they_count(text: &Text, table: &PoolTable) -> Result<(), BadPlan> {
    let of_a_trace = [
        ("workspace", table.workspace.as_ref().map(Spanned::span)),
        ("from", table.from.as_ref().map(Spanned::span)),
        ("speed", table.speed.as_ref().map(Spanned::span)),
        ("clients", table.clients.as_ref().map(Spanned::span)),
        ("clients_from", table.clients_from.as_ref().map(Spanned::span)),
    ];
    let of_a_rate = [("prices", table.prices.as_ref().map(Spanned::span))];
    let (fields, needs) = match &table.trace {
        Some(_) => (&of_a_rate[..], "requests_per_second"),
        None => (&of_a_trace[..], "a trace"),
    };
    for (name, span) in fields {
        if let Some(span) = span {
            return Err(text.wrong(span, format!("{name} says something only with {needs}")));
        }
    }
    match (&table.clients, &table.clients_from) {
        (None, Some(from)) => Err(text.wrong(&from.span(), "clients_from says something only with clients")),
        _ => Ok(()),
    }
}

fn pool(text: &Text, table: &PoolTable, minutes_us: u64) -> Result<Pool, BadPlan> {
    only_where_they_count(text, table)?;
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
                Some(prices) if prices.get_ref().iter().any(|price| price.0 > PRICE_MAX) => {
                    return Err(text.wrong(&prices.span(), format!("at most {PRICE_MAX} credits at once")));
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
            let from_us = table.from.as_ref().map_or(0, |from| from.get_ref().0);
            rows.retain(|row| row.at_us >= from_us);
            if let Some(workspace) = &table.workspace {
                rows.retain(|row| row.workspace.as_ref() == Some(workspace.get_ref()));
            }
            if rows.is_empty() {
                return Err(text.wrong(&file.span(), "no row of it is left"));
            }
            let (rows, count) = recorded(rows, from_us, speed, &tariff);
            let clients = match &table.clients {
                Some(file) => {
                    let clients = Text::read(&text.beside(file.get_ref()));
                    let clients =
                        Clients::parse(&clients.map_err(|why| text.wrong(&file.span(), why.to_string()))?)?;
                    known = clients.count;
                    Some((
                        clients,
                        table.clients_from.as_ref().map_or(0, |from| from.get_ref().0 / 1_000_000),
                    ))
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
            Requests::Recorded { rows, clients, zipf, speed }
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
        table.change.iter().map(|change| planned(text, change, known, minutes_us)).collect();
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

fn planned(text: &Text, table: &ChangeTable, members: usize, minutes_us: u64) -> Result<ChangeAt, BadPlan> {
    let what = table.what.get_ref().as_str();
    let missing = |field: &str| text.wrong(&table.what.span(), format!("{what:?} needs {field}"));
    let amount = || table.amount.map(|amount| amount.0).ok_or_else(|| missing("amount"));
    let member = |field: &str, given: &Option<Spanned<String>>| {
        let given = given.as_ref().ok_or_else(|| missing(field))?;
        let number = given.get_ref().strip_prefix('u').and_then(|number| number.parse::<usize>().ok());
        number.filter(|number| *number < members).ok_or_else(|| {
            let why = format!("{:?}: members are u0 to u{}", given.get_ref(), members - 1);
            text.wrong(&given.span(), why)
        })
    };
    let known = match what {
        "grant" => ["amount", "", ""],
        "allocate" | "limit" => ["amount", "user", ""],
        "reallocate" => ["amount", "from", "to"],
        "access" => ["user", "on", ""],
        _ => ["", "", ""],
    };
    let given = [
        ("user", table.user.as_ref().map(Spanned::span)),
        ("from", table.from.as_ref().map(Spanned::span)),
        ("to", table.to.as_ref().map(Spanned::span)),
    ];
    for (field, span) in given {
        if let Some(span) = span.filter(|_| !known[0].is_empty() && !known.contains(&field)) {
            return Err(text.wrong(&span, format!("{what:?} has no {field}")));
        }
    }
    if table.at.get_ref().least_us >= minutes_us {
        return Err(text.wrong(&table.at.span(), "the load is over before this"));
    }
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
    Ok(ChangeAt { at: *table.at.get_ref(), change })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &str) -> Result<Load, String> {
        let text = Text { name: name.into(), content: content.into() };
        Load::read(&text).map_err(|why| why.to_string())
    }

    fn load(head: &str, pool: &str) -> Result<Load, String> {
        let content =
            format!("minutes = 1\n{head}\n[[pool]]\ngranted = 100\nrequests_per_second = 1\n{pool}\n");
        read("l.toml", &content)
    }

    #[test]
    fn every_number_has_its_bounds() {
        let head = |line: &str| load(line, "").map(|_| ());
        let pool = |line: &str| load("", line).map(|_| ());
        for within in
            ["tries = 1", "tries = 10", "keyed_percent = 0", "keyed_percent = 100", "route = \"home\""]
        {
            assert_eq!(head(within), Ok(()), "{within}");
        }
        for within in
            ["members = 1", "members = 10000", "zipf = 0.0", "zipf = 3.0", "allocated_percent = 100"]
        {
            assert_eq!(pool(within), Ok(()), "{within}");
        }
        assert_eq!(head("tries = 0"), Err("l.toml, line 2, tries: 0: 1 to 10".into()));
        assert_eq!(head("tries = 11"), Err("l.toml, line 2, tries: 11: 1 to 10".into()));
        assert_eq!(head("keyed_percent = 101"), Err("l.toml, line 2, keyed_percent: 101: 0 to 100".into()));
        assert_eq!(pool("members = 0"), Err("l.toml, line 6, members: 0: 1 to 10000".into()));
        assert_eq!(pool("members = 10001"), Err("l.toml, line 6, members: 10001: 1 to 10000".into()));
        assert_eq!(pool("zipf = 3.1"), Err("l.toml, line 6, zipf: 3.1: 0 to 3".into()));
        assert_eq!(
            pool("allocated_percent = 101"),
            Err("l.toml, line 6, allocated_percent: 101: 0 to 100".into())
        );
        assert!(pool("prices = [200000000]").is_ok());
        assert!(pool("prices = [200000001]").unwrap_err().ends_with("at most 200000000 credits at once"));
        assert!(pool("speed = 2.0").unwrap_err().ends_with("speed says something only with a trace"));
        assert_eq!(pool("prices = []"), Err("l.toml, line 6, prices: at least one price".into()));
        assert_eq!(
            pool("allocated_percent = 9\nreallocate_every = \"9ms\""),
            Err("l.toml, line 7, reallocate_every: at least 10 ms".into())
        );
        assert!(pool("reallocate_every = \"1s\"").unwrap_err().ends_with("allocated_percent is needed"));
    }

    #[test]
    fn a_run_has_its_bounds() {
        let of = |minutes: u64, rate: &str, pools: usize| {
            let pool = format!("[[pool]]\ngranted = 1\nrequests_per_second = {rate}\n");
            read("l.toml", &format!("minutes = {minutes}\n{}", pool.repeat(pools))).map(|load| load.minutes)
        };
        assert_eq!((of(1, "1.0", 16), of(1_440, "1.0", 1)), (Ok(1), Ok(1_440)));
        assert_eq!(of(0, "1.0", 1), Err("l.toml, line 1, minutes: 0: 1 to 1440".into()));
        assert_eq!(of(1_441, "1.0", 1), Err("l.toml, line 1, minutes: 1441: 1 to 1440".into()));
        assert_eq!(of(1, "1.0", 17), Err("l.toml, line 50, [[pool]]: one to 16 tables [[pool]]".into()));
        assert!(of(1, "83333.0", 1).is_ok());
        assert_eq!(
            of(1, "83334.0", 1),
            Err("l.toml, line 4, requests_per_second: about 5000040 requests by this pool; at most 5000000 in a run".into())
        );
        // Of many pools the one with which it is too much.
        assert!(of(1, "27777.0", 3).is_ok());
        let why = of(1, "27778.0", 3).unwrap_err();
        assert!(why.starts_with("l.toml, line 10, requests_per_second: about 5000040 requests"), "{why}");
        assert_eq!(
            of(1, "100001.0", 1),
            Err("l.toml, line 4, requests_per_second: 100001: 0.001 to 100000".into())
        );
        let without = read("l.toml", "[[pool]]\ngranted = 1\nrequests_per_second = 1\n").unwrap_err();
        assert_eq!(without, "l.toml, line 1, [[pool]]: `minutes` is needed where no pool has a trace");
    }

    #[test]
    fn a_recording_keeps_its_time_over_all_workspaces() {
        let recording = "time,workspace,user\n10,a,u1\n95,b,u2\n130,a,u3\n";
        let load = read("r.csv", recording).unwrap();
        assert_eq!(load.minutes, 3, "the last comes 120 s after the first, and pools take 3 s to be made");
        let listed = load.draw(1, &[types::NodeId(1)]).listed;
        let at_s: Vec<(u64, usize)> =
            listed.arrivals.iter().map(|arrival| (arrival.at_us / 1_000_000, arrival.workspace)).collect();
        assert_eq!(at_s, [(3, 0), (88, 1), (123, 0)]);
    }

    #[test]
    fn the_row_with_which_a_recording_is_too_much_is_named() {
        let users = |many: usize| {
            let rows: String = (0..many).map(|user| format!("{user},a,u{user}\n")).collect();
            read("r.csv", &format!("time,workspace,user\n0,b,u0\n{rows}"))
        };
        assert!(users(10_000).is_ok());
        let why = users(10_001).unwrap_err();
        assert_eq!(why, "r.csv, line 10003: user number 10001 of one workspace; at most 10000");
        let workspaces = |many: usize| {
            let rows: String = (0..many).map(|at| format!("{at},w{at},u\n{at},w0,u\n")).collect();
            read("r.csv", &format!("time,workspace,user\n{rows}"))
        };
        assert_eq!(workspaces(16).unwrap().pools.len(), 16);
        let why = workspaces(17).unwrap_err();
        assert!(why.starts_with("r.csv, line 34: workspace number 17; at most 16 at once"), "{why}");
        let long = |seconds: u64| read("r.csv", &format!("time\n{seconds}\n0\n5\n")).map(|load| load.minutes);
        assert_eq!(long(86_396), Ok(1_440));
        let why = long(86_397).unwrap_err();
        assert!(why.starts_with("r.csv, line 2: at minute 1441; at most 1440"), "{why}");
    }

    #[test]
    fn a_trace_that_takes_too_long_is_named_where_it_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("short.csv"), "time\n0\n9\n").unwrap();
        std::fs::write(directory.path().join("long.csv"), "time\n0\n86397\n").unwrap();
        let name = directory.path().join("l.toml");
        let pools = ["short", "long"].map(|name| format!("[[pool]]\ngranted = 1\ntrace = \"{name}.csv\"\n"));
        let of = |head: &str| {
            read(name.to_str().unwrap(), &format!("{head}{}", pools.concat())).map(|load| load.minutes)
        };
        let why = of("").unwrap_err();
        assert!(
            why.contains("l.toml, line 6, trace: the recording takes 1441 minutes, at most 1440"),
            "{why}"
        );
        assert_eq!(of("minutes = 1440\n"), Ok(1_440));
    }

    #[test]
    fn changes_say_what_they_need() {
        let of = |lines: &str| {
            let change = format!("members = 5\n[[pool.change]]\nat = \"10s\"\n{lines}");
            load("", &change).map(|_| ())
        };
        assert_eq!(of("what = \"grant\"\namount = 5"), Ok(()));
        assert_eq!(of("what = \"reallocate\"\nfrom = \"u0\"\nto = \"u4\"\namount = \"0.5\""), Ok(()));
        assert_eq!(of("what = \"grant\""), Err("l.toml, line 9, what: \"grant\" needs amount".into()));
        assert_eq!(
            of("what = \"limit\"\namount = 1\nuser = \"u5\""),
            Err("l.toml, line 11, user: \"u5\": members are u0 to u4".into())
        );
        assert_eq!(
            of("what = \"grant\"\namount = 1\nuser = \"u1\""),
            Err("l.toml, line 11, user: \"grant\" has no user".into())
        );
        assert!(
            of("what = \"gift\"")
                .unwrap_err()
                .contains("there are grant, allocate, reallocate, limit, access")
        );
    }
}
