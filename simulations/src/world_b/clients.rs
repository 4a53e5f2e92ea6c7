//! Users who spend and administrators who change things meanwhile, as a platform's backend would ask: over HTTP, with
//! deadlines, with retries under the same key or id. Not here: what they ask for (`load`).

use crate::chance::{Stream, stream};
use crate::clock::TrueTime;
use crate::crossings::Crossing;
use crate::world_b::BEGINNING;
use crate::world_b::again::{self, Answered};
use crate::world_b::http::{Answer, Ask, Http, Silence};
use crate::world_b::load::{Change, Load, Timed};
use crate::world_b::machine::{API_PORT, Addresses, Machine};
use crate::world_b::told::{ChargeId, Spend, Told};
use hyper::Method;
use rand::Rng;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use testkit::checkers::Broken;
use types::{Credits, GrantId, IdempotencyKey, UserId, WorkspaceId};

/// What all clients know.
#[derive(Clone, Debug)]
pub struct Office {
    pub seed: u64,
    pub load: Load,
    /// To see which of them run, which no client can.
    pub machines: Vec<Arc<Machine>>,
    pub addresses: Addresses,
    pub told: Told,
    pub truth: TrueTime,
    /// No fault takes what was told and not synced.
    pub keys_stay: bool,
    /// Nothing is wrong any more from here on: everybody is answered, and in time.
    pub calm_ms: u64,
    /// Nobody begins anything after this.
    pub until_ms: u64,
}

/// An answer that needs a recall round and another node takes no longer, where nothing is wrong.
pub const IN_TIME_MS: u64 = 3_000;

const PATIENCE: Duration = Duration::from_secs(12);
/// A command whose outcome is unknown is asked again under its key or id for so long.
const PERSISTENCE_MS: u64 = 60_000;

#[must_use]
pub fn workspace_id(workspace: usize) -> String {
    format!("ws-{workspace}")
}

#[must_use]
pub fn user_id(user: usize) -> String {
    format!("u{user}")
}

fn amount(micros: u64) -> Credits {
    Credits::from_micros(micros).unwrap_or(Credits::MAX)
}

pub fn credits(micros: u64) -> String {
    amount(micros).to_string()
}

#[must_use]
pub fn workspace(workspace: usize) -> WorkspaceId {
    WorkspaceId::parse(&workspace_id(workspace)).expect("a valid id")
}

impl Office {
    /// Any node; once things are calm none that is known to be gone.
    pub(super) fn node(&self, chance: &mut Stream) -> SocketAddr {
        let mut index = chance.random_range(0..self.addresses.0.len());
        if self.truth.ms() >= self.calm_ms {
            let lost = self.told.record().lost.clone();
            while lost.contains(&index) {
                index = (index + 1) % self.addresses.0.len();
            }
        }
        SocketAddr::new(self.addresses.0[index], API_PORT)
    }

    pub(super) fn is_over(&self) -> bool {
        self.truth.ms() >= self.until_ms
    }

    /// Asks one node after another until somebody says what became of it.
    async fn insist(&self, http: &mut Http, chance: &mut Stream, ask: &Ask) -> Option<Answer> {
        let end = self.truth.ms() + PERSISTENCE_MS;
        while self.truth.ms() < end {
            let to = self.node(chance);
            match http.ask(to, ask, PATIENCE).await {
                // 503 of an administrator's write, as of a key: ask again, it is the same command.
                Ok(answer) if answer.status < 500 && code(&answer) != "key_in_flight" => return Some(answer),
                Ok(_) | Err(Silence(_)) => {}
            }
            tokio::time::sleep(Duration::from_millis(chance.random_range(50..500))).await;
        }
        None
    }

