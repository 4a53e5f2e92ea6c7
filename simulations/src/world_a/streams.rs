//! Clients that hold: calls whose price is not known yet. Each opens a small hold, extends it as it goes on, and settles,
//! releases, or hangs up. Not here: how a node decides (`holds`), what must be so of what it said (`testkit::holds`).

use super::World;
use super::admins::{user_id, workspace_id};
use super::clients::CLIENT_WAITS_MS;
use super::film::Step as Film;
use super::holds;
use super::words::{Consume, HoldAsked, HoldSays, HoldWish, Index, OpenHold, Refusal};
use crate::chance::{Stream, stream};
use crate::swarm::log_uniform;
use rand::Rng;
use std::rc::Rc;
use testkit::holds::HoldName;
use types::{Credits, WorkspaceId};

/// Of a hundred pools so many have streams.
const POOLS_PERCENT: u32 = 30;
/// Holds last no longer, so that all are over soon when everything has come to rest.
pub const TTL_MS: (u32, u32) = (1_000, 5_000);
/// How often what was not answered is asked in all.
const TRIES: u32 = 5;

/// Streams in one workspace until the faults end.
pub async fn streams(world: Rc<World>, at: usize, seed: u64) {
    let mut chance = stream(seed, &format!("streams of {at}"));
    if !chance.random_ratio(POOLS_PERCENT, 100) {
        return;
    }
    let every_ms = log_uniform(&mut chance, 1_000, 10_000);
    world.time.sleep(chance.random_range(1_000..3_000)).await;
    loop {
        world.time.sleep(chance.random_range(0..=2 * every_ms)).await;
        if world.time.now_ms() >= world.config.run_ms {
            return;
        }
        let call = Call::draw(&world, at, &mut chance);
        world.time.spawn(super::time::WORLD, call.run(world.clone()));
    }
}

struct Call {
    world: Rc<World>,
    workspace: WorkspaceId,
    chance: Stream,
    at: Index,
    users: usize,
    /// What a piece of it may cost, in micro-credits.
    most: u64,
    ttl_ms: u32,
}

/// How it stands, as its client was told.
struct Told {
    held: u64,
    confirmed: u64,
}

impl Call {
    fn draw(world: &Rc<World>, at: usize, chance: &mut Stream) -> Self {
        let most = world.config.workspaces[at].prices.1.max(1);
        Self {
            world: world.clone(),
            workspace: workspace_id(at),
            at: chance.random_range(0..world.config.nodes),
            users: world.config.workspaces[at].users,
            most,
            ttl_ms: chance.random_range(TTL_MS.0..=TTL_MS.1),
            chance: stream(chance.random(), "call"),
        }
    }

    async fn run(mut self, world: Rc<World>) {
        world.requests.set(world.requests.get() + 1);
        if let Some(hold) = self.open().await {
            self.goes_on(hold).await;
        }
        world.requests.set(world.requests.get() - 1);
    }

    async fn open(&mut self) -> Option<(HoldName, Told)> {
        let amount = self.chance.random_range(0..=self.most);
        let consume = Consume {
            workspace: self.workspace.clone(),
            user: user_id(self.chance.random_range(0..self.users)),
            price: micros(amount),
            feature: self.chance.random_range(0..3),
            key: None,
            durability: None,
        };
        self.world.film(Film::Asked, self.at, amount, 0);
        self.world.count_operation();
        let (then, open) = (self.world.clone(), OpenHold { consume, ttl_ms: self.ttl_ms });
        let asked = self.world.on_node(self.at, |running| holds::open(then, running, open));
        match self.world.time.within(CLIENT_WAITS_MS, asked).await.flatten() {
            Some(Ok(hold)) => {
                self.world.film(Film::Told, self.at, hold.1.0, amount);
                Some((hold, Told { held: amount, confirmed: 0 }))
            }
            Some(Err(refusal)) => {
                self.world.refused(&refusal);
                None
            }
            None => {
                self.world.count_no_answer();
                None
            }
        }
    }

    async fn goes_on(&mut self, (hold, mut told): (HoldName, Told)) {
        for _piece in 0..self.chance.random_range(0..6) {
            // Now and then longer than the hold lasts.
            let pause_ms = self.chance.random_range(0..u64::from(self.ttl_ms)) * 5 / 4;
            if self.world.time.now_ms() + pause_ms > self.world.config.run_ms {
                break;
            }
            self.world.time.sleep(pause_ms).await;
            let to = told.held + self.chance.random_range(0..=self.most);
            let confirmed = told.confirmed + self.chance.random_range(0..=to - told.confirmed);
            let wish = HoldWish::Extend { to: micros(to), confirmed: micros(confirmed) };
            match self.ask(hold, wish).await {
                Some(Ok(HoldSays::Held { held, confirmed })) => {
                    told = Told { held: held.micros(), confirmed: confirmed.micros() };
                }
                _ => break,
            }
        }
        let amount = self.chance.random_range(told.confirmed..=told.held);
        let settle = |amount, cap| HoldWish::Settle { amount: micros(amount), cap };
        let wish = match self.chance.random_range(0..10) {
            // It hangs up.
            0 | 1 => return,
            2 => HoldWish::Release,
            3 => settle(told.held + 1 + self.chance.random_range(0..=self.most), true),
            4 => {
                // Late.
                self.world.time.sleep(u64::from(self.ttl_ms) + 1_500).await;
                settle(amount, false)
            }
            _ => settle(amount, false),
        };
        let ended = self.ask(hold, wish).await;
        // Asked again it is the same.
        if matches!(ended, Some(Ok(_))) && self.chance.random_bool(0.2) {
            let again = self.ask(hold, wish).await;
            if let (Some(Ok(first)), Some(Ok(again))) = (ended, again)
                && first != again
            {
                let what = format!("{hold:?}: {first:?}, and then {again:?}");
                self.world.broken("S17 a hold that is ended twice is answered the same", what);
            }
        }
    }

    /// At this node and others, until it is answered.
    async fn ask(&mut self, hold: HoldName, what: HoldWish) -> Option<Result<HoldSays, Refusal>> {
        self.world.count_operation();
        let mut last = None;
        for turn in 0..TRIES {
            let asked = HoldAsked { workspace: self.workspace.clone(), hold, what };
            let then = self.world.clone();
            let asked = self.world.on_node(self.at, |running| holds::hold(then, running, asked));
            last = self.world.time.within(CLIENT_WAITS_MS, asked).await.flatten();
            match &last {
                Some(Ok(HoldSays::Over { charged })) => {
                    self.world.film(Film::Told, self.at, hold.1.0, charged.micros());
                    return last;
                }
                Some(Ok(_)) => return last,
                Some(Err(refusal)) => {
                    self.world.refused(refusal);
                    if !refusal.may_pass() {
                        return last;
                    }
                }
                None => self.world.count_no_answer(),
            }
            if self.world.time.now_ms() > self.world.config.run_ms {
                return last;
            }
            self.at = (self.at + 1) % self.world.config.nodes;
            self.world.time.sleep(100 << turn).await;
        }
        last
    }
}

fn micros(micros: u64) -> Credits {
    Credits::from_micros(micros).expect("a few credits")
}
