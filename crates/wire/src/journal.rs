//! The journal's records on disk, their frames, and the identity of a data directory. Not here: what the records mean,
//! and in which files they stand; that is the journal's.
//!
//! A frame is `length: u32, crc32: u32, payload`, both little-endian; the checksum covers length and payload. A length
//! of zero is the end: segments are made of zeros and written from the front.

mod hold;

pub use hold::{EndOfHold, Held, HoldEnded, HoldKey, HoldOver, KeptHold, LateCharge, Settled};

use crate::envelope::{BadBytes, Frozen, decode, encode};
use serde::{Deserialize, Serialize};

/// One entry of the journal. New kinds go to the end; a kind that is here never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Opens a segment; the snapshot of all that lives follows, up to `HeadEnd`.
    Head(Head),
    /// Snapshot: the highest line number ever used in a workspace.
    Counter {
        workspace: String,
        highest: u64,
    },
    /// Snapshot: a line.
    Line(Box<Line>),
    /// Snapshot: an answered key whose own record stood in an older segment.
    Kept(Box<KeptKey>),
    /// The snapshot is whole: so many records stood between it and the head.
    HeadEnd {
        records: u64,
    },
    Opened(Box<Opened>),
    Installed {
        line: u32,
        drawn: Vec<(Backing, u64)>,
    },
    Raised {
        line: u32,
        watermark: u64,
    },
    Charged(Charged),
    GaveBack {
        line: u32,
        watermark: u64,
        parts: Parts,
    },
    Closed {
        line: u32,
        parts: Parts,
    },
    Forgotten {
        line: u32,
    },
    /// Within a snapshot: what was charged on a line whose details a power failure took.
    Rounded {
        line: u32,
        parts: Parts,
    },
    /// Credits set aside: a hold. Within a snapshot: one that is open.
    Held(Box<Held>),
    /// More is held, by so much; so much in all is confirmed.
    Extended {
        hold: u64,
        line: u32,
        parts: Parts,
        confirmed: u64,
        expires_at_ms: i64,
        /// Of the hold in all: why it would have been refused, and what it lacks.
        shadow: Option<(String, u64)>,
    },
    HoldEnded(Box<HoldEnded>),
    /// A hold that had expired is settled all the same.
    SettledLate(Box<LateCharge>),
    /// Nothing is spent on the line any more; it closes when its last hold has ended.
    Ending {
        line: u32,
        watermark: u64,
        parts: Parts,
    },
    /// Snapshot: a hold that has ended and is still known.
    HoldOver(Box<HoldOver>),
    /// Snapshot: the answered key of a hold.
    KeptHold(Box<KeptHold>),
    /// Credits that were won for a hold and not needed are free again, above the watermark.
    Lowered {
        line: u32,
        watermark: u64,
    },
}

/// Amounts (micro-credits) by the position of a backing within its line.
pub type Parts = Vec<(u8, u64)>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub disk: u64,
    pub boot: u128,
    /// Number of this record among all ever written.
    pub sequence: u64,
    pub at_ms: i64,
    /// The number the next opened line gets in this journal; never reused.
    pub next_line: u32,
    /// Older segments that still have a living key, oldest first; others count nothing.
    pub previous: Vec<Previous>,
}

/// An older segment: what stands in its first `bytes` is durable and whole, what stands behind them counts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    pub first_sequence: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    Allocation,
    Reserve(u8),
    Shared,
    Overage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backing {
    pub source: Source,
    pub grant: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub line: u32,
    pub workspace: String,
    pub number: u64,
    pub user: String,
    pub cycle: u32,
    pub scope: Scope,
}

/// What a line may be spent on, where features or models are limited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    pub list: u64,
    pub feature: Option<String>,
    pub model: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub opened: Opened,
    pub closed: bool,
    pub watermark: u64,
    /// The last charge's; zero before the first.
    pub sequence: u64,
    pub backings: Vec<BackingNumbers>,
    /// Kinds of unit, in the order in which they came.
    pub units: Vec<String>,
    pub meters: Vec<MeterNumbers>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackingNumbers {
    pub backing: Backing,
    pub drawn: u64,
    pub used: u64,
    pub returned: u64,
    pub unattributed: u64,
    /// By all open holds of the line.
    pub held: u64,
    pub confirmed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    pub feature: String,
    pub model: Option<String>,
    pub day: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterNumbers {
    pub meter: Meter,
    pub credits: u64,
    pub calls: u64,
    /// By the position of the unit within the line.
    pub units: Vec<(u8, u64)>,
    /// What each grant paid, by the grant's number.
    pub by_grant: Vec<(u32, u64)>,
}

/// One charge; its sequence is the line's next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charged {
    pub line: u32,
    pub parts: Parts,
    pub meter: MeterRef,
    pub units: Vec<(UnitRef, u64)>,
    pub key: Option<Box<Keyed>>,
}

