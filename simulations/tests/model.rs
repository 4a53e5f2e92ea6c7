//! The protocol model, searched: every world exhausted, every rare crossing seen, every planted mistake caught.
//! Not here: the deep worlds, which take minutes (`tranche-sim model --deep`).

use simulations::model::worlds::{self, Lasts};
use simulations::model::{Protocol, check, crossings, mistakes, rules, story};
use std::collections::BTreeSet;
use std::time::Duration;

const THREADS: usize = 2;
const STATES_AT_LEAST: usize = 1_500_000;

#[test]
fn in_every_state_of_every_world_every_sentence_holds() {
    let mut states = 0;
    let mut took = Duration::ZERO;
    let mut seen = BTreeSet::new();
    for world in worlds::ALL {
        let searched = check::search(*world, THREADS);
        let stories = searched.broken.iter().map(|(sentence, walk)| {
            let protocol = Protocol { world: *world, mistake: None };
            format!("{sentence}\n{}", story::tell(&protocol, walk))
        });
        let stories: Vec<_> = stories.collect();
        assert!(stories.is_empty(), "in the world \"{}\": {}", world.name, stories.join("\n\n"));
        let seconds = searched.took.as_secs_f32();
        println!("{:<42} {:>9} states in {seconds:>5.1} s", world.name, searched.states);
        states += searched.states;
        took += searched.took;
        seen.extend(searched.seen);
    }
    println!("{:<42} {states:>9} states in {:>5.1} s", "all", took.as_secs_f32());
    assert!(states >= STATES_AT_LEAST, "only {states} states: the worlds have become too small");
    let unseen: Vec<_> = crossings::SOMETIMES.iter().filter(|rule| !seen.contains(rule.sentence)).collect();
    assert!(unseen.is_empty(), "never seen, so never tested: {unseen:#?}");
}

#[test]
fn every_mistake_breaks_its_sentence_and_every_sentence_can_break() {
    let mut alive = Vec::new();
    let mut broken = BTreeSet::new();
    println!("{:<28} {:<9} {:>5}  breaks", "mistake", "rule", "steps");
    for planted in mistakes::ALL {
        let Some(walk) = check::hunt(planted) else {
            alive.push(planted.name);
            continue;
        };
        let protocol = Protocol { world: planted.world, mistake: Some(planted.mistake) };
        let (last, _) = walk.last().expect("a walk has a beginning");
        let breaks = |rule: &&rules::Rule| !(rule.holds)(&protocol, last);
        broken.extend(rules::ALWAYS.iter().filter(breaks).map(|rule| rule.sentence));
        println!("{:<28} {:<9} {:>5}  {}", planted.name, planted.rule, walk.len() - 1, planted.breaks);
    }
    assert!(alive.is_empty(), "nobody noticed these mistakes: {alive:?}");
    let idle: Vec<_> = rules::ALWAYS.iter().filter(|rule| !broken.contains(rule.sentence)).collect();
    assert!(idle.is_empty(), "no mistake breaks these sentences, so who knows whether they can: {idle:#?}");
}

#[test]
fn every_rule_in_the_scope_of_the_model_has_a_mistake() {
    for number in 1..=12 {
        let rule = format!("R{number}");
        assert!(
            mistakes::ALL.iter().any(|planted| planted.rule == rule),
            "no mistake is planted against {rule}"
        );
    }
}

#[test]
fn every_part_beside_the_rules_has_two_mistakes() {
    for part in ["forget", "intent", "carried", "hold", "session"] {
        let planted = mistakes::ALL.iter().filter(|planted| planted.rule == part).count();
        assert!(planted >= 2, "{planted} mistakes are planted in the part \"{part}\"");
    }
}

#[test]
fn names_are_names() {
    let mistakes: BTreeSet<_> = mistakes::ALL.iter().map(|planted| planted.name).collect();
    assert_eq!(mistakes.len(), mistakes::ALL.len());
    let all = || worlds::ALL.iter().chain(worlds::DEEP);
    let worlds: BTreeSet<_> = all().map(|world| world.name).collect();
    assert_eq!(worlds.len(), all().count());
}

#[test]
fn worlds_fund_allocations_by_grants_that_last() {
    for world in worlds::ALL.iter().chain(worlds::DEEP) {
        for (grant, made) in world.grants.iter().enumerate() {
            let allocated: u8 = world.allocations.iter().map(|allocation| allocation[grant]).sum();
            let lasts = matches!(made.lasts, Lasts::ThisCycle | Lasts::BothCycles);
            assert!(allocated <= made.amount && (lasts || allocated == 0), "in the world \"{}\"", world.name);
        }
    }
}

#[test]
fn a_counterexample_is_a_story() {
    let planted = mistakes::named("relative-draws").expect("it is in the list");
    let walk = check::hunt(planted).expect("it is caught");
    let told = story::tell(&Protocol { world: planted.world, mistake: Some(planted.mistake) }, &walk);
    let expected = "  1. n1 asks: Draw(line 1 of n1 to 2)
  2. the ledger hears Draw(line 1 of n1 to 2), answers Drawn(line 1 of n1; D 2) (books: D 2; available 1)
  3. the ledger hears Draw(line 1 of n1 to 2), answers Drawn(line 1 of n1; D 3) (books: D 3; available 0)
     ✗ S7 a draw is granted once: ΣD never exceeds what its holder asked for";
    assert_eq!(told, expected);
}
