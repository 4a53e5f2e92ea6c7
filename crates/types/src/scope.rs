//! What a line may be spent on, where a workspace limits features or models, or its plan has some features alone. Not here: what is counted (`ledger`), whose account
//! of it is spent from (`actors`).

use crate::{Feature, Model, Revision};
use std::collections::BTreeSet;

/// What may be spent from a line: anything, or one limited feature, one limited model, or that feature with that model. From a
/// line of a feature that the plan does not have nothing is spent: it is never opened, only asked for.
///
/// A line is of one list of what is limited, for its life. What stands on that list and is not named here is not spent from
/// it; what does not stand on it may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The list that it was opened under; 0 is the one without a name on it.
    pub list: Revision,
    pub feature: Option<Feature>,
    pub model: Option<Model>,
}

/// Which features and models of a workspace have limits, and which features there are at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limited {
    /// When that changed last; 0 where it never did.
    pub revision: Revision,
    pub features: BTreeSet<Feature>,
    pub models: BTreeSet<Model>,
    /// What the plan has; `None`: whatever there is.
    pub allowed: Option<BTreeSet<Feature>>,
}

impl Scope {
    /// Of a workspace that limits no feature and no model.
    pub const ANYTHING: Self = Self { list: Revision(0), feature: None, model: None };

    pub fn is_anything(&self) -> bool {
        *self == Self::ANYTHING
    }

    /// Of the same feature and model, under whichever list.
    pub fn is_like(&self, other: &Self) -> bool {
        self.feature == other.feature && self.model == other.model
    }
}

impl Limited {
    pub fn is_empty(&self) -> bool {
        self.features.is_empty() && self.models.is_empty() && self.allowed.is_none()
    }

    /// Whether the plan has it.
    pub fn allows(&self, feature: &Feature) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(feature))
    }

    /// The list's number: no two lists with a name on them have the same.
    pub fn list(&self) -> Revision {
        if self.is_empty() { Revision(0) } else { self.revision }
    }

    /// What such a consume is spent from.
    pub fn scope_of(&self, feature: &Feature, model: Option<&Model>) -> Scope {
        let is_apart = self.features.contains(feature) || !self.allows(feature);
        let feature = is_apart.then(|| feature.clone());
        let model = model.and_then(|model| self.models.get(model)).cloned();
        Scope { list: self.list(), feature, model }
    }

    /// Whether such a scope is one of this list's: also that of a feature that the plan does not have, which is to be told so.
    pub fn has(&self, scope: &Scope) -> bool {
        let is_apart = |feature: &Feature| self.features.contains(feature) || !self.allows(feature);
        let feature = scope.feature.as_ref().is_none_or(is_apart);
        let model = scope.model.as_ref().is_none_or(|model| self.models.contains(model));
        scope.list == self.list() && feature && model
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consume_is_spent_from_what_is_limited_of_it() {
        let (chat, image): (Feature, Feature) = ("chat".parse().unwrap(), "image".parse().unwrap());
        let opus: Model = "opus".parse().unwrap();
        let none = Limited { revision: Revision(9), ..Limited::default() };
        assert_eq!(none.scope_of(&chat, Some(&opus)), Scope::ANYTHING, "whatever was limited before");
        let (features, models) = ([chat.clone()].into(), [opus.clone()].into());
        let limited = Limited { revision: Revision(7), features, models, allowed: None };
        let of = |feature, model| limited.scope_of(feature, model);
        let list = Revision(7);
        assert_eq!(of(&image, None), Scope { list, feature: None, model: None });
        assert_eq!(of(&image, Some(&opus)), Scope { list, feature: None, model: Some(opus.clone()) });
        assert_eq!(
            of(&chat, Some(&opus)),
            Scope { list, feature: Some(chat.clone()), model: Some(opus.clone()) }
        );
        assert!(limited.has(&of(&chat, None)) && !limited.has(&Scope::ANYTHING));
        assert!(!limited.has(&Scope { list, feature: Some(image.clone()), model: None }));
        assert!(of(&chat, None).is_like(&Scope { list: Revision(8), feature: Some(chat), model: None }));
    }

    #[test]
    fn what_the_plan_does_not_have_is_asked_for_by_name() {
        let (chat, image): (Feature, Feature) = ("chat".parse().unwrap(), "image".parse().unwrap());
        let allowed = Some([chat.clone()].into());
        let plan = Limited { revision: Revision(7), allowed, ..Limited::default() };
        let list = Revision(7);
        assert_eq!(plan.scope_of(&chat, None), Scope { list, feature: None, model: None });
        let apart = plan.scope_of(&image, None);
        assert_eq!(apart, Scope { list, feature: Some(image.clone()), model: None });
        assert!(plan.has(&apart) && plan.allows(&chat) && !plan.allows(&image));
        let of_chat = Scope { list, feature: Some(chat), model: None };
        assert!(!plan.has(&of_chat), "nothing of it is counted apart");
        let nothing = Limited { allowed: Some(BTreeSet::new()), ..plan };
        assert!(!nothing.is_empty() && !nothing.allows(&image));
    }
}
