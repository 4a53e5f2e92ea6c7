//! What clients were told, with the moments they asked and heard, in the records of `testkit`; nobody in the system knows
//! this. Not here: what must follow from it (`audit`), asking (`users`, `office`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use testkit::checkers::Verdict;
use testkit::order::{Moment, Operation};
use testkit::timed::{Charge, Timed};
use testkit::told::{ChargeName, Told as Sums};
use tests::{Answer, Spent, credits, text};
use tokio::time::Instant;
use types::{Credits, DiskId, HolderId, IdempotencyKey, LineId, LineNumber, NodeId, UserId};

/// One pool with allocations that are moved about, one that everybody shares.
pub const WORKSPACES: [&str; 2] = ["acme", "globex"];

/// An answer that needs a recall round and another node takes no longer, where nothing is wrong.
const IN_TIME: Duration = Duration::from_secs(3);
/// Enough to be understood.
const BROKEN_MAX: usize = 20;

/// Who is charged: the place of the workspace in [`WORKSPACES`], and a user's number.
pub type Payer = (usize, u16);

pub fn user_name(user: u16) -> String {
    format!("u{user:02}")
}

pub fn user_id(user: u16) -> UserId {
    user_name(user).parse().expect("a valid id")
}

pub fn amount(micros: u64) -> Credits {
    Credits::from_micros(micros).expect("a small number")
}

/// A ledger's answer to an administrator that says how new it is.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The resource, or the pool.
    pub of: String,
    /// Its place is the revision of the ETag, or `as_of.index`. Moments are of the test's own clock, in microseconds.
    pub operation: Operation,
    /// What it was, where all of it is known by the index.
    pub value: Option<String>,
}

/// What one pool's clients were told. A consume is noted as asked for when its end is known, or known to be lost.
#[derive(Debug, Default)]
pub struct Pool {
    pub sums: Sums,
    pub timed: Timed,
}

#[derive(Debug, Default)]
pub struct Record {
    /// In the order of [`WORKSPACES`].
    pub pools: [Pool; 2],
    pub seen: Vec<Seen>,
    pub refused: BTreeMap<String, u64>,
    /// Reallocations that may have been done, and whether an answer said so.
    pub reallocations: BTreeMap<String, bool>,
    /// Raises that were done, by user of the first workspace.
    pub raised: BTreeMap<u16, u64>,
    /// Administrators' answers by method and status.
    pub office: BTreeMap<String, u64>,
    /// Keys that were answered again with the same bytes, and those first asked of another node in vain.
    pub repeated: u64,
    pub went_elsewhere: u64,
    pub were_pending: u64,
    /// Nodes whose disk is gone, and since when they surely do nothing any more.
    pub lost: BTreeMap<u16, Moment>,
    /// Sentences that turned out to be untrue.
    pub broken: Vec<String>,
}

impl Record {
    pub fn breaks(&mut self, what: String) {
        eprintln!("BROKEN: {what}");
        if self.broken.len() < BROKEN_MAX {
            self.broken.push(what);
        }
    }

    pub fn judge(&mut self, verdict: Verdict) {
        if let Err(broken) = verdict {
            self.breaks(format!("{}: {}", broken.sentence, broken.what));
        }
    }

    /// Asked for, and nobody knows what became of it.
    pub fn is_unknown(&mut self, (workspace, user): Payer, micros: u64) {
        self.pools[workspace].sums.asked(&user_id(user), amount(micros));
    }

    /// `excused`: what remembered the key is lost.
    pub fn charged(
        &mut self,
        (workspace, user): Payer,
        key: Option<&str>,
        paid: &Paid,
        (sent, answered): (Moment, Moment),
        excused: bool,
    ) {
        let (Pool { sums, timed }, user) = (&mut self.pools[workspace], user_id(user));
        let (name, micros) = (paid.name(), paid.micros);
        let key = key.map(|key| IdempotencyKey::parse(key).expect("a valid key"));
        let again = key.map_or(Ok(false), |key| sums.keyed(&user, &key, name, excused));
        if again == Ok(true) {
            return;
        }
        sums.asked(&user, amount(micros));
        let verdict = again.and_then(|_| sums.charged(&user, name, amount(micros)));
        timed.charges.push(Charge { user, name, micros, sent, answered });
        self.judge(verdict);
    }

