//! Replaces libc's `getrandom` in whatever binary links this, so that hash maps of the standard library, which take
//! their keys from it, are walked in the same order in every run of a seed. Not here: the product's own chance
//! (`platform::Entropy`).
//!
//! Before [`seed`] was called the kernel is asked, as ever. Linking is enough to replace the function, so only the
//! simulator's binary may.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static SEEDED: AtomicBool = AtomicBool::new(false);
static STATE: AtomicU64 = AtomicU64::new(0);

/// From now on every byte follows from `seed` and the order in which bytes are asked for.
pub fn seed(seed: u64) {
    STATE.store(seed, Ordering::SeqCst);
    SEEDED.store(true, Ordering::SeqCst);
}

/// One step of splitmix64.
fn next() -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut z = STATE.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Whether all bytes could be had.
fn fill(bytes: &mut [u8]) -> bool {
    if SEEDED.load(Ordering::SeqCst) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&next().to_le_bytes()[..chunk.len()]);
        }
        return true;
    }
    File::open("/dev/urandom").and_then(|mut kernel| kernel.read_exact(bytes)).is_ok()
}

/// getrandom(2).
///
/// # Safety
/// As of the C function: `bytes` points to `length` writable bytes.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn getrandom(bytes: *mut u8, length: usize, _flags: u32) -> isize {
    if bytes.is_null() {
        return -1;
    }
    // SAFETY: the caller promises so much, and it is not null.
    let bytes = unsafe { std::slice::from_raw_parts_mut(bytes, length) };
    if fill(bytes) { isize::try_from(length).unwrap_or(-1) } else { -1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::{BuildHasher, RandomState};

    /// On a thread of its own, as the standard library draws keys once per thread.
    fn order() -> (Vec<u32>, u64) {
        let of_thread =
            || ((0..100).collect::<HashSet<u32>>().into_iter().collect(), RandomState::new().hash_one(7));
        std::thread::spawn(of_thread).join().expect("it only hashes")
    }

    #[test]
    fn hash_maps_follow_the_seed() {
        let by_chance = (order(), order());
        assert_ne!(by_chance.0, by_chance.1, "not seeded yet");
        let seeded = |number| {
            seed(number);
            order()
        };
        assert_eq!(seeded(1), seeded(1));
        assert_ne!(seeded(1), seeded(2));
    }
}
