//! `tranche-sim model`. Not here: the model.

use super::Verdict;
use simulations::model::mistakes::{self, Planted};
use simulations::model::{Protocol, check, crossings, rules, story, worlds};
use std::collections::BTreeSet;
use std::time::Duration;

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

const THREADS: usize = 2;

impl Model {
    pub fn run(&self) -> Verdict {
        if let Some(name) = &self.mistake {
            let all = || mistakes::ALL.iter().map(|planted| planted.name);
            return mistakes::named(name).map(tell).ok_or_else(|| unknown("mistake", name, all()));
        }
        if let Some(name) = &self.world {
            let all = || worlds::ALL.iter().chain(worlds::DEEP).map(|world| world.name);
            let world = worlds::named(name).ok_or_else(|| unknown("world", name, all()))?;
            return Ok(search(*world, &mut BTreeSet::new()).is_some());
        }
        if self.deep {
            return Ok(worlds::DEEP.iter().all(|world| search(*world, &mut BTreeSet::new()).is_some()));
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
        let mut seen = BTreeSet::new();
        let mut states = 0;
        let mut took = Duration::ZERO;
        let mut clean = true;
        for world in worlds::ALL {
            match search(*world, &mut seen) {
                Some(searched) => {
                    states += searched.states;
                    took += searched.took;
                }
                None => clean = false,
            }
        }
        let took = took.as_secs_f32();
        println!("{states} states in {took:.1} s, {} sentences, each true in every one", rules::ALWAYS.len());
        for rule in crossings::SOMETIMES {
            let was = if seen.contains(rule.sentence) { "seen" } else { "NEVER SEEN" };
            clean &= seen.contains(rule.sentence);
            println!("  {was}: {}", rule.sentence);
        }
        println!("\n{:<28} {:<9} {:>5}  breaks", "mistake", "rule", "steps");
        for planted in mistakes::ALL {
            let walk = check::hunt(planted);
            clean &= walk.is_some();
            let steps = walk.map_or("ALIVE".to_string(), |walk| (walk.len() - 1).to_string());
            println!("{:<28} {:<9} {steps:>5}  {}", planted.name, planted.rule, planted.breaks);
        }
        clean
    }
}

/// What was found, if no sentence broke.
fn search(world: worlds::World, seen: &mut BTreeSet<&'static str>) -> Option<check::Searched> {
    let searched = check::search(world, THREADS);
    seen.extend(&searched.seen);
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
    searched.broken.is_empty().then_some(searched)
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
