//! Limits of features and of models: what they count, and on which lines what is limited may be spent.
//!
//! A line has a *scope*: what may be spent from it. A workspace has a *list* of the features and models that have limits, and of the
//! features that its plan has, and what is spent on a limited one is spent from lines of its scope. For what the plan does not have
//! nothing is drawn. A line is of the list it was opened under; where another list
//! holds, lines are frozen and recalled, and none is opened under the old one. So of a feature is out what is out on lines of
//! its scope, and on lines of older lists on which it did not stand: those may still be spent on anything. However many
//! holders know of the list, and whenever they hear of it, not a micro-credit above a limit is drawn.
//!
//! **What counts** is what a line of the scope was charged, all of it; of other lines what is metered under the feature's or model's
//! name. It is kept whether or not it is limited, so that a limit set at noon counts the morning. What a line of an older list
//! was charged nobody knows for what (a power failure, a lost holder, names past those that are metered) counts under each
//! limit that it may have been spent under.
//!
//! Not here: windows, and the draw under limits (`window`, `draw`).

use crate::limits;
use crate::line::Line;
use crate::outcome::Rejection;
use crate::window::{Added, Counted, Limits, Recent, Subject};
use crate::workspace::Workspace;
use std::collections::{BTreeMap, BTreeSet};
use types::planted::{Mistake, is_planted};
use types::{Credits, Feature, LineId, Meter, Model, Revision, Scope, Timestamp};

/// What limits count of a feature or of a model, whoever uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfScope {
    pub limits: Option<Box<Limits>>,
    /// The first list on which it has stood since; 0 where it stands on none.
    pub since: Revision,
    pub recent: Recent,
    /// What became known in this cycle to be charged.
    pub used: Credits,
    /// Out on lines that may be spent on it; nothing where it has no limits.
    pub out: Credits,
}

impl OfScope {
    /// Whether a line that names `own` may be spent on what is counted here under this name.
    fn may_have<N: PartialEq>(&self, own: Option<&N>, name: &N, list: Revision) -> bool {
        match own {
            Some(own) => own == name,
            None => list < self.since && !is_planted(Mistake::ScopeForgotten),
        }
    }
}

impl<'a> From<&'a OfScope> for Counted<'a> {
    fn from(of: &'a OfScope) -> Self {
        Self { limits: of.limits.as_deref(), recent: of.recent, in_cycle: of.used, out: of.out }
    }
}

/// Those of one kind that count what is out on a line: with its own name, or all on whose list it is not.
fn counting<'a, N: Ord>(
    all: &'a mut BTreeMap<N, OfScope>,
    limited: &'a BTreeSet<N>,
    own: Option<&'a N>,
    list: Revision,
) -> Vec<&'a mut OfScope> {
    let counts = |(name, of): (&'a N, &'a mut OfScope)| {
        (limited.contains(name) && of.may_have(own, name, list)).then_some(of)
    };
    all.iter_mut().filter_map(counts).collect()
}

impl Workspace {
    pub(crate) fn of_scope(&self, of: &Subject) -> Option<&OfScope> {
        match of {
            Subject::Feature(feature) => self.by_feature.get(feature),
            Subject::Model(model) => self.by_model.get(model),
            Subject::User(_) | Subject::Team(_) => None,
        }
    }

