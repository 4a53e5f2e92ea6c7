//! Every stored or sent value: `[type id][version][bincode body]`, nothing behind it. Not here: framing, checksums.
//!
//! A changed shape is a new version with an upcast in [`Frozen::upcast`]; from the first release on old bytes stay readable
//! for ever. Until then a new version replaces the old one, and what has the old one is refused by name.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value whose bytes are frozen.
pub trait Frozen: Serialize + DeserializeOwned {
    /// Tells kinds of values apart; unique in this crate.
    const TYPE_ID: u8;
    /// The version that is written.
    const VERSION: u8;
    /// The largest body that is read or written, in bytes.
    const BYTES_MAX: usize;

    /// Reads a body of an older version. There is none that was ever released.
    fn upcast(version: u8, _body: &[u8]) -> Result<Self, BadBytes> {
        let (type_id, newest) = (Self::TYPE_ID, Self::VERSION);
        if version < newest {
            return Err(BadBytes::Unreleased { type_id, version, newest });
        }
        Err(BadBytes::Version { type_id, version, newest })
    }
}

/// Why bytes are not the value that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBytes {
    #[error("the bytes end before the value does")]
    Short,
    #[error("expected a value of type {expected}, found type {found}")]
    Type { expected: u8, found: u8 },
    #[error("type {type_id} has version {version}; this program reads up to {newest}: run a newer one")]
    Version { type_id: u8, version: u8, newest: u8 },
    #[error(
        "type {type_id} has version {version}, of a program from before the first release; this one reads {newest}: run the \
         one that wrote it, or begin with an empty data directory"
    )]
    Unreleased { type_id: u8, version: u8, newest: u8 },
    #[error("{bytes} bytes are more than the limit of {max} for type {type_id}")]
    TooLarge { type_id: u8, bytes: usize, max: usize },
    #[error("the body of type {type_id} is damaged: {why}")]
    Damaged { type_id: u8, why: String },
}

const HEADER_BYTES: usize = 2;

/// The layout (variable-length integers, little-endian) of every body.
pub fn layout() -> impl bincode::config::Config {
    bincode::config::standard()
}

/// The bytes of a value. An error only where it is past its size limit.
pub fn encode<T: Frozen>(value: &T) -> Result<Vec<u8>, BadBytes> {
    let mut bytes = vec![T::TYPE_ID, T::VERSION];
    bincode::serde::encode_into_std_write(value, &mut bytes, layout())
        .map_err(|error| BadBytes::Damaged { type_id: T::TYPE_ID, why: error.to_string() })?;
    check_size::<T>(bytes.len() - HEADER_BYTES)?;
    Ok(bytes)
}

/// The value in `bytes`, all of them.
pub fn decode<T: Frozen>(bytes: &[u8]) -> Result<T, BadBytes> {
    let [found, version, body @ ..] = bytes else { return Err(BadBytes::Short) };
    if *found != T::TYPE_ID {
        return Err(BadBytes::Type { expected: T::TYPE_ID, found: *found });
    }
    check_size::<T>(body.len())?;
    if *version == T::VERSION { decode_body(T::TYPE_ID, body) } else { T::upcast(*version, body) }
}

/// Bodies up to this size come from peers and small files; larger ones only from snapshots, which have a checksum.
const DISTRUSTED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What the lengths in such a body may claim together before they are read, in bytes: a damaged or hostile one must
/// not have memory set aside that no body could fill. A number claims eight, whatever it takes.
const CLAIMED_BYTES_MAX: usize = 8 * DISTRUSTED_BYTES_MAX;

/// A body alone, for upcasts: every byte must belong to it.
pub fn decode_body<T: DeserializeOwned>(type_id: u8, body: &[u8]) -> Result<T, BadBytes> {
    let damaged = |why: String| BadBytes::Damaged { type_id, why };
    let read = if body.len() <= DISTRUSTED_BYTES_MAX {
        let bounded = bincode::config::standard().with_limit::<CLAIMED_BYTES_MAX>();
        bincode::serde::decode_from_slice(body, bounded)
    } else {
        bincode::serde::decode_from_slice(body, layout())
    };
    let (value, read): (T, usize) = read.map_err(|error| damaged(error.to_string()))?;
    if read == body.len() { Ok(value) } else { Err(damaged(format!("{} bytes too many", body.len() - read))) }
}

fn check_size<T: Frozen>(bytes: usize) -> Result<(), BadBytes> {
    if bytes <= T::BYTES_MAX {
        return Ok(());
    }
    Err(BadBytes::TooLarge { type_id: T::TYPE_ID, bytes, max: T::BYTES_MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample(Vec<u8>);

    impl Frozen for Sample {
        const TYPE_ID: u8 = 250;
        const VERSION: u8 = 2;
        const BYTES_MAX: usize = 11;

        fn upcast(version: u8, body: &[u8]) -> Result<Self, BadBytes> {
            match version {
                1 => decode_body::<u8>(Self::TYPE_ID, body).map(|one| Self(vec![one])),
                _ => Err(BadBytes::Version { type_id: Self::TYPE_ID, version, newest: Self::VERSION }),
            }
        }
    }

    #[test]
    fn there_and_back_and_from_an_older_version() {
        let bytes = encode(&Sample(vec![7, 8])).unwrap();
        assert_eq!(bytes, [250, 2, 2, 7, 8]);
        assert_eq!(decode::<Sample>(&bytes), Ok(Sample(vec![7, 8])));
        assert_eq!(decode::<Sample>(&[250, 1, 9]), Ok(Sample(vec![9])));
    }

    #[test]
    fn the_size_limit_holds_at_its_bound() {
        assert!(encode(&Sample(vec![0; 10])).is_ok());
        assert_eq!(
            encode(&Sample(vec![0; 11])),
            Err(BadBytes::TooLarge { type_id: 250, bytes: 12, max: 11 })
        );
    }

    #[test]
    fn a_length_that_claims_more_than_any_body_has_is_refused() {
        let hostile = [250, 2, 253, 255, 255, 255, 255, 255, 255, 255, 127];
        assert!(matches!(decode::<Sample>(&hostile), Err(BadBytes::Damaged { .. })));
    }

    #[test]
    fn what_is_not_the_value() {
        assert_eq!(decode::<Sample>(&[250]), Err(BadBytes::Short));
        assert_eq!(decode::<Sample>(&[1, 2, 0]), Err(BadBytes::Type { expected: 250, found: 1 }));
        assert_eq!(
            decode::<Sample>(&[250, 3, 0]),
            Err(BadBytes::Version { type_id: 250, version: 3, newest: 2 })
        );
        assert!(
            matches!(decode::<Sample>(&[250, 2, 1, 7, 7]), Err(BadBytes::Damaged { .. })),
            "trailing byte"
        );
        assert!(matches!(decode::<Sample>(&[250, 2, 2, 7]), Err(BadBytes::Damaged { .. })), "short body");
    }
}
