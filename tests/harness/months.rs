//! Nodes on the eve of a cycle's end. Not here: how a node's clock is put (`clock`).

use crate::{Api, Cluster, PATIENCE, eventually, text};
use serde_json::Value;
use tokio::time::Instant;
use types::Timestamp;
use wire::json::Word;

pub fn instant_ms(value: &Value) -> i64 {
    Timestamp::read(&text(value)).expect("an instant").millis()
}

/// What the nodes' clocks said before any was put.
#[derive(Debug)]
pub struct Real {
    at: Instant,
    ms: i64,
}

impl Real {
    pub async fn of(api: &mut Api, workspace: &str) -> Self {
        let at = Instant::now();
        Self { at, ms: instant_ms(&api.read(workspace).await["as_of"]["time"]) }
    }

    pub fn now_ms(&self) -> i64 {
        self.ms + i64::try_from(self.at.elapsed().as_millis()).expect("not for long")
    }

    /// From now on it is `eve_ms` before that instant, everywhere.
    pub fn put_clocks_before(&self, cluster: &mut Cluster, instant_ms: i64, eve_ms: i64) {
        for node in cluster.numbers() {
            cluster.node(node).clock().set_ms(instant_ms - eve_ms - self.now_ms());
        }
    }
}

/// Without anybody asking for more than to look.
pub async fn cycle_is(api: &mut Api, workspace: &str, number: u64) -> Value {
    let what = format!("cycle {number} begins by itself");
    eventually(&what, PATIENCE, async || {
        let answer = api.answer("GET", workspace, None).await;
        let pool = (answer.status == 200).then(|| answer.json())?;
        (pool["cycle"]["number"] == number).then_some(pool)
    })
    .await
}