    /// The limits that stand above a line for what it is spent on.
    pub(crate) fn limited_scope<'a>(
        &'a self,
        scope: &'a Scope,
    ) -> impl Iterator<Item = (Subject, Counted<'a>)> + use<'a> {
        let feature = scope.feature.as_ref().and_then(|name| Some((name, self.by_feature.get(name)?)));
        let feature = feature.map(|(name, of)| (Subject::Feature(name.clone()), of));
        let model = scope.model.as_ref().and_then(|name| Some((name, self.by_model.get(name)?)));
        let model = model.map(|(name, of)| (Subject::Model(name.clone()), of));
        let both = feature.into_iter().chain(model);
        both.filter(|(_, of)| of.limits.is_some()).map(|(name, of)| (name, Counted::from(of)))
    }

    pub(crate) fn scope_counts(&self, line: &Line, of: &Subject) -> bool {
        let Scope { list, feature, model } = &line.scope;
        let Some(known) = self.of_scope(of) else { return false };
        match of {
            Subject::Feature(name) => known.may_have(feature.as_ref(), name, *list),
            Subject::Model(name) => known.may_have(model.as_ref(), name, *list),
            Subject::User(_) | Subject::Team(_) => false,
        }
    }

    /// What is out on a line of this scope changes.
    pub(crate) fn in_scopes(&mut self, scope: &Scope, mut change: impl FnMut(&mut OfScope)) {
        if self.limited.is_empty() {
            return;
        }
        let Scope { list, feature, model } = scope;
        let (features, models) = (&self.limited.features, &self.limited.models);
        for of in counting(&mut self.by_feature, features, feature.as_ref(), *list) {
            change(of);
        }
        for of in counting(&mut self.by_model, models, model.as_ref(), *list) {
            change(of);
        }
    }

    /// So much was charged on a line, of which so much is known by meter.
    pub(crate) fn count_scopes(
        &mut self,
        id: LineId,
        by_meter: &[(u32, Credits)],
        charged: Credits,
        at: Timestamp,
    ) {
        if charged.is_zero() {
            return;
        }
        let Scope { list, feature, model } = self.lines[&id].scope.clone();
        let parts = by_meter.iter().filter(|(_, part)| !part.is_zero());
        let parts: Vec<(Meter, Credits)> =
            parts.map(|(no, part)| (self.meters[*no as usize].clone(), *part)).collect();
        let named = parts.iter().filter(|(meter, _)| !is_of_no_name(meter)).map(|(_, part)| *part);
        let named = Credits::checked_sum(named).expect("parts of one pool");
        let unknown = charged.saturating_sub(named);
        match &feature {
            Some(feature) => self.count_feature(feature, Added::of(charged, at), at),
            None => {
                for (meter, part) in &parts {
                    self.count_feature(&meter.feature, Added::of(*part, at), at);
                }
                for name in self.limited_features_after(list).filter(|_| !unknown.is_zero()) {
                    self.count_feature(&name, Added::of(unknown, at), at);
                }
            }
        }
        match &model {
            Some(model) => self.count_model(model, Added::of(charged, at), at),
            None => {
                for (model, part) in
                    parts.iter().filter_map(|(meter, part)| Some((meter.model.as_ref()?, part)))
                {
                    self.count_model(model, Added::of(*part, at), at);
                }
                for name in self.limited_models_after(list).filter(|_| !unknown.is_zero()) {
                    self.count_model(&name, Added::of(unknown, at), at);
                }
            }
        }
    }

    /// What a lost holder tells was charged already: under limits that counted it as it was, and under no other name.
    pub(crate) fn name_scopes(&mut self, id: LineId, by_meter: &[(u32, Credits)], at: Timestamp) {
        let Scope { list, feature, model } = self.lines[&id].scope.clone();
        for (no, part) in by_meter {
            let meter = self.meters[*no as usize].clone();
            let is_counted = self.by_feature.get(&meter.feature).is_some_and(|of| list < of.since);
            if feature.is_none() && !is_counted {
                self.count_feature(&meter.feature, Added::of(*part, at), at);
            }
            let Some(name) = meter.model.filter(|_| model.is_none()) else { continue };
            if self.by_model.get(&name).is_none_or(|of| list >= of.since) {
                self.count_model(&name, Added::of(*part, at), at);
            }
        }
    }

    /// Usage that is told of later, and is metered by now.
    pub(crate) fn count_import_of(&mut self, meter: &Meter, added: Added, at: Timestamp) {
        let Meter { feature, model, .. } = meter;
        let is_named = self.metered_names.contains(&(feature.clone(), model.clone()));
        if is_named || self.by_feature.contains_key(feature) {
            self.count_feature(feature, added, at);
        }
        if let Some(model) = model.as_ref().filter(|model| is_named || self.by_model.contains_key(*model)) {
            self.count_model(model, added, at);
        }
    }

    fn count_feature(&mut self, name: &Feature, added: Added, at: Timestamp) {
        if added.amount.is_zero() {
            return;
        }
        let known = self.by_feature.get(name).cloned().unwrap_or_default();
        let recent = self.recent_with(&known, added, at);
        let of = self.by_feature.entry(name.clone()).or_default();
        (of.recent, of.used) = (recent, of.used.saturating_add(added.in_cycle));
    }

    fn count_model(&mut self, name: &Model, added: Added, at: Timestamp) {
        if added.amount.is_zero() {
            return;
        }
        let known = self.by_model.get(name).cloned().unwrap_or_default();
        let recent = self.recent_with(&known, added, at);
        let of = self.by_model.entry(name.clone()).or_default();
        (of.recent, of.used) = (recent, of.used.saturating_add(added.in_cycle));
    }

    fn limited_features_after(&self, list: Revision) -> impl Iterator<Item = Feature> + use<> {
        let after = |name: &&Feature| list < self.by_feature[*name].since;
        let names: Vec<Feature> = self.limited.features.iter().filter(after).cloned().collect();
        names.into_iter()
    }

    fn limited_models_after(&self, list: Revision) -> impl Iterator<Item = Model> + use<> {
        let after = |name: &&Model| list < self.by_model[*name].since;
        let names: Vec<Model> = self.limited.models.iter().filter(after).cloned().collect();
        names.into_iter()
    }

    /// What is spent from lines under the limits of their scope: of this one what it has out, and what may be drawn.
    pub fn left_in_scope(&self, id: LineId, scope: &Scope, at: Timestamp) -> Credits {
        let here = self.lines.get(&id).map_or(Credits::ZERO, Line::outstanding);
        let rooms = self.limited_scope(scope).flat_map(|(_, of)| self.rooms(of, at));
        rooms.map(|(_, _, room)| room.saturating_add(here)).min().unwrap_or(Credits::MAX)
    }

    /// Whether there may be one more with limits.
    pub(crate) fn may_stand_on_list(&self, of: &Subject) -> Result<(), Rejection> {
        let (limited, max, what) = match of {
            Subject::Feature(_) => {
                (self.limited.features.len(), limits::LIMITED_FEATURES_MAX, "features with limits")
            }
            Subject::Model(_) => {
                (self.limited.models.len(), limits::LIMITED_MODELS_MAX, "models with limits")
            }
            Subject::User(_) | Subject::Team(_) => return Ok(()),
        };
        let stands = self.of_scope(of).is_some_and(|of| of.limits.is_some());
        if stands || limited < max { Ok(()) } else { Err(Rejection::TooMany { what, max }) }
    }

    /// Lines that may not go on where this feature or model gets limits or has none any more: all of them.
    pub(crate) fn lines_of_other_lists(&self, of: &Subject, stands: bool) -> Option<Vec<LineId>> {
        if matches!(of, Subject::User(_) | Subject::Team(_)) {
            return None;
        }
        let stood = self.of_scope(of).is_some_and(|of| of.limits.is_some());
        (stood != stands).then(|| self.lines.keys().copied().collect())
    }

    pub(crate) fn put_limits_of_scope(&mut self, of: &Subject, limits: Option<Box<Limits>>, now: Revision) {
        let stood = self.of_scope(of).is_some_and(|of| of.limits.is_some());
        let stands = limits.is_some();
        let is_named = match of {
            Subject::Feature(name) => self.metered_names.iter().any(|(feature, _)| feature == name),
            Subject::Model(name) => self.metered_names.iter().any(|(_, model)| model.as_ref() == Some(name)),
            Subject::User(_) | Subject::Team(_) => return,
        };
        self.on_scope(of, |of| of.limits = limits);
        if stood == stands {
            return;
        }
        self.limited.revision = now;
        match (of, stands) {
            (Subject::Feature(name), true) => drop(self.limited.features.insert(name.clone())),
            (Subject::Feature(name), false) => drop(self.limited.features.remove(name)),
            (Subject::Model(name), true) => drop(self.limited.models.insert(name.clone())),
            (Subject::Model(name), false) => drop(self.limited.models.remove(name)),
            (Subject::User(_) | Subject::Team(_), _) => {}
        }
        self.on_scope(of, |of| of.since = if stands { now } else { Revision(0) });
        let out = if stands { self.counted_out_in_scope(of) } else { Credits::ZERO };
        self.on_scope(of, |of| of.out = out);
        // Names past those that are metered are kept as long as they are limited.
        let is_nothing = !stands && (!is_named || self.of_scope(of) == Some(&OfScope::default()));
        if is_nothing {
            match of {
                Subject::Feature(name) => drop(self.by_feature.remove(name)),
                Subject::Model(name) => drop(self.by_model.remove(name)),
                Subject::User(_) | Subject::Team(_) => {}
            }
        }
    }

    fn on_scope(&mut self, of: &Subject, change: impl FnOnce(&mut OfScope)) {
        match of {
            Subject::Feature(name) => change(self.by_feature.entry(name.clone()).or_default()),
            Subject::Model(name) => change(self.by_model.entry(name.clone()).or_default()),
            Subject::User(_) | Subject::Team(_) => {}
        }
    }

    fn counted_out_in_scope(&self, of: &Subject) -> Credits {
        let lines = self.lines.values().filter(|line| self.scope_counts(line, of));
        Credits::checked_sum(lines.map(Line::outstanding)).expect("parts of one pool")
    }

    /// For `violations`.
    pub(crate) fn scopes_count_what_lines_have_out(&self) -> Option<String> {
        let features = self.by_feature.iter().map(|(name, of)| (Subject::Feature(name.clone()), of));
        let models = self.by_model.iter().map(|(name, of)| (Subject::Model(name.clone()), of));
        let is_on_list = |of: &Subject| match of {
            Subject::Feature(name) => self.limited.features.contains(name),
            Subject::Model(name) => self.limited.models.contains(name),
            Subject::User(_) | Subject::Team(_) => false,
        };
        let is_wrong = |(name, of): &(Subject, &OfScope)| {
            let stands = of.limits.is_some();
            let out = if stands { self.counted_out_in_scope(name) } else { Credits::ZERO };
            is_on_list(name) != stands || (of.since > Revision(0)) != stands || out != of.out
        };
        let wrong = features.chain(models).find(is_wrong);
        wrong.map(|(name, of)| format!("{name}: {of:?}, lines say {}", self.counted_out_in_scope(&name)))
    }

    /// For `violations`.
    pub(crate) fn lines_that_draw_are_of_the_list(&self) -> Option<String> {
        let draws = |line: &Line| !line.frozen && !line.written_off;
        let (id, line) = self.lines.iter().find(|(_, line)| draws(line) && !self.limited.has(&line.scope))?;
        Some(format!("{id:?}: {:?}, the list is {:?}", line.scope, self.limited))
    }
}

/// What names past those that are metered are counted as.
fn is_of_no_name(meter: &Meter) -> bool {
    meter.feature.as_str() == "other" && meter.model.is_none()
}
