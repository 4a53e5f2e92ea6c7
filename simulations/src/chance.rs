//! Streams of chance: one seed gives each source its own, so that one draw more here shifts nothing there.
//! Not here: what is drawn.
//!
//! ChaCha, because its output is fixed for ever: a seed written down today finds the same bug after every update.

use platform::{Entropy, SeededEntropy};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// One source's stream.
pub type Stream = ChaCha8Rng;

/// The stream of `source` under `seed`. Sources are told apart by name: `"faults"`, `"client 3"`.
#[must_use]
pub fn stream(seed: u64, source: &str) -> Stream {
    let mut name = seed;
    for byte in source.bytes() {
        name = SeededEntropy::new(name ^ u64::from(byte)).next_u64();
    }
    ChaCha8Rng::seed_from_u64(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn a_stream_is_fixed_for_ever_and_each_source_has_its_own() {
        let draw = |seed, source| stream(seed, source).random::<u64>();
        assert_eq!(draw(1, "faults"), draw(1, "faults"));
        assert_ne!(draw(1, "faults"), draw(1, "network"));
        assert_ne!(draw(1, "faults"), draw(2, "faults"));
        assert_eq!(draw(7, "written down"), WRITTEN_DOWN);
    }

    const WRITTEN_DOWN: u64 = 4_248_678_158_948_430_220;
}
