//! What usage is counted by: meters of lines, interned by their workspace, and bounded. S8 is held at this door.
//!
//! Not here: what use does to the books (`draw`).

use crate::command::Used;
use crate::limits;
use crate::line::{Growth, Line};
use crate::outcome::LineRejection;
use crate::workspace::Workspace;
use std::borrow::Cow;
use types::{
    ByGrant, Credits, Feature, LineId, METERS_PER_LINE_MAX, Meter, Metered, RESERVED_UNITS,
    UNITS_PER_METER_MAX,
};

impl Workspace {
    /// Answers by how much each meter grew.
    pub(crate) fn commit_meters(&mut self, id: LineId, used: &Used) -> Vec<(u32, Credits)> {
        let mut grown = Vec::with_capacity(used.by_meter.len());
        for (meter, metered) in self.counted(used).iter() {
            let no = self.meter_number(meter);
            let line = self.lines.get_mut(&id).expect("a report belongs to a line");
            let i = match line.meters.binary_search_by_key(&no, |(known, _)| *known) {
                Ok(i) => i,
                Err(i) => {
                    line.meters.insert(i, (no, Metered::default()));
                    i
                }
            };
            let known = &mut line.meters[i].1;
            let before = known.credits;
            known.max(metered);
            grown.push((no, known.credits.saturating_sub(before)));
        }
        grown
    }

    /// Usage by the meters it is counted under. Names past the bound are counted together as `other`; which ones
    /// these are never changes again.
    pub(crate) fn counted<'a>(&self, used: &'a Used) -> Cow<'a, [(Meter, Metered)]> {
        // Mostly all of them are known, each said once: then they are counted as they are.
        let mut said = used.by_meter.iter().enumerate();
        if said.all(|(i, (meter, _))| {
            let again = used.by_meter[..i].iter().any(|(before, _)| before == meter);
            !again && self.meter_numbers.contains_key(meter)
        }) {
            return Cow::Borrowed(&used.by_meter);
        }
        let mut room = limits::METERED_NAMES_MAX.saturating_sub(self.metered_names.len());
        let mut counted: Vec<(Meter, Metered)> = Vec::with_capacity(used.by_meter.len());
        for (meter, metered) in &used.by_meter {
            let name = (meter.feature.clone(), meter.model.clone());
            let said = |(m, _): &(Meter, Metered)| (&m.feature, &m.model) == (&name.0, &name.1);
            let is_known = self.metered_names.contains(&name) || counted.iter().any(said);
            let meter = if is_known || room > 0 {
                room = room.saturating_sub(usize::from(!is_known));
                meter.clone()
            } else {
                let other = Feature::parse("other").expect("a valid id");
                Meter { feature: other, model: None, day: meter.day }
            };
            match counted.iter_mut().find(|(known, _)| *known == meter) {
                Some((_, sum)) => sum.add(metered),
                None => counted.push((meter, metered.clone())),
            }
        }
        Cow::Owned(counted)
    }

    pub(crate) fn meter_number(&mut self, meter: &Meter) -> u32 {
        if let Some(no) = self.meter_numbers.get(meter) {
            return *no;
        }
        if self.metered_names.len() < limits::METERED_NAMES_MAX {
            self.metered_names.insert((meter.feature.clone(), meter.model.clone()));
        }
        let no = u32::try_from(self.meters.len()).expect("2^32 meters do not happen");
        self.meters.push(meter.clone());
        self.meter_numbers.insert(meter.clone(), no);
        no
    }

    /// S8 beyond one message: merged into what is known, usage by meter grows by what usage by backing grows, of each grant.
    pub(crate) fn check_meters_grow_alike(
        &self,
        line: &Line,
        used: &Used,
        growth: &[Growth],
    ) -> Result<(), LineRejection> {
        let known = |meter: &Meter| {
            let no = self.meter_numbers.get(meter)?;
            let i = line.meters.binary_search_by_key(no, |(known, _)| *known).ok()?;
            Some(&line.meters[i].1)
        };
        let (mut by_meter, mut paid) = (Vec::with_capacity(used.by_meter.len()), ByGrant::default());
        for (meter, metered) in self.counted(used).iter() {
            let before = known(meter);
            by_meter
                .push(metered.credits.saturating_sub(before.map_or(Credits::ZERO, |known| known.credits)));
            for (grant, part) in metered.by_grant.iter() {
                let before = before.map_or(Credits::ZERO, |known| known.by_grant.of(grant));
                paid.add(grant, part.saturating_sub(before));
            }
        }
        let grants: ByGrant = growth.iter().map(|step| (step.backing.grant, step.used)).collect();
        let by_backing = Credits::checked_sum(growth.iter().map(|step| step.used));
        let by_meter = Credits::checked_sum(by_meter);
        if by_meter == by_backing && paid == grants { Ok(()) } else { Err(LineRejection::MetersDisagree) }
    }
}

/// S8 at the door: usage by meter is the same usage as by backing, once more, of each grant.
pub(crate) fn check_meters(used: &Used) -> Result<(), LineRejection> {
    let by_backing = Credits::checked_sum(used.by_backing.iter().map(|(_, u, _)| *u));
    let by_meter = Credits::checked_sum(used.by_meter.iter().map(|(_, metered)| metered.credits));
    let bounded = used.by_meter.len() <= METERS_PER_LINE_MAX
        && used
            .by_meter
            .iter()
            .all(|(_, metered)| metered.units.len() <= UNITS_PER_METER_MAX + RESERVED_UNITS);
    let is_paid = |(_, metered): &(Meter, Metered)| metered.by_grant.sum() == Some(metered.credits);
    let grants: ByGrant = used.by_backing.iter().map(|(backing, used, _)| (backing.grant, *used)).collect();
    let same_grants = || {
        used.by_meter.iter().flat_map(|(_, metered)| metered.by_grant.iter()).collect::<ByGrant>() == grants
    };
    if by_backing.is_some()
        && by_backing == by_meter
        && bounded
        && used.by_meter.iter().all(is_paid)
        && same_grants()
    {
        Ok(())
    } else {
        Err(LineRejection::MetersDisagree)
    }
}
