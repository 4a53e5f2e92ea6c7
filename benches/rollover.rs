//! Many workspaces whose month ends at one instant, while others spend: what consumes take meanwhile. Not here: what a rollover
//! does (`ledger`).
//!
//! Three nodes in one process whose clock is moved past the end, as a month of nothing in between.

use benches::claim::{Claim, Target, thousands, times};
use benches::http::Connection;
use benches::node::{binary, metrics, runtime};
use benches::process::{Server, free_addresses};
use benches::rounds::now;
use benches::{NotMeasured, Size};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;

const NODES: u16 = 3;
/// Workspaces are made on so many connections at once.
const MAKERS: u64 = 32;
/// Workspaces that are spent from, on a connection each; their months end with all others'.
const SPENDERS: u64 = 8;
/// On each connection a consume every so often: the nodes are not at their limit.
const EVERY: Duration = Duration::from_millis(10);
const BEFORE: Duration = Duration::from_secs(10);
const READY_WITHIN: Duration = Duration::from_secs(60);
/// All have rolled over within this.
const ROLLED_WITHIN: Duration = Duration::from_secs(300);

pub fn measure(size: Size, target: &Path) -> Result<Vec<Claim>, NotMeasured> {
    let count = size.of(100_000);
    let directory = TempDir::with_prefix_in("bench-data-", target);
    let directory = directory.map_err(NotMeasured::io("a directory for the nodes"))?;
    let nodes = Nodes::start(directory.path())?;
    runtime()?.block_on(async { Ok(vec![nodes.roll_over(count).await?]) })
}

struct Nodes {
    _server: Server,
    apis: Vec<SocketAddr>,
    key: String,
}

impl Nodes {
    fn start(directory: &Path) -> Result<Self, NotMeasured> {
        // Its nodes listen on the ports after the one it is given.
        let port = free_addresses(1)?.remove(0).port() % 20_000 + 20_000;
        let apis: Vec<SocketAddr> =
            (1..=NODES).map(|node| (Ipv4Addr::LOCALHOST, port + node).into()).collect();
        let data = directory.join("data");
        let mut command = Command::new(binary()?);
        command.args(["dev", "--test-clock", "--nodes", &NODES.to_string(), "--port", &port.to_string()]);
        command.arg("--data").arg(&data).env("RUST_LOG", "warn");
        let log = directory.join("log");
        let mut server = Server::start("tranche dev", command, &log)?;
        let says = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("Ctrl-C drains and stops."));
        server.becomes(READY_WITHIN, says)?;
        let key = std::fs::read_to_string(data.join("operator.key"));
        let key = key.map_err(NotMeasured::io("the operator's key"))?.trim().to_owned();
        Ok(Self { _server: server, apis, key })
    }

    async fn connect(&self, at: u64) -> Result<Connection, NotMeasured> {
        let node = usize::try_from(at).unwrap_or(0) % self.apis.len();
        Connection::open(self.apis[node], &self.key).await
    }

    /// Raft entries so far; each is in the log of all nodes.
    async fn entries(&self) -> Result<f64, NotMeasured> {
        let mut sum = 0.0;
        for node in 0..u64::from(NODES) {
            let counted = metrics(&mut self.connect(node).await?).await?;
            sum += counted.get("tranche_log_entries_total").copied().unwrap_or_default();
        }
        Ok(sum / f64::from(NODES))
    }

    async fn make(&self, count: u64) -> Result<(), NotMeasured> {
        let mut makers = JoinSet::new();
        for maker in 0..MAKERS {
            let mut connection = self.connect(maker).await?;
            makers.spawn(async move {
                for number in (maker..count).step_by(MAKERS as usize) {
                    let path = format!("/v1/workspaces/w{number}");
                    let cycle = r#"{"cycle":{"every":"month","anchor":"2026-01-15"}}"#;
                    connection.ask("PUT", &path, cycle).await?.expect(200)?;
                    let plan = r#"{"id":"pro","allowance":"100000"}"#;
                    connection.ask("PUT", &format!("{path}/plan"), plan).await?.expect(200)?;
                }
                Ok::<(), NotMeasured>(())
            });
        }
        while let Some(made) = makers.join_next().await {
            made.map_err(|why| NotMeasured::wrong(why.to_string()))??;
        }
        Ok(())
    }

    /// Consumes until `stop`, and how long each took.
    async fn spend(
        &self,
        stop: &Arc<AtomicBool>,
    ) -> Result<JoinSet<Result<Vec<Duration>, NotMeasured>>, NotMeasured> {
        let mut spenders = JoinSet::new();
        for number in 0..SPENDERS {
            let (mut connection, stop) = (self.connect(number).await?, stop.clone());
            spenders.spawn(async move {
                let path = format!("/v1/workspaces/w{number}/consume");
                let body = r#"{"user":"ann","feature":"chat","amount":"0.01"}"#;
                let (mut took, mut next) = (Vec::new(), now());
                while !stop.load(Ordering::Acquire) {
                    next += EVERY;
                    tokio::time::sleep_until(next.into()).await;
                    let asked = now();
                    connection.ask("POST", &path, body).await?.expect(200)?;
                    took.push(asked.elapsed());
                }
                Ok(took)
            });
        }
        Ok(spenders)
    }

    async fn roll_over(&self, count: u64) -> Result<Claim, NotMeasured> {
        self.make(count).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let spenders = self.spend(&stop).await?;
        tokio::time::sleep(BEFORE).await;
        stop.store(true, Ordering::Release);
        let before = p99_ms(spenders).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let spenders = self.spend(&stop).await?;
        let (entries, started) = (self.entries().await?, now());
        self.connect(0).await?.ask("POST", "/v1/test/clock", r#"{"advance":"32d"}"#).await?.expect(200)?;
        let mut appended = 0.0;
        while appended < count as f64 {
            if started.elapsed() > ROLLED_WITHIN {
                return Err(NotMeasured::wrong(format!("{appended} entries of {count} rollovers in time")));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            appended = self.entries().await? - entries;
        }
        let seconds = started.elapsed().as_secs_f64();
        stop.store(true, Ordering::Release);
        let during = p99_ms(spenders).await?;
        let ratio = during / before;
        Ok(Claim {
            id: "rollover",
            what: "p99 of consumes while all workspaces' months end at once",
            against: "the same consumes before",
            target: "≤ 3×",
            bound: Target::AtMost(3.0),
            value: ratio,
            measured: times(ratio),
            if_missed: "on two cores the nodes, their replicas and the load share what there is".into(),
            how: format!(
                "`tranche dev` with {NODES} nodes in one process, {} workspaces with a plan each whose months end at one instant, by the test clock; {} of them spend {} times a second \
                 together: p99 {before:.2} ms before, {during:.2} ms in the {seconds:.0} s in which all rolled over",
                thousands(count as f64),
                SPENDERS,
                1_000 / EVERY.as_millis() as u64 * SPENDERS
            ),
            numbers: vec![("before_ms", before), ("during_ms", during), ("seconds", seconds)],
        })
    }
}

async fn p99_ms(mut spenders: JoinSet<Result<Vec<Duration>, NotMeasured>>) -> Result<f64, NotMeasured> {
    let mut all = Vec::new();
    while let Some(took) = spenders.join_next().await {
        all.extend(took.map_err(|why| NotMeasured::wrong(why.to_string()))??);
    }
    all.sort_unstable();
    let at = all.len() * 99 / 100;
    let p99 = all.get(at).ok_or_else(|| NotMeasured::wrong("nobody spent"))?;
    Ok(p99.as_secs_f64() * 1_000.0)
}
