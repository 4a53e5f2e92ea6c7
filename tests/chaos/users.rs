//! Users who spend: with and without keys, one by one and in batches, at every durability; who asks again under a key
//! asks whatever node. Not here: administrators (`office`), what must follow (`audit`).

use crate::told::{Outcome, Paid, Payer, Told, WORKSPACES, amount, is_decided, is_final, user_name};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use testkit::order::Moment;
use testkit::told::a_consume_charges_its_price;
use tests::{Answer, Api, Lost, NOT_SENT, micros, number};
use tokio::time::timeout;

/// Users of each workspace.
pub const USERS: [u16; 2] = [20, 30];
/// Asks whether anybody is served; a user of both.
const PROBER: u16 = 99;
/// Longer than a node takes to answer anything.
const ANSWER_WITHIN: Duration = Duration::from_secs(12);
/// Keyed consumes of no known end that a client has at most before it begins others.
const OPEN_MAX: usize = 12;
const DONE_MAX: usize = 40;
/// In place of a code: the connection broke, or nobody answered in time.
const NO_ANSWER: &str = "no_answer";
const BATCH_MAX: usize = 120;
/// Whoever has waited for so long for the end of one command has found a bug.
const END_WITHIN: Duration = Duration::from_secs(60);
const REST_MS: u64 = 24;

/// One consume, over all its attempts.
#[derive(Clone, Debug)]
struct Order {
    payer: Payer,
    micros: u64,
    key: Option<String>,
    durability: Option<&'static str>,
    sent: Moment,
    /// Attempts whose end nobody told: a later refusal does not say that they came to nothing.
    doubtful: bool,
    /// The home was away when it was first asked.
    missed_home: bool,
}

#[derive(Debug)]
pub struct Client {
    name: String,
    /// The node it asks most of the time.
    own: u16,
    apis: BTreeMap<u16, Api>,
    batches: bool,
    random: StdRng,
    told: Told,
    keys: u64,
    open: VecDeque<Order>,
    done: VecDeque<(Order, Paid)>,
}

impl Client {
    pub fn new(
        name: String,
        own: u16,
        apis: BTreeMap<u16, Api>,
        batches: bool,
        seed: u64,
        told: &Told,
    ) -> Self {
        Self {
            name,
            own,
            apis,
            batches,
            random: StdRng::seed_from_u64(seed),
            told: told.clone(),
            keys: 0,
            open: VecDeque::new(),
            done: VecDeque::new(),
        }
    }

    /// Spends until all is over, then asks for the end of what is open.
    pub async fn spend(mut self) {
        let mut is_calm = false;
        while !self.told.is_over() {
            if self.told.is_calm() && !std::mem::replace(&mut is_calm, true) {
                // Those to processes that were killed meanwhile tell nothing about the ones that live.
                self.apis.values_mut().for_each(Api::hang_up);
            }
            self.step().await;
            let rest = self.random.random_range(0..REST_MS);
            tokio::time::sleep(Duration::from_millis(if self.batches { 4 * rest } else { rest })).await;
        }
        let end = tokio::time::Instant::now() + END_WITHIN;
        while !self.open.is_empty() {
            self.ask_again().await;
            if tokio::time::Instant::now() > end {
                let open = format!("{}: no end of {:?} for {END_WITHIN:?}", self.name, self.open);
                return self.told.record().breaks(open);
            }
        }
    }

    /// The least there is, with a key and without; answers the codes of those that were not decided.
    pub async fn probe(&mut self, node: u16, workspace: usize) -> Vec<String> {
        let mut undecided = Vec::new();
        for keyed in [false, true] {
            let order = Order { payer: (workspace, PROBER), micros: 1, ..self.order(Some(keyed)) };
            let outcome = self.attempt(node, &order).await;
            undecided.extend(outcome.code().filter(|code| !is_final(code)).map(String::from));
            // Nobody asks for the end of a probe.
            if self.settle(&order, outcome).is_none() && self.open.pop_back().is_some() {
                self.told.record().is_unknown(order.payer, order.micros);
            }
        }
        undecided
    }

