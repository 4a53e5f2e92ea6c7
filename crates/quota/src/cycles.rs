//! Settings that change when cycles begin: the new ends are looked up in the calendar, then go with the change.
//!
//! Not here: the calendar's rule (`calendar`), what happens when a cycle ends (`ledger`), the ends that come after
//! (`actors`).

use crate::{AdminCommand, Change, Outcome, Quota, Refusal, WorkspaceSettings};
use actors::{LeaderAnswer, LeaderRequest};
use calendar::Calendar;
use ledger::{Command, CycleEnds, PlanAnswer, Rejection, limits};
use types::{CycleRule, Timestamp, WorkspaceId, ZoneName};

/// Somebody else changed the cycles between the look and the change, so often in turn: then the caller is told.
const TRIES: usize = 4;

impl Quota {
    /// An administrator's write that says something of cycles.
    pub(crate) async fn administer_cycles(&self, mut command: AdminCommand) -> Result<Outcome, Refusal> {
        let group = self.group_of(&command.workspace);
        for _ in 0..TRIES {
            let Change::PutWorkspace(settings) = &mut command.change else { break };
            let found = self.ends_for(&command.workspace, settings).await?;
            let now = self.clock().now();
            settings.clock = settings.timezone.as_ref().and_then(|zone| calendar::clock(zone, now).ok());
            (settings.ends, settings.began) = found.map_or((None, None), |(ends, began)| (Some(ends), began));
            let request = LeaderRequest::Command(Box::new(Command::Admin(command.clone())));
            match self.ask(group, request).await? {
                LeaderAnswer::Applied { applied, .. } => match applied.result {
                    Err(Rejection::CyclesChanged) => {}
                    result => return result.map_err(Refusal::from_rejection),
                },
                LeaderAnswer::Batch(_) | LeaderAnswer::Renewed | LeaderAnswer::Read { .. } => {
                    return Err(Refusal::OutcomeUnknown);
                }
            }
        }
        Err(Refusal::from_rejection(Rejection::CyclesChanged))
    }

    async fn ends_for(
        &self,
        id: &WorkspaceId,
        settings: &WorkspaceSettings,
    ) -> Result<Option<(CycleEnds, Option<Timestamp>)>, Refusal> {
        let (timezone, rule, at) = match self.workspace(id, false).await {
            Ok(known) => (known.view.timezone, known.view.cycle_rule, known.view.at),
            Err(Refusal::UnknownWorkspace) => (ZoneName::utc(), None, self.clock().now()),
            Err(refusal) => return Err(refusal),
        };
        if let Some(zone) = &settings.timezone {
            calendar::check(zone).map_err(|unknown| Refusal::Invalid(format!("timezone: {unknown}")))?;
        }
        let Some(next) = settings.rule_after(&timezone, rule.as_ref()) else { return Ok(None) };
        ends_after(next, at.max(self.clock().now())).map(Some)
    }
}

/// When the term of a plan ends; `None`: it has none, or there is no calendar to say so.
pub fn term_ends_at(plan: &PlanAnswer) -> Option<Timestamp> {
    let (cycles, end) = (plan.term?, plan.cycle_ends_at?);
    let Some(more) = cycles.checked_sub(1) else { return Some(end) };
    let calendar = Calendar::new(plan.cycle_rule.as_ref()?).ok()?;
    calendar.starts_after(end).nth(usize::try_from(more).ok()?).map(|start| start.at)
}

/// The ends to come, and when the calendar's cycle began that ends first.
fn ends_after(rule: CycleRule, at: Timestamp) -> Result<(CycleEnds, Option<Timestamp>), Refusal> {
    let calendar =
        Calendar::new(&rule).map_err(|unknown| Refusal::Invalid(format!("timezone: {unknown}")))?;
    let ends = calendar.starts_after(at).take(limits::CYCLE_ENDS_MAX).map(|start| start.at).collect();
    let began = calendar.last_until(at).map(|start| start.at);
    Ok((CycleEnds { rule, ends }, began))
}
