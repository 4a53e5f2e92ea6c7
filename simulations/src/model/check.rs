//! The searches: a world exhausted, a mistake hunted down. Not here: what the model says; who prints it.

use super::mistakes::Planted;
use super::worlds::World;
use super::{Event, Protocol, State, rules};
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Searches at a time. Each runs on one thread: two threads in one search wait for each other.
const AT_A_TIME: usize = 2;

/// What a search of a whole world found.
#[derive(Debug)]
pub struct Searched {
    pub world: World,
    pub states: usize,
    /// Events in the longest of the shortest paths to a state.
    pub depth: usize,
    pub took: Duration,
    /// Sentences of `rules::ALWAYS` that broke, each with a way there.
    pub broken: Vec<(&'static str, Walk)>,
    /// Sentences of `crossings::SOMETIMES` that came true.
    pub seen: BTreeSet<&'static str>,
}

/// A way from the beginning: each state with the event that happens in it, the last with none.
pub type Walk = Vec<(State, Option<Event>)>;

/// Visits every state of the correct protocol in this world. Ends early only where a sentence breaks.
#[expect(clippy::disallowed_methods, reason = "a tool that measures itself; nothing is decided by it")]
pub fn search(world: World) -> Searched {
    let started = Instant::now();
    let protocol = Protocol { world, mistake: None };
    let builder = protocol.checker().threads(1).finish_when(HasDiscoveries::AnyFailures);
    let checker = builder.spawn_bfs().join();
    let mut broken = Vec::new();
    let mut seen = BTreeSet::new();
    for (sentence, path) in checker.discoveries() {
        if rules::ALWAYS.iter().any(|rule| rule.sentence == sentence) {
            broken.push((sentence, path.into_vec()));
        } else {
            seen.insert(sentence);
        }
    }
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    Searched { world, states, depth, took: started.elapsed(), broken, seen }
}

/// The shortest way in which this mistake breaks its sentence.
///
/// A search on one thread goes from the near to the far, but looks at states in blocks and keeps the last
/// find of a block. So it is repeated with ever shorter walks, until there is none.
pub fn hunt(planted: &Planted) -> Option<Walk> {
    let mut shortest = None;
    let mut fewer_than = usize::MAX;
    loop {
        let protocol = Protocol { world: planted.world, mistake: Some(planted.mistake) };
        let goal = HasDiscoveries::AnyOf(BTreeSet::from([planted.breaks]));
        let builder = protocol.checker().threads(1).finish_when(goal).target_max_depth(fewer_than);
        let checker = builder.spawn_bfs().join();
        let Some(path) = checker.discovery(planted.breaks) else { return shortest };
        let walk = path.into_vec();
        fewer_than = walk.len();
        shortest = Some(walk);
    }
}

/// What `search` finds for each, in their order.
pub fn each<T: Sync, F: Send>(all: &[T], search: impl Fn(&T) -> F + Sync) -> Vec<F> {
    let next = Mutex::new(all.iter().enumerate());
    let take = || next.lock().expect("no search panics while it takes its next").next();
    let some = || {
        let mut found = Vec::new();
        while let Some((i, one)) = take() {
            found.push((i, search(one)));
        }
        found
    };
    let mut found: Vec<_> = thread::scope(|scope| {
        let searches: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(some)).collect();
        searches.into_iter().flat_map(|some| some.join().expect("a search does not panic")).collect()
    });
    found.sort_unstable_by_key(|(i, _)| *i);
    found.into_iter().map(|(_, found)| found).collect()
}