    pub fn acknowledged(&self) -> usize {
        self.pools.iter().map(|pool| pool.sums.count()).sum()
    }

    /// Consumes of no known end.
    pub fn unknown(&self) -> u64 {
        let of = |pool: &Pool| -> u64 {
            pool.sums.asked_by_user.keys().map(|user| pool.sums.of_no_known_end(user)).sum()
        };
        self.pools.iter().map(of).sum()
    }
}

/// Clones are the same.
#[derive(Clone, Debug)]
pub struct Told {
    start: Instant,
    record: Arc<Mutex<Record>>,
    over: Arc<AtomicBool>,
    calm: Arc<AtomicBool>,
}

impl Told {
    pub fn new() -> Self {
        Self { start: Instant::now(), record: Arc::default(), over: Arc::default(), calm: Arc::default() }
    }

    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("nothing panics holding it")
    }

    pub fn now(&self) -> Moment {
        u64::try_from(self.start.elapsed().as_micros()).expect("a short test")
    }

    /// Nobody begins anything any more.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Nothing is wrong any more: from here on everybody is answered, and in time.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Liveness. `was_calm`: when it was asked. A refusal that says why is an answer.
    pub fn must_be_served(&self, was_calm: bool, asked: Moment, what: &str, code: Option<&str>) {
        let is_no_answer = code.is_some_and(|code| !is_decided(code));
        let took = Duration::from_micros(self.now() - asked);
        if was_calm && (is_no_answer || took > IN_TIME) {
            self.record()
                .breaks(format!("once all is well everybody is served: {what}: {code:?} after {took:?}"));
        }
    }
}

/// An answer about the user's means; asking again changes nothing.
pub fn is_final(code: &str) -> bool {
    ["exhausted", "allocation_exhausted", "limit_reached", "access_disabled"].contains(&code)
}

/// Somebody knows what becomes of it.
pub fn is_decided(code: &str) -> bool {
    is_final(code) || code == "key_in_flight"
}

/// A charge as an answer tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    pub node: u16,
    pub line: u64,
    pub sequence: u64,
    pub micros: u64,
    /// What the same key must be answered again, to the byte.
    pub bytes: String,
}

impl Paid {
    /// An id names the node. No node that lives has had another disk.
    pub fn name(&self) -> ChargeName {
        let holder = HolderId { node: NodeId(self.node), disk: DiskId(0) };
        (LineId { holder, number: LineNumber(self.line) }, self.sequence)
    }
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Paid(Paid),
    /// Surely not done by this attempt.
    Refused(String),
    /// It may be done, or still be.
    Unknown(String),
}

impl Outcome {
    /// `None`: charged.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Paid(_) => None,
            Self::Refused(code) | Self::Unknown(code) => Some(code),
        }
    }

    pub fn of(answer: Answer) -> Self {
        let code = answer.code();
        match Spent::of(answer) {
            Spent::Allowed { charged, bytes, .. } => Self::paid(charged, bytes),
            // It is the same command that is being decided.
            Spent::Refused { .. } if code == "key_in_flight" => Self::Unknown(code),
            Spent::Refused { .. } => Self::Refused(code),
            Spent::Unknown => Self::Unknown(code),
        }
    }

    fn paid(charged: Credits, bytes: Vec<u8>) -> Self {
        let bytes = String::from_utf8(bytes).expect("JSON is text");
        let json: serde_json::Value = serde_json::from_str(&bytes).expect("JSON");
        assert_eq!(credits(&json["charged"]), charged);
        let id = text(&json["id"]);
        let parts: Option<Vec<u64>> =
            id.trim_start_matches('n').split('.').map(|part| part.parse().ok()).collect();
        let Some(&[node, line, sequence]) = parts.as_deref() else { panic!("no charge id: {id}") };
        let node = u16::try_from(node).expect("a small number");
        assert_eq!(text(&json["node"]), format!("n{node}"), "a charge's id names who decided: {json}");
        Self::Paid(Paid { node, line, sequence, micros: charged.micros(), bytes })
    }
}
