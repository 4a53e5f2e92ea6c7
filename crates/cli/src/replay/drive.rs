//! Sending: an open loop at the recorded times, by a bounded number of senders. Not here: what is sent (`plan`), what
//! the answers mean (`tally`).
//!
//! Each sender takes the next planned request, waits until it is due, sends it and notes the answer. Requests are due
//! whether or not others were answered; if all senders are busy one is late, and its latency counts from when it was
//! due: a slow cluster cannot hide behind a client that waits for it.

use super::plan::{Plan, Planned};
use super::tally::Tally;
use client::Client;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use types::{Feature, Model, Unit, UserId, WorkspaceId};
use wire::json;

/// How much faster than recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    /// As fast as the senders go.
    Max,
    /// Finite and above zero.
    Times(f64),
}

impl Speed {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Self::Max),
            Ok(0.0) => Ok(Self::Max),
            Ok(times) if times.is_finite() && times >= 0.001 => Ok(Self::Times(times)),
            Ok(_) | Err(_) => Err("it is a number above 0 (at least 0.001), or max (or 0)".into()),
        }
    }

    /// When a request is due, from the start of the replay; `None`: at once.
    fn due(self, offset_us: u64) -> Option<Duration> {
        match self {
            Self::Max => None,
            Self::Times(times) => Some(Duration::from_secs_f64(offset_us as f64 / 1e6 / times)),
        }
    }
}

/// What every request has in common.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub workspace: WorkspaceId,
    pub feature: Feature,
    pub model: Option<Model>,
    pub input_unit: Unit,
    pub output_unit: Unit,
}

impl Action {
    pub fn consume(&self, user: &UserId, input_tokens: u64, output_tokens: u64) -> json::Consume {
        let usage = vec![(self.input_unit.clone(), input_tokens), (self.output_unit.clone(), output_tokens)];
        json::Consume {
            user: user.clone().into(),
            feature: self.feature.clone().into(),
            model: self.model.clone().map(Into::into),
            amount: None,
            usage: Some(usage.into()),
            durability: None,
        }
    }
}

/// How far it is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub done: AtomicU64,
    pub refused: AtomicU64,
}

pub(crate) struct Drive {
    pub client: Client,
    pub action: Action,
    pub users: Vec<UserId>,
    pub plan: Mutex<Plan>,
    pub tally: Mutex<Tally>,
    pub speed: Speed,
    pub progress: Arc<Progress>,
}

/// Sends everything, or until `stop` says so; what is under way is waited for. Says how long it took.
pub(crate) async fn drive(drive: &Arc<Drive>, senders: u16, stop: &watch::Receiver<bool>) -> Duration {
    let started = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..senders {
        all.spawn(send(drive.clone(), started, stop.clone()));
    }
    while let Some(ended) = all.join_next().await {
        if let Err(panicked) = ended {
            std::panic::resume_unwind(panicked.into_panic());
        }
    }
    started.elapsed()
}

async fn send(drive: Arc<Drive>, started: Instant, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let Some(planned) = drive.plan.lock().expect("no sender panics holding it").next() else { return };
        let Planned { row, user, key } = planned;
        let due = drive.speed.due(row.offset_us).map(|due| started + due);
        if let Some(due) = due.filter(|due| *due > Instant::now()) {
            tokio::select! {
                () = sleep_until(due) => {}
                // An error means nobody can stop it any more, and is no stop.
                Ok(_) = stop.wait_for(|stop| *stop) => return,
            }
        }
        let sent = Instant::now();
        let asked = drive.action.consume(&drive.users[user], row.input_tokens, row.output_tokens);
        let answer = drive.client.consume(&drive.action.workspace, &asked, key).await;
        let due = due.unwrap_or(sent);
        let took = due.elapsed();
        {
            let mut tally = drive.tally.lock().expect("no sender panics holding it");
            tally.late(sent.duration_since(due));
            tally.note(user, row, answer.as_ref(), took);
        }
        drive.progress.done.fetch_add(1, Ordering::Relaxed);
        drive.progress.refused.fetch_add(u64::from(answer.is_err()), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        for (text, speed) in [
            ("max", Speed::Max),
            ("0", Speed::Max),
            ("1", Speed::Times(1.0)),
            ("0.001", Speed::Times(0.001)),
            ("60.5", Speed::Times(60.5)),
        ] {
            assert_eq!(Speed::parse(text), Ok(speed), "{text}");
        }
        for text in ["-1", "0.0009", "NaN", "inf", "fast", ""] {
            assert!(Speed::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_request_is_due_at_its_recorded_distance_divided_by_the_speed() {
        assert_eq!(Speed::Max.due(5_000_000), None);
        assert_eq!(Speed::Times(1.0).due(5_000_000), Some(Duration::from_secs(5)));
        assert_eq!(Speed::Times(10.0).due(5_000_000), Some(Duration::from_millis(500)));
        assert_eq!(Speed::Times(0.5).due(5_000_000), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_request_as_it_is_sent() {
        let action = Action {
            workspace: WorkspaceId::parse("acme").unwrap(),
            feature: Feature::parse("chat").unwrap(),
            model: Some(Model::parse("m-1").unwrap()),
            input_unit: Unit::parse("input_tokens").unwrap(),
            output_unit: Unit::parse("output_tokens").unwrap(),
        };
        let body = json::write(&action.consume(&UserId::parse("client-7").unwrap(), 4808, 10));
        let golden = r#"{"user":"client-7","feature":"chat","model":"m-1","usage":{"input_tokens":4808,"output_tokens":10}}"#;
        assert_eq!(String::from_utf8(body).unwrap(), golden);
    }
}
