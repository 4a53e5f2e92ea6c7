//! A limit of one feature: at most so much may be spent on it, by whomever, from the moment it is set. Not here: windows (`limit`),
//! models of AI, which are limited in the same way, more features than one.
//!
//! Where nothing is limited there is one *list*, the empty one, and a line of it may be spent on anything. When the feature is limited
//! there is another list; lines of the old one are frozen and recalled, and none is opened under it any more. A line of the new
//! list is for the feature only, or for all else. A holder knows one list; which, dies with its process. It spends from a
//! line of the list it knows, or from one of the empty list: that one counts under the limit as long as it has anything out.

use super::Protocol;
use super::holder::{Memory, Node};
use super::ledger::{Ledger, Line};
use super::mistakes::Mistake;
use super::words::{Message, Recall, User};
use super::worlds::{Budget, NOTHING, ONE_NODE, World, shared};

/// The list on which the feature stands; 0 is the empty one.
pub const LIMITED: u8 = 1;

/// What a line may be spent on, and what of it was spent on the feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    pub list: u8,
    /// For the feature alone; of the empty list it is for anything.
    pub only: bool,
    /// Only grows.
    pub used: u8,
}

/// Two holders, and a feature that is limited while one of them may have a lease for anything; processes die.
pub const FEATURE: World = World {
    name: "limit of a feature",
    grants: shared(2),
    users: &[User::Ann, User::Ann],
    draw: 1,
    feature_limit: Some(1),
    budget: Budget { asks: 4, kills: 1, feature_limits: 1, ..NOTHING },
    ..ONE_NODE
};

/// The same where the power fails, and what is reported counts.
pub const FEATURE_LOST: World = World {
    name: "limit of a feature, and power",
    grants: shared(3),
    feature_limit: Some(2),
    budget: Budget { asks: 3, reports: 1, power_losses: 1, feature_limits: 1, ..NOTHING },
    ..FEATURE
};

impl Scope {
    fn may_be_spent(self, on_feature: bool) -> bool {
        self.list == 0 || self.only == on_feature
    }
}

/// The ledger's part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limited {
    pub list: u8,
    /// Became known to be spent on the feature, or may have been.
    pub used: u8,
    /// Only a rule looks here: what may be spent on the feature in all.
    pub bound: u8,
}

impl Node {
    /// What its next line will be for.
    pub fn next_scope(&self, only: bool) -> Option<Scope> {
        let knows = self.memory()?.knows;
        (knows == LIMITED || !only).then_some(Scope { list: knows, only, used: 0 })
    }

    /// Whether a consume finds this line: it looks for one of the empty list, and for one of its own under the list it knows.
    pub fn is_found(&self, protocol: &Protocol, memory: &Memory, on_feature: bool) -> bool {
        let Scope { list, .. } = memory.scope;
        let knows = list <= memory.knows;
        let by_user_alone = memory.knows == 0 && protocol.has(Mistake::LineFoundByUserAlone);
        by_user_alone || knows && memory.scope.may_be_spent(on_feature)
    }

    /// The draw that should have opened this line was under a list that does not hold any more.
    pub fn hear_other_list(&mut self) {
        let Some(memory) = self.memory().copied() else { return };
        self.append(Memory { knows: LIMITED, ..memory });
        if memory.scope.list != LIMITED {
            self.hear_stale();
        }
    }
}

impl Ledger {
    /// The feature is limited from now on. Lines of the empty list draw no more.
    pub fn limit_feature(&mut self, protocol: &Protocol) -> Option<Vec<Message>> {
        let limit = protocol.world.feature_limit?;
        let out: u8 = self.lines.iter().map(|line| line.outstanding().sum()).sum();
        let lost: u8 = self.lines.iter().map(|line| line.unattributed.sum()).sum();
        let lost = lost + self.book().unattributed.sum();
        let Limited { used, .. } = self.limited;
        // What lost its detail before may have been spent on it, and nobody will know.
        self.limited = Limited { list: LIMITED, used, bound: limit.max(used + out) + lost };
        let mut recalls = Vec::new();
        for line in self.lines.iter_mut().filter(|line| !line.lost) {
            line.freeze();
            recalls.push(Message::Drawn { line: line.id, drawn: line.drawn, recall: Recall::ForGood });
        }
        Some(recalls)
    }

    pub fn opens(&self, protocol: &Protocol, scope: Scope) -> bool {
        scope.list == self.limited.list || protocol.has(Mistake::OpenedUnderAnOldList)
    }

    /// Whether one credit more may be drawn for the feature: what is out for it counts, and what is out for anything.
    pub fn is_within_feature(&self, protocol: &Protocol, drawing: &Line, more: u8) -> bool {
        let Some(limit) = protocol.world.feature_limit.filter(|_| drawing.scope.only) else { return true };
        let forgotten = protocol.has(Mistake::OldListsForgotten);
        let counts = |line: &&Line| line.scope.only || line.scope.list < self.limited.list && !forgotten;
        let others: u8 = self.lines.iter().filter(counts).map(|line| line.outstanding().sum()).sum();
        self.limited.used + others + drawing.outstanding().sum() + more < limit
    }

    /// So much has become known to be charged on a line, and so much of it to be spent on the feature.
    pub fn count_on_feature(&mut self, protocol: &Protocol, line: &Line, charged: u8, named: u8, lost: u8) {
        if protocol.world.feature_limit.is_none() {
            return;
        }
        let may_be = line.scope.list < self.limited.list;
        self.limited.used += match line.scope.only {
            true => charged,
            false => named + if may_be { lost } else { 0 },
        };
    }
}
