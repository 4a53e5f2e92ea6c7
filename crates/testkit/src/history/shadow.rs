//! Shadow mode in a history: what would have been refused is counted on a line, and told; in the end the ledger's report says
//! it once. Not here: when the mode is switched (`workload`).

use super::*;
use ledger::{Answer, GroupBy, Query, UsageQuery};
use types::{Enforcement, LineId, ShadowCounts, Shadowed, WouldRefuse};

impl History {
    pub(super) fn is_shadow(&self) -> bool {
        self.pool().enforcement == Enforcement::Shadow
    }

    fn told_as_refused(&mut self, user: &UserId, shadowed: Shadowed) {
        let ShadowCounts { by_code, would_have_cost } = self.would_refuse.entry(user.clone()).or_default();
        would_have_cost.grow(shadowed.would_have_cost);
        match by_code.binary_search_by_key(&shadowed.code, |(code, _)| *code) {
            Ok(at) => by_code[at].1 += 1,
            Err(at) => by_code.insert(at, (shadowed.code, 1)),
        }
        self.saw("would have been refused");
    }

    /// After the ledger has denied it: the line is there for nothing, and it is counted.
    pub(super) fn count_promptly(
        &mut self,
        node: usize,
        user: &UserId,
        price: u64,
        answers: &[LineAnswer],
    ) -> Verdict {
        let denied = answers.iter().find_map(|answer| match &answer.result {
            LineResult::Line { denied, .. } => denied.clone(),
            _ => None,
        });
        let code = denied.as_ref().and_then(|denial| denial.reason.would_refuse());
        let sentence = "in shadow mode it is said why a consume would be refused";
        let code = code.ok_or_else(|| broken(sentence, format!("{user}: {answers:?}")))?;
        self.saw(match code {
            WouldRefuse::AccessDisabled => "counted for who has no access",
            WouldRefuse::UnknownUser => "counted for a stranger",
            _ => "counted for who has not enough",
        });
        let message = self.holders[node].draw_nothing(user, price);
        let answers = self.exchange(node, message)?;
        let shadowed = Shadowed { code, would_have_cost: credits(price) };
        let is_counted = self.holders[node].count(user, price, shadowed, self.at);
        same("what would have been refused can be counted", &format!("{answers:?}"), is_counted, true)?;
        self.told_as_refused(user, shadowed);
        Ok(())
    }

    /// A holder that has not enough counts where the ledger knows its line, or asks for one.
    pub(super) fn count_racily(&mut self, node: usize, user: &UserId, price: u64) {
        let shadowed = Shadowed { code: WouldRefuse::Exhausted, would_have_cost: credits(price) };
        let holder = self.holders[node].id;
        let line = self.holders[node].open_line(user, price).map(|number| LineId { holder, number });
        let is_known = line.is_some_and(|line| self.pool().lines.contains_key(&line));
        if is_known && self.holders[node].count(user, price, shadowed, self.at) {
            self.told_as_refused(user, shadowed);
        } else {
            let message = self.holders[node].draw_nothing(user, price);
            self.send(node, message);
        }
    }

    /// At rest.
    pub(super) fn what_would_have_been_refused_is_reported_once(&self) -> Verdict {
        let query = UsageQuery {
            group_by: vec![GroupBy::User],
            interval: None,
            from: None,
            to: None,
            after: None,
            limit: 1_000,
        };
        let query = Query::Usage { id: self.workspace.clone(), query };
        let Answer::Usage(report) = self.state.answer(&query, self.at) else {
            return Err(broken("usage is answered", "it is not"));
        };
        let mut told = self.would_refuse.clone();
        for row in report.rows {
            let user = row.key.user.expect("grouped by user");
            let (_, shadow) = row.metered.split();
            let told = told.remove(&user).unwrap_or_default();
            let is_right = if self.is_exact { shadow == told } else { shadow.calls() <= told.calls() };
            if !is_right {
                let what = format!("{user}: told {told:?}, reported {shadow:?}");
                return Err(broken("what would have been refused is reported once", what));
            }
        }
        let is_lost = self.is_exact && !told.is_empty();
        same("what would have been refused is reported", &format!("{told:?}"), is_lost, false)
    }
}
