//! Administrators who change things under fire: they allocate, move, raise, cut, limit, switch access, grant and void, at
//! whatever node, and ask again under the same key or id until they know. Not here: users (`users`), judging (`audit`).

use crate::told::{Seen, Told, WORKSPACES, user_name};
use crate::users::USERS;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::order::{Moment, Operation};
use tests::{Answer, Api, credits, micros, number, text};
use tokio::time::{Instant, timeout};

/// Users of the first workspace whose allocations are moved about and raised, and nothing else: their sums are exact.
pub const MOVERS: u16 = 8;
/// Those after them have their allocations set anew, cut and removed, by one administrator.
const CUT: std::ops::Range<u16> = 8..12;
/// What a mover has in the beginning.
pub const FIRST: u64 = 60_000_000;

const ANSWER_WITHIN: Duration = Duration::from_secs(12);
/// Whoever has waited for so long for the end of one command has found a bug.
const END_WITHIN: Duration = Duration::from_secs(90);

/// What an administrator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desk {
    /// Moves credits between movers.
    Move,
    /// Raises movers' allocations.
    Raise,
    /// Sets, cuts and removes allocations; limits.
    Cut,
    /// Grants where little is left; lets grants expire and voids them.
    Grant,
    /// Switches access, and moves people between teams: registers whose every value is known by its revision.
    Switch,
    /// Reads, so that what is read can be put in order with what was written.
    Read,
}

#[derive(Debug)]
pub struct Administrator {
    name: String,
    desk: Desk,
    apis: BTreeMap<u16, Api>,
    random: StdRng,
    told: Told,
    count: u64,
    /// Raises that were refused after an attempt of no known end.
    doubtful: Vec<(u16, u64, String)>,
}

/// The end of one command.
struct End {
    answer: Answer,
    /// An earlier attempt may still come to something.
    doubtful: bool,
    sent: Moment,
}

