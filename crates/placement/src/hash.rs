//! The one hash of this crate, written out: it is a contract with what is on disk and with nodes of other versions.
//!
//! FNV-1a with 64 bits over the bytes, then the final avalanche of MurmurHash3, because FNV alone leaves the high
//! bits of short texts alike. It keeps order out of the placement; it is no defence against chosen names.

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a over the bytes of all `parts`, one after the other. Parts that need it bring their own separator.
pub(crate) fn fnv_1a(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// Every bit of the answer depends on every bit of `hash`; one to one.
pub(crate) const fn avalanche(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        assert_eq!(fnv_1a(&[b""]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a(&[b"a"]), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv_1a(&[b"foobar"]), 0x8594_4171_f739_67e8);
        assert_eq!(fnv_1a(&[b"foo", b"bar"]), fnv_1a(&[b"foobar"]));
        assert_eq!(avalanche(0), 0);
        assert_eq!(avalanche(1), 0xb456_bcfc_34c2_cb2c);
    }
}
