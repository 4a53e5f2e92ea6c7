//! Contestants side by side: each once a round, one after the other, so that what the machine does meanwhile happens
//! to all of them. Not here: what they do.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "a stopwatch is what this room is about")]
pub fn now() -> Instant {
    Instant::now()
}

/// One contestant: does its part of a round and answers one number, for example nanoseconds per operation.
pub type Contestant<'a> = &'a mut dyn FnMut() -> f64;

/// The numbers of all contestants, by round.
#[derive(Debug)]
pub struct Rounds(Vec<Vec<f64>>);

impl Rounds {
    /// A round to warm up, then `count` that count, each in another order, so that nobody always comes after the same
    /// neighbour.
    pub fn run(count: usize, contestants: &mut [Contestant<'_>]) -> Self {
        let mut rounds = Vec::with_capacity(count);
        for (round, order) in (0..=count).zip(orders(contestants.len())) {
            let mut numbers = vec![0.0; contestants.len()];
            for who in order {
                numbers[who] = contestants[who]();
            }
            if round > 0 {
                rounds.push(numbers);
            }
        }
        Self(rounds)
    }

    /// Rounds that were measured elsewhere.
    pub fn of(rounds: Vec<Vec<f64>>) -> Self {
        Self(rounds)
    }

    pub fn median(&self, who: usize) -> f64 {
        median(self.0.iter().map(|round| round[who]).collect())
    }

    /// The median over the rounds of one contestant's number ÷ another's of the same round.
    pub fn ratio(&self, who: usize, to: usize) -> f64 {
        median(self.0.iter().map(|round| round[who] / round[to]).collect())
    }
}

/// Orders of so many contestants, one for each round; the same in every run.
pub fn orders(contestants: usize) -> impl Iterator<Item = Vec<usize>> {
    let mut random = SmallRng::seed_from_u64(1);
    std::iter::repeat_with(move || {
        let mut order: Vec<usize> = (0..contestants).collect();
        order.shuffle(&mut random);
        order
    })
}

pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => numbers[odd / 2],
        even => (numbers[even / 2 - 1] + numbers[even / 2]) / 2.0,
    }
}

/// Nanoseconds per operation of `work`, which does `operations` on this thread: processor time, so that a while in
/// which somebody else had the core does not count.
pub fn ns_per(operations: u64, work: impl FnOnce()) -> f64 {
    let started = thread_time();
    work();
    per(thread_time().saturating_sub(started), operations)
}

pub fn per(took: Duration, operations: u64) -> f64 {
    took.as_nanos() as f64 / operations as f64
}

/// Processor time of the calling thread so far.
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Keeps the calling thread on one core; on a machine without that core it stays where it is.
pub fn pin_this_thread(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    let _no_such_core = sched_setaffinity(None, &set);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let rounds = Rounds::of(vec![vec![1.0, 2.0], vec![10.0, 20.0], vec![3.0, 3.0]]);
        assert_eq!((rounds.median(0), rounds.median(1), rounds.ratio(0, 1)), (3.0, 3.0, 0.5));
        assert_eq!(median(vec![1.0, 4.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn the_warm_up_does_not_count() {
        let mut calls = 0.0;
        let rounds = Rounds::run(
            2,
            &mut [&mut || {
                calls += 1.0;
                calls
            }],
        );
        assert_eq!(rounds.median(0), 2.5);
    }
}
