//! What the clients were told: charges by user, refusals by code, unknown outcomes, latencies. Not here: the ledger's
//! side of it (`audit`).

use super::trace::Row;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;
use types::Credits;
use wire::json::Charge;

/// Latencies are kept to three digits, up to a minute; longer ones count as a minute.
const LATENCY_US_MAX: u64 = 60_000_000;

/// What one user was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub credits: Credits,
    pub calls: u64,
}

/// A request that may have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// Place in the list of users.
    pub user: usize,
    pub row: Row,
}

#[derive(Debug)]
pub(crate) struct Tally {
    /// Of all requests that were answered, with yes or no.
    pub latency_us: Histogram<u64>,
    /// In the order of the list of users.
    pub told: Vec<Told>,
    pub refused: BTreeMap<String, u64>,
    pub unknown: Vec<Unknown>,
    /// By how much the latest request was sent after its time.
    pub behind_us_max: u64,
}

impl Tally {
    pub fn new(users: usize) -> Self {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("lawful bounds");
        Self {
            latency_us,
            told: vec![Told::default(); users],
            refused: BTreeMap::new(),
            unknown: Vec::new(),
            behind_us_max: 0,
        }
    }

    /// `took`: from when the request was due to its answer.
    pub fn note(&mut self, user: usize, row: Row, answer: Result<&Charge, &client::Error>, took: Duration) {
        match answer {
            Ok(charge) => {
                let told = &mut self.told[user];
                // Past what any pool can hold the answers are wrong, and the audit says so.
                told.credits = told.credits.saturating_add(charge.charged.0);
                told.calls += 1;
            }
            Err(error) if error.outcome_unknown() => {
                self.unknown.push(Unknown { user, row });
                return;
            }
            Err(error) => {
                let code = error.code().unwrap_or("unreachable").to_owned();
                *self.refused.entry(code).or_default() += 1;
                if error.code().is_none() {
                    return;
                }
            }
        }
        self.latency_us.saturating_record(micros(took));
    }

    pub fn late(&mut self, by: Duration) {
        self.behind_us_max = self.behind_us_max.max(micros(by));
    }

    pub fn allowed(&self) -> u64 {
        self.told.iter().map(|told| told.calls).sum()
    }

    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::{Error, Transport, TransportKind};
    use wire::json;

    const ROW: Row = Row { offset_us: 0, input_tokens: 1, output_tokens: 1 };
    const TOOK: Duration = Duration::from_micros(500);

    fn charge(credits: &str) -> Charge {
        let body = format!(
            r#"{{"id":"n1.1.1","charged":"{credits}","sources":[],"remaining":{{"at_least":"0","at_most":"0"}},"durability":"local","node":"n1","cycle":1}}"#
        );
        json::read(body.as_bytes()).unwrap()
    }

    fn problem(code: &str) -> Error {
        let body = format!(r#"{{"type":"t","title":"t","status":402,"detail":"d","code":"{code}"}}"#);
        Error::Problem(Box::new(json::read(body.as_bytes()).unwrap()))
    }

    fn transport(kind: TransportKind) -> Error {
        Error::Transport(Transport { node: "http://n1".into(), kind, detail: String::new() })
    }

    #[test]
    fn what_was_told_is_kept_apart_from_what_is_unknown() {
        let mut tally = Tally::new(2);
        tally.note(0, ROW, Ok(&charge("1.5")), TOOK);
        tally.note(1, ROW, Ok(&charge("0.000001")), TOOK);
        tally.note(1, ROW, Ok(&charge("0")), TOOK);
        tally.note(0, ROW, Err(&problem("exhausted")), TOOK);
        tally.note(0, ROW, Err(&problem("exhausted")), TOOK);
        tally.note(0, ROW, Err(&problem("outcome_unknown")), TOOK);
        tally.note(1, ROW, Err(&transport(TransportKind::TimedOut)), TOOK);
        tally.note(1, ROW, Err(&transport(TransportKind::Unreachable)), TOOK);
        assert_eq!(tally.told[0], Told { credits: "1.5".parse().unwrap(), calls: 1 });
        assert_eq!(tally.told[1], Told { credits: "0.000001".parse().unwrap(), calls: 2 });
        assert_eq!(tally.refused, BTreeMap::from([("exhausted".into(), 2), ("unreachable".into(), 1)]));
        assert_eq!(tally.unknown.iter().map(|unknown| unknown.user).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((tally.allowed(), tally.refusals()), (3, 3));
        assert_eq!(tally.latency_us.len(), 5, "only answers have a latency");
    }

    #[test]
    fn a_very_long_latency_is_a_minute() {
        let mut tally = Tally::new(1);
        tally.note(0, ROW, Ok(&charge("1")), Duration::from_secs(3_600));
        assert!(
            tally.latency_us.max() >= LATENCY_US_MAX && tally.latency_us.max() < LATENCY_US_MAX + 100_000
        );
    }
}
