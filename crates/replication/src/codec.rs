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

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{HolderBatch, LineMessage, Used, Wish};
    use types::{
        Backing, ByGrant, Credits, CycleNumber, Day, DiskId, Feature, GrantNo, HolderId, ID_BYTES_MAX,
        LineNumber, METERS_PER_LINE_MAX, Meter, Metered, Model, NodeId, RESERVED_UNITS, Revision, Scope,
        Source, UNITS_PER_METER_MAX, Unit,
    };

    fn bytes_of(messages: Vec<LineMessage>) -> usize {
        let holder = HolderId { node: NodeId(1), disk: DiskId(u64::MAX) };
        let workspace = "w".parse().unwrap();
        let batch = HolderBatch { holder, journal_sequence: 1, workspace, lines: messages, recalled: false };
        encode_command(&Command::Holder(batch)).unwrap().len()
    }

    fn message(backings: u32, meters: usize, units: usize, name: &str) -> LineMessage {
        let backing = |no| Backing { source: Source::Reserve(7), grant: GrantNo(u32::MAX - no) };
        let meter = |day| Meter {
            feature: Feature::parse(name).unwrap(),
            model: Some(Model::parse(name).unwrap()),
            day: Day(i32::MIN + day),
        };
        let counts = vec![(Unit::parse(name).unwrap(), u64::MAX); units];
        let by_grant: ByGrant = (0..backings).map(|no| (backing(no).grant, Credits::MAX)).collect();
        let metered = || {
            let (units, by_grant) = (counts.clone(), by_grant.clone());
            Metered { credits: Credits::MAX, calls: u64::MAX, units, by_grant }
        };
        LineMessage {
            number: LineNumber(u64::MAX),
            user: name.parse().unwrap(),
            cycle: CycleNumber(u32::MAX),
            scope: Scope {
                list: Revision(u64::MAX),
                feature: Some(Feature::parse(name).unwrap()),
                model: Some(Model::parse(name).unwrap()),
            },
            returned: (0..backings).map(|no| (backing(no), Credits::MAX)).collect(),
            used: Used {
                by_backing: (0..backings).map(|no| (backing(no), Credits::MAX, Credits::MAX)).collect(),
                by_meter: (0..).take(meters).map(|day| (meter(day), metered())).collect(),
            },
            held: Credits::MAX,
            confirmed: Credits::MAX,
            wish: Wish::Draw { target: Credits::MAX, floor: Credits::MAX, need: Credits::MAX },
        }
    }

    #[test]
    fn a_message_takes_no_more_than_it_says_and_the_largest_fits_an_entry() {
        let longest = "x".repeat(ID_BYTES_MAX);
        let none = bytes_of(Vec::new());
        for (backings, meters, units, name) in [
            (0, 0, 0, "u"),
            (128, 0, 0, "u"),
            (2, 5, 2, "u"),
            (128, METERS_PER_LINE_MAX, UNITS_PER_METER_MAX + RESERVED_UNITS, longest.as_str()),
        ] {
            let message = message(backings, meters, units, name);
            let said = message.bytes_at_most();
            let taken = bytes_of(vec![message]).checked_sub(none).unwrap();
            assert!(taken <= said, "{taken} of {said}");
            assert!(said <= 1_000_000, "{said}");
        }
    }

    #[test]
    fn a_batch_is_cut_at_lines_and_at_bytes_and_never_to_nothing() {
        let messages = vec![message(1, 1, 1, "u"); 10];
        let each = messages[0].bytes_at_most();
        assert_eq!(LineMessage::fitting(messages.iter(), 10, usize::MAX), 10);
        assert_eq!(LineMessage::fitting(messages.iter(), 9, usize::MAX), 9);
        assert_eq!(LineMessage::fitting(messages.iter(), 10, 4 * each), 4);
        assert_eq!(LineMessage::fitting(messages.iter(), 10, 4 * each - 1), 3);
        assert_eq!(LineMessage::fitting(messages.iter(), 10, 0), 1);
    }
}
