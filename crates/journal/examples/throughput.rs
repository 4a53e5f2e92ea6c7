//! How many charges a second one writer takes on this machine's disk, and how many bytes each has. Not here: a claim;
//! numbers are for comparing two versions on one machine.
//!
//! `cargo run --release -p journal --example throughput [DIRECTORY]`

use journal::{Begun, Charge, HandleNo, Journal, LineKey, OpenLine, Options};
use platform::{Clock, Disk, RealDisk, SystemClock};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use types::{
    Backing, Credits, CycleNumber, DiskId, Durability, Feature, GrantNo, IdempotencyKey, Meter, Model, Scope,
    Source, Unit, UserId, WorkspaceId,
};

const LINES: u32 = 1_000;
const IN_FLIGHT: usize = 512;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let path =
        std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from).join("journal-throughput");
    runtime.block_on(measure(path));
}

async fn measure(path: PathBuf) {
    let directory = RealDisk.directory(&path).expect("a directory");
    for name in directory.list().expect("its files") {
        directory.remove(&name).expect("an old file goes");
    }
    let clock = Arc::new(SystemClock::new());
    let options = Options {
        segment_bytes: 16 << 20,
        tail_bytes: 1 << 20,
        queue_max: 4_096,
        batch_max: 256,
        waiting_max: 4_096,
        lines_max: 100_000,
        holds_max: 16_384,
        holds_per_user_max: 1_000,
        key_window_ms: 86_400_000,
        keys_bytes_max: 1 << 30,
        past_bytes_max: 0,
    };
    let opened = Journal::open(options, directory, DiskId(1), clock.clone()).await;
    let (journal, keys, _) = opened.expect("an empty directory opens");
    for handle in 0..LINES {
        open_line(&journal, handle).await;
    }
    for (what, count, durability, keyed) in [
        ("local", 2_000_000, Durability::Local, false),
        ("local, with a key", 400_000, Durability::Local, true),
        ("disk", 100_000, Durability::Disk, false),
    ] {
        let (began, mut flying) = (clock.monotonic(), VecDeque::new());
        for n in 0..count {
            let permit = journal.reserve().expect("the queue is longer than what is in flight");
            let key = keyed.then(|| {
                let key = IdempotencyKey::parse(&format!("request-{n:012}")).expect("a key");
                match keys.begin(&workspace(), &user(n % LINES), &key, [7; 32]) {
                    Begun::Fresh(guard) => guard,
                    other => panic!("{other:?}"),
                }
            });
            flying.push_back(permit.charge(charge(n % LINES, &clock, durability, key)));
            if flying.len() == IN_FLIGHT {
                flying.pop_front().expect("it is full").await.expect("charged");
            }
        }
        for one in flying {
            one.await.expect("charged");
        }
        let seconds = (clock.monotonic() - began).as_secs_f64();
        println!("{what:>20}: {:>9.0} charges/s", f64::from(count) / seconds);
    }
}

fn workspace() -> WorkspaceId {
    WorkspaceId::parse("acme").expect("an id")
}

fn user(n: u32) -> UserId {
    UserId::parse(&format!("user-{n}")).expect("an id")
}

async fn open_line(journal: &Journal, handle: u32) {
    let (workspace, user, cycle) = (workspace(), user(handle), CycleNumber(1));
    let wish =
        OpenLine { handle: HandleNo(handle), epoch: 1, workspace, user, cycle, scope: Scope::ANYTHING };
    let workspace = wish.workspace.clone();
    let line = LineKey { workspace, number: journal.open_line(wish).await.expect("a line") };
    let backing = Backing { source: Source::Shared, grant: GrantNo(1) };
    let drawn = Credits::whole(1_000_000).expect("an amount");
    journal.install(line.clone(), vec![(backing, drawn)]).await.expect("installed");
    journal.raise_watermark(line, drawn).await.expect("raised");
}

fn charge(
    handle: u32,
    clock: &SystemClock,
    durability: Durability,
    key: Option<journal::KeyGuard>,
) -> Charge {
    let at = clock.now();
    let amount = Credits::from_micros(1_500_000).expect("an amount");
    Charge {
        handle: HandleNo(handle),
        epoch: 1,
        amount,
        meter: Meter {
            feature: Feature::parse("chat").expect("a name"),
            model: Some(Model::parse("m-1").expect("a name")),
            day: at.day(),
        },
        units: vec![
            (Unit::parse("input_token").expect("a name"), 1_200),
            (Unit::parse("output_token").expect("a name"), 300),
        ],
        at,
        key,
        durability,
        remaining_at_least: amount,
        remaining_at_most: amount,
    }
}
