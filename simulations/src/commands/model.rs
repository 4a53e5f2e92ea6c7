//! `tranche-sim model`. Not here: the model.

use super::Verdict;
use simulations::model::mistakes::{self, Planted};
use simulations::model::{Protocol, check, crossings, rules, story, worlds};
use std::collections::BTreeSet;

#[derive(Debug, clap::Args)]
pub struct Model {
    /// Search the larger worlds (some minutes, some gigabytes).
    #[arg(long, conflicts_with_all = ["world", "mistake"])]
    deep: bool,
    /// Search one world.
    #[arg(long, value_name = "NAME", conflicts_with = "mistake")]
    world: Option<String>,
    /// Tell how a planted mistake breaks the protocol.
    #[arg(long, value_name = "NAME")]
    mistake: Option<String>,
}

/// States of all worlds together, at least.
const STATES_MIN: usize = 1_500_000;

impl Model {
    pub fn run(&self) -> Verdict {
        if let Some(name) = &self.mistake {
            let all = || mistakes::ALL.iter().map(|planted| planted.name);
            return mistakes::named(name).map(tell).ok_or_else(|| unknown("mistake", name, all()));
        }
        if let Some(name) = &self.world {
            let all = || worlds::ALL.iter().chain(worlds::DEEP).map(|world| world.name);
            let world = worlds::named(name).ok_or_else(|| unknown("world", name, all()))?;
            return Ok(search(*world).broken.is_empty());
        }
        if self.deep {
            return Ok(worlds::DEEP.iter().all(|world| search(*world).broken.is_empty()));
        }
        Ok(Self::everything())
    }
}

fn unknown(kind: &str, name: &str, names: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<_> = names.collect();
    format!("there is no {kind} {name:?}; there are:\n  {}", names.join("\n  "))
}

impl Model {
    /// Every world and every mistake.
    pub fn everything() -> bool {
        let clock = platform::SystemClock::new();
        let searched = check::each(worlds::ALL, |world| search(*world));
        let took = platform::Clock::monotonic(&clock).as_secs_f32();
        let states: usize = searched.iter().map(|searched| searched.states).sum();
        let mut clean = searched.iter().all(|searched| searched.broken.is_empty());
        let held = if clean { "each true in every one" } else { "NOT PASSED: see BROKEN above" };
        println!("{states} states in {took:.1} s, {} sentences, {held}", rules::ALWAYS.len());
        if states < STATES_MIN {
            println!("NOT PASSED: fewer than {STATES_MIN} states: the worlds have become too small");
            clean = false;
        }
        for rule in crossings::SOMETIMES {
            let was = searched.iter().any(|searched| searched.seen.contains(rule.sentence));
            println!("  {}: {}", if was { "seen" } else { "NEVER SEEN" }, rule.sentence);
            clean &= was;
        }
        println!("\n{:<28} {:<9} {:>5}  breaks", "mistake", "rule", "steps");
        let mut broken = BTreeSet::new();
        for (planted, walk) in mistakes::ALL.iter().zip(check::each(mistakes::ALL, check::hunt)) {
            clean &= walk.is_some();
            let steps = walk.as_ref().map_or("ALIVE".to_string(), |walk| (walk.len() - 1).to_string());
            println!("{:<28} {:<9} {steps:>5}  {}", planted.name, planted.rule, planted.breaks);
            if let Some((last, _)) = walk.as_ref().and_then(|walk| walk.last()) {
                let protocol = Protocol { world: planted.world, mistake: Some(planted.mistake) };
                let breaks = |rule: &&rules::Rule| !(rule.holds)(&protocol, last);
                broken.extend(rules::ALWAYS.iter().filter(breaks).map(|rule| rule.sentence));
            }
        }
        for rule in rules::ALWAYS.iter().filter(|rule| !broken.contains(rule.sentence)) {
            println!("NOT PASSED: no mistake breaks this, so who knows whether it can: {}", rule.sentence);
            clean = false;
        }
        clean
    }
}

/// Prints how far it went, and how each sentence broke that did.
fn search(world: worlds::World) -> check::Searched {
    let searched = check::search(world);
    println!(
        "{:<42} {:>9} states, depth {:>2}, {:>5.1} s",
        world.name,
        searched.states,
        searched.depth,
        searched.took.as_secs_f32()
    );
    for (sentence, walk) in &searched.broken {
        println!("BROKEN: {sentence}\n{}", story::tell(&Protocol { world, mistake: None }, walk));
    }
    searched
}

fn tell(planted: &Planted) -> bool {
    let Planted { mistake, name, rule, thought, breaks, world } = *planted;
    println!("{name} (against {rule}): {thought}.\nIn the world \"{}\":\n", world.name);
    let Some(walk) = check::hunt(planted) else {
        println!("nothing breaks; the model does not see this mistake");
        return false;
    };
    println!("{}\nBroken: {breaks}", story::tell(&Protocol { world, mistake: Some(mistake) }, &walk));
    true
}
