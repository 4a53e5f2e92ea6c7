//! Clients: users who spend, in bursts and rests, at their usual node and elsewhere, with keys and without; retries of
//! what was not answered. Not here: how a node decides (`consume`), what they were told (`oracle`).

use super::World;
use super::admins::{user_id, workspace_id};
use super::config::{Listed, Rush, WorkspaceConfig};
use super::consume::{self, home_of};
use super::film::Step as Film;
use super::words::{Charge, Consume, Index, Refusal, index_of};
use crate::chance::{Stream, stream};
use crate::crossings::Crossing;
use crate::swarm::log_uniform;
use ledger::DenialReason;
use rand::Rng;
use std::rc::Rc;
use types::{Credits, Durability, IdempotencyKey};

/// How often a keyed request is tried in all.
const TRIES: u32 = 6;
pub const CLIENT_WAITS_MS: u64 = 12_000;
/// In a rush a user spends so often.
const RUSH_EVERY_MS: u64 = 300;
/// Of a thousand times where he usually does.
const RUSH_USUAL_PER_MILLE: u32 = 600;
const NO_ANSWER: &str = "no-answer";

struct Crowd {
    at: usize,
    config: WorkspaceConfig,
    chance: Stream,
    /// Ends of the ranges in which the dice fall, by user: the n-th spends an n-th.
    weights: Vec<u64>,
    /// By user: where he usually comes in. Half of them come by way of their home.
    usual: Vec<Index>,
    requests: u64,
}

/// Load on one workspace until the faults end.
pub async fn crowd(world: Rc<World>, at: usize, seed: u64) {
    let mut crowd = Crowd::new(&world, at, stream(seed, &format!("clients of {at}")));
    // Until the first grant is there.
    world.time.sleep(crowd.chance.random_range(800..3_000)).await;
    let run_ms = world.config.run_ms;
    while world.time.now_ms() < run_ms {
        let rests = crowd.chance.random_bool(0.15);
        let phase_ms = log_uniform(&mut crowd.chance, 2_000, if rests { 30_000 } else { 120_000 });
        let end_ms = (world.time.now_ms() + phase_ms).min(run_ms);
        if rests {
            world.time.sleep(end_ms - world.time.now_ms()).await;
            continue;
        }
        while world.time.now_ms() < end_ms {
            let gap = crowd.chance.random_range(0..=2 * crowd.config.every_ms * 1_000);
            world.time.sleep_us(gap).await;
            if world.time.now_ms() >= run_ms {
                return;
            }
            let user = crowd.user();
            crowd.arrive(&world, user, None);
        }
    }
}

pub async fn rush(world: Rc<World>, number: usize, rush: Rush, seed: u64) {
    let Rush { at_ms, for_ms, workspace, user, node } = rush;
    let mut crowd = Crowd::new(&world, workspace, stream(seed, &format!("rush {number}")));
    crowd.config.usual_per_mille = RUSH_USUAL_PER_MILLE;
    // Its keys are its own.
    crowd.requests = (number as u64 + 1) << 32;
    world.time.sleep(at_ms.saturating_sub(world.time.now_ms())).await;
    let end_ms = (at_ms + for_ms).min(world.config.run_ms);
    while world.time.now_ms() < end_ms {
        crowd.arrive(&world, user, node);
        let gap_ms = crowd.chance.random_range(0..=2 * RUSH_EVERY_MS);
        world.time.sleep(gap_ms).await;
    }
}

impl Crowd {
    fn new(world: &World, at: usize, chance: Stream) -> Self {
        let config = world.config.workspaces[at].clone();
        let mut weights = Vec::new();
        for user in 0..config.users as u64 {
            weights.push(weights.last().copied().unwrap_or(0) + 1_000_000 / (user + 1));
        }
        let usual = |user: usize| {
            let homes = world.homes(&workspace_id(at), &user_id(user));
            homes[usize::from(user % 2 == 1) % homes.len()]
        };
        let usual = (0..config.users).map(usual).collect();
        Self { at, config, chance, weights, usual, requests: 0 }
    }

    fn user(&mut self) -> usize {
        let all = self.weights.last().copied().unwrap_or(1);
        let dice = self.chance.random_range(0..all);
        self.weights.partition_point(|end| *end <= dice)
    }

