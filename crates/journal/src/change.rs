//! The changes of the book, and how each is written down. Not here: what they do to a line.

use crate::holds::HoldChange;
use crate::holds::change::HoldKey;
use crate::holds::words::Held;
use crate::line::Line;
use crate::tally::{BackingTally, MeterTally, Tally};
use crate::words::{BackingNumbers, Charged};
use std::sync::Arc;
use types::{
    Backing, BadId, Credits, CycleNumber, Day, Durability, Feature, GrantNo, HoldNumber, IdempotencyKey,
    LineNumber, Meter, Model, Revision, Scope, Shadowed, Source, Timestamp, Unit, UserId, WorkspaceId,
    WouldRefuse,
};
use wire::journal as shape;

/// A line's number in this journal; short, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(pub u32);

/// An amount, and the position of the backing within its line.
pub(crate) type Part = (u8, Credits);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Opened { slot: Slot, line: OpenedLine },
    Installed { slot: Slot, drawn: Vec<(Backing, Credits)> },
    Raised { slot: Slot, watermark: Credits },
    Charged(ChargeChange),
    GaveBack { slot: Slot, watermark: Credits, parts: Vec<Part> },
    Closed { slot: Slot, parts: Vec<Part> },
    Forgotten { slot: Slot },
    Rounded { slot: Slot, parts: Vec<Part> },
    Hold(HoldChange),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenedLine {
    pub workspace: WorkspaceId,
    pub number: LineNumber,
    pub user: UserId,
    pub cycle: CycleNumber,
    pub scope: Scope,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChargeChange {
    pub slot: Slot,
    pub parts: Vec<Part>,
    pub meter: MeterRef,
    pub units: Vec<(UnitRef, u64)>,
    pub key: Option<KeyedChange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MeterRef {
    Known(u8),
    New(Meter),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UnitRef {
    Known(u8),
    New(Unit),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyedChange {
    pub key: IdempotencyKey,
    pub command_hash: [u8; 32],
    pub at: Timestamp,
    pub durability: Durability,
    pub remaining_at_least: Credits,
    pub remaining_at_most: Credits,
}

/// A key with its answer, as it is carried from segment to segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptKey {
    pub workspace: WorkspaceId,
    pub user: UserId,
    pub key: IdempotencyKey,
    pub command_hash: [u8; 32],
    pub at: Timestamp,
    /// Which record of the journal holds it.
    pub position: u64,
    pub answer: Answered,
}

/// What was answered under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    Charged(Arc<Charged>),
    Held(Arc<Held>),
}

/// A record whose checksum is right but whose values are not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadRecord {
    #[error("{0}")]
    Id(#[from] BadId),
    #[error("an amount of {0} micro-credits is out of range")]
    Amount(u64),
    #[error("{0:?} is no reason to refuse")]
    WouldRefuse(String),
    #[error("this kind of record does not stand here")]
    Misplaced,
}

pub(crate) type Parsed<T> = Result<T, BadRecord>;

pub(crate) fn amount(micros: u64) -> Parsed<Credits> {
    Credits::from_micros(micros).ok_or(BadRecord::Amount(micros))
}

pub(crate) fn parts_in(parts: &[(u8, u64)]) -> Parsed<Vec<Part>> {
    parts.iter().map(|(at, micros)| Ok((*at, amount(*micros)?))).collect()
}

pub(crate) fn parts_out(parts: &[Part]) -> shape::Parts {
    parts.iter().map(|(at, part)| (*at, part.micros())).collect()
}

pub(crate) fn shadow_in((code, cost): &(String, u64)) -> Parsed<Shadowed> {
    let read = WouldRefuse::read(code).ok_or_else(|| BadRecord::WouldRefuse(code.clone()))?;
    Ok(Shadowed { code: read, would_have_cost: amount(*cost)? })
}

pub(crate) fn shadow_out(shadow: Shadowed) -> (String, u64) {
    (shadow.code.to_string(), shadow.would_have_cost.micros())
}

pub(crate) fn source_in(source: shape::Source) -> Source {
    match source {
        shape::Source::Allocation => Source::Allocation,
        shape::Source::Reserve(team) => Source::Reserve(team),
        shape::Source::Shared => Source::Shared,
        shape::Source::Overage => Source::Overage,
    }
}

pub(crate) fn source_out(source: Source) -> shape::Source {
    match source {
        Source::Allocation => shape::Source::Allocation,
        Source::Reserve(team) => shape::Source::Reserve(team),
        Source::Shared => shape::Source::Shared,
        Source::Overage => shape::Source::Overage,
    }
}

fn backing_in(backing: shape::Backing) -> Backing {
    Backing { source: source_in(backing.source), grant: GrantNo(backing.grant) }
}

fn backing_out(backing: Backing) -> shape::Backing {
    shape::Backing { source: source_out(backing.source), grant: backing.grant.0 }
}

fn meter_in(meter: &shape::Meter) -> Parsed<Meter> {
    let model = meter.model.as_deref().map(Model::parse).transpose()?;
    Ok(Meter { feature: Feature::parse(&meter.feature)?, model, day: Day(meter.day) })
}

fn meter_out(meter: &Meter) -> shape::Meter {
    let model = meter.model.as_ref().map(ToString::to_string);
    shape::Meter { feature: meter.feature.to_string(), model, day: meter.day.0 }
}

fn scope_in(shape::Scope { list, feature, model }: &shape::Scope) -> Parsed<Scope> {
    let feature = feature.as_deref().map(Feature::parse).transpose()?;
    let model = model.as_deref().map(Model::parse).transpose()?;
    Ok(Scope { list: Revision(*list), feature, model })
}

fn scope_out(Scope { list, feature, model }: &Scope) -> shape::Scope {
    let feature = feature.as_ref().map(ToString::to_string);
    shape::Scope { list: list.0, feature, model: model.as_ref().map(ToString::to_string) }
}

pub(crate) fn meter_ref_in(meter: &shape::MeterRef) -> Parsed<MeterRef> {
    Ok(match meter {
        shape::MeterRef::Known(at) => MeterRef::Known(*at),
        shape::MeterRef::New(meter) => MeterRef::New(meter_in(meter)?),
    })
}

pub(crate) fn meter_ref_out(meter: &MeterRef) -> shape::MeterRef {
    match meter {
        MeterRef::Known(at) => shape::MeterRef::Known(*at),
        MeterRef::New(meter) => shape::MeterRef::New(meter_out(meter)),
    }
}

pub(crate) fn units_in(units: &[(shape::UnitRef, u64)]) -> Parsed<Vec<(UnitRef, u64)>> {
    let unit = |(unit, count): &(shape::UnitRef, u64)| {
        Ok(match unit {
            shape::UnitRef::Known(at) => (UnitRef::Known(*at), *count),
            shape::UnitRef::New(unit) => (UnitRef::New(Unit::parse(unit)?), *count),
        })
    };
    units.iter().map(unit).collect()
}

pub(crate) fn units_out(units: &[(UnitRef, u64)]) -> Vec<(shape::UnitRef, u64)> {
    let unit = |(unit, count): &(UnitRef, u64)| match unit {
        UnitRef::Known(at) => (shape::UnitRef::Known(*at), *count),
        UnitRef::New(unit) => (shape::UnitRef::New(unit.to_string()), *count),
    };
    units.iter().map(unit).collect()
}

pub(crate) fn durability_in(durability: shape::Durability) -> Durability {
    match durability {
        shape::Durability::Local => Durability::Local,
        shape::Durability::Disk => Durability::Disk,
        shape::Durability::Quorum => Durability::Quorum,
    }
}

pub(crate) fn durability_out(durability: Durability) -> shape::Durability {
    match durability {
        Durability::Local => shape::Durability::Local,
        Durability::Disk => shape::Durability::Disk,
        Durability::Quorum => shape::Durability::Quorum,
    }
}

impl OpenedLine {
    fn parse(opened: &shape::Opened) -> Parsed<Self> {
        Ok(Self {
            workspace: WorkspaceId::parse(&opened.workspace)?,
            number: LineNumber(opened.number),
            user: UserId::parse(&opened.user)?,
            cycle: CycleNumber(opened.cycle),
            scope: scope_in(&opened.scope)?,
        })
    }

    fn shape(&self, slot: Slot) -> shape::Opened {
        shape::Opened {
            line: slot.0,
            workspace: self.workspace.to_string(),
            number: self.number.0,
            user: self.user.to_string(),
            cycle: self.cycle.0,
            scope: scope_out(&self.scope),
        }
    }
}

impl KeyedChange {
    fn parse(keyed: &shape::Keyed) -> Parsed<Self> {
        Ok(Self {
            key: IdempotencyKey::parse(&keyed.key)?,
            command_hash: keyed.command_hash,
            at: Timestamp::from_millis(keyed.at_ms),
            durability: durability_in(keyed.durability),
            remaining_at_least: amount(keyed.remaining_at_least)?,
            remaining_at_most: amount(keyed.remaining_at_most)?,
        })
    }

    fn shape(&self) -> shape::Keyed {
        shape::Keyed {
            key: self.key.to_string(),
            command_hash: self.command_hash,
            at_ms: self.at.millis(),
            durability: durability_out(self.durability),
            remaining_at_least: self.remaining_at_least.micros(),
            remaining_at_most: self.remaining_at_most.micros(),
        }
    }
}

impl ChargeChange {
    fn parse(charged: &shape::Charged) -> Parsed<Self> {
        Ok(Self {
            slot: Slot(charged.line),
            parts: parts_in(&charged.parts)?,
            meter: meter_ref_in(&charged.meter)?,
            units: units_in(&charged.units)?,
            key: charged.key.as_deref().map(KeyedChange::parse).transpose()?,
        })
    }

    fn shape(&self) -> shape::Charged {
        shape::Charged {
            line: self.slot.0,
            parts: parts_out(&self.parts),
            meter: meter_ref_out(&self.meter),
            units: units_out(&self.units),
            key: self.key.as_ref().map(|key| Box::new(key.shape())),
        }
    }
}

impl Change {
    pub fn parse(record: &shape::Record) -> Parsed<Self> {
        use shape::Record;
        Ok(match record {
            Record::Opened(opened) => {
                Self::Opened { slot: Slot(opened.line), line: OpenedLine::parse(opened)? }
            }
            Record::Installed { line, drawn } => {
                let drawn =
                    drawn.iter().map(|(backing, micros)| Ok((backing_in(*backing), amount(*micros)?)));
                Self::Installed { slot: Slot(*line), drawn: drawn.collect::<Parsed<_>>()? }
            }
            Record::Raised { line, watermark } => {
                Self::Raised { slot: Slot(*line), watermark: amount(*watermark)? }
            }
            Record::Charged(charged) => Self::Charged(ChargeChange::parse(charged)?),
            Record::GaveBack { line, watermark, parts } => {
                Self::GaveBack { slot: Slot(*line), watermark: amount(*watermark)?, parts: parts_in(parts)? }
            }
            Record::Closed { line, parts } => Self::Closed { slot: Slot(*line), parts: parts_in(parts)? },
            Record::Forgotten { line } => Self::Forgotten { slot: Slot(*line) },
            Record::Rounded { line, parts } => Self::Rounded { slot: Slot(*line), parts: parts_in(parts)? },
            Record::Head(_)
            | Record::Counter { .. }
            | Record::Line(_)
            | Record::Kept(_)
            | Record::KeptHold(_)
            | Record::HoldOver(_)
            | Record::HeadEnd { .. } => {
                return Err(BadRecord::Misplaced);
            }
            Record::Held(_)
            | Record::Extended { .. }
            | Record::HoldEnded(_)
            | Record::SettledLate(_)
            | Record::Lowered { .. }
            | Record::Ending { .. } => {
                HoldChange::parse(record)?.map(Self::Hold).ok_or(BadRecord::Misplaced)?
            }
        })
    }

    pub fn shape(&self) -> shape::Record {
        use shape::Record;
        match self {
            Self::Opened { slot, line } => Record::Opened(Box::new(line.shape(*slot))),
            Self::Installed { slot, drawn } => {
                let drawn = drawn.iter().map(|(backing, drawn)| (backing_out(*backing), drawn.micros()));
                Record::Installed { line: slot.0, drawn: drawn.collect() }
            }
            Self::Raised { slot, watermark } => {
                Record::Raised { line: slot.0, watermark: watermark.micros() }
            }
            Self::Charged(charged) => Record::Charged(charged.shape()),
            Self::GaveBack { slot, watermark, parts } => {
                Record::GaveBack { line: slot.0, watermark: watermark.micros(), parts: parts_out(parts) }
            }
            Self::Closed { slot, parts } => Record::Closed { line: slot.0, parts: parts_out(parts) },
            Self::Forgotten { slot } => Record::Forgotten { line: slot.0 },
            Self::Rounded { slot, parts } => Record::Rounded { line: slot.0, parts: parts_out(parts) },
            Self::Hold(change) => change.shape(),
        }
    }
}

impl KeptKey {
    /// As this record holds it.
    pub fn at(mut self, position: u64) -> Self {
        self.position = position;
        if let Answered::Charged(charged) = &mut self.answer {
            Arc::make_mut(charged).position = position;
        }
        self
    }

    pub fn parse(kept: &shape::KeptKey) -> Parsed<Self> {
        let keyed = KeyedChange::parse(&kept.keyed)?;
        let source = |(source, micros): &(shape::Source, u64)| Ok((source_in(*source), amount(*micros)?));
        let charged = Charged {
            line: LineNumber(kept.number),
            sequence: kept.sequence,
            amount: amount(kept.amount)?,
            sources: kept.sources.iter().map(source).collect::<Parsed<_>>()?,
            remaining_at_least: keyed.remaining_at_least,
            remaining_at_most: keyed.remaining_at_most,
            durability: keyed.durability,
            cycle: CycleNumber(kept.cycle),
            shadow: kept.shadow.as_ref().map(shadow_in).transpose()?,
            position: 0,
        };
        Ok(Self {
            workspace: WorkspaceId::parse(&kept.workspace)?,
            user: UserId::parse(&kept.user)?,
            key: keyed.key,
            command_hash: keyed.command_hash,
            at: keyed.at,
            position: 0,
            answer: Answered::Charged(Arc::new(charged)),
        })
    }

    pub fn parse_hold(kept: &shape::KeptHold) -> Parsed<Self> {
        let HoldKey { key, command_hash, at } = HoldKey::parse(&kept.key)?;
        let held = Held {
            number: HoldNumber(kept.number),
            line: LineNumber(kept.line),
            cycle: CycleNumber(kept.cycle),
            amount: amount(kept.held)?,
            expires_at: Timestamp::from_millis(kept.expires_at_ms),
            shadow: kept.shadow.as_ref().map(shadow_in).transpose()?,
        };
        Ok(Self {
            workspace: WorkspaceId::parse(&kept.workspace)?,
            user: UserId::parse(&kept.user)?,
            key,
            command_hash,
            at,
            position: 0,
            answer: Answered::Held(Arc::new(held)),
        })
    }

    pub fn shape(&self) -> shape::Record {
        match &self.answer {
            Answered::Charged(charged) => self.charge_shape(charged),
            Answered::Held(held) => self.hold_shape(held),
        }
    }

    fn charge_shape(&self, charged: &Charged) -> shape::Record {
        let keyed = KeyedChange {
            key: self.key.clone(),
            command_hash: self.command_hash,
            at: self.at,
            durability: charged.durability,
            remaining_at_least: charged.remaining_at_least,
            remaining_at_most: charged.remaining_at_most,
        };
        shape::Record::Kept(Box::new(shape::KeptKey {
            workspace: self.workspace.to_string(),
            user: self.user.to_string(),
            keyed: keyed.shape(),
            number: charged.line.0,
            sequence: charged.sequence,
            cycle: charged.cycle.0,
            amount: charged.amount.micros(),
            sources: charged.sources.iter().map(|(from, part)| (source_out(*from), part.micros())).collect(),
            shadow: charged.shadow.map(shadow_out),
        }))
    }

    fn hold_shape(&self, held: &Held) -> shape::Record {
        let key = HoldKey { key: self.key.clone(), command_hash: self.command_hash, at: self.at };
        shape::Record::KeptHold(Box::new(shape::KeptHold {
            workspace: self.workspace.to_string(),
            user: self.user.to_string(),
            key: key.shape(),
            number: held.number.0,
            line: held.line.0,
            cycle: held.cycle.0,
            held: held.amount.micros(),
            expires_at_ms: held.expires_at.millis(),
            shadow: held.shadow.map(shadow_out),
        }))
    }
}

/// A line as a snapshot has it.
pub(crate) fn line_in(line: &shape::Line) -> Parsed<(Slot, Line)> {
    let backing = |b: &shape::BackingNumbers| {
        let numbers = BackingNumbers {
            backing: backing_in(b.backing),
            drawn: amount(b.drawn)?,
            used: amount(b.used)?,
            returned: amount(b.returned)?,
            unattributed: amount(b.unattributed)?,
        };
        Ok(BackingTally { numbers, held: amount(b.held)?, confirmed: amount(b.confirmed)? })
    };
    let meter = |m: &shape::MeterNumbers| {
        let (meter, credits) = (meter_in(&m.meter)?, amount(m.credits)?);
        let part = |(grant, part): &(u32, u64)| Ok((GrantNo(*grant), amount(*part)?));
        let by_grant = m.by_grant.iter().map(part).collect::<Parsed<_>>()?;
        Ok(MeterTally { meter, credits, calls: m.calls, units: m.units.clone(), by_grant })
    };
    let tally = Tally {
        sequence: line.sequence,
        closed: line.closed,
        backings: line.backings.iter().map(backing).collect::<Parsed<_>>()?,
        units: line.units.iter().map(|unit| Ok(Unit::parse(unit)?)).collect::<Parsed<_>>()?,
        meters: line.meters.iter().map(meter).collect::<Parsed<_>>()?,
    };
    let opened = OpenedLine::parse(&line.opened)?;
    Ok((Slot(line.opened.line), Line::restored(opened, amount(line.watermark)?, tally)))
}

/// A line as it goes into a snapshot.
pub(crate) fn line_out(slot: Slot, line: &Line) -> shape::Record {
    let backing = |b: &BackingTally| shape::BackingNumbers {
        backing: backing_out(b.numbers.backing),
        drawn: b.numbers.drawn.micros(),
        used: b.numbers.used.micros(),
        returned: b.numbers.returned.micros(),
        unattributed: b.numbers.unattributed.micros(),
        held: b.held.micros(),
        confirmed: b.confirmed.micros(),
    };
    let meter = |m: &MeterTally| shape::MeterNumbers {
        meter: meter_out(&m.meter),
        credits: m.credits.micros(),
        calls: m.calls,
        units: m.units.clone(),
        by_grant: m.by_grant.iter().map(|(grant, part)| (grant.0, part.micros())).collect(),
    };
    let tally = &line.tally;
    shape::Record::Line(Box::new(shape::Line {
        opened: line.opened.shape(slot),
        closed: tally.closed,
        watermark: line.watermark.micros(),
        sequence: tally.sequence,
        backings: tally.backings.iter().map(backing).collect(),
        units: tally.units.iter().map(ToString::to_string).collect(),
        meters: tally.meters.iter().map(meter).collect(),
    }))
}
