//! Holds as the journal keeps them. Not here: the records of lines, and the frames (`journal`).

use super::{Durability, MeterRef, Parts, Source, UnitRef};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// 0 in the record that opens it: its number is that record's sequence.
    pub number: u64,
    pub line: u32,
    pub parts: Parts,
    pub confirmed: u64,
    pub feature: String,
    pub model: Option<String>,
    /// The version of the rate card under which it was opened.
    pub prices: (u64, Option<u64>),
    pub durability: Durability,
    pub ttl_ms: u32,
    pub expires_at_ms: i64,
    /// Why it would have been refused, and what it lacks.
    pub shadow: Option<(String, u64)>,
    /// Only in the record that opens it.
    pub key: Option<Box<HoldKey>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldKey {
    pub key: String,
    pub command_hash: [u8; 32],
    pub at_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndOfHold {
    Settled,
    Released,
    Expired,
    /// Expired first.
    SettledLate,
}

/// The end of an open hold: `charged` of it is used, the rest is free again and above the watermark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldEnded {
    pub hold: u64,
    pub line: u32,
    pub end: EndOfHold,
    pub watermark: u64,
    pub charged: Settled,
}

/// What a hold was charged, and for what. Without a meter nothing was, and no call is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    pub parts: Parts,
    pub meter: Option<MeterRef>,
    pub units: Vec<(UnitRef, u64)>,
}

/// What a hold that had expired is charged beyond what its expiry charged; on another line, where its own is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateCharge {
    pub hold: u64,
    pub line: u32,
    pub charged: Settled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldOver {
    pub number: u64,
    pub workspace: String,
    pub user: String,
    /// Of the line that it was opened on.
    pub line: u64,
    pub cycle: u32,
    pub feature: String,
    pub model: Option<String>,
    pub prices: (u64, Option<u64>),
    pub durability: Durability,
    pub end: EndOfHold,
    pub held: u64,
    pub charged: u64,
    /// Of the line that was charged last: another one than its own, if it was settled late.
    pub charged_on: u64,
    pub sources: Vec<(Source, u64)>,
    pub shadow: Option<(String, u64)>,
}

/// A key with the answer to the hold that was opened under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptHold {
    pub workspace: String,
    pub user: String,
    pub key: HoldKey,
    pub number: u64,
    pub line: u64,
    pub cycle: u32,
    pub held: u64,
    pub expires_at_ms: i64,
    pub shadow: Option<(String, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{decode, encode};
    use crate::journal::{Meter, Record};

    fn golden() -> Vec<(Record, &'static str)> {
        let key = || HoldKey { key: "k".into(), command_hash: [9; 32], at_ms: 1_000 };
        let held = Held {
            number: 0,
            line: 3,
            parts: vec![(0, 1_500_000)],
            confirmed: 2,
            feature: "chat".into(),
            model: Some("m-1".into()),
            prices: (7, Some(9)),
            durability: Durability::Disk,
            ttl_ms: 60_000,
            expires_at_ms: 70_000,
            shadow: Some(("exhausted".into(), 5)),
            key: Some(Box::new(key())),
        };
        let meter = Meter { feature: "chat".into(), model: None, day: 20_000 };
        let charged = Settled {
            parts: vec![(0, 5)],
            meter: Some(MeterRef::New(meter)),
            units: vec![(UnitRef::Known(2), 9)],
        };
        let nothing = Settled { parts: Vec::new(), meter: None, units: Vec::new() };
        let ended = HoldEnded { hold: 300, line: 3, end: EndOfHold::Settled, watermark: 8, charged };
        let over = HoldOver {
            number: 300,
            workspace: "w".into(),
            user: "ann".into(),
            line: 4,
            cycle: 2,
            feature: "chat".into(),
            model: None,
            prices: (7, Some(9)),
            durability: Durability::Quorum,
            end: EndOfHold::SettledLate,
            held: 8,
            charged: 5,
            charged_on: 6,
            sources: vec![(Source::Shared, 5)],
            shadow: None,
        };
        let kept = KeptHold {
            workspace: "w".into(),
            user: "ann".into(),
            key: key(),
            number: 300,
            line: 4,
            cycle: 2,
            held: 8,
            expires_at_ms: 70_000,
            shadow: Some(("exhausted".into(), 5)),
        };
        let late = LateCharge { hold: 300, line: 3, charged: nothing.clone() };
        let expired = HoldEnded { end: EndOfHold::Expired, charged: nothing, ..ended.clone() };
        vec![
            (Record::Held(Box::new(held)), HELD),
            (
                Record::Extended {
                    hold: 300,
                    line: 3,
                    parts: vec![(1, 4)],
                    confirmed: 6,
                    expires_at_ms: -1,
                    shadow: None,
                },
                "4a030efb2c010301010406 01 00",
            ),
            (Record::HoldEnded(Box::new(ended)), "4a030ffb2c0103000801000501010463686174 00fb409c 01000209"),
            (Record::HoldEnded(Box::new(expired)), "4a030ffb2c01030208000000"),
            (Record::SettledLate(Box::new(late)), "4a0310fb2c0103000000"),
            (Record::Ending { line: 3, watermark: 9, parts: vec![(0, 7)] }, "4a03110309010007"),
            (
                Record::HoldOver(Box::new(over)),
                "4a0312fb2c01017703616e6e0402046368617400070109020308050601 0205 00",
            ),
            (Record::KeptHold(Box::new(kept)), KEPT),
            (Record::Lowered { line: 3, watermark: 9 }, "4a03140309"),
        ]
    }

    const HELD: &str = concat!(
        "4a030d00030100fc60e31600020463686174 01036d2d31 070109 01 fb60ea fce0220200 010965786861757374656405 01016b",
        "0909090909090909090909090909090909090909090909090909090909090909fbd007"
    );
    const KEPT: &str = concat!(
        "4a0313017703616e6e016b0909090909090909090909090909090909090909090909090909090909090909fbd007",
        "fb2c01040208fce0220200010965786861757374656405"
    );

    #[test]
    fn the_bytes_of_holds_are_these() {
        for (record, hex) in golden() {
            let bytes = encode(&record).unwrap();
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(text, hex.replace(' ', ""), "{record:?}");
            assert_eq!(decode::<Record>(&bytes).unwrap(), record);
        }
    }
}