    fn arrive(&mut self, world: &Rc<World>, user: usize, at: Option<Index>) {
        let burst = self.chance.random_range(0..1_000) < self.config.burst_per_mille;
        let count = if burst { self.chance.random_range(4..20) } else { 1 };
        for _ in 0..count {
            let (consume, node) = self.request(world, user);
            let node = at.unwrap_or(node);
            let dice = self.chance.random();
            world.time.spawn(super::time::WORLD, one(world.clone(), consume, node, dice));
        }
    }

    fn request(&mut self, world: &Rc<World>, user: usize) -> (Consume, Index) {
        self.requests += 1;
        let (workspace, id) = (workspace_id(self.at), user_id(user));
        let (least, most) = self.config.prices;
        // Mostly cheap, sometimes dear; now and then a single micro-credit.
        let price = match self.chance.random_range(0..20) {
            0 => self.chance.random_range(0..=1),
            1 => most,
            _ => self.chance.random_range(least..=most.max(least)),
        };
        let keyed = self.chance.random_range(0..1_000) < self.config.keyed_per_mille;
        let key = keyed.then(|| IdempotencyKey::parse(&format!("k{}", self.requests)).expect("a valid key"));
        let usual = self.chance.random_range(0..1_000) < self.config.usual_per_mille;
        let node = if usual { self.usual[user] } else { self.chance.random_range(0..world.config.nodes) };
        let durability = match self.chance.random_range(0..20) {
            0 => Some(Durability::Disk),
            1 => Some(Durability::Quorum),
            2 => Some(Durability::Local),
            _ => None,
        };
        let price = Credits::from_micros(price).expect("a small number");
        let feature = self.chance.random_range(0..3);
        (Consume { workspace, user: id, price, feature, key, durability }, node)
    }
}

/// One request of one client, with its retries.
async fn one(world: Rc<World>, consume: Consume, node: Index, dice: u64) {
    world.film(Film::Asked, node, consume.price.micros(), 0);
    world.tell(|| world.asked_scene(&consume));
    world.count_operation();
    world.requests.set(world.requests.get() + 1);
    tell_and_ask_again(&world, consume, node, dice).await;
    world.requests.set(world.requests.get() - 1);
}

async fn tell_and_ask_again(world: &Rc<World>, consume: Consume, node: Index, dice: u64) {
    let told = ask(world, &consume, node, dice).await;
    if !told || consume.key.is_none() {
        return;
    }
    // Asked once more, sometimes with other words.
    match dice % 16 {
        0 | 1 => {
            world.time.sleep(dice / 16 % 20_000).await;
            if world.time.now_ms() > world.config.run_ms {
                return;
            }
            ask(world, &consume, node, dice / 2).await;
        }
        2 => {
            let price = consume.price.saturating_add(Credits::from_micros(1).expect("one"));
            ask(world, &Consume { price, ..consume }, node, dice / 2).await;
        }
        _ => {}
    }
}

async fn ask(world: &Rc<World>, consume: &Consume, node: Index, dice: u64) -> bool {
    let tries = if consume.key.is_some() { TRIES } else { 1 };
    let mut at = node;
    let mut asked_before = None;
    for turn in 0..tries {
        let home = home_of(world, &consume.workspace, &consume.user);
        let is_elsewhere = asked_before.is_some_and(|before| before != at) && at != home;
        if is_elsewhere && world.nodes[at].is_up() && !world.nodes[home].is_up() {
            world.saw(Crossing::KeyRetriedElsewhereWhileHomeIsDown);
        }
        asked_before = Some(at);
        match try_at(world, consume, at, turn).await {
            Tried::Charged(_) => return true,
            Tried::Refused(refusal) if !refusal.may_pass() => return false,
            Tried::Refused(_) | Tried::NoAnswer => {}
        }
        if world.time.now_ms() > world.config.run_ms {
            return false;
        }
        // On another node, while the home may be down; or at the home itself.
        at = match (dice >> turn) % 3 {
            0 => home_of(world, &consume.workspace, &consume.user),
            _ => (at + 1) % world.config.nodes,
        };
        world.time.sleep(50 << turn).await;
    }
    false
}

enum Tried {
    Charged(Charge),
    Refused(Refusal),
    NoAnswer,
}

