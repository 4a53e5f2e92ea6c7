//! What was charged of features and of models, counted again from lines' meters and scopes, and what clients were told of them.
//! Not here: what a limit does with it (`naive`), windows (`windows`).

use crate::checkers::{Broken, Verdict};
use crate::imports::items_of;
use crate::windows::{Charges, Clock, charged_on_lines};
use ledger::{Applied, Command, Line, OfScope, Subject, Wish, Workspace};
use std::collections::BTreeMap;
use types::{Enforcement, Feature, LineId, Meter, Metered, Model, Timestamp, Window};

#[derive(Clone, Debug, Default)]
pub struct Scopes {
    charges: Charges,
    in_cycle: BTreeMap<Subject, u64>,
    in_all: BTreeMap<Subject, u64>,
}

impl Scopes {
    pub fn by(clock: Clock) -> Self {
        Self { charges: Charges::by(clock), ..Self::default() }
    }

    /// S6: what the ledger counts of a feature or a model is what became known to be charged of it.
    pub fn saw(
        &mut self,
        before: &Workspace,
        command: &Command,
        applied: &Applied,
        after: &Workspace,
        at: Timestamp,
    ) -> Verdict {
        if before.cycle != after.cycle {
            self.in_cycle.clear();
        }
        for (id, line, charged) in charged_on_lines(before, command, after) {
            for (of, amount) in charged_of(before, command, after, (id, line, charged)) {
                self.note(of, amount, amount, at);
            }
        }
        for (item, import) in items_of(command, applied) {
            let charged = import.charged.micros();
            let in_cycle = if import.cycle == after.cycle { charged } else { 0 };
            let model = item.model.clone().map(Subject::Model);
            for of in std::iter::once(Subject::Feature(item.feature.clone())).chain(model) {
                self.note(of, charged, in_cycle, import.happened_at);
            }
        }
        for (of, known) in all(after) {
            for window in Window::ALL {
                let counted = match window {
                    Window::Cycle => self.in_cycle.get(&of).copied().unwrap_or_default(),
                    _ => self.charges.in_window(&of, window, at),
                };
                let said = after.used_in(known, window, at).micros();
                if said != counted {
                    let sentence =
                        "S6 a window counts what became known to be charged of a feature or a model";
                    let what =
                        format!("{of}, {window}: the ledger says {said}, it was {counted} micro-credits");
                    return Err(Broken { sentence, what });
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, of: Subject, amount: u64, in_cycle: u64, at: Timestamp) {
        if amount > 0 {
            self.charges.note(&of, amount, at);
            *self.in_cycle.entry(of.clone()).or_default() += in_cycle;
            *self.in_all.entry(of).or_default() += amount;
        }
    }

    /// S6: whatever clients were told of what is limited is counted under its limits, or still may be: where no detail was
    /// lost and no holder was.
    pub fn all_that_was_told_is_counted(&self, told: &BTreeMap<Subject, u64>, pool: &Workspace) -> Verdict {
        for (of, known) in all(pool).into_iter().filter(|(_, known)| known.limits.is_some()) {
            let told = told.get(&of).copied().unwrap_or_default();
            let counted = self.in_all.get(&of).copied().unwrap_or_default() + known.out.micros();
            if told > counted {
                let sentence = "S6 what was told of a limited feature or model is counted";
                return Err(Broken {
                    sentence,
                    what: format!("{of}: {told} were told, {counted} are counted"),
                });
            }
        }
        Ok(())
    }
}

fn all(pool: &Workspace) -> Vec<(Subject, &OfScope)> {
    let features = pool.by_feature.iter().map(|(name, of)| (Subject::Feature(name.clone()), of));
    features.chain(pool.by_model.iter().map(|(name, of)| (Subject::Model(name.clone()), of))).collect()
}

/// What of a line's charge is of which feature and of which model.
fn charged_of(
    before: &Workspace,
    command: &Command,
    after: &Workspace,
    (id, line, charged): (LineId, &Line, u64),
) -> Vec<(Subject, u64)> {
    let by_meter = metered(before, command, after, id);
    let named: u64 = by_meter.iter().map(|(_, part)| part).sum();
    // Evidence names what was charged before.
    let is_evidence = charged == 0;
    let unknown = charged.saturating_sub(named);
    let may_be = |known: Option<&OfScope>| known.is_some_and(|known| line.scope.list < known.since);
    let mut found = Vec::new();
    let feature = |name: &Feature| Subject::Feature(name.clone());
    let model = |name: &Model| Subject::Model(name.clone());
    if let Some(own) = &line.scope.feature {
        found.push((feature(own), charged));
    } else {
        let counts = |name: &Feature| !is_evidence || !may_be(after.by_feature.get(name));
        let parts = by_meter.iter().filter(|(meter, _)| counts(&meter.feature));
        found.extend(parts.map(|(meter, part)| (feature(&meter.feature), *part)));
        let others = after.by_feature.iter().filter(|(_, known)| may_be(Some(known)));
        found.extend(others.map(|(name, _)| (feature(name), unknown)));
    }
    if let Some(own) = &line.scope.model {
        found.push((model(own), charged));
    } else {
        let parts = by_meter.iter().filter_map(|(meter, part)| Some((meter.model.as_ref()?, *part)));
        let parts = parts.filter(|(name, _)| !is_evidence || !may_be(after.by_model.get(*name)));
        found.extend(parts.map(|(name, part)| (model(name), part)));
        let others = after.by_model.iter().filter(|(_, known)| may_be(Some(known)));
        found.extend(others.map(|(name, _)| (model(name), unknown)));
    }
    found
}

/// By how much each of a line's meters grew.
fn metered(before: &Workspace, command: &Command, after: &Workspace, id: LineId) -> Vec<(Meter, u64)> {
    let of = |pool: &Workspace| -> BTreeMap<Meter, u64> {
        let meters = pool.lines.get(&id).map_or(&[][..], |line| &line.meters);
        meters.iter().map(|(no, m)| (pool.meters[*no as usize].clone(), m.credits.micros())).collect()
    };
    let (was, mut is) = (of(before), of(after));
    if let (false, Command::Holder(batch)) = (after.lines.contains_key(&id), command) {
        is.clone_from(&was);
        let told = batch.lines.iter().filter(|message| batch.line_id(message) == id);
        let told = told.filter(|message| before.lines.contains_key(&id) || message.wish != Wish::Close);
        for (meter, metered) in told.flat_map(|message| &message.used.by_meter) {
            let known = is.entry(meter.clone()).or_default();
            *known = (*known).max(metered.credits.micros());
        }
    }
    let grown = |(meter, now): (Meter, u64)| {
        let part = now - was.get(&meter).copied().unwrap_or_default();
        (meter, part)
    };
    is.into_iter().map(grown).collect()
}

/// S6: what may still be spent on what is limited counts under its limits: all that is out on lines for it, and on lines that were
/// opened when it was not on the list and are for anything.
pub fn what_may_be_spent_on_what_is_limited_counts(pool: &Workspace) -> Verdict {
    for (of, known) in all(pool).into_iter().filter(|(_, known)| known.limits.is_some()) {
        let may_be = |line: &&Line| {
            match &of {
                Subject::Feature(name) => line.scope.feature.as_ref().map(|own| own == name),
                Subject::Model(name) => line.scope.model.as_ref().map(|own| own == name),
                Subject::User(_) | Subject::Team(_) => Some(false),
            }
            .unwrap_or(line.scope.list < known.since)
        };
        let out: u64 = pool.lines.values().filter(may_be).map(|line| line.outstanding().micros()).sum();
        if out != known.out.micros() {
            let sentence = "S6 what may be spent on a limited feature or model counts";
            return Err(Broken { sentence, what: format!("{of}: {} are out, lines say {out}", known.out) });
        }
    }
    Ok(())
}

/// S6: for what the plan does not have nothing is drawn, and nothing of it was spent from lines that were opened under the plan. In
/// shadow mode it is counted there, on lines that have nothing.
pub fn what_the_plan_does_not_have_is_not_spent_on(pool: &Workspace) -> Verdict {
    let is_not_in_plan = |feature: &Feature| feature.as_str() != "other" && !pool.limited.allows(feature);
    let is_shadow = pool.enforcement == Enforcement::Shadow;
    for (id, line) in pool.lines.iter().filter(|(_, line)| line.scope.list == pool.limited.list()) {
        let of = line.scope.feature.as_ref().filter(|feature| is_not_in_plan(feature));
        // Nobody spends from what is frozen or written off.
        let may_go_on = !line.frozen && !line.written_off && !is_shadow;
        let of = of.filter(|_| may_go_on || !line.drawn().is_zero());
        let is_spent = |metered: &Metered| !metered.credits.is_zero() || metered.clone().split().0.calls > 0;
        let spent = line.meters.iter().filter(|(_, metered)| is_spent(metered));
        let mut spent = spent.map(|(no, _)| &pool.meters[*no as usize].feature);
        if let Some(feature) = of.or_else(|| spent.find(|feature| is_not_in_plan(feature))) {
            let sentence = "S6 what the plan does not have is not spent on";
            let what = format!("{id:?}: {feature}, of {:?}", pool.limited.allowed);
            return Err(Broken { sentence, what });
        }
    }
    Ok(())
}

/// S6 of features and models: outstanding + used ≤ limit in each window where more was drawn; an excess never grows.
pub fn draws_keep_within_limits(before: &Workspace, after: &Workspace, at: Timestamp) -> Verdict {
    if before.limited != after.limited {
        return Ok(());
    }
    let was = all(before);
    for (of, known) in all(after) {
        let Some((_, was)) = was.iter().find(|(other, _)| *other == of) else { continue };
        for (window, limit) in known.limits.iter().flat_map(|limits| &limits.by_window) {
            if was.limits.as_ref().and_then(|limits| limits.by_window.get(window)) != Some(limit) {
                continue;
            }
            let (now, was) = (after.counted_in(known, *window, at), before.counted_in(*was, *window, at));
            if now > *limit && now > was {
                let sentence = "S6 draws keep within limits of features and models";
                let what = format!("{of}: {now} was {was}, limit {limit} per {window}");
                return Err(Broken { sentence, what });
            }
        }
    }
    Ok(())
}