    /// Makes the pools. Faults wait for it.
    pub async fn open(&self) {
        let (mut http, mut chance) = (Http::default(), stream(self.seed, "office"));
        for workspace in 0..self.load.workspaces {
            let path = format!("/v1/workspaces/{}", workspace_id(workspace));
            let put = Ask { method: Method::PUT, path: path.clone(), key: None, body: Some("{}".into()) };
            let grant =
                format!(r#"{{"id":"first","kind":"plan","amount":"{}"}}"#, credits(self.load.granted));
            let grant =
                Ask { method: Method::POST, path: format!("{path}/grants"), key: None, body: Some(grant) };
            self.change(&mut http, &mut chance, workspace, put).await;
            self.grant(&mut http, &mut chance, workspace, "first", self.load.granted, grant).await;
        }
    }

    /// Changes something, and notes where that stands among all changes.
    pub(super) async fn change(
        &self,
        http: &mut Http,
        chance: &mut Stream,
        at: usize,
        ask: Ask,
    ) -> Option<Answer> {
        let begun = self.told.record().pool(&workspace(at)).order.begin();
        let answer = self.insist(http, chance, &ask).await;
        self.note(&ask, answer.as_ref());
        // What is voided may have ended before; anything else that is answered with a revision was given a new one.
        if let Some(Answer { status: 200..300, revision: Some(revision), .. }) = answer
            && ask.method != Method::DELETE
        {
            let mut record = self.told.record();
            let verdict = record.pool(&workspace(at)).order.wrote(begun, revision);
            record.judge(verdict);
        }
        answer
    }

    pub(super) async fn grant(
        &self,
        http: &mut Http,
        chance: &mut Stream,
        at: usize,
        id: &str,
        micros: u64,
        ask: Ask,
    ) {
        let (id, micros) = (GrantId::parse(id).expect("a valid id"), amount(micros).micros());
        {
            let mut record = self.told.record();
            let pool = record.pool(&workspace(at));
            pool.grants_asked.insert(id.clone(), micros);
            pool.timed.granted.push((self.truth.ms(), micros));
        }
        let answer = self.change(http, chance, at, ask).await;
        if answer.is_some_and(|answer| answer.status == 201) {
            self.told.record().pool(&workspace(at)).grants_made.insert(id, micros);
        }
    }

    pub(super) fn note(&self, ask: &Ask, answer: Option<&Answer>) {
        let status = answer.map(|answer| answer.status);
        let code = answer.map(code).unwrap_or_default();
        tracing::info!(target: "film", path = ask.path, body = ask.body, key = ask.key, status, code, "asked");
        let mut record = self.told.record();
        record.operations += 1;
        record.no_answer += u64::from(answer.is_none());
        if ask.path.ends_with("/consume") {
            if !code.is_empty() {
                *record.refusals.entry(code.clone()).or_default() += 1;
            }
            if code == "storage_unavailable" {
                record.seen.saw(Crossing::StorageIsFull);
            }
        } else {
            record.changes += 1;
            record.changes_refused += u64::from(!code.is_empty());
            if status == Some(202) {
                record.seen.saw(Crossing::ReallocationLeavesPending);
            }
        }
    }

    /// One user of one workspace.
    pub async fn spend(self, workspace: usize, user: usize) {
        let name = format!("user {workspace}.{user}");
        let (mut http, mut chance) = (Http::default(), stream(self.seed, &name));
        let (ws, who) = (workspace_id(workspace), user_id(user));
        let path = format!("/v1/workspaces/{ws}/consume");
        let mut sticky = self.node(&mut chance);
        let stickiness = chance.random_range(0..=1_000);
        let mut number = 0_u64;
        while !self.is_over() {
            let rest = chance.random_range(0..=self.load.every_ms * 2);
            tokio::time::sleep(Duration::from_millis(rest)).await;
            number += 1;
            let micros = chance.random_range(1..=self.load.price_max);
            let micros =
                if chance.random_bool(0.7) { micros.div_ceil(1_000_000) * 1_000_000 } else { micros };
            let draw = chance.random_range(0..1_000);
            let durability = if draw < self.load.disk {
                r#","durability":"disk""#
            } else if draw < self.load.disk + self.load.quorum {
                r#","durability":"quorum""#
            } else {
                ""
            };
            let keyed = chance.random_range(0..1_000) < self.load.keyed;
            let body =
                format!(r#"{{"user":"{who}","feature":"chat","amount":"{}"{durability}}}"#, credits(micros));
            let key = keyed.then(|| format!("{who}-{number}"));
            let ask = Ask { method: Method::POST, path: path.clone(), key, body: Some(body) };
            if self.truth.ms() >= self.calm_ms {
                sticky = self.node(&mut chance);
            }
            let to = if chance.random_range(0..1_000) < stickiness { sticky } else { self.node(&mut chance) };
            let spend = Spend {
                workspace: WorkspaceId::parse(&ws).expect("a valid id"),
                user: UserId::parse(&who).expect("a valid id"),
                key: ask.key.as_ref().map(|key| IdempotencyKey::parse(key).expect("a valid key")),
                price: amount(micros),
                sent: self.truth.ms(),
                doubtful: false,
                asked_anew: false,
            };
            self.consume(&mut http, &mut chance, to, spend, &ask).await;
        }
    }

    async fn consume(
        &self,
        http: &mut Http,
        chance: &mut Stream,
        first: SocketAddr,
        mut spend: Spend,
        ask: &Ask,
    ) {
        self.told.record().asks(&spend);
        let end = self.truth.ms() + PERSISTENCE_MS;
        let (mut to, mut asked) = (first, 0);
        loop {
            let asked_ms = self.truth.ms();
            let answer = http.ask(to, ask, PATIENCE).await;
            self.must_be_served(&spend, asked_ms, to, &answer);
            let answer = answer.ok();
            if !self.is_excused(asked_ms, to) && answer.as_ref().is_some_and(|a| code(a) == "exhausted") {
                let refused = (spend.workspace.clone(), spend.price.micros());
                self.told.record().exhausted.push(refused);
            }
            self.note(ask, answer.as_ref());
            asked += 1;
            let is_settled = match &answer {
                Some(answer) if answer.status == 200 => {
                    self.keep(ask, answer);
                    return self.charged(&spend, answer);
                }
                Some(answer) if answer.status < 500 => code(answer) != "key_in_flight",
                Some(answer) => ask.key.is_none() && code(answer) != "outcome_unknown",
                None => false,
            };
            if is_settled {
                return self.told.record().refused(&spend);
            }
            // Without a key it may not be asked again; with one it is asked until it is known.
            if ask.key.is_none() || self.truth.ms() >= end {
                return;
            }
            spend.doubtful = true;
            tokio::time::sleep(Duration::from_millis(chance.random_range(20..1_000))).await;
            self.told.record().asks_again(&mut spend);
            let before = to;
            if asked > 1 || chance.random_bool(0.5) {
                to = self.node(chance);
            }
            let home_is_away = answer.as_ref().is_some_and(|answer| code(answer) == "home_unreachable");
            if home_is_away && to != before && self.home_is_down(&spend, to) {
                self.told.record().seen.saw(Crossing::KeyRetriedElsewhereWhileHomeIsDown);
            }
        }
    }

    /// Whether no process runs at the home of this user, and this is not where it would.
    fn home_is_down(&self, spend: &Spend, to: SocketAddr) -> bool {
        let home = &self.machines[Machine::home(self.machines.len(), &spend.workspace, &spend.user)];
        // Of a lost disk it may be another one by now.
        home.running().is_none() && home.ip() != to.ip() && !self.told.record().lost.contains(&home.index)
    }

    /// Whether silence means nothing: something may still be wrong, or is there for good.
    pub(super) fn is_excused(&self, asked_ms: u64, to: SocketAddr) -> bool {
        let lost = self.told.record().lost.clone();
        asked_ms < self.calm_ms || lost.iter().any(|node| self.addresses.0[*node] == to.ip())
    }

    /// Liveness: once nothing is wrong every consume is decided, and in time.
    pub(super) fn must_be_served(
        &self,
        spend: &Spend,
        asked_ms: u64,
        to: SocketAddr,
        answer: &Result<Answer, Silence>,
    ) {
        if self.is_excused(asked_ms, to) {
            return;
        }
        let took_ms = self.truth.ms() - asked_ms;
        let what = match answer {
            Ok(answer) if answer.status < 500 && took_ms <= IN_TIME_MS => return,
            Ok(answer) => {
                let text = String::from_utf8_lossy(&answer.body);
                format!("{to} took {took_ms} ms to answer {} {text}", answer.status)
            }
            Err(Silence(why)) => format!("{to} was silent: {why}"),
        };
        let what = format!("{}: {what}", spend.workspace);
        self.told.record().broken.push(Broken { sentence: "once all is well everybody is served", what });
    }

    fn keep(&self, ask: &Ask, answer: &Answer) {
        if ask.key.is_some() {
            let answered = &mut self.told.record().answered;
            answered.push_back(Answered { ask: ask.clone(), answer: answer.clone() });
            if answered.len() > again::KEPT {
                answered.pop_front();
            }
        }
    }

    pub(super) fn charged(&self, spend: &Spend, answer: &Answer) {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let id = body["id"].as_str().and_then(ChargeId::parse);
        let charged = body["charged"].as_str().and_then(|text| text.parse::<Credits>().ok());
        let mut record = self.told.record();
        match (id, charged) {
            (Some(id), Some(charged)) => record.charged(spend, id, charged, self.truth.ms()),
            _ => {
                let what = format!("{spend:?} was answered {body}");
                record.broken.push(Broken { sentence: "a charge has an id and an amount", what });
            }
        }
    }

    /// The administrator of all pools: one change after the other, none of them before its time.
    pub async fn administer(self) {
        let (mut http, mut chance) = (Http::default(), stream(self.seed, "administrator"));
        for (number, Timed { at_ms, workspace, change }) in self.load.changes.iter().enumerate() {
            let rest = at_ms.saturating_sub(self.truth.ms());
            tokio::time::sleep(Duration::from_millis(rest)).await;
            if self.is_over() {
                return;
            }
            let ask = self.request(*workspace, number, change);
            if let Change::Grant { amount, .. } = change {
                let id = format!("g{number}");
                self.grant(&mut http, &mut chance, *workspace, &id, *amount, ask).await;
            } else {
                self.change(&mut http, &mut chance, *workspace, ask).await;
            }
        }
    }

    /// Declares lost what is lost, sooner or later.
    pub async fn operate(self) {
        let (mut http, mut chance) = (Http::default(), stream(self.seed, "operator"));
        let mode = if chance.random_bool(0.5) { "charge" } else { "credit" };
        let mut forgotten = BTreeSet::new();
        while !self.is_over() {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let lost = self.told.record().lost.clone();
            for node in lost.into_iter().filter(|node| forgotten.insert(*node)).collect::<Vec<_>>() {
                tokio::time::sleep(Duration::from_millis(chance.random_range(0..5_000))).await;
                let path = format!("/v1/nodes/n{}/forget", node + 1);
                let body = Some(format!(r#"{{"mode":"{mode}"}}"#));
                let ask = Ask { method: Method::POST, path, key: None, body };
                // A node that still answers is not forgotten (409): the operator sees to it and asks again.
                let mut to = node;
                loop {
                    to = (to + 1) % self.addresses.0.len();
                    let there = SocketAddr::new(self.addresses.0[to], API_PORT);
                    let answer = http.ask(there, &ask, Duration::from_secs(2)).await.ok();
                    self.note(&ask, answer.as_ref());
                    if answer.is_some_and(|answer| answer.status == 200) || self.is_over() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    fn request(&self, workspace: usize, number: usize, change: &Change) -> Ask {
        let base = format!("/v1/workspaces/{}", workspace_id(workspace));
        let key = Some(format!("change-{number}"));
        let with =
            |method, path: String, body: String| Ask { method, path, key: key.clone(), body: Some(body) };
        match change {
            Change::Grant { amount, lasts_ms } => {
                let ends = lasts_ms.map_or(String::new(), |lasts| {
                    let at = self.truth.ms() + lasts;
                    format!(r#","expires_at":"{}""#, rfc3339(at))
                });
                let body =
                    format!(r#"{{"id":"g{number}","kind":"pack","amount":"{}"{ends}}}"#, credits(*amount));
                Ask { key: None, ..with(Method::POST, format!("{base}/grants"), body) }
            }
            Change::Allocate { user, amount, overflow } => {
                let overflow = if *overflow { "shared" } else { "none" };
                let body = format!(r#"{{"amount":"{}","overflow":"{overflow}"}}"#, credits(*amount));
                with(Method::PUT, format!("{base}/allocations/{}", user_id(*user)), body)
            }
            Change::Adjust { user, up, by } => {
                let sign = if *up { "" } else { "-" };
                let body = format!(r#"{{"delta":"{sign}{}"}}"#, credits(*by));
                with(Method::POST, format!("{base}/allocations/{}/adjust", user_id(*user)), body)
            }
            Change::Move { from, to, amount } => {
                let (from, to) = (user_id(*from), user_id(*to));
                let amount = credits(*amount);
                let body = format!(r#"{{"id":"m{number}","from":"{from}","to":"{to}","amount":"{amount}"}}"#);
                Ask { key: None, ..with(Method::POST, format!("{base}/reallocations"), body) }
            }
            Change::Limit { user, amount } => {
                let body = format!(r#"{{"amount":"{}","window":"cycle"}}"#, credits(*amount));
                with(Method::PUT, format!("{base}/limits/{}", user_id(*user)), body)
            }
            Change::Access { user, on } => {
                let body = format!(r#"{{"ai_access":{on}}}"#);
                with(Method::PUT, format!("{base}/members/{}", user_id(*user)), body)
            }
            Change::Release { user } => Ask {
                method: Method::DELETE,
                path: format!("{base}/allocations/{}", user_id(*user)),
                key,
                body: None,
            },
            Change::Void { grant } => {
                // Of the grants that changes make, by their numbers; the first of all stays.
                let id = format!("g{}", number.saturating_sub(*grant + 1));
                Ask { method: Method::DELETE, path: format!("{base}/grants/{id}"), key, body: None }
            }
        }
    }
}

pub(super) fn code(answer: &Answer) -> String {
    if answer.status < 400 {
        return String::new();
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["code"].as_str().unwrap_or("?").to_owned()
}

/// An instant `ms` after the simulation's beginning, within its first day.
fn rfc3339(ms: u64) -> String {
    debug_assert_eq!(BEGINNING.millis() % 86_400_000, 0, "the simulation begins at midnight");
    let (s, ms) = (ms / 1_000, ms % 1_000);
    let (day, s) = (1 + s / 86_400, s % 86_400);
    format!("2026-01-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", s / 3_600, s / 60 % 60, s % 60)
}