impl Administrator {
    pub fn new(name: String, desk: Desk, apis: BTreeMap<u16, Api>, seed: u64, told: &Told) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { name, desk, apis, random, told: told.clone(), count: 0, doubtful: Vec::new() }
    }

    /// Makes the pools, and the movers' allocations.
    pub async fn open(&mut self) {
        for (workspace, amount) in [(0, 2_000_000_000), (1, 300_000_000)] {
            let path = format!("/v1/workspaces/{}", WORKSPACES[workspace]);
            self.write("PUT", &path, "{}").await;
            self.grant(workspace, amount, None).await;
        }
        for user in 0..MOVERS {
            let body = format!(r#"{{"amount":"{}"}}"#, micros(FIRST));
            let path = format!("/v1/workspaces/acme/allocations/{}", user_name(user));
            let end = self.write("PUT", &path, &body).await.expect("nothing is wrong yet");
            assert_eq!(end.answer.status, 200, "{}", end.answer.text());
        }
    }

    /// Administers until all is over, and then makes sure of what is doubtful.
    pub async fn work(mut self) {
        while !self.told.is_over() {
            self.count += 1;
            let most_ms = match self.desk {
                Desk::Move => 60,
                Desk::Read => 100,
                Desk::Raise | Desk::Cut | Desk::Switch => 250,
                Desk::Grant => 500,
            };
            match self.desk {
                Desk::Move => self.reallocate().await,
                Desk::Raise => self.raise().await,
                Desk::Cut => self.cut().await,
                Desk::Grant => self.buy().await,
                Desk::Switch => self.switch().await,
                Desk::Read => self.look().await,
            }
            tokio::time::sleep(Duration::from_millis(self.random.random_range(0..most_ms))).await;
        }
        // Under the same key: now, if never before; once in any case.
        for (user, amount, key) in std::mem::take(&mut self.doubtful) {
            self.raise_once(user, amount, &key).await;
        }
    }

    async fn reallocate(&mut self) {
        let from = self.random.random_range(0..MOVERS);
        let to = (from + self.random.random_range(1..MOVERS)) % MOVERS;
        // Small ones, and such as take nearly everything somebody has.
        let most = if self.random.random() { 4_000_000 } else { FIRST };
        let amount = self.random.random_range(1..=most);
        let id = format!("{}-{}", self.name, self.count);
        let (from, to, amount) = (user_name(from), user_name(to), micros(amount));
        let body = format!(r#"{{"id":"{id}","from":"{from}","to":"{to}","amount":"{amount}"}}"#);
        self.told.record().reallocations.insert(id.clone(), false);
        let Some(end) = self.write("POST", "/v1/workspaces/acme/reallocations", &body).await else { return };
        match end.answer.status {
            200 | 202 => {
                let json = end.answer.json();
                let [asked, moved, pending, lapsed] =
                    ["asked", "moved", "pending", "lapsed"].map(|name| credits(&json[name]).micros());
                let mut record = self.told.record();
                record.reallocations.insert(id, true);
                record.were_pending += u64::from(pending > 0);
                if moved + pending + lapsed != asked || (end.answer.status == 202) != (pending > 0) {
                    record
                        .breaks(format!("asked = moved + pending + lapsed, 202 while it is pending: {json}"));
                }
            }
            402 => {}
            _ => self.unexpected(&end.answer),
        }
    }

    async fn raise(&mut self) {
        let user = self.random.random_range(0..MOVERS);
        let amount = self.random.random_range(1..=15_000_000);
        let key = format!("{}-{}", self.name, self.count);
        self.raise_once(user, amount, &key).await;
    }

    async fn raise_once(&mut self, user: u16, amount: u64, key: &str) {
        let path = format!("/v1/workspaces/acme/allocations/{}/adjust", user_name(user));
        let body = format!(r#"{{"delta":"{}"}}"#, micros(amount));
        let Some(end) = self.insist("POST", &path, key, &body).await else { return };
        match end.answer.status {
            200 | 202 => *self.told.record().raised.entry(user).or_default() += amount,
            402 if end.doubtful => self.doubtful.push((user, amount, key.into())),
            402 => {}
            _ => self.unexpected(&end.answer),
        }
    }

    async fn cut(&mut self) {
        let user = user_name(self.random.random_range(CUT));
        let path = format!("/v1/workspaces/acme/allocations/{user}");
        let amount = micros(self.random.random_range(0..60_000_000));
        let end = match self.random.random_range(0..10) {
            0 => self.write("DELETE", &path, "").await,
            1 => {
                let limit = format!("/v1/workspaces/acme/limits/{user}");
                self.write("PUT", &limit, r#"{"amount":null}"#).await
            }
            2 => {
                let limit = format!("/v1/workspaces/acme/limits/{user}");
                self.write("PUT", &limit, &format!(r#"{{"amount":"{amount}"}}"#)).await
            }
            3..6 => {
                self.write("PUT", &path, &format!(r#"{{"amount":"{amount}","overflow":"shared"}}"#)).await
            }
            _ => self.write("PUT", &path, &format!(r#"{{"amount":"{amount}","overflow":"none"}}"#)).await,
        };
        match end.map(|end| end.answer) {
            // Nothing is shared to raise it from; nothing is there to be removed.
            None => {}
            Some(answer) if [200, 202, 402, 404].contains(&answer.status) => {}
            Some(answer) => self.unexpected(&answer),
        }
    }

    async fn buy(&mut self) {
        let workspace = self.random.random_range(0..WORKSPACES.len());
        let path = format!("/v1/workspaces/{}", WORKSPACES[workspace]);
        let Some(answer) = self.read(&path).await else { return };
        let json = answer.json();
        let shared = credits(&json["shared"]).micros() + credits(&json["leased"]).micros();
        if shared < 60_000_000 {
            let amount = self.random.random_range(20_000_000..200_000_000);
            let expires = self.random.random_ratio(1, 3).then(|| {
                // As soon as people's patience ends; by whatever clock the nodes agree on.
                let now: jiff::Timestamp = text(&json["as_of"]["time"]).parse().expect("a time");
                let ms = self.random.random_range(1_500..20_000);
                (now + jiff::SignedDuration::from_millis(ms)).to_string()
            });
            self.grant(workspace, amount, expires).await;
        } else if self.random.random_ratio(1, 8) {
            let last = self.count.saturating_sub(self.random.random_range(1..6));
            let grant = format!("{path}/grants/{}-{last}", self.name);
            let end = self.write("DELETE", &grant, "").await;
            // It may be unknown, or back allocations that nothing else could.
            if let Some(answer) =
                end.map(|end| end.answer).filter(|a| ![200, 202, 404, 409].contains(&a.status))
            {
                self.unexpected(&answer);
            }
        }
    }

    async fn grant(&mut self, workspace: usize, amount: u64, expires: Option<String>) {
        let id = format!("{}-{}", self.name, self.count);
        let kind = if expires.is_some() { "promotion" } else { "pack" };
        let expires = expires.map_or(String::new(), |at| format!(r#","expires_at":"{at}""#));
        let body = format!(r#"{{"id":"{id}","kind":"{kind}","amount":"{}"{expires}}}"#, micros(amount));
        let path = format!("/v1/workspaces/{}/grants", WORKSPACES[workspace]);
        let sent = self.told.now();
        self.told.record().pools[workspace].timed.granted.push((sent, amount));
        let end = self.write("POST", &path, &body).await;
        // It may have come so late that it would have ended before it began.
        if let Some(answer) = end.map(|end| end.answer).filter(|a| ![201, 409, 422].contains(&a.status)) {
            self.unexpected(&answer);
        }
    }

    async fn switch(&mut self) {
        let workspace = self.random.random_range(0..WORKSPACES.len());
        // Not those whose sums are watched.
        let user = self.random.random_range(CUT.end..USERS[workspace]);
        let path = member(workspace, user);
        let access = self.random.random_ratio(3, 4);
        let team = format!("t-{}-{}", self.name, self.count);
        let body = match self.random.random_range(0..3) {
            0 => format!(r#"{{"ai_access":{access},"team":"{team}"}}"#),
            _ => format!(r#"{{"ai_access":true,"team":"{team}"}}"#),
        };
        let Some(end) = self.write("PUT", &path, &body).await else { return };
        if end.answer.status == 200 {
            self.saw(&path, end.sent, &end.answer, true);
        } else {
            self.unexpected(&end.answer);
        }
    }

    async fn look(&mut self) {
        let workspace = self.random.random_range(0..WORKSPACES.len());
        let path = format!("/v1/workspaces/{}", WORKSPACES[workspace]);
        match self.random.random_range(0..3) {
            0 => drop(self.read(&path).await),
            1 => {
                let user = self.random.random_range(CUT.end..USERS[workspace]);
                drop(self.read(&member(workspace, user)).await);
            }
            _ => {
                let user = user_name(self.random.random_range(0..CUT.end));
                drop(self.read(&format!("/v1/workspaces/acme/allocations/{user}")).await);
            }
        }
    }

    /// One attempt at one node: what is read is noted with its index.
    async fn read(&mut self, path: &str) -> Option<Answer> {
        let sent = self.told.now();
        let answer = self.attempt("GET", path, None, "").await?;
        *self.told.record().office.entry(format!("GET {}", answer.status)).or_default() += 1;
        if answer.status != 200 {
            return None;
        }
        self.saw(path, sent, &answer, false);
        Some(answer)
    }

    fn saw(&self, path: &str, sent: Moment, answer: &Answer, wrote: bool) {
        let (json, answered) = (answer.json(), self.told.now());
        let tag = answer.header("etag").unwrap_or_else(|| panic!("{path} has no ETag"));
        let revision = tag.trim_matches('"').parse().expect("a number");
        let is_member = path.contains("/members/");
        let value = is_member.then(|| format!("{} {}", json["ai_access"], json["team"]));
        let mut record = self.told.record();
        let of = format!("ETag of {path}");
        let operation = Operation { sent, answered, index: revision, wrote };
        record.seen.push(Seen { of, operation, value });
        if !json["as_of"].is_null() {
            let (of, index) = (format!("as_of of {path}"), number(&json["as_of"]["index"]));
            let operation = Operation { sent, answered, index, wrote: false };
            record.seen.push(Seen { of, operation, value: None });
        }
    }

    async fn write(&mut self, method: &str, path: &str, body: &str) -> Option<End> {
        self.count += 1;
        let key = format!("{}-{}", self.name, self.count);
        self.insist(method, path, &key, body).await
    }

    /// Asks one node after another until somebody says what became of it.
    async fn insist(&mut self, method: &str, path: &str, key: &str, body: &str) -> Option<End> {
        let (sent, give_up) = (self.told.now(), Instant::now() + END_WITHIN);
        let mut doubtful = false;
        loop {
            let answer = self.attempt(method, path, Some(key), body).await;
            let status = answer.as_ref().map_or(0, |answer| answer.status);
            let word = format!("{method} {status}");
            *self.told.record().office.entry(word).or_default() += 1;
            match answer {
                Some(answer) if status < 500 && status != 429 && answer.code() != "key_in_flight" => {
                    return Some(End { answer, doubtful, sent });
                }
                Some(answer) => doubtful |= answer.code() != "no_leader",
                None => doubtful = true,
            }
            if Instant::now() > give_up {
                let what = format!("{method} {path} {key} {body} has no end after {END_WITHIN:?}");
                self.told.record().breaks(what);
                return None;
            }
            tokio::time::sleep(Duration::from_millis(self.random.random_range(20..300))).await;
        }
    }

    async fn attempt(&mut self, method: &str, path: &str, key: Option<&str>, body: &str) -> Option<Answer> {
        let lost = self.told.record().lost.clone();
        let nodes: Vec<u16> = self.apis.keys().copied().filter(|node| !lost.contains_key(node)).collect();
        let node = nodes[self.random.random_range(0..nodes.len())];
        let header = key.map(|key| [("Idempotency-Key", key)]);
        let headers = header.as_ref().map_or(&[][..], |header| &header[..]);
        let body = (!body.is_empty()).then_some(body.as_bytes());
        let api = self.apis.get_mut(&node).expect("one of the nodes");
        let answer = timeout(ANSWER_WITHIN, api.send(method, path, headers, body)).await.ok()?.ok()?;
        if answer.status == 500 {
            self.unexpected(&answer);
        }
        Some(answer)
    }

    fn unexpected(&self, answer: &Answer) {
        let what = format!("{:?} is not answered {}: {}", self.desk, answer.status, answer.text());
        self.told.record().breaks(what);
    }
}

fn member(workspace: usize, user: u16) -> String {
    format!("/v1/workspaces/{}/members/{}", WORKSPACES[workspace], user_name(user))
}
