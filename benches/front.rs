//! P7 and Redis: one hot user through the front door, beside a route that does nothing and beside a counter in Redis.
//!
//! Four servers run on one core and take turns under load, which comes from the other core; never two at once.
//! Not here: several nodes (`crowd`).

use benches::claim::{Claim, Target, thousands, times};
use benches::load::{Load, Post, Redis};
use benches::node::{Cluster, runtime};
use benches::process::{SERVER_CORE, Server, free_addresses, pinned};
use benches::rounds::{Rounds, orders};
use benches::{NotMeasured, Size};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

const PATH: &str = "/v1/workspaces/acme/consume";
const BODY: &str = r#"{"user":"ann","feature":"chat","model":"m-1","amount":"1.5"}"#;
const ROUNDS: usize = 7;
/// Who takes part, in this order.
const TRANCHE: usize = 0;
const EMPTY: usize = 1;
const REDIS: usize = 2;
const REDIS_SYNCED: usize = 3;

/// A server under load and what loads it.
struct Contestant {
    server: Server,
    load: Box<dyn Fn() -> Result<Load, NotMeasured>>,
}

/// One turn: answers per second, and the server's processor time per answer in microseconds.
#[derive(Clone, Copy)]
struct Turn {
    per_s: f64,
    cpu_micros: f64,
}

pub fn measure(size: Size, target: &Path) -> Result<Vec<Claim>, NotMeasured> {
    let seconds = match size {
        Size::Full => 4,
        Size::Quick => 1,
    };
    let directory = TempDir::with_prefix_in("bench-front-", target);
    let directory = directory.map_err(NotMeasured::io("a directory for the servers"))?;
    let at = directory.path();
    let mut cluster = Cluster::start(1, Some(SERVER_CORE), target)?;
    let answer = first_answer(&cluster)?;
    let tranche = post(cluster.apis[0], cluster.key);
    let addresses = free_addresses(3)?;
    let empty = post(addresses[0], cluster.key);
    let tranche_server = cluster.servers.remove(0);
    let mut contestants = [
        http(tranche_server, tranche, seconds, at),
        http(empty_route(addresses[0], &answer, at)?, empty, seconds, at),
        redis(addresses[1], "no", seconds, at)?,
        redis(addresses[2], "yes", seconds, at)?,
    ];
    let turns = take_turns(&mut contestants, size.rounds(ROUNDS))?;
    let of = |number: fn(&Turn) -> f64| {
        Rounds::of(turns.iter().map(|round| round.iter().map(number).collect()).collect())
    };
    let (speed, cost) = (of(|turn| turn.per_s), of(|turn| turn.cpu_micros));
    Ok(vec![front_door(&speed, &cost, seconds), beside_redis(&speed, &cost)])
}

fn take_turns(contestants: &mut [Contestant], count: usize) -> Result<Vec<Vec<Turn>>, NotMeasured> {
    let mut rounds = Vec::new();
    for (round, order) in (0..=count).zip(orders(contestants.len())) {
        let mut turns = BTreeMap::new();
        for who in order {
            let contestant = &contestants[who];
            let before = contestant.server.cpu_seconds();
            let Load { per_s, requests } = (contestant.load)()?;
            let used = contestant.server.cpu_seconds() - before;
            turns.insert(who, Turn { per_s, cpu_micros: used * 1e6 / requests as f64 });
        }
        if round > 0 {
            rounds.push(turns.into_values().collect());
        }
    }
    Ok(rounds)
}

fn front_door(speed: &Rounds, cost: &Rounds, seconds: u64) -> Claim {
    let ratio = speed.ratio(TRANCHE, EMPTY);
    Claim {
        id: "P7",
        what: "HTTP/JSON consume, 50 connections, one hot user",
        against: "an empty axum route that reads and answers the same bytes",
        target: "≥ 0.8×",
        bound: Target::AtLeast(0.8),
        value: ratio,
        measured: times(ratio),
        if_missed: format!(
            "a consume costs {:.1} µs more processor time than an empty answer: each connection is polled again once the journal's \
             task has written its record, JSON is read and written, and memory, timers and metrics are used for both",
            cost.median(TRANCHE) - cost.median(EMPTY)
        ),
        how: format!(
            "`tranche serve`, one node, durability `local`, each server on core 0, `wrk` on core 1, {seconds} s a turn: {} against {} \
             requests/s; processor time per request {:.1} against {:.1} µs",
            thousands(speed.median(TRANCHE)),
            thousands(speed.median(EMPTY)),
            cost.median(TRANCHE),
            cost.median(EMPTY)
        ),
        numbers: vec![
            ("tranche_per_s", speed.median(TRANCHE)),
            ("empty_per_s", speed.median(EMPTY)),
            ("tranche_cpu_micros", cost.median(TRANCHE)),
            ("empty_cpu_micros", cost.median(EMPTY)),
        ],
    }
}

