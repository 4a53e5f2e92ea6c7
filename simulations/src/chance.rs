//! Streams of chance: one seed gives each source its own, so that one draw more here shifts nothing there.
//! Not here: what is drawn.
//!
//! ChaCha, because its output is fixed for ever: a seed written down today finds the same bug after every update.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// One source's stream.
pub type Stream = ChaCha8Rng;

/// The stream of `source` under `seed`. Sources are told apart by name: `"faults"`, `"client 3"`.
#[must_use]
pub fn stream(seed: u64, source: &str) -> Stream {
    let mut name = seed;
    for byte in source.bytes() {
        name = mix(name ^ u64::from(byte));
    }
    ChaCha8Rng::seed_from_u64(name)
}

/// The finaliser of splitmix64: every bit of the input turns half of the bits of the output.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
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
