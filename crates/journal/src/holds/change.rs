//! How changes of holds are written down. Not here: what they do (`holds`).

use super::words::{EndOfHold, HoldFacts, HoldOver};
use super::{Hold, HoldChange};
use crate::change::{MeterRef, UnitRef};
use crate::change::{
    Parsed, Part, Slot, amount, durability_in, durability_out, meter_ref_in, meter_ref_out, parts_in,
    parts_out, shadow_in, shadow_out, source_in, source_out, units_in, units_out,
};
use types::{
    Credits, CycleNumber, Feature, HoldNumber, IdempotencyKey, LineNumber, Model, PriceVersion, Timestamp,
    UserId, WorkspaceId,
};
use wire::journal as shape;

/// What a hold is charged, and for what; without a meter nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Use {
    pub parts: Vec<Part>,
    pub meter: Option<MeterRef>,
    pub units: Vec<(UnitRef, u64)>,
}

impl Use {
    fn parse(shape: &shape::Settled) -> Parsed<Self> {
        let meter = shape.meter.as_ref().map(meter_ref_in).transpose()?;
        Ok(Self { parts: parts_in(&shape.parts)?, meter, units: units_in(&shape.units)? })
    }

    fn shape(&self) -> shape::Settled {
        let meter = self.meter.as_ref().map(meter_ref_out);
        shape::Settled { parts: parts_out(&self.parts), meter, units: units_out(&self.units) }
    }
}

/// The key a hold was opened under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HoldKey {
    pub key: IdempotencyKey,
    pub command_hash: [u8; 32],
    pub at: Timestamp,
}

impl HoldKey {
    pub fn parse(shape: &shape::HoldKey) -> Parsed<Self> {
        let at = Timestamp::from_millis(shape.at_ms);
        Ok(Self { key: IdempotencyKey::parse(&shape.key)?, command_hash: shape.command_hash, at })
    }

    pub fn shape(&self) -> shape::HoldKey {
        shape::HoldKey { key: self.key.to_string(), command_hash: self.command_hash, at_ms: self.at.millis() }
    }
}

fn end_in(end: shape::EndOfHold) -> EndOfHold {
    match end {
        shape::EndOfHold::Settled => EndOfHold::Settled,
        shape::EndOfHold::Released => EndOfHold::Released,
        shape::EndOfHold::Expired => EndOfHold::Expired,
        shape::EndOfHold::SettledLate => EndOfHold::SettledLate,
    }
}

fn end_out(end: EndOfHold) -> shape::EndOfHold {
    match end {
        EndOfHold::Settled => shape::EndOfHold::Settled,
        EndOfHold::Released => shape::EndOfHold::Released,
        EndOfHold::Expired => shape::EndOfHold::Expired,
        EndOfHold::SettledLate => shape::EndOfHold::SettledLate,
    }
}

impl HoldChange {
    /// `None`: the record is about something else.
    pub fn parse(record: &shape::Record) -> Parsed<Option<Self>> {
        use shape::Record;
        Ok(Some(match record {
            Record::Held(held) => {
                let key = held.key.as_deref().map(HoldKey::parse).transpose()?;
                Self::Opened { number: held.number, hold: Hold::parse(held)?, key }
            }
            Record::Extended { hold, line, parts, confirmed, expires_at_ms, shadow } => Self::Extended {
                hold: HoldNumber(*hold),
                slot: Slot(*line),
                parts: parts_in(parts)?,
                confirmed: amount(*confirmed)?,
                expires_at: Timestamp::from_millis(*expires_at_ms),
                shadow: shadow.as_ref().map(shadow_in).transpose()?,
            },
            Record::HoldEnded(ended) => Self::Ended {
                hold: HoldNumber(ended.hold),
                slot: Slot(ended.line),
                end: end_in(ended.end),
                watermark: amount(ended.watermark)?,
                used: Use::parse(&ended.charged)?,
            },
            Record::SettledLate(late) => Self::SettledLate {
                hold: HoldNumber(late.hold),
                slot: Slot(late.line),
                used: Use::parse(&late.charged)?,
            },
            Record::Ending { line, watermark, parts } => {
                Self::LineEnds { slot: Slot(*line), watermark: amount(*watermark)?, parts: parts_in(parts)? }
            }
            Record::Lowered { line, watermark } => {
                Self::Unneeded { slot: Slot(*line), watermark: amount(*watermark)? }
            }
            _ => return Ok(None),
        }))
    }

