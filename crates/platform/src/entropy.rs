//! Randomness. Not here: ids made of it.

use std::fmt;
use std::sync::Mutex;

/// Where random bits come from.
pub trait Entropy: Send + Sync + fmt::Debug {
    fn fill(&self, bytes: &mut [u8]);

    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// The kernel's.
#[derive(Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[allow(clippy::disallowed_methods, reason = "this is the one place where randomness is drawn")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("a kernel without randomness can run no node");
    }
}

/// The same bits for the same seed (splitmix64). For simulation only: anybody can guess it.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<u64>);

impl SeededEntropy {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }

    fn next_u64(&self) -> u64 {
        let mut state = self.0.lock().expect("nothing panics while the state is held");
        splitmix(&mut state)
    }
}

/// One step of splitmix64.
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence() {
        // The published first outputs of splitmix64 for seed 1234567.
        let entropy = SeededEntropy::new(1_234_567);
        assert_eq!(entropy.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(entropy.next_u64(), 3_203_168_211_198_807_973);
        let (a, b) = (SeededEntropy::new(7), SeededEntropy::new(7));
        let mut bytes = [0; 11];
        a.fill(&mut bytes);
        assert_eq!(bytes[..8], b.next_u64().to_le_bytes());
    }

    #[test]
    fn the_kernel_does_not_repeat_itself() {
        assert_ne!(SystemEntropy.next_u64(), SystemEntropy.next_u64());
    }
}
