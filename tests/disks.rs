//! What a disk can do to a node: torn and damaged journals, a full disk, somebody else's directory. Not here: links.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tests::{
    Answer, Api, Books, Cluster, PATIENCE, Process, SmallDisk, Spent, Tally, assert_conserved, credits,
    eventually, whole,
};
use types::Credits;

/// The newest segment of a node's journal.
fn newest_segment(data: &Path) -> PathBuf {
    let files = std::fs::read_dir(data.join("journal")).expect("a journal");
    let names = files.map(|file| file.expect("an entry").path());
    names.filter(|path| path.extension().is_some_and(|end| end == "seg")).max().expect("a segment")
}

/// Turns one bit over, at a place counted from the first and the last byte that are not zero.
fn damage(segment: &Path, place: impl Fn(usize, usize) -> usize) {
    let mut bytes = std::fs::read(segment).expect("the segment is read");
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("something was written");
    bytes[place(0, last)] ^= 1;
    std::fs::write(segment, bytes).expect("the segment is written");
}

/// Starts a process that must end by itself, with an error of one line; answers what it said.
async fn refuses_to_start(command: &mut std::process::Command, directory: &Path) -> String {
    let mut process = Process::start("the refused", command, &directory.join("refused.log"));
    let status = process.wait(PATIENCE).await;
    let log = process.log();
    assert!(!status.success(), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    log.lines()
        .rfind(|line| line.starts_with("tranche: "))
        .unwrap_or_else(|| panic!("no word why: {log}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_journal_is_rounded_up_and_never_overdrawn() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let mut told = Tally::default();
    let mut ann = cluster.api(2);
    eventually("Ann is decided where she asks", PATIENCE, async || {
        let spent = ann.consume("acme", "ann", "1").await;
        told.note(whole(1), &spent);
        (spent.allowed().1 == "n2").then_some(())
    })
    .await;
    for _ in 0..20 {
        told.note(whole(1), &ann.consume("acme", "ann", "1").await);
    }
    cluster.node(2).kill();
    damage(&newest_segment(&cluster.node(2).data()), |_, last| last);
    cluster.all_back().await;
    for _ in 0..20 {
        told.note(whole(1), &ann_again(&cluster).await);
    }
    assert_eq!((told.unknown, told.refused.len()), (Credits::ZERO, 0), "{told:?}");

    let mut api = cluster.api(1);
    let books = eventually("what was rounded up is in the books", PATIENCE, async || {
        let books = Books::read(&mut api, "acme").await;
        (books.used >= told.allowed && !books.unattributed.is_zero()).then_some(books)
    })
    .await;
    assert!(books.unattributed <= whole(100), "at most what one line had on its watermark: {books:?}");
    // All that is left can be spent, and what was told and what was rounded up make the whole.
    told.note(books.remaining, &cluster.api(3).consume_reachable("acme", "bob", books.remaining).await);
    assert_eq!(cluster.api(1).consume("acme", "ann", "1").await.refused(), "exhausted");
    let books = Books::read(&mut api, "acme").await;
    assert_eq!((books.used, books.remaining), (whole(1_000), Credits::ZERO));
    assert!(told.allowed <= whole(1_000));
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

async fn ann_again(cluster: &Cluster) -> Spent {
    cluster.api(2).consume("acme", "ann", "1").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_within_what_was_durable_refuses_to_start() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let mut told = Tally::default();
    let mut ann = cluster.api(2);
    for _ in 0..100 {
        let spent = ann.consume_as("acme", "ann", "1", None, Some("disk")).await;
        told.note(whole(1), &spent);
    }
    Books::settled(&mut cluster.api(1), "acme", &told).await;
    cluster.node(2).kill();
    let segment = newest_segment(&cluster.node(2).data());
    let sound = std::fs::read(&segment).expect("the segment is read");
    damage(&segment, |_, last| last / 2);
    let directory = cluster.directory();
    let why = refuses_to_start(&mut cluster.node(2).command(), &directory).await;
    assert!(why.contains("damaged at byte"), "{why}");
    // The others go on without it, and with the sound file it is back.
    told.note(whole(1), &cluster.api(1).consume("acme", "bob", "1").await);
    std::fs::write(&segment, sound).expect("the segment is written");
    cluster.all_back().await;
    Books::settled(&mut cluster.api(2), "acme", &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_belongs_to_one_process_one_cluster_one_node() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "100").await;
    cluster.api(1).consume("acme", "ann", "1").await.allowed();
    let directory = cluster.directory();

    let why = refuses_to_start(&mut cluster.node(2).command(), &directory).await;
    assert!(why.contains("in use"), "a second process: {why}");
    cluster.ready().await;
    cluster.api(2).consume("acme", "ann", "1").await.allowed();

    assert!(cluster.node(2).terminate(PATIENCE).await.0.success(), "SIGTERM drains and ends well");
    let why =
        refuses_to_start(cluster.node(2).command().env("TRANCHE_CLUSTER__NAME", "others"), &directory).await;
    assert!(why.contains("belongs to cluster"), "another cluster's directory: {why}");

    let (data, aside) = (cluster.node(2).data(), directory.join("aside"));
    std::fs::rename(&data, &aside).expect("moved aside");
    let why = refuses_to_start(&mut cluster.node(2).command(), &directory).await;
    assert!(why.contains("node ids are never reused"), "an empty directory under a known id: {why}");
    std::fs::remove_dir_all(&data).expect("the empty one is removed");
    std::fs::rename(&aside, &data).expect("moved back");

    // What it has promised stands in its log: with all else in place it would vote against it.
    let log = data.join("raft").join("log.redb");
    std::fs::rename(&log, &aside).expect("moved aside");
    let why = refuses_to_start(&mut cluster.node(2).command(), &directory).await;
    assert!(why.contains("Raft log of n2 is gone"), "a log that is gone: {why}");
    assert!(!log.exists(), "no other one was begun");
    std::fs::rename(&aside, &log).expect("moved back");

    cluster.all_back().await;
    cluster.api(2).consume("acme", "ann", "98").await.allowed();
    assert_eq!(cluster.api(1).consume("acme", "ann", "0.000001").await.refused(), "exhausted");
}

/// A copy of a directory and all that is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory for the copy");
    for entry in std::fs::read_dir(from).expect("the directory is read").flatten() {
        let to = to.join(entry.file_name());
        if entry.file_type().expect("it has a kind").is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("the file is copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_a_disk_is_refused_before_it_takes_part() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let mut told = Tally::default();
    cluster.decide_at(2, "ann", &mut told).await;
    Books::settled(&mut cluster.api(1), "acme", &told).await;
    let (data, directory) = (cluster.node(2).data(), cluster.directory());
    let (older, newer) = (directory.join("older"), directory.join("newer"));

    assert!(cluster.node(2).terminate(PATIENCE).await.0.success(), "SIGTERM drains and ends well");
    copy(&data, &older);
    // Started on what it left behind, it is welcome: after the drain, and after it was killed in the middle.
    cluster.all_back().await;
    cluster.decide_at(2, "ann", &mut told).await;
    cluster.node(2).kill();
    cluster.all_back().await;
    cluster.decide_at(2, "ann", &mut told).await;
    let books = Books::settled(&mut cluster.api(1), "acme", &told).await;
    cluster.node(2).kill();

    std::fs::rename(&data, &newer).expect("moved aside");
    copy(&older, &data);
    let why = refuses_to_start(&mut cluster.node(2).command(), &directory).await;
    assert!(why.contains("the disk of n2 is older than what the cluster has seen of it"), "{why}");
    assert!(why.contains("tranche node forget n2"), "{why}");
    // Not one record was written, so that it is no less old the next time; and no group has begun.
    let again = refuses_to_start(&mut cluster.node(2).command(), &directory).await;
    let until_by = |why: &str| why.split(", and n").next().expect("a sentence").to_owned();
    assert_eq!(until_by(&again), until_by(&why));
    for file in ["journal", "raft"] {
        assert_eq!(bytes_in(&data.join(file)), bytes_in(&older.join(file)), "{file} is as it was");
    }

    // Where nobody can say how old it is it starts, and writes records; the next start tells its age all the same.
    cluster.isolate(2);
    for start in ["first", "second"] {
        let before = newest_segment(&data);
        cluster.node(2).start();
        eventually(start, PATIENCE, async || (newest_segment(&data) != before).then_some(())).await;
        cluster.node(2).kill();
    }
    cluster.heal();
    let later = refuses_to_start(&mut cluster.node(2).command(), &directory).await;
    assert_eq!(until_by(&later), until_by(&why));

    // The others go on without it, and with the newer one it is back.
    told.note(whole(1), &cluster.api(1).consume("acme", "bob", "1").await);
    told.note(whole(1), &cluster.api(3).consume("acme", "cleo", "1").await);
    std::fs::remove_dir_all(&data).expect("the older one is removed");
    std::fs::rename(&newer, &data).expect("moved back");
    cluster.all_back().await;
    cluster.decide_at(2, "ann", &mut told).await;
    let after = Books::settled(&mut cluster.api(2), "acme", &told).await;
    assert!(after.used > books.used);
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

/// Every file in a directory, with what it holds.
fn bytes_in(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files =
        std::fs::read_dir(directory).expect("the directory is read").flatten().map(|entry| entry.path());
    let read = |path: PathBuf| {
        (PathBuf::from(path.file_name().expect("a name")), std::fs::read(&path).expect("read"))
    };
    files.map(read).collect()
}

/// Large enough for the journal, the log and their next segments; small enough to be filled by a test.
const SMALL_DISK_MIB: u32 = 96;
const BATCHES_MAX: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_full_says_so_and_loses_nothing() {
    let mut cluster = Cluster::start_on(3, |node| (node == 1).then(|| SmallDisk::new(SMALL_DISK_MIB))).await;
    let mut admin = cluster.api(2);
    admin.make_workspace("acme", "1000000").await;
    let mut told = Tally::default();
    let user = user_at_home(&cluster, 1, &mut told).await;
    cluster.node(1).disk().fill();

    // Keyed consumes until the node finds no room for more; each of them is answered.
    let mut full = cluster.api(1);
    let mut random = StdRng::seed_from_u64(7);
    let mut refused = None;
    for batch in 0..BATCHES_MAX {
        let answer = send_batch(&mut full, &user, batch, &mut random).await;
        if answer.status != 200 {
            refused = Some(answer.code());
            told.unknown.grow(whole(10));
            break;
        }
        note_items(&answer, &mut told);
        if told.refused.contains_key("storage_unavailable") {
            refused = Some("storage_unavailable".into());
            break;
        }
    }
    println!("refused {refused:?} after {} consumes; {:?}", told.calls, told.refused);
    assert_eq!(refused.as_deref(), Some("storage_unavailable"), "{told:?}");

    let ready = cluster.api(1).get("/readyz").await.expect(503).text();
    assert!(ready.contains("free space on its disk"), "{ready}");

    // Everybody else goes on.
    told.note(whole(5), &cluster.api(2).consume("acme", "bob", "5").await);
    told.note(whole(5), &cluster.api(3).consume("acme", "cleo", "5").await);
    admin.write("PUT", "/v1/workspaces/acme/members/bob", r#"{"role":"admin"}"#).await.expect(200);
    assert_eq!(told.refused.keys().collect::<Vec<_>>(), ["storage_unavailable"]);

    // With room again it goes on by itself; and after a restart all is as before.
    cluster.node(1).disk().free();
    eventually("a node with room again goes on", PATIENCE, async || {
        let spent = cluster.api(1).consume("acme", &user, "1").await;
        told.note(whole(1), &spent);
        matches!(spent, Spent::Allowed { .. }).then_some(())
    })
    .await;
    cluster.api(1).get("/readyz").await.expect(200);
    cluster.node(1).kill();
    cluster.all_back().await;
    told.note(whole(1), &cluster.api(1).consume("acme", &user, "1").await);
    let books = Books::settled(&mut admin, "acme", &told).await;
    assert!(books.used <= told.allowed.checked_add(told.unknown).expect("small"));
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

/// A user whose keyed consumes are decided by `node`.
async fn user_at_home(cluster: &Cluster, node: u16, told: &mut Tally) -> String {
    for n in 0..100 {
        let user = format!("user-{n}");
        let spent = cluster.api(2).consume_as("acme", &user, "1", Some("home"), None).await;
        told.note(whole(1), &spent);
        if spent.allowed().1 == format!("n{node}") {
            return user;
        }
    }
    panic!("a hundred users and none at home on n{node}")
}

async fn send_batch(api: &mut Api, user: &str, batch: usize, random: &mut StdRng) -> Answer {
    let items: Vec<String> = (0..1_000)
        .map(|item| {
            let key = format!("{batch:04}-{item:04}-{:0100}", random.random::<u64>());
            format!(r#"{{"key":"{key}","user":"{user}","feature":"chat","amount":"0.01"}}"#)
        })
        .collect();
    let body = format!(r#"{{"items":[{}]}}"#, items.join(","));
    api.answer("POST", "/v1/workspaces/acme/consume/batch", Some(&body)).await
}

fn note_items(answer: &Answer, told: &mut Tally) {
    let json = answer.json();
    for item in json["items"].as_array().expect("a list") {
        told.note("0.01".parse().expect("an amount"), &spent_of(item));
    }
}

fn spent_of(item: &Value) -> Spent {
    match item["code"].as_str() {
        None => Spent::Allowed {
            charged: credits(&item["charged"]),
            by: item["node"].as_str().unwrap_or_default().into(),
            bytes: Vec::new(),
        },
        Some("outcome_unknown") => Spent::Unknown,
        Some(code) => Spent::Refused { code: code.into(), detail: item["detail"].to_string() },
    }
}