/// A meter by its position within the line, or a new one that takes the next position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MeterRef {
    Known(u8),
    New(Meter),
}

/// A unit by its position within the line, or a new one that takes the next position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnitRef {
    Known(u8),
    New(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Durability {
    Local,
    Disk,
    Quorum,
}

/// What a charge record has besides where the charge was made under a key; the rest of the answer is the charge's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyed {
    pub key: String,
    pub command_hash: [u8; 32],
    pub at_ms: i64,
    pub durability: Durability,
    pub remaining_at_least: u64,
    pub remaining_at_most: u64,
}

/// A key with the whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptKey {
    pub workspace: String,
    pub user: String,
    pub keyed: Keyed,
    pub number: u64,
    pub sequence: u64,
    pub cycle: u32,
    pub amount: u64,
    pub sources: Vec<(Source, u64)>,
    /// Why it would have been refused, and what it would have cost.
    pub shadow: Option<(String, u64)>,
}

impl Frozen for Record {
    const TYPE_ID: u8 = 74;
    const VERSION: u8 = 3;
    /// A line with 128 meters of 64 kinds of unit that 128 grants paid for has some 400 KB.
    const BYTES_MAX: usize = 1024 * 1024;
}

/// Says that a sync has ended well: all bytes of the segment before `synced_bytes` were durable when this was written.
///
/// Its frame has a fixed length, so that it can be found behind damage; see [`marks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    synced_bytes: [u8; 8],
}

impl Mark {
    pub fn new(synced_bytes: u64) -> Self {
        Self { synced_bytes: synced_bytes.to_le_bytes() }
    }

    pub fn synced_bytes(self) -> u64 {
        u64::from_le_bytes(self.synced_bytes)
    }
}

impl Frozen for Mark {
    const TYPE_ID: u8 = 75;
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 8;
}

/// Whose data directory this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskIdentity {
    pub cluster: String,
    pub disk: u64,
}

impl Frozen for DiskIdentity {
    const TYPE_ID: u8 = 76;
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 256;
}

/// Where a journal ended when the starts began that groups of the cluster have not registered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registrations {
    /// For a group that is not named: it has never registered this journal.
    pub first: u64,
    /// `None`: the last start is registered there.
    pub since: Vec<(String, Option<u64>)>,
}

impl Frozen for Registrations {
    const TYPE_ID: u8 = 77;
    const VERSION: u8 = 1;
    /// A hundred bytes for each of ten thousand groups.
    const BYTES_MAX: usize = 1_000_000;
}

/// Bytes before the payload.
pub const FRAME_HEADER_BYTES: usize = 8;
/// Bytes of a mark with its frame.
pub const MARK_BYTES: usize = FRAME_HEADER_BYTES + 2 + Mark::BYTES_MAX;

/// What stands at the front of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Framed {
    Record {
        record: Record,
        /// With its frame.
        bytes: usize,
    },
    Mark(Mark),
    /// Zeros where a length would be, or nothing: the segment was written up to here.
    End,
    /// No whole frame: torn or damaged.
    Broken,
    /// A whole frame whose payload this program cannot read.
    Unreadable(BadBytes),
}

/// Puts a record or mark with its frame behind `bytes`. An error leaves `bytes` as they were.
pub fn append<T: Frozen>(bytes: &mut Vec<u8>, value: &T) -> Result<(), BadBytes> {
    let payload = encode(value)?;
    let length = u32::try_from(payload.len()).map_err(|_| BadBytes::TooLarge {
        type_id: T::TYPE_ID,
        bytes: payload.len(),
        max: T::BYTES_MAX,
    })?;
    let length = length.to_le_bytes();
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&checksum(&length, &payload).to_le_bytes());
    bytes.extend_from_slice(&payload);
    Ok(())
}

/// The bytes of one value alone in a file, with its frame.
pub fn framed<T: Frozen>(value: &T) -> Result<Vec<u8>, BadBytes> {
    let mut bytes = Vec::new();
    append(&mut bytes, value)?;
    Ok(bytes)
}

