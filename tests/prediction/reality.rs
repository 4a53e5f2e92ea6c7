//! Five real nodes live through a schedule: changes are made, nodes die and are cut off, each at its time. Not here: the
//! requests (`clients`), what a schedule is (`simulator`).

use crate::clients::Clients;
use crate::simulator::{Change, Fault, Figures, Schedule, What};
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use tests::{Api, Cluster, PATIENCE, Way, credits, text};
use tokio::time::{Instant, sleep_until};
use types::Credits;

/// What is due in a run; ends come before what begins at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Change(usize),
    Ends(usize),
    Begins(usize),
    LoadEnds,
}

#[derive(Debug)]
struct Reality {
    cluster: Cluster,
    /// Numbers of nodes, by place in the plan.
    places: Vec<u16>,
    /// By fault: the nodes it keeps down or cuts off.
    away: BTreeMap<usize, Vec<u16>>,
}

/// Answers what the clients were told by the end of the load, and what was stranded then.
pub async fn live_through(schedule: &Schedule) -> Figures {
    let count = u16::try_from(schedule.nodes.len()).expect("a few nodes");
    let cluster = Cluster::start(count).await;
    let mut reality = Reality { cluster, places: schedule.nodes.clone(), away: BTreeMap::new() };
    let mut due: Vec<(u64, Due)> = vec![(schedule.run_ms, Due::LoadEnds)];
    due.extend(schedule.changes.iter().enumerate().map(|(at, change)| (change.at_ms, Due::Change(at))));
    for (at, fault) in schedule.faults.iter().enumerate() {
        due.push((fault.at_ms, Due::Begins(at)));
        // What lasts to the end of the run is not ended.
        if fault.at_ms + fault.for_ms < schedule.run_ms {
            due.push((fault.at_ms + fault.for_ms, Due::Ends(at)));
        }
    }
    due.sort_unstable();
    let address = |node: &u16| reality.cluster.api(*node).address();
    let apis: Vec<SocketAddr> = schedule.nodes.iter().map(address).collect();
    let key = reality.cluster.key.clone();
    let clients = Clients::new(&apis, &key, schedule);
    let (start, mut changes) = (Instant::now(), Vec::new());
    let load = tokio::spawn(clients.clone().ask(schedule.requests.clone(), start));
    for (at_ms, due) in due {
        sleep_until(start + Duration::from_millis(at_ms)).await;
        match due {
            Due::Change(at) => {
                let change = schedule.changes[at].clone();
                changes.push(tokio::spawn(carry_out(apis.clone(), key.clone(), at, change)));
            }
            Due::Begins(at) => reality.begin(at, &schedule.faults[at]).await,
            Due::Ends(at) => reality.end(at, &schedule.faults[at]).await,
            Due::LoadEnds => {}
        }
    }
    let told = clients.told();
    let stranded = reality.stranded(schedule.replicas).await;
    let latest = load.await.expect("the load goes on to its end");
    join_all(changes).await.into_iter().for_each(|change| change.expect("every change is answered"));
    println!("real nodes: the latest request was {latest:?} late");
    Figures { stranded, ..told }
}

/// Asks one node after the other until one has answered.
async fn carry_out(nodes: Vec<SocketAddr>, key: String, number: usize, change: Change) {
    let Change { method, path, body, .. } = change;
    let own_key = format!("change-{number}");
    let end = Instant::now() + PATIENCE;
    for address in nodes.iter().cycle() {
        let mut api = Api::new(*address, &key);
        let headers = [("Idempotency-Key", own_key.as_str())];
        let sent = api.send(method, &path, &headers, Some(body.as_bytes())).await;
        if let Some(answer) =
            sent.ok().filter(|answer| answer.status < 500 && answer.code() != "key_in_flight")
        {
            // What the ledger refuses is answered, too; but every change of a plan can be understood.
            assert!(![400, 404, 422].contains(&answer.status), "{method} {path} {body}: {}", answer.text());
            return;
        }
        assert!(Instant::now() < end, "nobody answers {method} {path} {body}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Reality {
    async fn begin(&mut self, at: usize, fault: &Fault) {
        let away = match &fault.what {
            What::Crash(node) => vec![self.places[*node]],
            What::LeaderCrash => vec![self.cluster.shard().await.leader],
            What::Partition(nodes) => nodes.iter().map(|node| self.places[*node]).collect(),
        };
        match &fault.what {
            What::Crash(_) | What::LeaderCrash => {
                for node in &away {
                    self.cluster.node(*node).kill();
                }
            }
            What::Partition(_) => self.set_links(&away, Way::SILENT),
        }
        println!("real nodes: {:>5} ms: {:?} is n{away:?}", fault.at_ms, fault.what);
        self.away.insert(at, away);
    }

    async fn end(&mut self, at: usize, fault: &Fault) {
        let away = self.away.remove(&at).unwrap_or_default();
        match &fault.what {
            What::Crash(_) | What::LeaderCrash => {
                for node in away {
                    self.cluster.node(node).restart().await;
                }
            }
            What::Partition(_) => self.set_links(&away, Way::OPEN),
        }
    }

    /// Between these nodes and all others, both ways.
    fn set_links(&self, inside: &[u16], way: Way) {
        for outside in self.cluster.numbers().filter(|node| !inside.contains(node)) {
            inside.iter().for_each(|node| self.cluster.set(*node, outside, way, way));
        }
    }

    /// Out on lines of nodes that are down or cut off, as the ledger of the leader has it.
    async fn stranded(&mut self, replicas: usize) -> Credits {
        for number in self.cluster.numbers() {
            assert_eq!(self.cluster.node(number).ended(), None, "n{number} ended by itself");
        }
        let away: BTreeSet<String> = self.away.values().flatten().map(|node| format!("n{node}")).collect();
        let shard = self.cluster.shard().await;
        let as_planned = BTreeSet::from_iter(&self.places[..replicas]);
        assert_eq!(BTreeSet::from_iter(&shard.replicas), as_planned, "replicas are where they are simulated");
        let view = self.cluster.api(shard.leader).read("/v1/cluster").await;
        let nodes = view["nodes"].as_array().expect("a list of nodes").iter();
        let of_those = nodes.filter(|node| away.contains(&text(&node["id"])));
        let leased = of_those.map(|node| credits(&node["holder"]["leased"]));
        Credits::checked_sum(leased).expect("within the bound")
    }
}