    async fn step(&mut self) {
        let dice = self.random.random_range(0..100);
        if self.open.len() >= OPEN_MAX || (!self.open.is_empty() && dice < 30) {
            self.ask_again().await;
        } else if self.batches {
            self.batch().await;
        } else if dice < 36 && !self.done.is_empty() {
            self.repeat().await;
        } else if dice < 40 {
            self.twins().await;
        } else {
            let order = self.order(None);
            let node = self.node();
            self.ask(node, order).await;
        }
    }

    fn order(&mut self, keyed: Option<bool>) -> Order {
        let workspace = self.random.random_range(0..WORKSPACES.len());
        let user = self.random.random_range(0..USERS[workspace]);
        // Few are large, so that many are acknowledged and pools run dry all the same.
        let most = match self.random.random_range(0..100) {
            0..70 => 20_000,
            70..97 => 500_000,
            _ => 5_000_000,
        };
        let durability = match self.random.random_range(0..100) {
            0..70 => None,
            70..80 => Some("local"),
            80..95 => Some("disk"),
            _ => Some("quorum"),
        };
        let keyed = keyed.unwrap_or_else(|| self.random.random_ratio(2, 5));
        self.keys += u64::from(keyed);
        Order {
            payer: (workspace, user),
            micros: self.random.random_range(1..=most),
            key: keyed.then(|| format!("{}-{}", self.name, self.keys)),
            durability,
            sent: self.told.now(),
            doubtful: false,
            missed_home: false,
        }
    }

    fn node(&mut self) -> u16 {
        if self.random.random_ratio(3, 4) && !self.told.record().lost.contains_key(&self.own) {
            return self.own;
        }
        self.another()
    }

    /// Any node that is not lost for ever.
    fn another(&mut self) -> u16 {
        let lost = self.told.record().lost.clone();
        let nodes: Vec<u16> = self.apis.keys().copied().filter(|node| !lost.contains_key(node)).collect();
        nodes[self.random.random_range(0..nodes.len())]
    }

    async fn ask(&mut self, node: u16, order: Order) {
        let outcome = self.attempt(node, &order).await;
        let must_rest = !matches!(outcome, Outcome::Paid(_));
        if let Some(paid) = self.settle(&order, outcome)
            && order.key.is_some()
        {
            self.done.push_back((order, paid));
            if self.done.len() > DONE_MAX {
                self.done.pop_front();
            }
        }
        if must_rest {
            self.rest().await;
        }
    }

