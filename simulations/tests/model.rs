//! The lists that the protocol's model is searched by. Not here: every world exhausted, every rare crossing seen and every
//! planted mistake caught, which takes a minute or two: `tranche-sim model`, a part of `proof`.

use simulations::model::worlds::{self, Lasts};
use simulations::model::{Protocol, check, mistakes, story};
use std::collections::BTreeSet;

#[test]
fn in_every_state_of_a_small_world_every_sentence_holds() {
    let world = worlds::named("limit of a feature").expect("it is in the list");
    let searched = check::search(*world);
    assert!(searched.broken.is_empty() && searched.states > 10_000, "{searched:#?}");
}

#[test]
fn searches_are_answered_in_their_order() {
    let all: Vec<u32> = (0..100).collect();
    assert_eq!(check::each(&all, |one| one * 2), all.iter().map(|one| one * 2).collect::<Vec<_>>());
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
