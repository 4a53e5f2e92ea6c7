//! One run, written down: which seed of which world, which of its faults and changes, and what broke. A failing run is made
//! small by leaving faults and changes out as long as the same sentence breaks. Not here: running it.

use crate::batch::{self, Scope, World};
use crate::fault::Fault;
use crate::outcome::Outcome;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Faults and changes by their places in the lists that the seed draws; `None`: all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub world: String,
    pub seed: u64,
    pub minutes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<Vec<usize>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<usize>>,
    /// What broke, and what is left of the lists, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub broken: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<String>,
}

/// Runs that shrinking may take.
const ATTEMPTS_MAX: usize = 400;

impl Case {
    #[must_use]
    pub fn new(scope: Scope, seed: u64, plant: Option<String>) -> Self {
        let world = scope.world.name().to_owned();
        let (faults, changes, broken, told) = (None, None, String::new(), Vec::new());
        Self { world, seed, minutes: scope.minutes, plant, faults, changes, broken, told }
    }

    /// # Errors
    /// It names no world.
    pub fn world(&self) -> Result<World, String> {
        match self.world.as_str() {
            "a" => Ok(World::A),
            "b" => Ok(World::B),
            other => Err(format!("world: {other:?} is neither \"a\" nor \"b\"")),
        }
    }

    /// Leaves out of a drawn list what the case leaves out.
    pub fn keep<T>(kept: Option<&Vec<usize>>, drawn: Vec<T>) -> Vec<T> {
        let Some(kept) = kept else { return drawn };
        let of = |(at, one): (usize, T)| kept.contains(&at).then_some(one);
        drawn.into_iter().enumerate().filter_map(of).collect()
    }

    fn run(&self, program: &Path) -> io::Result<Outcome> {
        let text = serde_json::to_string(self).map_err(io::Error::other)?;
        let mut command = Command::new(program);
        command.args(["replay", "--brief", "--case", &text]).stdin(Stdio::null()).stderr(Stdio::piped());
        let output = command.output()?;
        if let Some(aborted) = batch::aborted(&output, self.seed, self.minutes) {
            return Ok(aborted);
        }
        serde_json::from_slice(&output.stdout).map_err(|why| {
            let words = String::from_utf8_lossy(&output.stderr);
            io::Error::other(format!("it ended without an outcome ({why}): {}", words.trim()))
        })
    }

    /// The smallest case found that breaks the same sentence; `None`: this one breaks none.
    ///
    /// # Errors
    /// A run could not be started.
    pub fn shrink(&self, faults: &[Fault], changes: &[String]) -> io::Result<Option<Self>> {
        let program = std::env::current_exe()?;
        let Some(broken) = self.run(&program)?.broken else { return Ok(None) };
        let fails = |case: &Self| -> io::Result<bool> {
            Ok(case.run(&program)?.broken.is_some_and(|again| again.sentence == broken.sentence))
        };
        let mut small = self.clone();
        small.faults = Some((0..faults.len()).collect());
        small.changes = Some((0..changes.len()).collect());
        let mut attempts = ATTEMPTS_MAX;
        for list in [List::Faults, List::Changes, List::Faults] {
            small = less(small, list, &fails, &mut attempts)?;
        }
        let last = small.run(&program)?.broken.unwrap_or(broken);
        small.broken = format!("at {} ms: {}: {}", last.at_ms, last.sentence, last.what);
        let kept = |kept: &Option<Vec<usize>>| kept.clone().unwrap_or_default();
        let told_faults = kept(&small.faults).into_iter().filter_map(|at| faults.get(at));
        let told_faults = told_faults.map(|fault| serde_json::to_string(fault).unwrap_or_default());
        let told_changes = kept(&small.changes).into_iter().filter_map(|at| changes.get(at).cloned());
        small.told = told_faults.chain(told_changes).collect();
        Ok(Some(small))
    }
}

#[derive(Clone, Copy)]
enum List {
    Faults,
    Changes,
}

impl List {
    fn of(self, case: &mut Case) -> &mut Vec<usize> {
        let list = match self {
            Self::Faults => &mut case.faults,
            Self::Changes => &mut case.changes,
        };
        list.get_or_insert_default()
    }
}

/// Leaves out halves, then quarters, down to single ones, as long as the case still fails.
fn less(
    mut case: Case,
    list: List,
    fails: &impl Fn(&Case) -> io::Result<bool>,
    attempts: &mut usize,
) -> io::Result<Case> {
    let mut size = list.of(&mut case).len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        let before = list.of(&mut case).len();
        while from < list.of(&mut case).len() && *attempts > 0 {
            let mut fewer = case.clone();
            let kept = list.of(&mut fewer);
            let to = (from + size).min(kept.len());
            kept.drain(from..to);
            *attempts -= 1;
            if fails(&fewer)? {
                case = fewer;
            } else {
                from += size;
            }
        }
        // What one had to stay for may have gone itself.
        let again = size == 1 && list.of(&mut case).len() < before;
        size = if size == 1 { usize::from(again) } else { size.div_ceil(2) };
    }
    Ok(case)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(faults: usize) -> Case {
        let scope = Scope { world: World::A, minutes: 1 };
        Case { faults: Some((0..faults).collect()), ..Case::new(scope, 1, None) }
    }

    #[test]
    fn what_does_not_matter_is_left_out() {
        let needs = |case: &Case| {
            let kept = case.faults.clone().unwrap_or_default();
            Ok(kept.contains(&3) && kept.contains(&17))
        };
        let mut attempts = ATTEMPTS_MAX;
        let small = less(case(40), List::Faults, &needs, &mut attempts).unwrap();
        assert_eq!(small.faults, Some(vec![3, 17]));
        assert!(attempts > ATTEMPTS_MAX - 60, "{attempts}");
        let mut none = 0;
        assert_eq!(less(case(40), List::Faults, &needs, &mut none).unwrap(), case(40));
    }

    #[test]
    fn a_case_keeps_what_it_names() {
        assert_eq!(Case::keep(Some(&vec![2, 0]), vec!["a", "b", "c"]), ["a", "c"]);
        assert_eq!(Case::keep(None, vec!["a", "b"]), ["a", "b"]);
    }
}