    /// Whoever finds a node dead does not ask at once again.
    async fn rest(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.random.random_range(10..60))).await;
    }

    /// What has no end yet, at whatever node.
    async fn ask_again(&mut self) {
        let node = self.another();
        let Some(order) = self.open.pop_front() else { return };
        if !self.batches {
            return self.ask(node, order).await;
        }
        let workspace = order.payer.0;
        let (mut orders, mut others) = (vec![order], VecDeque::new());
        for order in self.open.drain(..) {
            if order.payer.0 == workspace && orders.len() < BATCH_MAX {
                orders.push(order);
            } else {
                others.push_back(order);
            }
        }
        self.open = others;
        self.ask_all(node, workspace, orders).await;
    }

    async fn attempt(&mut self, node: u16, order: &Order) -> Outcome {
        let api = self.apis.get_mut(&node).expect("one of the nodes");
        attempt(api, node, order, &self.told).await
    }

    /// Notes what became of it; what is keyed and has no end yet stays with the client.
    fn settle(&mut self, order: &Order, outcome: Outcome) -> Option<Paid> {
        match outcome {
            Outcome::Paid(paid) => {
                self.note(order, &paid, false);
                return Some(paid);
            }
            Outcome::Unknown(_) if order.key.is_some() => {
                self.open.push_back(Order { doubtful: true, ..order.clone() });
            }
            Outcome::Unknown(_) => self.told.record().is_unknown(order.payer, order.micros),
            Outcome::Refused(code) => {
                if order.key.is_some() && !is_final(&code) {
                    let missed_home = order.missed_home || code == "home_unreachable";
                    self.open.push_back(Order { missed_home, ..order.clone() });
                } else if order.doubtful {
                    self.told.record().is_unknown(order.payer, order.micros);
                }
                *self.told.record().refused.entry(code).or_default() += 1;
            }
        }
        None
    }

    fn note(&mut self, order: &Order, paid: &Paid, excused: bool) {
        let answered = self.told.now();
        let mut record = self.told.record();
        record.judge(a_consume_charges_its_price(amount(order.micros), amount(paid.micros)));
        record.went_elsewhere += u64::from(order.missed_home);
        // An attempt at a node whose disk was lost since may have been charged there as well.
        if order.doubtful && record.lost.values().any(|since| order.sent < *since) {
            record.is_unknown(order.payer, order.micros);
        }
        record.charged(order.payer, order.key.as_deref(), paid, (order.sent, answered), excused);
    }

    /// The same key again, anywhere: the same bytes.
    async fn repeat(&mut self) {
        let at = self.random.random_range(0..self.done.len());
        let (order, paid) = self.done[at].clone();
        if self.told.record().lost.contains_key(&paid.node) {
            self.done.remove(at);
            return;
        }
        let node = self.another();
        let outcome = self.attempt(node, &order).await;
        self.same(&order, &paid, &outcome);
    }

    fn same(&mut self, order: &Order, paid: &Paid, outcome: &Outcome) {
        // Its keys went with its disk; that is said in the README.
        let is_lost = self.told.record().lost.contains_key(&paid.node);
        match outcome {
            Outcome::Paid(again) if again == paid => self.told.record().repeated += 1,
            Outcome::Paid(again) if is_lost || again.name() != paid.name() => {
                self.note(&Order { doubtful: false, ..order.clone() }, again, is_lost);
            }
            Outcome::Paid(again) => {
                let what = format!("S7 one key, the same bytes: {order:?}: {paid:?}, then {again:?}");
                self.told.record().breaks(what);
            }
            Outcome::Unknown(_) if is_lost => self.told.record().is_unknown(order.payer, order.micros),
            Outcome::Unknown(_) | Outcome::Refused(_) => {}
        }
    }

    /// One key at two nodes at once: one charge.
    async fn twins(&mut self) {
        let mut order = self.order(Some(true));
        let first = self.node();
        let second = self.another();
        let Some(mut api) = (first != second).then(|| self.apis.remove(&second)).flatten() else {
            return self.ask(first, order).await;
        };
        let told = self.told.clone();
        let (one, two) = tokio::join!(self.attempt(first, &order), attempt(&mut api, second, &order, &told));
        self.apis.insert(second, api);
        let (one, two) = if matches!(one, Outcome::Paid(_)) { (one, two) } else { (two, one) };
        // While nobody has told its end, the other attempt may still come to something.
        order.doubtful = matches!(two, Outcome::Unknown(_));
        if let Some(paid) = self.settle(&order, one) {
            self.same(&order, &paid, &two);
        }
        self.rest().await;
    }

    /// Many at once; each is decided by itself.
    async fn batch(&mut self) {
        let keyed = self.random.random_ratio(1, 3);
        let workspace = self.random.random_range(0..WORKSPACES.len());
        let mut orders: Vec<Order> = (0..2 * BATCH_MAX).map(|_| self.order(Some(keyed))).collect();
        orders.retain(|order| order.payer.0 == workspace);
        orders.truncate(self.random.random_range(1..=BATCH_MAX));
        let node = self.node();
        self.ask_all(node, workspace, orders).await;
    }

    async fn ask_all(&mut self, node: u16, workspace: usize, orders: Vec<Order>) {
        let items: Vec<String> = orders.iter().map(item).collect();
        let body = format!(r#"{{"items":[{}]}}"#, items.join(","));
        let path = format!("/v1/workspaces/{}/consume/batch", WORKSPACES[workspace]);
        let api = self.apis.get_mut(&node).expect("one of the nodes");
        let (was_calm, asked) = (self.told.is_calm(), self.told.now());
        let sent = timeout(ANSWER_WITHIN, api.send("POST", &path, &[], Some(body.as_bytes()))).await;
        let outcomes = match sent {
            Ok(Ok(answer)) if answer.status == 200 => outcomes_of(&answer, &self.told),
            Ok(Ok(answer)) => vec![outcome_of(answer, &self.told); orders.len()],
            Ok(Err(Lost::NotSent(_))) => vec![Outcome::Refused(NOT_SENT.into()); orders.len()],
            Ok(Err(Lost::Unknown(_))) | Err(_) => vec![Outcome::Unknown(NO_ANSWER.into()); orders.len()],
        };
        assert_eq!(outcomes.len(), orders.len(), "one answer for each item");
        let unserved = outcomes.iter().filter_map(Outcome::code).find(|code| !is_decided(code));
        self.told.must_be_served(was_calm, asked, &format!("a batch at n{node}"), unserved);
        for (order, outcome) in orders.iter().zip(outcomes) {
            self.settle(order, outcome);
        }
    }
}

