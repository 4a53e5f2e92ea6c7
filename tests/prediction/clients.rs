//! The load on real nodes: each request at its time and at its node, by a client that goes on to the next node as the
//! simulated ones do. Not here: which requests (`simulator`), the nodes (`reality`).

use crate::simulator::{Figures, Request, Schedule};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tests::{Api, NOT_SENT, Spent};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A client of the plan waits for so long.
const CLIENT_WAITS: Duration = Duration::from_secs(12);
/// What another node may answer differently.
const MAY_PASS: [&str; 6] =
    ["credits_unreachable", "overloaded", "home_unreachable", "storage_unavailable", "no_leader", NOT_SENT];
const NO_ANSWER: &str = "no_answer";

#[derive(Clone, Debug)]
pub struct Clients {
    /// By place in the plan.
    nodes: Arc<[SocketAddr]>,
    key: Arc<str>,
    tries: u32,
    told: Arc<Mutex<Figures>>,
}

impl Clients {
    pub fn new(nodes: &[SocketAddr], key: &str, schedule: &Schedule) -> Self {
        Self { nodes: nodes.into(), key: key.into(), tries: schedule.tries, told: Arc::default() }
    }

    /// What they were told up to now.
    pub fn told(&self) -> Figures {
        self.figures().clone()
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All requests, each begun at its time; answers how late the latest one was.
    pub async fn ask(self, requests: Vec<Request>, start: Instant) -> Duration {
        let mut latest = Duration::ZERO;
        for request in requests {
            let due = start + Duration::from_millis(request.at_ms);
            sleep_until(due).await;
            latest = latest.max(due.elapsed());
            self.figures().asked += 1;
            let client = self.clone();
            tokio::spawn(async move { client.one(request).await });
        }
        latest
    }

    async fn one(&self, request: Request) {
        let end = self.ask_in_turn(&request).await;
        let mut told = self.figures();
        match end {
            Ok(()) => told.charged += 1,
            Err(reason) => *told.refused.entry(reason).or_default() += 1,
        }
    }

    /// At one node after the other, as a client with a list of nodes does.
    async fn ask_in_turn(&self, request: &Request) -> Result<(), String> {
        let (mut at, mut reason) = (request.node, NO_ANSWER.to_owned());
        for turn in 0..self.tries {
            let (node, spent) = self.ask_who_listens(at, request).await;
            match spent {
                Spent::Allowed { .. } => return Ok(()),
                Spent::Refused { code, .. } if MAY_PASS.contains(&code.as_str()) => reason = code,
                Spent::Refused { code, .. } => return Err(code),
                // It may have been charged, and has no key.
                Spent::Unknown => return Err(NO_ANSWER.to_owned()),
            }
            at = (node + 1) % self.nodes.len();
            if turn + 1 < self.tries {
                sleep(Duration::from_millis(50 << turn.min(6))).await;
            }
        }
        Err(reason)
    }

    /// Who does not listen is passed by at once. Over a connection of its own: a kept one to a process that was killed
    /// would say that something was lost.
    async fn ask_who_listens(&self, from: usize, request: &Request) -> (usize, Spent) {
        let Request { workspace, user, amount, .. } = request;
        let amount = amount.to_string();
        let count = self.nodes.len();
        for node in (0..count).map(|step| (from + step) % count) {
            let mut api = Api::new(self.nodes[node], &self.key);
            let asked = timeout(CLIENT_WAITS, api.consume(workspace, user, &amount)).await;
            match asked.unwrap_or(Spent::Unknown) {
                Spent::Refused { code, .. } if code == NOT_SENT => {}
                spent => return (node, spent),
            }
        }
        (from, Spent::Refused { code: NOT_SENT.into(), detail: "nobody listens".into() })
    }
}
