//! Users as they come: few of them most of the time. Not here: what they ask.

use rand::Rng;
use rand::rngs::SmallRng;

/// Ranks 0..n, rank r with a weight of 1 ÷ (r + 1)^exponent.
#[derive(Clone, Debug)]
pub struct Zipf(Vec<f64>);

impl Zipf {
    pub fn new(count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut sums: Vec<f64> = (0..count)
            .map(|rank| {
                sum += 1.0 / (rank as f64 + 1.0).powf(exponent);
                sum
            })
            .collect();
        sums.iter_mut().for_each(|part| *part /= sum);
        Self(sums)
    }

    pub fn draw(&self, random: &mut SmallRng) -> usize {
        let at: f64 = random.random();
        self.0.partition_point(|sum| *sum < at).min(self.0.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_first_comes_twice_as_often_as_the_second() {
        let (zipf, mut random) = (Zipf::new(64, 0.99), SmallRng::seed_from_u64(7));
        let mut counts = [0_u32; 64];
        (0..100_000).for_each(|_| counts[zipf.draw(&mut random)] += 1);
        let ratio = f64::from(counts[0]) / f64::from(counts[1]);
        assert!((1.85..2.15).contains(&ratio) && counts[63] > 0, "{counts:?}");
    }
}
