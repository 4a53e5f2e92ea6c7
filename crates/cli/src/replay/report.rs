//! What a replay ends with, for people and as JSON. Not here: any judgement (`audit`).

use super::audit::{Audit, Check};
use super::books::Conserved;
use super::tally::Tally;
use crate::table::{Side, Table};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use types::{Credits, UserId};

/// Everything that was measured and checked. Amounts are text, times microseconds or milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub workspace: String,
    pub nodes: Vec<String>,
    pub seed: u64,
    pub rows: u64,
    pub sent: u64,
    pub elapsed_ms: u64,
    pub per_s: u64,
    /// How late the latest request was sent.
    pub behind_ms_max: u64,
    pub latency_us: Latency,
    pub allowed: u64,
    pub refused: BTreeMap<String, u64>,
    pub unknown: u64,
    pub credits: String,
    /// Most credits first.
    pub users: Vec<UserLine>,
    pub audit: Audit,
    /// How long after the last answer the books were compared, and how long they were given to come to rest.
    pub settled_ms: u64,
    pub settle_ms_max: u64,
    /// Out on nodes that do not answer.
    pub unreachable: String,
    pub conservation: Vec<Conserved>,
    pub holds: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Latency {
    pub answers: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub max: u64,
}

impl Latency {
    pub fn of(tally: &Tally) -> Self {
        let at = |quantile| tally.latency_us.value_at_quantile(quantile);
        Self {
            answers: tally.latency_us.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: tally.latency_us.max(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UserLine {
    pub user: String,
    pub calls: u64,
    pub credits: String,
}

/// Who was charged, most credits first.
pub(crate) fn users(users: &[UserId], tally: &Tally) -> Vec<UserLine> {
    let mut charged: Vec<_> = users.iter().zip(&tally.told).filter(|(_, told)| told.calls > 0).collect();
    charged.sort_by_key(|(user, told)| (std::cmp::Reverse(told.credits), *user));
    let line = |(user, told): (&UserId, &super::tally::Told)| UserLine {
        user: user.to_string(),
        calls: told.calls,
        credits: told.credits.to_string(),
    };
    charged.into_iter().map(line).collect()
}

const USERS_SHOWN: usize = 10;

impl Report {
    /// Short tables. `all`: every user, not only those with the most credits.
    pub fn for_people(&self, all: bool) -> String {
        let mut text = format!(
            "{} of {} requests in {} s, {} per second, {} node(s), seed {}\n",
            self.sent,
            self.rows,
            thousandths(self.elapsed_ms),
            self.per_s,
            self.nodes.len(),
            self.seed
        );
        if self.behind_ms_max > 0 {
            let _ = writeln!(text, "latest request sent {} ms after its time", self.behind_ms_max);
        }
        let _ = writeln!(text, "\n{}", self.latencies());
        let _ = writeln!(text, "{}", self.outcomes());
        let _ = writeln!(text, "{}", self.charged(all));
        text.push_str(&self.verdict());
        text
    }

    fn latencies(&self) -> Table {
        let number = |name| (name, Side::Right);
        let mut table = Table::new(&["p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"].map(number));
        let Latency { answers: _, p50, p90, p99, p99_9, max } = self.latency_us;
        table.row([p50, p90, p99, p99_9, max].map(thousandths));
        table
    }

    fn outcomes(&self) -> Table {
        let mut table = Table::new(&[("outcome", Side::Left), ("requests", Side::Right)]);
        table.row(["allowed".into(), self.allowed.to_string()]);
        for (code, count) in &self.refused {
            table.row([format!("refused: {code}"), count.to_string()]);
        }
        table.row(["unknown".into(), self.unknown.to_string()]);
        table
    }

    fn charged(&self, all: bool) -> Table {
        let mut table = Table::new(&[("user", Side::Left), ("calls", Side::Right), ("credits", Side::Right)]);
        let shown = if all { self.users.len() } else { self.users.len().min(USERS_SHOWN) };
        for UserLine { user, calls, credits } in &self.users[..shown] {
            table.row([user.clone(), calls.to_string(), credits.clone()]);
        }
        let rest = &self.users[shown..];
        if !rest.is_empty() {
            let calls: u64 = rest.iter().map(|line| line.calls).sum();
            let credits = rest.iter().filter_map(|line| line.credits.parse().ok());
            let credits = credits.fold(Credits::ZERO, Credits::saturating_add);
            table.row([format!("{} others (--all)", rest.len()), calls.to_string(), credits.to_string()]);
        }
        table.row(["total".into(), self.allowed.to_string(), self.credits.clone()]);
        table
    }

    fn verdict(&self) -> String {
        let yes = |holds| if holds { "ok" } else { "WRONG" }.to_owned();
        let head = [("audit", Side::Left), ("at least", Side::Right), ("ledger", Side::Right)];
        let mut table = Table::new(&[head[0], head[1], head[2], ("at most", Side::Right), ("", Side::Left)]);
        for Check { what, at_least, ledger, at_most, holds } in &self.audit.checks {
            table.row([what.clone(), at_least.clone(), ledger.clone(), at_most.clone(), yes(*holds)]);
        }
        let mut nodes = Table::new(&[("conservation", Side::Left), ("", Side::Left), ("detail", Side::Left)]);
        for Conserved { node, holds, detail } in &self.conservation {
            nodes.row([node.clone(), yes(*holds), detail.clone()]);
        }
        let interval = if self.audit.interval {
            "outcomes are unknown or credits lost: told ≤ ledger ≤ told + unknown\n"
        } else {
            ""
        };
        format!(
            "{table}{interval}{} users compared one by one, {} s after the last answer (at most {} s)\n\n{nodes}",
            self.audit.users_checked,
            thousandths(self.settled_ms),
            thousandths(self.settle_ms_max),
        )
    }
}

/// `1234` thousandths as `1.234`.
fn thousandths(number: u64) -> String {
    format!("{}.{:03}", number / 1_000, number % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(users: usize) -> Report {
        let line = |n: usize| UserLine { user: format!("client-{n}"), calls: 2, credits: "1.5".into() };
        let check = Check {
            what: "told = ledger, in total".into(),
            at_least: "18".into(),
            ledger: "18".into(),
            at_most: "18".into(),
            holds: true,
        };
        let conserved = Conserved { node: "http://n1".into(), holds: false, detail: "S1".into() };
        Report {
            workspace: "acme".into(),
            nodes: vec!["http://n1".into()],
            seed: 7,
            rows: 30,
            sent: 30,
            elapsed_ms: 2_500,
            per_s: 12,
            behind_ms_max: 0,
            latency_us: Latency {
                answers: 29,
                p50: 420,
                p90: 900,
                p99: 1_200,
                p99_9: 12_345,
                max: 60_000_000,
            },
            allowed: 24,
            refused: BTreeMap::from([("exhausted".into(), 5)]),
            unknown: 1,
            credits: "18".into(),
            users: (0..users).map(line).collect(),
            audit: Audit { balanced: true, interval: true, users_checked: users, checks: vec![check] },
            settled_ms: 251,
            settle_ms_max: 30_000,
            unreachable: "0".into(),
            conservation: vec![conserved],
            holds: false,
        }
    }

    #[test]
    fn the_golden_report() {
        let golden = "30 of 30 requests in 2.500 s, 12 per second, 1 node(s), seed 7\n\
            \n\
            P50 MS  P90 MS  P99 MS  P99.9 MS     MAX MS\n \
            0.420   0.900   1.200    12.345  60000.000\n\
            \n\
            OUTCOME             REQUESTS\n\
            allowed                   24\n\
            refused: exhausted         5\n\
            unknown                    1\n\
            \n\
            USER      CALLS  CREDITS\n\
            client-0      2      1.5\n\
            total        24       18\n\
            \n\
            AUDIT                    AT LEAST  LEDGER  AT MOST\n\
            told = ledger, in total        18      18       18  ok\n\
            outcomes are unknown or credits lost: told ≤ ledger ≤ told + unknown\n\
            1 users compared one by one, 0.251 s after the last answer (at most 30.000 s)\n\
            \n\
            CONSERVATION         DETAIL\n\
            http://n1     WRONG  S1\n";
        assert_eq!(report(1).for_people(false), golden);
    }

    #[test]
    fn ten_users_and_the_rest_or_all() {
        let shown = |users, all| {
            let text = report(users).for_people(all);
            let lines = text.lines().filter(|line| line.starts_with("client-")).count();
            (lines, text.contains("others (--all)"))
        };
        assert_eq!(shown(10, false), (10, false));
        assert_eq!(shown(11, false), (10, true));
        assert_eq!(shown(11, true), (11, false));
        let text = report(12).for_people(false);
        let others = text.lines().find(|line| line.contains("others")).unwrap();
        assert_eq!(others.split_whitespace().collect::<Vec<_>>(), ["2", "others", "(--all)", "4", "3"]);
    }

    #[test]
    fn who_was_charged_most_stands_first() {
        let names = ["ann", "bob", "cid", "dan"].map(|name| UserId::parse(name).unwrap());
        let mut tally = Tally::new(4);
        for (told, (credits, calls)) in tally.told.iter_mut().zip([(1, 9), (5, 1), (5, 2), (0, 0)]) {
            (told.credits, told.calls) = (Credits::whole(credits).unwrap(), calls);
        }
        let order: Vec<String> = users(&names, &tally).into_iter().map(|line| line.user).collect();
        assert_eq!(order, ["bob", "cid", "ann"], "and who was not charged not at all");
    }
}