    pub fn shape(&self) -> shape::Record {
        use shape::Record;
        match self {
            Self::Opened { number, hold, key } => Record::Held(Box::new(hold.shape(*number, key.as_ref()))),
            Self::Extended { hold, slot, parts, confirmed, expires_at, shadow } => Record::Extended {
                hold: hold.0,
                line: slot.0,
                parts: parts_out(parts),
                confirmed: confirmed.micros(),
                expires_at_ms: expires_at.millis(),
                shadow: shadow.map(shadow_out),
            },
            Self::Ended { hold, slot, end, watermark, used } => {
                Record::HoldEnded(Box::new(shape::HoldEnded {
                    hold: hold.0,
                    line: slot.0,
                    end: end_out(*end),
                    watermark: watermark.micros(),
                    charged: used.shape(),
                }))
            }
            Self::SettledLate { hold, slot, used } => Record::SettledLate(Box::new(shape::LateCharge {
                hold: hold.0,
                line: slot.0,
                charged: used.shape(),
            })),
            Self::Unneeded { slot, watermark } => {
                Record::Lowered { line: slot.0, watermark: watermark.micros() }
            }
            Self::LineEnds { slot, watermark, parts } => {
                Record::Ending { line: slot.0, watermark: watermark.micros(), parts: parts_out(parts) }
            }
        }
    }
}

impl Hold {
    fn parse(held: &shape::Held) -> Parsed<Self> {
        Ok(Self {
            slot: Slot(held.line),
            parts: parts_in(&held.parts)?,
            confirmed: amount(held.confirmed)?,
            feature: Feature::parse(&held.feature)?,
            model: held.model.as_deref().map(Model::parse).transpose()?,
            prices: prices_in(held.prices),
            durability: durability_in(held.durability),
            ttl_ms: held.ttl_ms,
            expires_at: Timestamp::from_millis(held.expires_at_ms),
            shadow: held.shadow.as_ref().map(shadow_in).transpose()?,
        })
    }

    pub fn shape(&self, number: u64, key: Option<&HoldKey>) -> shape::Held {
        shape::Held {
            number,
            line: self.slot.0,
            parts: parts_out(&self.parts),
            confirmed: self.confirmed.micros(),
            feature: self.feature.to_string(),
            model: self.model.as_ref().map(ToString::to_string),
            prices: prices_out(self.prices),
            durability: durability_out(self.durability),
            ttl_ms: self.ttl_ms,
            expires_at_ms: self.expires_at.millis(),
            shadow: self.shadow.map(shadow_out),
            key: key.map(|key| Box::new(key.shape())),
        }
    }
}

fn prices_in((card, own): (u64, Option<u64>)) -> PriceVersion {
    PriceVersion { card, own }
}

fn prices_out(PriceVersion { card, own }: PriceVersion) -> (u64, Option<u64>) {
    (card, own)
}

/// A hold that is over, as a snapshot has it.
pub(crate) fn over_in(over: &shape::HoldOver) -> Parsed<HoldOver> {
    let source = |(source, micros): &(shape::Source, u64)| Ok((source_in(*source), amount(*micros)?));
    let facts = HoldFacts {
        number: HoldNumber(over.number),
        workspace: WorkspaceId::parse(&over.workspace)?,
        user: UserId::parse(&over.user)?,
        line: LineNumber(over.line),
        cycle: CycleNumber(over.cycle),
        feature: Feature::parse(&over.feature)?,
        model: over.model.as_deref().map(Model::parse).transpose()?,
        prices: prices_in(over.prices),
        durability: durability_in(over.durability),
        held: amount(over.held)?,
        shadow: over.shadow.as_ref().map(shadow_in).transpose()?,
    };
    Ok(HoldOver {
        facts,
        end: end_in(over.end),
        charged: amount(over.charged)?,
        charged_on: LineNumber(over.charged_on),
        sources: over.sources.iter().map(source).collect::<Parsed<Vec<_>>>()?,
    })
}

pub(crate) fn over_out(over: &HoldOver) -> shape::Record {
    let HoldOver { facts, end, charged, charged_on, sources } = over;
    let sources = sources.iter().map(|(source, part): &(_, Credits)| (source_out(*source), part.micros()));
    shape::Record::HoldOver(Box::new(shape::HoldOver {
        number: facts.number.0,
        workspace: facts.workspace.to_string(),
        user: facts.user.to_string(),
        line: facts.line.0,
        cycle: facts.cycle.0,
        feature: facts.feature.to_string(),
        model: facts.model.as_ref().map(ToString::to_string),
        prices: prices_out(facts.prices),
        durability: durability_out(facts.durability),
        end: end_out(*end),
        held: facts.held.micros(),
        charged: charged.micros(),
        charged_on: charged_on.0,
        sources: sources.collect(),
        shadow: facts.shadow.map(shadow_out),
    }))
}