fn item(order: &Order) -> String {
    let Order { payer, micros: amount, key, durability, .. } = order;
    let key = key.as_ref().map_or(String::new(), |key| format!(r#""key":"{key}","#));
    let durability = durability.map_or(String::new(), |word| format!(r#","durability":"{word}""#));
    let (user, amount) = (user_name(payer.1), micros(*amount));
    format!(r#"{{{key}"user":"{user}","feature":"chat","amount":"{amount}"{durability}}}"#)
}

fn outcomes_of(answer: &Answer, told: &Told) -> Vec<Outcome> {
    let json = answer.json();
    let items = json["items"].as_array().expect("a list of answers");
    let of = |item: &Value| {
        let status = u16::try_from(number(&item["status"])).expect("a status");
        let body = serde_json::to_vec(item).expect("JSON");
        outcome_of(Answer { status, headers: Vec::new(), body }, told)
    };
    items.iter().map(of).collect()
}

fn outcome_of(answer: Answer, told: &Told) -> Outcome {
    let code = answer.code();
    if [400, 404, 422, 500].contains(&answer.status) || code == "key_conflict" {
        told.record().breaks(format!("no consume is answered {}: {}", answer.status, answer.text()));
    }
    Outcome::of(answer)
}

async fn attempt(api: &mut Api, node: u16, order: &Order, told: &Told) -> Outcome {
    let unkeyed = Order { key: None, ..order.clone() };
    let (body, path) = (item(&unkeyed), format!("/v1/workspaces/{}/consume", WORKSPACES[order.payer.0]));
    let header = order.key.as_ref().map(|key| [("Idempotency-Key", key.as_str())]);
    let headers = header.as_ref().map_or(&[][..], |header| &header[..]);
    let (was_calm, asked) = (told.is_calm(), told.now());
    let sent = timeout(ANSWER_WITHIN, api.send("POST", &path, headers, Some(body.as_bytes()))).await;
    let outcome = match sent {
        Ok(Ok(answer)) => outcome_of(answer, told),
        Ok(Err(Lost::NotSent(_))) => Outcome::Refused(NOT_SENT.into()),
        Ok(Err(Lost::Unknown(_))) | Err(_) => Outcome::Unknown(NO_ANSWER.into()),
    };
    told.must_be_served(was_calm, asked, &format!("{order:?} at n{node}"), outcome.code());
    outcome
}
