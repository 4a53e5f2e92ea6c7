//! The ledger's side: reading the books, waiting until they rest, and asking every node for conservation. Not here:
//! comparing them (`audit`).

use super::audit::Books;
use client::{Client, Error, UsageQuery};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use types::{Credits, UserId, WorkspaceId};
use wire::json::GroupBy;

/// Between two readings.
const READ_EVERY_MS: u64 = 250;

/// Books, and how long it took until they were as they should be.
#[derive(Debug)]
pub(crate) struct Settled {
    pub books: Books,
    pub waited: Duration,
    /// They were, before the deadline.
    pub in_time: bool,
}

/// Reads until `done(books before, books now)`, or the deadline has passed: then the last ones. An error only where
/// they could not be read once.
pub(crate) async fn settle(
    client: &Client,
    workspace: &WorkspaceId,
    deadline: Duration,
    done: impl Fn(Option<&Books>, &Books) -> bool,
) -> Result<Settled, Error> {
    let started = Instant::now();
    let mut last: Option<Books> = None;
    loop {
        let read = read(client, workspace).await;
        let late = started.elapsed() >= deadline;
        match (read, last.take()) {
            (Ok(books), before) if late || done(before.as_ref(), &books) => {
                let in_time = done(before.as_ref(), &books);
                return Ok(Settled { books, waited: started.elapsed(), in_time });
            }
            (Ok(books), _) => last = Some(books),
            (Err(_), Some(books)) if late => {
                return Ok(Settled { books, waited: started.elapsed(), in_time: false });
            }
            (Err(error), None) if late || error.problem().is_some_and(|p| p.retry_after_ms.is_none()) => {
                return Err(error);
            }
            // An election, a node that comes back: the next reading may work.
            (Err(_), before) => last = before,
        }
        sleep(Duration::from_millis(READ_EVERY_MS)).await;
    }
}

async fn read(client: &Client, workspace: &WorkspaceId) -> Result<Books, Error> {
    let pool = client.workspace(workspace, true).await?.value;
    let query =
        UsageQuery { group_by: vec![GroupBy::User, GroupBy::Feature], interval: None, from: None, to: None };
    let report = client.all_usage(workspace, &query).await?;
    let mut users: BTreeMap<UserId, Credits> = BTreeMap::new();
    let mut calls = 0_u64;
    for row in report.rows {
        calls = calls.saturating_add(row.calls);
        if let Some(user) = row.user {
            let used = users.entry(user.0).or_default();
            *used = used.saturating_add(row.credits.0);
        }
    }
    Ok(Books {
        cycle: pool.cycle.number,
        // What was told of later and nothing covered is in the rows.
        used: pool.used.0.saturating_add(pool.uncovered.0),
        unattributed: pool.unattributed.0,
        written_off: pool.written_off.0,
        exposure: pool.exposure.0,
        unreachable: pool.unreachable.0,
        users,
        calls,
    })
}

/// What one node says about the conservation of the workspace's grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Conserved {
    pub node: String,
    pub holds: bool,
    pub detail: String,
}

/// Asks every node. A node without a replica of the pool has nothing to say; it holds as long as another one does.
pub(crate) async fn conservation(client: &Client, workspace: &WorkspaceId) -> Vec<Conserved> {
    let mut all = Vec::new();
    let mut replicas = 0;
    for (node, alone) in client.urls().zip(client.pinned()) {
        let (holds, detail) = match alone.conservation().await {
            Err(error) => (false, error.to_string()),
            Ok(books) => match books.pools.iter().find(|pool| pool.workspace.0 == *workspace) {
                None => (true, "it has no replica of this pool".to_owned()),
                Some(pool) => {
                    replicas += 1;
                    let broken = pool.violations.iter().map(|v| format!("{}: {}", v.invariant, v.what));
                    let broken: Vec<String> = broken.collect();
                    let grants = pool.grants.len();
                    let detail = if pool.holds { format!("{grants} grant(s)") } else { broken.join("; ") };
                    (pool.holds, detail)
                }
            },
        };
        all.push(Conserved { node: node.to_owned(), holds, detail });
    }
    if replicas == 0 {
        all.iter_mut().for_each(|conserved| conserved.holds = false);
    }
    all
}
