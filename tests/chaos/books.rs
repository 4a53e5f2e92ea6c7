//! The final books of a round, as any node answers them once nothing is wrong and nobody asks for anything. Not here:
//! comparing them with what was told (`audit`).

use crate::office::{FIRST, MOVERS};
use crate::told::{Record, WORKSPACES, user_name};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::told::{Books as Sums, Metered, Sum};
use tests::{Api, Books as Summary, Spent, assert_conserved, credits, eventually, number, text};

/// An idle line closes after ten seconds; the rest is for a busy machine.
const IDLE_WITHIN: Duration = Duration::from_secs(40);

const TRIES: u32 = 3;
const HEIR: &str = "heir";

/// One workspace, in micro-credits.
#[derive(Debug, Default)]
pub struct Pool {
    pub sums: Sums,
    pub exposure: u64,
    pub pending: u64,
    pub metered: Metered,
}

#[derive(Debug, Default)]
pub struct Books {
    pub pools: [Pool; 2],
}

impl Books {
    /// Waits until all lines are closed, then reads.
    pub async fn read(api: &mut Api) -> Self {
        eventually("idle lines are closed and nothing is out", IDLE_WITHIN, async || {
            let mut out = false;
            for workspace in WORKSPACES {
                let summary = Summary::read(api, workspace).await;
                out |= !summary.leased.is_zero() || !summary.pending.is_zero();
            }
            (!out).then_some(())
        })
        .await;
        let mut books = Self::default();
        for (workspace, name) in WORKSPACES.into_iter().enumerate() {
            let summary = api.workspace(name).await;
            let of = |field: &str| credits(&summary[field]).micros();
            let (unattributed, written_off) = (of("unattributed"), of("written_off"));
            // An answer's `used` is all that is charged.
            let used = of("used").checked_sub(unattributed + written_off).expect("parts of what is used");
            let (granted, out) = (of("granted"), of("leased"));
            let sums = Sums { granted, out, used, unattributed, written_off };
            let (exposure, pending) = (of("exposure"), of("pending"));
            let mut metered = Metered::new();
            let usage = api.read(&format!("/v1/workspaces/{name}/usage?group_by=user&limit=500")).await;
            for row in usage["rows"].as_array().expect("rows") {
                let sum = Sum { calls: number(&row["calls"]), micros: credits(&row["credits"]).micros() };
                metered.insert(text(&row["user"]).parse().expect("a user's id"), sum);
            }
            books.pools[workspace] = Pool { sums, exposure, pending, metered };
        }
        books
    }
}

/// Every reallocation is there if its answer said so, and paid or lapsed; and what movers have is what was moved.
pub async fn reallocations(api: &mut Api, record: &Record) -> Vec<String> {
    let mut broken = Vec::new();
    let first = i128::from(FIRST);
    let mut balance: BTreeMap<String, i128> = (0..MOVERS).map(|user| (user_name(user), first)).collect();
    for (user, amount) in &record.raised {
        *balance.get_mut(&user_name(*user)).expect("a mover") += i128::from(*amount);
    }
    for (id, was_accepted) in &record.reallocations {
        let Some(json) = reallocation(api, id).await else {
            if *was_accepted {
                broken.push(format!("a reallocation that was answered is there: {id}"));
            }
            continue;
        };
        let [asked, moved, pending, lapsed] =
            ["asked", "moved", "pending", "lapsed"].map(|name| credits(&json[name]).micros());
        if asked != moved + pending + lapsed || pending > 0 {
            broken.push(format!("asked = moved + lapsed, and nothing is pending: {json}"));
        }
        for (who, sign) in [("from", -1), ("to", 1)] {
            *balance.get_mut(&text(&json[who])).expect("a mover") += sign * i128::from(moved);
        }
    }
    for (user, balance) in balance {
        let json = api.read(&format!("/v1/workspaces/acme/allocations/{user}")).await;
        let [allocation, used] = ["allocation", "used"].map(|name| i128::from(credits(&json[name]).micros()));
        if allocation != balance || used > allocation {
            broken.push(format!("{user} has what was moved and raised, {balance}: {json}"));
        }
    }
    broken
}

async fn reallocation(api: &mut Api, id: &str) -> Option<Value> {
    let path = format!("/v1/workspaces/acme/reallocations/{id}");
    let what = format!("{id} is answered");
    let answer = eventually(&what, IDLE_WITHIN, async || {
        let answer = api.send("GET", &path, &[], None).await.ok()?;
        [200, 404].contains(&answer.status).then_some(answer)
    })
    .await;
    (answer.status == 200).then(|| answer.json())
}

/// Every node's books hold, no holder has a line, and all replicas of a pool have the same books.
pub async fn replicas(apis: &mut BTreeMap<u16, Api>) -> Vec<String> {
    let mut broken = Vec::new();
    let mut pools: BTreeMap<String, (u16, Value)> = BTreeMap::new();
    for (node, api) in apis {
        assert_conserved(api).await;
        let books = api.read("/v1/debug/conservation").await;
        for pool in books["pools"].as_array().expect("pools") {
            let known = pools.entry(text(&pool["workspace"])).or_insert_with(|| (*node, pool.clone()));
            if known.1 != *pool {
                broken.push(format!("S13 replicas are equal: {known:?} but n{node}: {pool}"));
            }
        }
        let view = api.read("/v1/cluster").await;
        for other in view["nodes"].as_array().expect("nodes") {
            let lines = other["holder"]["lines"].as_u64().unwrap_or(0);
            if lines > 0 {
                broken.push(format!("idle lines are closed: n{node} knows of {lines}: {other}"));
            }
        }
    }
    if pools.len() != WORKSPACES.len() {
        broken.push(format!("somebody hosts every pool: {:?}", pools.keys()));
    }
    broken
}

/// What is left can be spent in one piece by whoever may, on any node, and not a micro-credit more.
pub async fn spend_the_rest(apis: &mut BTreeMap<u16, Api>) -> Vec<String> {
    let mut broken = Vec::new();
    let mut nodes: Vec<&mut Api> = apis.values_mut().collect();
    let movers = (0..MOVERS).map(|user| (0, user_name(user)));
    let heirs = [(0, HEIR.to_owned()), (1, HEIR.to_owned())];
    for (at, (workspace, user)) in movers.chain(heirs).enumerate() {
        let count = nodes.len();
        let api = &mut nodes[at % count];
        if let Err(why) = spend_all_of(api, WORKSPACES[workspace], &user).await {
            broken.push(format!("all that is left can be spent, and no more: {user}: {why}"));
        }
    }
    broken
}

async fn spend_all_of(api: &mut Api, workspace: &str, user: &str) -> Result<(), String> {
    // A grant may end between the reading and the spending.
    let mut last = String::new();
    for _ in 0..TRIES {
        // The heir was never heard of before; what is shared is his.
        let (path, field) = match user {
            HEIR => (format!("/v1/workspaces/{workspace}"), "shared"),
            _ => (format!("/v1/workspaces/{workspace}/members/{user}"), "remaining"),
        };
        let balance = api.read(&path).await;
        let left = credits(&balance[field]);
        if !left.is_zero() {
            match api.consume_reachable(workspace, user, left).await {
                Spent::Allowed { .. } => {}
                other => {
                    last = format!("{left} of {balance}: {other:?}");
                    continue;
                }
            }
        }
        return match api.consume(workspace, user, "0.000001").await {
            Spent::Refused { code, .. } if code.ends_with("exhausted") => Ok(()),
            other => Err(format!("after all {left} were spent: {other:?}")),
        };
    }
    Err(last)
}