/// The value of a file that has one alone.
pub fn unframed<T: Frozen>(bytes: &[u8]) -> Result<T, BadBytes> {
    match payload(bytes) {
        Some(payload) if payload.len() + FRAME_HEADER_BYTES == bytes.len() => decode(payload),
        _ => Err(BadBytes::Damaged { type_id: T::TYPE_ID, why: "length or checksum is wrong".into() }),
    }
}

/// Reads what stands at the front of `bytes`.
pub fn read(bytes: &[u8]) -> Framed {
    let header = &bytes[..bytes.len().min(FRAME_HEADER_BYTES)];
    if header.iter().take(4).all(|byte| *byte == 0) {
        return if header.iter().all(|byte| *byte == 0) { Framed::End } else { Framed::Broken };
    }
    let Some(payload) = payload(bytes) else { return Framed::Broken };
    let read = match payload.first() {
        Some(&Mark::TYPE_ID) => decode(payload).map(Framed::Mark),
        _ => {
            let bytes = FRAME_HEADER_BYTES + payload.len();
            decode(payload).map(|record| Framed::Record { record, bytes })
        }
    };
    read.unwrap_or_else(Framed::Unreadable)
}

/// All marks that stand anywhere in `bytes`, whatever is around them.
pub fn marks(bytes: &[u8]) -> impl Iterator<Item = Mark> + '_ {
    let length = u32::try_from(MARK_BYTES - FRAME_HEADER_BYTES).expect("a mark is short").to_le_bytes();
    bytes.windows(MARK_BYTES).filter_map(move |window| {
        if window[..4] != length {
            return None;
        }
        match read(window) {
            Framed::Mark(mark) => Some(mark),
            Framed::Record { .. } | Framed::End | Framed::Broken | Framed::Unreadable(_) => None,
        }
    })
}

fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    (checksum(length, payload) == u32::from_le_bytes(*crc)).then_some(payload)
}

