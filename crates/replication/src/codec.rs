//! Commands and their answers as bytes, for the log and for nodes that submit for others.

use crate::convert::Shaped;
use ledger::{Applied, Command};
use wire::envelope::{BadBytes, Frozen, decode, encode};

/// An error where the command is larger than 2 MiB.
pub fn encode_command(command: &Command) -> Result<Vec<u8>, BadBytes> {
    encode(&command.shape())
}

pub fn decode_command(bytes: &[u8]) -> Result<Command, BadBytes> {
    from_bytes(bytes)
}

/// An error where the answer is larger than 4 MiB.
pub fn encode_applied(applied: &Applied) -> Result<Vec<u8>, BadBytes> {
    encode(&applied.shape())
}

pub fn decode_applied(bytes: &[u8]) -> Result<Applied, BadBytes> {
    from_bytes(bytes)
}

/// The value whose frozen shape `bytes` are.
pub(crate) fn from_bytes<T>(bytes: &[u8]) -> Result<T, BadBytes>
where
    T: Shaped,
    T::Shape: Frozen,
{
    let shape: T::Shape = decode(bytes)?;
    let damaged = |why: crate::convert::Misshapen| BadBytes::Damaged {
        type_id: T::Shape::TYPE_ID,
        why: why.to_string(),
    };
    T::from_shape(shape).map_err(damaged)
}
