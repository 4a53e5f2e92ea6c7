//! `tranche-sim`: the commands of this room. It parses its arguments and prints; it decides nothing.

use simulations::batch;
use simulations::model::mistakes::{self, Planted};
<<<<<<< HEAD
use simulations::model::{Protocol, check, crossings, rules, story, worlds};
=======
use simulations::model::{Protocol, check, rules, story, worlds};
use simulations::world_a::{self, Config};
>>>>>>> worlda
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage:
  tranche-sim model                    search every world, then hunt every planted mistake
  tranche-sim model --deep             search the larger worlds (some minutes, some gigabytes)
  tranche-sim model --world NAME       search one world
  tranche-sim model --mistake NAME     tell how a planted mistake breaks the protocol

  tranche-sim seed --world a --seed N [--minutes M] [--film] [--brief]
                                       run one seed in this process; one line of JSON
  tranche-sim batch --world a --seeds A..B [--minutes M]
                                       run seeds, a process each, on all cores; M is 10 by default";

const THREADS: usize = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["model"] => model(),
        ["model", "--deep"] => {
            if_clean(worlds::DEEP.iter().all(|world| search(*world, &mut BTreeSet::new()).is_some()))
        }
        ["model", "--world", name] => match worlds::named(name) {
            Some(world) => if_clean(search(*world, &mut BTreeSet::new()).is_some()),
            None => unknown("world", name, worlds::ALL.iter().chain(worlds::DEEP).map(|world| world.name)),
        },
        ["model", "--mistake", name] => match mistakes::named(name) {
            Some(planted) => if_clean(tell(planted)),
            None => unknown("mistake", name, mistakes::ALL.iter().map(|planted| planted.name)),
        },
<<<<<<< HEAD
        ["seed", "b", seed, minutes, rest @ ..] => one_of_world_b(seed, minutes, rest.first().copied()),
=======
        ["seed", flags @ ..] => match Flags::parse(flags) {
            Some(Flags { seeds: Some((seed, _)), minutes, film, brief }) => {
                run_seed(seed, minutes, film, brief)
            }
            _ => misunderstood(&words),
        },
        ["batch", flags @ ..] => match Flags::parse(flags) {
            Some(Flags { seeds: Some((from, to)), minutes, film: false, brief: false }) => {
                run_batch(from, to, minutes)
            }
            _ => misunderstood(&words),
        },
>>>>>>> worlda
        ["--help" | "-h" | "help"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => misunderstood(&words),
    }
}

fn misunderstood(words: &[&str]) -> ExitCode {
    eprintln!("tranche-sim does not understand `{}`\n\n{USAGE}", words.join(" "));
    ExitCode::from(2)
}

struct Flags {
    /// From, and before.
    seeds: Option<(u64, u64)>,
    minutes: u64,
    film: bool,
    /// Without the timeline.
    brief: bool,
}

impl Flags {
    fn parse(words: &[&str]) -> Option<Self> {
        let mut flags = Self { seeds: None, minutes: 10, film: false, brief: false };
        let mut has_world = false;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--world" => has_world = *words.next()? == "a",
                "--seed" => {
                    let seed: u64 = words.next()?.parse().ok()?;
                    flags.seeds = Some((seed, seed.checked_add(1)?));
                }
                "--seeds" => {
                    let (from, to) = words.next()?.split_once("..")?;
                    flags.seeds = Some((from.parse().ok()?, to.parse().ok()?)).filter(|(from, to)| from < to);
                    flags.seeds?;
                }
                "--minutes" => flags.minutes = words.next()?.parse().ok().filter(|minutes| *minutes > 0)?,
                "--film" => flags.film = true,
                "--brief" => flags.brief = true,
                _ => return None,
            }
        }
        has_world.then_some(flags)
    }
}

fn run_seed(seed: u64, minutes: u64, film: bool, brief: bool) -> ExitCode {
    let config = Config { keep_film: film, ..Config::draw(seed, minutes) };
    let mut outcome = world_a::run(&config, seed);
    if brief {
        outcome.timeline.clear();
    }
    match serde_json::to_string(&outcome) {
        Ok(line) => println!("{line}"),
        Err(why) => eprintln!("the outcome cannot be written: {why}"),
    }
    if_clean(outcome.broken.is_none())
}

fn run_batch(from: u64, to: u64, minutes: u64) -> ExitCode {
    match batch::run(from, to, minutes) {
        Ok(summary) => {
            print!("{summary}");
            if_clean(summary.complaints().is_empty())
        }
        Err(why) => {
            eprintln!("the batch could not be run: {why}");
            ExitCode::FAILURE
        }
    }
}

fn one_of_world_b(seed: &str, minutes: &str, film: Option<&str>) -> ExitCode {
    let (Ok(seed), Ok(minutes)) = (seed.parse::<u64>(), minutes.parse::<u64>()) else {
        eprintln!("a seed and minutes are whole numbers");
        return ExitCode::from(2);
    };
    seeded_libc::seed(seed);
    #[cfg(debug_assertions)]
    if let Ok(name) = std::env::var("TRANCHE_PLANT") {
        types::planted::plant(Some(name.parse().expect("the name of a mistake")));
    }
    if let Err(why) = simulations::world_b::trace::begin(film.map(std::path::Path::new)) {
        eprintln!("the film cannot be written: {why}");
        return ExitCode::from(2);
    }
    let case = simulations::world_b::Case::draw(seed, 3, minutes * 60_000);
    let outcome = simulations::world_b::run(&case);
    println!("{}", serde_json::to_string_pretty(&outcome).expect("an outcome is plain data"));
    if_clean(outcome.broken.is_empty())
}

fn if_clean(clean: bool) -> ExitCode {
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn unknown(kind: &str, name: &str, names: impl Iterator<Item = &'static str>) -> ExitCode {
    eprintln!("there is no {kind} `{name}`; there are:");
    names.for_each(|name| eprintln!("  {name}"));
    ExitCode::from(2)
}

fn model() -> ExitCode {
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
    if_clean(clean)
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
