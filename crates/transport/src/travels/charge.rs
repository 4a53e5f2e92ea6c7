//! A charge that is looked up at the node that has it. Not here: which node that is (`quota`).

use super::{BadShape, Travels, travels};
use quota::{ChargeFacts, FindCharge, Refusal};
use wire::rpc;

/// What the node says that was asked for a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundCharge(pub(crate) Result<ChargeFacts, Refusal>);

travels! {
    struct FindCharge as FindCharge { workspace, charge, reported }
    struct ChargeFacts as ChargeFacts { holder, charge, user, feature, model, day, cycle, units, parts }
}

impl Travels for FoundCharge {
    type Shape = rpc::FoundCharge;

    fn shape(&self) -> Self::Shape {
        rpc::FoundCharge(Travels::shape(&self.0))
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, BadShape> {
        Travels::from_shape(shape.0).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::there_and_back;
    use super::*;
    use ledger::ChargePart;
    use types::{
        AnyCharge, BACKINGS_PER_LINE_MAX, Backing, ChargeId, Credits, CycleNumber, Day, DiskId, Feature,
        GrantNo, HolderId, LineNumber, Model, NodeId, Source, Unit, UserId, WorkspaceId,
    };

    #[test]
    fn the_largest_charge_fits() {
        let longest = "x".repeat(128);
        let (line, sequence) = (LineNumber(u64::MAX), u64::MAX);
        let charge = AnyCharge::Consume(ChargeId { node: NodeId(u16::MAX), line, sequence });
        let workspace = WorkspaceId::parse(&longest).unwrap();
        there_and_back(&FindCharge { workspace, charge, reported: true });
        let cycle = CycleNumber(u32::MAX);
        let part = |grant: u32| {
            let backing = Backing { source: Source::Reserve(u8::MAX), grant: GrantNo(u32::MAX - grant) };
            ChargePart { line, cycle, backing, amount: Credits::MAX }
        };
        let units = (0..16).map(|i| (Unit::parse(&format!("{i:0>128}")).unwrap(), u64::MAX));
        let facts = ChargeFacts {
            holder: HolderId { node: NodeId(u16::MAX), disk: DiskId(u64::MAX) },
            charge,
            user: UserId::parse(&longest).unwrap(),
            feature: Feature::parse(&longest).unwrap(),
            model: Some(Model::parse(&longest).unwrap()),
            day: Day(i32::MIN),
            cycle,
            units: units.collect(),
            // A hold that was settled late has the parts of two lines.
            parts: (0..2 * BACKINGS_PER_LINE_MAX as u32).map(part).collect(),
        };
        there_and_back(&FoundCharge(Ok(facts)));
        there_and_back(&FoundCharge(Err(Refusal::UnknownCharge("none".into()))));
    }
}
