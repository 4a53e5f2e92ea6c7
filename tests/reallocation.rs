//! A thousand reallocations at random between two users who spend at full speed on three nodes: never overdrawn, every
//! intent paid or lapsed, to the micro-credit. Not here: a single change at rest (`administrator`).

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tests::{Api, Books, Cluster, PATIENCE, Tally, assert_conserved, credits, eventually, micros, text};
use types::Credits;

const EACH: u64 = 100_000;
/// So many are accepted at least; those that ask for more than there is come on top.
const REALLOCATIONS: usize = 1_000;
/// So many of them at least find what they ask for out in a line, and wait for it.
const PENDING: u64 = 12;
const ADMINISTRATORS: usize = 4;
const TRIES_MAX: usize = 20 * REALLOCATIONS;

async fn spend(mut api: Api, user: &'static str, seed: u64, stop: Arc<AtomicBool>) -> Tally {
    let mut random = StdRng::seed_from_u64(seed);
    let mut told = Tally::default();
    while !stop.load(Ordering::Relaxed) {
        let amount = micros(random.random_range(1..=1_000_000));
        told.note(amount, &api.consume("acme", user, &amount.to_string()).await);
    }
    told
}

/// What the administrators were told at first, by direction.
#[derive(Debug, Default)]
struct Moves {
    accepted: Vec<String>,
    refused: u64,
    were_pending: u64,
}

/// Goes on until there was enough of both kinds.
async fn reallocate(mut api: Api, seed: u64) -> Moves {
    let mut random = StdRng::seed_from_u64(seed);
    let mut moves = Moves::default();
    for count in 0..TRIES_MAX {
        let pending_enough = moves.were_pending >= PENDING / ADMINISTRATORS as u64;
        if pending_enough && moves.accepted.len() >= REALLOCATIONS / ADMINISTRATORS {
            return moves;
        }
        let (from, to) = if random.random() { ("ann", "bob") } else { ("bob", "ann") };
        let id = format!("r-{seed}-{count}");
        // Small ones, and such as take nearly everything somebody has.
        let most = if random.random_ratio(1, 2) { EACH * 1_000_000 } else { 200_000_000 };
        let amount = micros(random.random_range(1..=most));
        let body = format!(r#"{{"id":"{id}","from":"{from}","to":"{to}","amount":"{amount}"}}"#);
        let answer = api.answer("POST", "/v1/workspaces/acme/reallocations", Some(&body)).await;
        match answer.status {
            402 => {
                assert_eq!(answer.code(), "insufficient_allocation");
                moves.refused += 1;
            }
            status @ (200 | 202) => {
                let json = answer.json();
                let [asked, moved, pending, lapsed] =
                    ["asked", "moved", "pending", "lapsed"].map(|name| credits(&json[name]));
                assert_eq!((asked, status == 202), (amount, !pending.is_zero()), "{json}");
                assert_eq!(Credits::checked_sum([moved, pending, lapsed]), Some(amount), "{json}");
                moves.were_pending += u64::from(!pending.is_zero());
                moves.accepted.push(id);
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    panic!("{TRIES_MAX} tries, {} of them accepted, {} pending", moves.accepted.len(), moves.were_pending)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_moves_between_two_who_spend_at_full_speed() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", &(2 * EACH).to_string()).await;
    for user in ["ann", "bob"] {
        let body = format!(r#"{{"amount":"{EACH}"}}"#);
        admin.write("PUT", &format!("/v1/workspaces/acme/allocations/{user}"), &body).await.expect(200);
    }
    let stop = Arc::<AtomicBool>::default();
    let spenders = ["ann", "bob"].map(|user| {
        let spend = |node: u16| tokio::spawn(spend(cluster.api(node), user, u64::from(node), stop.clone()));
        cluster.numbers().map(spend).collect::<Vec<_>>()
    });
    let administrators = (0..ADMINISTRATORS as u64).zip(cluster.numbers().cycle());
    let administrators = administrators.map(|(seed, node)| tokio::spawn(reallocate(cluster.api(node), seed)));
    let moves: Vec<Moves> = join_all(administrators)
        .await
        .into_iter()
        .map(|moves| moves.expect("every answer is known"))
        .collect();
    stop.store(true, Ordering::Relaxed);
    let mut told = Vec::new();
    for spenders in spenders {
        let tallies = join_all(spenders).await.into_iter().map(|told| told.expect("a tally"));
        told.push(Tally::sum(&tallies.collect::<Vec<_>>()));
    }
    let accepted: Vec<&String> = moves.iter().flat_map(|moves| &moves.accepted).collect();
    let pending: u64 = moves.iter().map(|moves| moves.were_pending).sum();
    let refused: u64 = moves.iter().map(|moves| moves.refused).sum();
    println!("{} accepted, {pending} of them pending at first, {refused} refused; {told:?}", accepted.len());
    assert!(accepted.len() >= REALLOCATIONS && pending >= PENDING);
    assert!(told.iter().all(|told| told.calls > 1_000), "both spent at full speed: {told:?}");

    let mut balance = [EACH * 1_000_000; 2].map(i128::from);
    for id in accepted {
        let (from, moved) = settled(&mut admin, id).await;
        let (donor, taker) = if from == "ann" { (0, 1) } else { (1, 0) };
        balance[donor] -= i128::from(moved.micros());
        balance[taker] += i128::from(moved.micros());
    }
    let all = Tally::sum(&told);
    let books = Books::settled(&mut admin, "acme", &all).await;
    assert_eq!((books.used, books.pending), (all.allowed, Credits::ZERO));
    for (n, user) in ["ann", "bob"].into_iter().enumerate() {
        assert_eq!(told[n].refused_otherwise(&["allocation_exhausted"]), [].into(), "{user}");
        let allocation = admin.read(&format!("/v1/workspaces/acme/allocations/{user}")).await;
        assert_eq!(
            i128::from(credits(&allocation["allocation"]).micros()),
            balance[n],
            "{user}: {allocation}"
        );
        assert_eq!(credits(&allocation["used"]), told[n].allowed, "{user}: {allocation}");
        // What is left of it is there to be spent, and not a micro-credit more.
        let left = credits(&allocation["allocation"]).checked_sub(told[n].allowed).expect("never overdrawn");
        if !left.is_zero() {
            cluster.api(2).consume("acme", user, &left.to_string()).await.allowed();
        }
        let more = cluster.api(3).consume("acme", user, "0.000001").await.refused();
        assert_eq!(more, "allocation_exhausted");
    }
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

/// Waits until nothing of a reallocation is pending; answers who gave and what arrived.
async fn settled(admin: &mut Api, id: &str) -> (String, Credits) {
    let path = format!("/v1/workspaces/acme/reallocations/{id}");
    eventually(&format!("{id} is paid or lapsed"), PATIENCE, async || {
        let json = admin.read(&path).await;
        let [asked, moved, pending, lapsed] =
            ["asked", "moved", "pending", "lapsed"].map(|name| credits(&json[name]));
        assert_eq!(Credits::checked_sum([moved, pending, lapsed]), Some(asked), "{json}");
        pending.is_zero().then(|| (text(&json["from"]), moved))
    })
    .await
}
