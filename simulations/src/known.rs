//! Seeds that are known to find planted mistakes, as `tranche-sim hunt` found them; `tranche-sim kills` replays them.
//! Not here: what they find. A change of a world's load moves them: hunt anew, and write down what is found.

use crate::hunt::Known;

pub const SEEDS: &[Known] = &[];