fn beside_redis(speed: &Rounds, cost: &Rounds) -> Claim {
    let (memory, synced) = (speed.ratio(TRANCHE, REDIS), speed.ratio(TRANCHE, REDIS_SYNCED));
    Claim {
        id: "Redis",
        what: "HTTP/JSON consume, 50 connections",
        against: "Redis EVALSHA check-and-decrement in its own protocol",
        target: "none; stated as it is",
        bound: Target::Stated,
        value: synced,
        measured: format!("{} (append-only file), {} (memory only)", times(synced), times(memory)),
        if_missed: String::new(),
        how: format!(
            "same cores, `redis-benchmark` with 50 connections × 1 in flight: {}/s with an append-only file synced each second, the \
             closest to `local`; {}/s keeping nothing; tranche {}/s. Redis spends {:.1} and {:.1} µs of processor time a request, tranche {:.1}",
            thousands(speed.median(REDIS_SYNCED)),
            thousands(speed.median(REDIS)),
            thousands(speed.median(TRANCHE)),
            cost.median(REDIS_SYNCED),
            cost.median(REDIS),
            cost.median(TRANCHE)
        ),
        numbers: vec![
            ("redis_per_s", speed.median(REDIS)),
            ("redis_synced_per_s", speed.median(REDIS_SYNCED)),
            ("redis_cpu_micros", cost.median(REDIS)),
            ("redis_synced_cpu_micros", cost.median(REDIS_SYNCED)),
            ("to_redis", memory),
            ("to_redis_synced", synced),
        ],
    }
}

fn post(address: SocketAddr, key: &str) -> Post {
    Post { address, path: PATH.into(), key: key.into(), body: BODY.into() }
}

/// Makes the workspace; the answer to its first consume is what the empty route will answer.
fn first_answer(cluster: &Cluster) -> Result<String, NotMeasured> {
    runtime()?.block_on(async {
        cluster.make_workspace("acme", 900_000_000_000).await?;
        let answer = cluster.connect(0).await?.ask("POST", PATH, BODY).await?;
        answer.expect(200).map(|answer| answer.text())
    })
}

fn http(server: Server, post: Post, seconds: u64, directory: &Path) -> Contestant {
    let directory = directory.to_owned();
    Contestant { server, load: Box::new(move || post.wrk(seconds, &directory)) }
}

fn empty_route(address: SocketAddr, answer: &str, directory: &Path) -> Result<Server, NotMeasured> {
    let me = std::env::current_exe().map_err(NotMeasured::io("this program's own path"))?;
    let mut command = pinned(SERVER_CORE, me);
    command.arg("empty-route").arg(address.to_string()).arg(answer);
    let mut server = Server::start("the empty route", command, &directory.join("empty.log"))?;
    server.listens(address)?;
    Ok(server)
}

fn redis(
    address: SocketAddr,
    append: &str,
    seconds: u64,
    directory: &Path,
) -> Result<Contestant, NotMeasured> {
    let home = directory.join(format!("redis-append-{append}"));
    std::fs::create_dir_all(&home).map_err(NotMeasured::io("a directory for redis-server"))?;
    let mut command = pinned(SERVER_CORE, "redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
    command.args(["--appendonly", append, "--appendfsync", "everysec", "--dir"]).arg(&home);
    let mut server = Server::start("redis-server", command, &home.join("log"))?;
    server.listens(address)?;
    let redis = Redis::prepare(address)?;
    // redis-benchmark takes a number of requests instead of a time.
    let speed = redis.load(20_000)?.per_s;
    let requests = (speed * seconds as f64) as u64;
    Ok(Contestant { server, load: Box::new(move || redis.load(requests)) })
}
