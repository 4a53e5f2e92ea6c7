//! Random histories of one pool against the naive model and all checkers. `SEED=7 PACE=racy` runs one again,
//! `SEEDS=10000` searches longer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use testkit::checkers::Broken;
use testkit::history::{self, History, START, Seen};
use testkit::workload::{self, Pace, Step};

const STEPS: usize = 400;
const PROMPT_SEEDS: u64 = 500;
const RACY_SEEDS: u64 = 1_400;
/// Of each of the two.
const COMMANDS_MIN: usize = 100_000;

/// A third of the histories begin without cycles; the others have long ones, or short ones of which several pass.
fn cycle_days(seed: u64) -> Option<i64> {
    match seed % 3 {
        0 => Some(20),
        1 => Some(5),
        _ => None,
    }
}

/// A ledger that stops is a broken history like any other.
fn run(steps: &[Step], pace: Pace, seed: u64) -> Result<History, Broken> {
    let run = || history::run(steps, pace, cycle_days(seed));
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        Err(Broken { sentence: "the ledger stands", what })
    })
}

/// Fails with the shortest history of this seed that breaks the same sentence.
fn fail(seed: u64, pace: Pace, steps: Vec<Step>, broken: &Broken) -> ! {
    let fails = |steps: &[Step]| run(steps, pace, seed).is_err_and(|b| b.sentence == broken.sentence);
    let steps = workload::minimised(steps, fails);
    let broken = run(&steps, pace, seed).expect_err("it failed a moment ago");
    let film: Vec<String> = steps.iter().map(|step| format!("  {step:?}\n")).collect();
    panic!("SEED={seed} PACE={pace:?}: {}: {}\n{}", broken.sentence, broken.what, film.concat());
}

fn run_seeds(pace: Pace, name: &str, seeds: u64, sometimes: &[&str]) {
    let number =
        |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("SEED, SEEDS are numbers"));
    let (chosen, seeds) = (number("SEED"), number("SEEDS").unwrap_or(seeds));
    if chosen.is_some() && std::env::var("PACE").is_ok_and(|pace| pace != name) {
        return;
    }
    let (mut seen, mut commands) = (Seen::new(), 0);
    let seeds = chosen.map_or(0..seeds, |seed| seed..seed + 1);
    for seed in seeds.clone() {
        let steps = workload::steps(seed, pace, STEPS, START);
        match run(&steps, pace, seed) {
            Err(broken) => fail(seed, pace, steps, &broken),
            Ok(history) => {
                commands += history.commands();
                history.seen.iter().for_each(|(what, times)| *seen.entry(what).or_default() += times);
            }
        }
    }
    println!("{name}: seeds {seeds:?}, {commands} commands, {seen:#?}");
    if chosen.is_none() {
        assert!(commands >= COMMANDS_MIN, "only {commands} commands");
        let never: Vec<_> = sometimes.iter().filter(|what| !seen.contains_key(*what)).collect();
        assert!(never.is_empty(), "never seen: {never:?}");
    }
}

#[test]
fn prompt_holders_make_the_ledger_a_pool_without_leases() {
    let sometimes = [
        "imported",
        "imported again",
        "imported under a name that is taken",
        "imported into the cycle before",
        "import too old",
        "import of what is yet to happen",
        "import refused otherwise",
        "uncovered",
        "an import took of an allocation",
        "an import was overage",
        "what had run out paid for an import",
        "a cycle ended",
        "a free seat was taken",
        "a service had overage of another's",
        "a service spent what is shared with it",
        "a seat was left free",
        "a seat's part was short",
        "allowed",
        "an allocation was short",
        "not allowed",
        "overage was drawn",
        "pooling was switched",
        "a reserve was short",
        "counted for a stranger",
        "counted for who has no access",
        "counted for who has not enough",
        "refund asked again",
        "refund refused",
        "refunded",
        "refunded and expired",
        "refunded to an allocation",
        "refunded to overage",
        "refused as predicted",
        "something was kept over a rollover",
        "spent as predicted",
    ];
    run_seeds(Pace::Prompt, "prompt", PROMPT_SEEDS, &sometimes);
}

#[test]
fn racing_holders_leave_the_books_right() {
    let sometimes = [
        "imported",
        "imported again",
        "imported under a name that is taken",
        "imported into the cycle before",
        "import too old",
        "import of what is yet to happen",
        "import refused otherwise",
        "uncovered",
        "an import took of an allocation",
        "an import was overage",
        "what had run out paid for an import",
        "a charge of an ended cycle came late",
        "a cut of a reserve left a pending part",
        "a line drew on two reserves",
        "a reserve paid for overage",
        "a reserve was drawn on",
        "a team was moved with credits out",
        "a cycle ended",
        "a cycle ended with credits out",
        "a free seat was taken",
        "a service had overage of another's",
        "a service shared otherwise with credits out",
        "a service spent what is shared with it",
        "a seat was left free",
        "a seat's part was drawn on",
        "a seat's part was short",
        "a switch called shared credits back",
        "pooling was switched",
        "a reallocation left a pending part",
        "a return of an ended cycle was carried",
        "answered",
        "closed",
        "denied: access",
        "denied: allocation",
        "denied: cap on overage",
        "denied: exhausted",
        "overage was drawn",
        "refund asked again",
        "refund refused",
        "refunded",
        "refunded and expired",
        "refunded to an allocation",
        "refunded to overage",
        "the bill of an ended cycle changed",
        "what came back paid for overage",
        "what had paid for overage was free again",
        "denied: frozen",
        "denied: limit",
        "denied: not in the plan",
        "denied: limit of a team",
        "denied: stranger",
        "evidence sent",
        "late word on a written-off line",
        "rejected otherwise",
        "spent by a holder declared lost",
        "spent locally",
        "stale line",
        "would have been refused",
        "written off",
    ];
    run_seeds(Pace::Racy, "racy", RACY_SEEDS, &sometimes);
}
