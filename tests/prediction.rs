//! What the simulator predicts is what five real nodes do: the same requests at the same times at the same nodes, the same
//! changes and the same faults; then the share of requests without a charge and the credits that are stranded are
//! compared. Not here: asking the simulator (`prediction/simulator`), the nodes (`prediction/reality`), the load
//! (`prediction/clients`).
//!
//! `TRANCHE_PREDICTION_SEED` names another seed of the plan in `simulations/plans/{traffic,faults}/prediction.toml`.

#[path = "prediction/clients.rs"]
mod clients;
#[path = "prediction/reality.rs"]
mod reality;
#[path = "prediction/simulator.rs"]
mod simulator;

use simulator::{Figures, Simulated};
use tests::whole;
use types::Credits;

const SEED: u64 = 1;
/// How many are simulated from there on, to show how far seeds are from each other.
const SEEDS: u64 = 16;
/// Of a hundred requests, so many more or fewer may be without a charge.
const NOT_SERVED_WITHIN: f64 = 1.0;
/// Stranded credits may differ by so many, or by a fifth.
const STRANDED_WITHIN: Credits = match Credits::whole(10) {
    Some(credits) => credits,
    None => panic!("ten"),
};
/// A plan in which everybody is served and nothing is stranded would prove nothing.
const NOT_SERVED_LEAST: f64 = 5.0;
const STRANDED_LEAST: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_real_nodes_do_what_the_simulator_predicts() {
    let seed = match std::env::var("TRANCHE_PREDICTION_SEED") {
        Ok(seed) => seed.parse().expect("TRANCHE_PREDICTION_SEED is a number"),
        Err(_) => SEED,
    };
    let simulated = Simulated::run(seed, SEEDS);
    let (predicted, half) = (&simulated.usual[&seed], &simulated.half_the_lease[&seed]);
    tests::say!("simulated, seed {seed}: {}", told(predicted));
    tests::say!("simulated, seed {seed} with half the lease: {}", told(half));
    tests::say!("simulated, {SEEDS} seeds: {}", spread(simulated.usual.values()));
    assert!(predicted.not_served_percent() >= NOT_SERVED_LEAST, "the plan is too kind: {predicted:?}");
    assert!(predicted.stranded >= whole(STRANDED_LEAST), "the plan strands too little: {predicted:?}");
    assert!(!is_near(half.stranded, predicted.stranded), "half the lease would be as near: {half:?}");

    let real = reality::live_through(&simulated.schedule).await;
    tests::say!("real nodes, seed {seed}: {}", told(&real));
    assert_eq!(real.asked, predicted.asked, "the same requests");
    let off = (real.not_served_percent() - predicted.not_served_percent()).abs();
    assert!(
        off <= NOT_SERVED_WITHIN,
        "{off:.2} points apart\n  real      {}\n  simulated {}",
        told(&real),
        told(predicted)
    );
    assert!(
        is_near(real.stranded, predicted.stranded),
        "stranded\n  real      {}\n  simulated {}",
        told(&real),
        told(predicted)
    );
}

/// Within a fifth of what was predicted, or within ten credits.
fn is_near(real: Credits, predicted: Credits) -> bool {
    let apart = real.micros().abs_diff(predicted.micros());
    apart <= STRANDED_WITHIN.micros().max(predicted.micros() / 5)
}

fn spread<'a>(seeds: impl Iterator<Item = &'a Figures> + Clone) -> String {
    let not_served = seeds.clone().map(Figures::not_served_percent);
    let least = not_served.clone().fold(f64::INFINITY, f64::min);
    let most = not_served.fold(f64::NEG_INFINITY, f64::max);
    let stranded = seeds.map(|figures| figures.stranded);
    let (few, many) = (stranded.clone().min().unwrap_or_default(), stranded.max().unwrap_or_default());
    format!("{least:.2} to {most:.2} % without a charge, {few} to {many} credits stranded")
}

fn told(figures: &Figures) -> String {
    format!(
        "{} asked, {:.2} % without a charge (with an end by then: {:?}), {} credits stranded",
        figures.asked,
        figures.not_served_percent(),
        figures.refused,
        figures.stranded
    )
}