/// One try at one node, and what the client is told.
async fn try_at(world: &Rc<World>, consume: &Consume, at: Index, turn: u32) -> Tried {
    let (then, wanted) = (world.clone(), consume.clone());
    let asked = world.on_node(at, |running| consume::consume(then, running, wanted));
    match world.time.within(CLIENT_WAITS_MS, asked).await {
        Some(Some(Ok(charge))) => {
            let excused = world.may_have_forgotten(consume);
            let now_ms = world.time.now_ms();
            world.oracle.borrow_mut().told(consume, &charge, excused, now_ms);
            world.film(Film::Told, at, charge.line.0, charge.sequence);
            world.tell(|| world.charged_scene(consume, &charge));
            if charge.replayed && world.nodes[index_of(charge.holder.node)].lives.get() > 1 {
                world.saw(Crossing::KeyReplayedAfterRestart);
            }
            Tried::Charged(charge)
        }
        Some(Some(Err(refusal))) => {
            world.refused(&refusal);
            world.film(Film::Refused, at, u64::from(refusal.name().as_bytes()[0]), u64::from(turn));
            world.tell(|| world.refused_scene(consume, refusal.name()));
            if matches!(refusal, Refusal::Denied(DenialReason::Exhausted)) {
                let now_ms = world.time.now_ms();
                world.oracle.borrow_mut().refused_for_credits(&consume.workspace, now_ms);
            }
            Tried::Refused(refusal)
        }
        Some(None) | None => {
            world.count_no_answer();
            world.film(Film::NoAnswer, at, u64::from(turn), 0);
            world.tell(|| world.refused_scene(consume, NO_ANSWER));
            Tried::NoAnswer
        }
    }
}

/// Requests that were drawn before the run, each at its time.
pub async fn listed(world: Rc<World>, load: Listed) {
    for (number, arrival) in load.arrivals.iter().enumerate() {
        let now_us = world.time.now_us();
        if arrival.at_us > now_us {
            world.time.sleep_us(arrival.at_us - now_us).await;
        }
        let key = arrival.keyed.then(|| IdempotencyKey::parse(&format!("k{number}")).expect("a valid key"));
        let consume = Consume {
            workspace: workspace_id(arrival.workspace),
            user: user_id(arrival.user),
            price: arrival.price,
            feature: 0,
            key,
            durability: None,
        };
        let (world_then, node, tries) = (world.clone(), arrival.node, load.tries);
        world.time.spawn(super::time::WORLD, async move {
            one_listed(world_then, consume, node, tries).await;
        });
    }
}

async fn one_listed(world: Rc<World>, consume: Consume, node: Index, tries: u32) {
    world.film(Film::Asked, node, consume.price.micros(), 0);
    world.tell(|| world.asked_scene(&consume));
    world.count_operation();
    let number = world.was_asked(&consume);
    world.requests.set(world.requests.get() + 1);
    match ask_in_turn(&world, &consume, node, tries).await {
        Ok(charge) => world.was_charged(number, &consume, &charge),
        Err(reason) => world.was_refused(number, reason),
    }
    world.requests.set(world.requests.get() - 1);
}

/// At one node after the other, as a client with a list of nodes does.
async fn ask_in_turn(
    world: &Rc<World>,
    consume: &Consume,
    node: Index,
    tries: u32,
) -> Result<Charge, &'static str> {
    let nodes = world.config.nodes;
    let mut at = node;
    let mut reason = NO_ANSWER;
    for turn in 0..tries {
        // Who does not listen is passed by at once.
        let next = (0..nodes).map(|step| (at + step) % nodes).find(|node| world.nodes[*node].is_up());
        at = next.unwrap_or(at);
        match try_at(world, consume, at, turn).await {
            Tried::Charged(charge) => return Ok(charge),
            Tried::Refused(refusal) => {
                reason = refusal.name();
                let is_unknown = refusal == Refusal::OutcomeUnknown && consume.key.is_none();
                if !refusal.may_pass() || is_unknown {
                    break;
                }
            }
            Tried::NoAnswer => {
                reason = NO_ANSWER;
                if consume.key.is_none() && next.is_some() {
                    break;
                }
            }
        }
        at = (at + 1) % nodes;
        if turn + 1 < tries {
            world.time.sleep(50 << turn.min(6)).await;
        }
    }
    Err(reason)
}