fn checksum(length: &[u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> Vec<(Record, &'static str)> {
        let backing = Backing { source: Source::Reserve(1), grant: 7 };
        let meter = Meter { feature: "chat".into(), model: Some("m-1".into()), day: 20_000 };
        let opened = Opened {
            line: 3,
            workspace: "w".into(),
            number: 300,
            user: "ann".into(),
            cycle: 2,
            scope: Scope { list: 300, feature: Some("chat".into()), model: None },
        };
        let keyed = Keyed {
            key: "k".into(),
            command_hash: [9; 32],
            at_ms: 1_000,
            durability: Durability::Disk,
            remaining_at_least: 5,
            remaining_at_most: 250,
        };
        let charged = |meter, unit, key| {
            Record::Charged(Charged {
                line: 3,
                parts: vec![(0, 1_500_000)],
                meter,
                units: vec![(unit, 1_200)],
                key,
            })
        };
        vec![
            (
                Record::Head(Head {
                    disk: 1,
                    boot: 2,
                    sequence: 3,
                    at_ms: 4,
                    next_line: 5,
                    previous: vec![Previous { first_sequence: 6, bytes: 7 }],
                }),
                "4a03000102030805010607",
            ),
            (Record::Counter { workspace: "w".into(), highest: 300 }, "4a03010177fb2c01"),
            (
                Record::Line(Box::new(Line {
                    opened: opened.clone(),
                    closed: true,
                    watermark: 10,
                    sequence: 4,
                    backings: vec![BackingNumbers {
                        backing,
                        drawn: 20,
                        used: 8,
                        returned: 10,
                        unattributed: 2,
                        held: 0,
                        confirmed: 0,
                    }],
                    units: vec!["call".into()],
                    meters: vec![MeterNumbers {
                        meter: meter.clone(),
                        credits: 8,
                        calls: 4,
                        units: vec![(0, 4)],
                        by_grant: vec![(1, 8)],
                    }],
                })),
                "4a0302030177fb2c0103616e6e02fb2c0101046368617400010a040101010714080a020000010463616c6c01046368617401036d2d31fb409c0804010004010108",
            ),
            (
                Record::Kept(Box::new(KeptKey {
                    workspace: "w".into(),
                    user: "ann".into(),
                    keyed: keyed.clone(),
                    number: 300,
                    sequence: 4,
                    cycle: 2,
                    amount: 8,
                    sources: vec![(Source::Allocation, 3), (Source::Overage, 5)],
                    shadow: Some(("exhausted".into(), 300)),
                })),
                "4a0303017703616e6e016b0909090909090909090909090909090909090909090909090909090909090909fbd0070105fafb2c0104020802000303050109657868617573746564fb2c01",
            ),
            (Record::HeadEnd { records: 2 }, "4a030402"),
            (Record::Opened(Box::new(opened)), "4a0305030177fb2c0103616e6e02fb2c0101046368617400"),
            (Record::Installed { line: 3, drawn: vec![(backing, 20)] }, "4a0306030101010714"),
            (Record::Raised { line: 3, watermark: 70_000 }, "4a030703fc70110100"),
            (
                charged(MeterRef::Known(1), UnitRef::Known(2), None),
                "4a0308030100fc60e316000001010002fbb00400",
            ),
            (
                charged(MeterRef::New(meter), UnitRef::New("u".into()), Some(Box::new(keyed))),
                "4a0308030100fc60e3160001046368617401036d2d31fb409c01010175fbb00401016b0909090909090909090909090909090909090909090909090909090909090909fbd0070105fa",
            ),
            (Record::GaveBack { line: 3, watermark: 9, parts: vec![(1, 2)] }, "4a03090309010102"),
            (Record::Closed { line: 3, parts: vec![] }, "4a030a0300"),
            (Record::Forgotten { line: 3 }, "4a030b03"),
            (Record::Rounded { line: 3, parts: vec![(0, 5)] }, "4a030c03010005"),
        ]
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn golden_bytes() {
        for (record, bytes) in golden() {
            let encoded = encode(&record).unwrap();
            assert_eq!(hex(&encoded), bytes, "{record:?}");
            assert_eq!(decode::<Record>(&encoded), Ok(record));
        }
        assert_eq!(hex(&framed(&Mark::new(258)).unwrap()), "0a0000008147ff964b010201000000000000");
        let identity = DiskIdentity { cluster: "c".into(), disk: 5 };
        assert_eq!(hex(&framed(&identity).unwrap()), "05000000102559b64c01016305");
        assert_eq!(unframed::<DiskIdentity>(&framed(&identity).unwrap()), Ok(identity));
        let since = vec![("0".into(), None), ("meta".into(), Some(300))];
        let registrations = Registrations { first: 2, since };
        assert_eq!(hex(&framed(&registrations).unwrap()), "10000000141f57f74d010202013000046d65746101fb2c01");
        assert_eq!(unframed::<Registrations>(&framed(&registrations).unwrap()), Ok(registrations));
    }

    #[test]
    fn frames_one_behind_the_other() {
        let mut bytes = Vec::new();
        append(&mut bytes, &Record::Forgotten { line: 1 }).unwrap();
        let first = bytes.len();
        append(&mut bytes, &Mark::new(77)).unwrap();
        assert_eq!(bytes.len(), first + MARK_BYTES);
        bytes.extend([0; 9]);
        assert_eq!(read(&bytes), Framed::Record { record: Record::Forgotten { line: 1 }, bytes: first });
        assert_eq!(read(&bytes[first..]), Framed::Mark(Mark::new(77)));
        for end in [9, 8, 7, 3, 0] {
            assert_eq!(read(&bytes[bytes.len() - end..]), Framed::End, "{end} zeros");
        }
        let unknown = framed(&DiskIdentity { cluster: "c".into(), disk: 5 }).unwrap();
        assert!(matches!(read(&unknown), Framed::Unreadable(BadBytes::Type { .. })));
    }

    #[test]
    fn no_bit_of_a_frame_can_turn_unseen() {
        let whole = framed(&Record::Raised { line: 3, watermark: 4_000_000_000 }).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&bytes), Framed::Broken, "bit {bit}");
        }
        for kept in 1..whole.len() {
            let mut torn = whole[..kept].to_vec();
            assert_eq!(read(&torn), Framed::Broken, "{kept} bytes and the end");
            torn.resize(whole.len() + 5, 0);
            assert_eq!(read(&torn), Framed::Broken, "{kept} bytes and zeros");
        }
    }

    #[test]
    fn marks_are_found_behind_damage() {
        let mut bytes = vec![3; 100];
        append(&mut bytes, &Mark::new(50)).unwrap();
        bytes.extend([0xff; 33]);
        append(&mut bytes, &Mark::new(140)).unwrap();
        assert_eq!(marks(&bytes).map(Mark::synced_bytes).collect::<Vec<_>>(), [50, 140]);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(marks(&bytes).count(), 1);
    }
}
