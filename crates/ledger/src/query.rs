//! What can be asked of the ledger without changing it, and the answers: plain data that may cross nodes.
//!
//! Not here: at which index it is read, and how fresh that is (`replication`, `quota`).

use crate::outcome::{AllocationAnswer, GrantAnswer, PlanAnswer, ReallocationAnswer, Rejection};
use crate::overage::OverageAnswer;
use crate::plan::PlanChange;
use crate::pooling::{Pooling, PoolingAnswer};
use crate::refund::{ChargeBooks, RefundAnswer};
use crate::service::WhichMembers;
use crate::state::State;
use crate::team::TeamView;
use crate::view::{MemberView, UsageRow, WorkspaceView};
use crate::window::{LimitsAnswer, Subject};
use crate::workspace::Workspace;
use std::collections::BTreeMap;
use types::{
    AnyCharge, Credits, Day, Feature, GrantId, GrantNo, Meter, Metered, Model, ReallocationId, RefundId,
    TeamId, Timestamp, UserId, WorkspaceId,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    Workspace {
        id: WorkspaceId,
    },
    Grant {
        id: WorkspaceId,
        grant: GrantId,
    },
    Grants {
        id: WorkspaceId,
        page: Page,
    },
    Member {
        id: WorkspaceId,
        user: UserId,
    },
    Members {
        id: WorkspaceId,
        which: WhichMembers,
        page: Page,
    },
    Allocation {
        id: WorkspaceId,
        user: UserId,
    },
    Reallocation {
        id: WorkspaceId,
        reallocation: ReallocationId,
    },
    Usage {
        id: WorkspaceId,
        query: UsageQuery,
    },
    Plan {
        id: WorkspaceId,
    },
    /// What is pooled; or what there would be after a switch that is not made.
    Pooling {
        id: WorkspaceId,
        after: Option<Pooling>,
    },
    Limits {
        id: WorkspaceId,
        of: Subject,
    },
    /// Of one user, or of the workspace.
    Overage {
        id: WorkspaceId,
        user: Option<UserId>,
    },
    /// One, or those of a page.
    Teams {
        id: WorkspaceId,
        team: Option<TeamId>,
        page: Page,
    },
    Refund {
        id: WorkspaceId,
        refund: RefundId,
    },
    /// What was refunded of a charge so far, and how the grants are called that paid for it.
    Charge {
        id: WorkspaceId,
        charge: AnyCharge,
        grants: Vec<GrantNo>,
    },
    /// What there would be after a change that is not made.
    PlanAfter {
        id: WorkspaceId,
        change: PlanChange,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Workspace(Box<WorkspaceView>),
    Grants(Vec<GrantAnswer>),
    Members(Vec<MemberView>),
    Allocation(AllocationAnswer),
    Reallocation(ReallocationAnswer),
    Usage(UsageReport),
    Unknown(UnknownThing),
    Plan(Box<PlanAnswer>),
    Pooling(Box<PoolingAnswer>),
    /// What was previewed would be refused.
    Refused(Box<Rejection>),
    Overage(Box<OverageAnswer>),
    Teams(Vec<TeamView>),
    Limits(Box<LimitsAnswer>),
    Refund(Box<RefundAnswer>),
    Charge(ChargeBooks),
}

/// What is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownThing {
    Workspace,
    Grant,
    User,
    Allocation,
    Reallocation,
    Plan,
    Team,
    Refund,
}

/// A part of a long list: at most `limit` rows (1 to 1,000) behind the id `after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub after: Option<String>,
    pub limit: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    pub group_by: Vec<GroupBy>,
    /// `None`: one row over all days.
    pub interval: Option<Interval>,
    /// Whole UTC days: from this one, before that one.
    pub from: Option<Day>,
    pub to: Option<Day>,
    /// The rows behind this one, at most `limit` (1 to 1,000).
    pub after: Option<UsageKey>,
    pub limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupBy {
    User,
    /// Of a service its owner, of a user himself.
    Owner,
    Team,
    Feature,
    Model,
    /// Which paid. A call may be paid by several grants, so calls and units are in the row of no grant, as is usage that
    /// nothing paid for.
    Grant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    Day,
    Month,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageReport {
    /// In the order of their keys.
    pub rows: Vec<UsageGroup>,
    /// Charged, detail lost in a power failure; in no row.
    pub unattributed: Credits,
    /// When it was read.
    pub at: Timestamp,
    /// Told of later, and paid for by nothing; in the rows.
    pub uncovered: Credits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageGroup {
    pub key: UsageKey,
    pub metered: Metered,
}

/// Which row: what was grouped by is set, the rest is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageKey {
    /// First day of the interval.
    pub day: Option<Day>,
    pub user: Option<UserId>,
    pub owner: Option<UserId>,
    pub team: Option<TeamId>,
    pub feature: Option<Feature>,
    pub model: Option<Model>,
    pub grant: Option<GrantId>,
}

impl UsageQuery {
    pub fn covers(&self, day: Day) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day < to)
    }

    fn groups_by(&self, what: GroupBy) -> bool {
        self.group_by.contains(&what)
    }
}

impl State {
    /// Reads at `at`, the reader's time: what has expired by then is not shown as available.
    pub fn answer(&self, query: &Query, at: Timestamp) -> Answer {
        let at = self.now.max(at);
        let (Query::Workspace { id }
        | Query::Grant { id, .. }
        | Query::Grants { id, .. }
        | Query::Member { id, .. }
        | Query::Members { id, .. }
        | Query::Allocation { id, .. }
        | Query::Reallocation { id, .. }
        | Query::Usage { id, .. }
        | Query::Plan { id }
        | Query::Pooling { id, .. }
        | Query::Overage { id, .. }
        | Query::Teams { id, .. }
        | Query::Limits { id, .. }
        | Query::Refund { id, .. }
        | Query::Charge { id, .. }
        | Query::PlanAfter { id, .. }) = query;
        let Some(workspace) = self.workspace(id) else { return Answer::Unknown(UnknownThing::Workspace) };
        workspace.answer(query, at).unwrap_or_else(Answer::Unknown)
    }
}

impl Workspace {
    fn answer(&self, query: &Query, at: Timestamp) -> Result<Answer, UnknownThing> {
        Ok(match query {
            Query::Workspace { .. } => Answer::Workspace(Box::new(self.view(at))),
            Query::Grant { grant, .. } => {
                let no = self.grant_ids.get(grant).ok_or(UnknownThing::Grant)?;
                Answer::Grants(vec![self.grant_answer(self.grant(*no), at)])
            }
            Query::Grants { page, .. } => {
                let behind = page.after.as_ref().and_then(|id| self.grant_ids.get(id.as_str()));
                let first = behind.map_or(0, |no| (no.0 as usize).saturating_add(1));
                let grants = self.grants.iter().skip(first).take(page.limit);
                Answer::Grants(grants.map(|grant| self.grant_answer(grant, at)).collect())
            }
            Query::Member { user, .. } => Answer::Members(vec![
                self.member_view(user, self.shared_at(at), at).ok_or(UnknownThing::User)?,
            ]),
            Query::Members { which, page, .. } => {
                let users = self.members_which(which, page).into_iter();
                let shared = self.shared_at(at);
                Answer::Members(users.filter_map(|user| self.member_view(user, shared, at)).collect())
            }
            Query::Allocation { user, .. } => {
                let known = self.user(user).is_some_and(|u| u.allocation.is_some());
                let answer = known.then(|| self.allocation_answer(user, at));
                Answer::Allocation(answer.ok_or(UnknownThing::Allocation)?)
            }
            Query::Reallocation { reallocation, .. } => {
                let answer = self.reallocation_answer(reallocation, at);
                Answer::Reallocation(answer.ok_or(UnknownThing::Reallocation)?)
            }
            Query::Usage { query, .. } => Answer::Usage(self.usage_report(query, at)),
            Query::Plan { .. } => {
                let answer = self.subscription.as_ref().map(|_| self.plan_answer(at));
                Answer::Plan(Box::new(answer.ok_or(UnknownThing::Plan)?))
            }
            Query::Pooling { after: None, .. } => Answer::Pooling(Box::new(self.pooling_answer(at))),
            Query::Pooling { after: Some(mode), .. } => match self.pooling_after(*mode, at) {
                Ok(answer) => Answer::Pooling(Box::new(answer)),
                Err(why) => Answer::Refused(Box::new(why)),
            },
            Query::Overage { user, .. } => Answer::Overage(Box::new(self.overage_answer(user.as_ref(), at))),
            Query::Teams { team, page, .. } => {
                let views = self.team_views(team.as_ref(), page, at);
                let is_missing = team.is_some() && views.is_empty();
                if is_missing { Err(UnknownThing::Team)? } else { Answer::Teams(views) }
            }
            Query::Limits { of, .. } => match of {
                Subject::User(user) if !self.is_member(user) => return Err(UnknownThing::User),
                Subject::Team(team) if !self.teams.contains_key(team) => return Err(UnknownThing::Team),
                Subject::User(_) | Subject::Team(_) | Subject::Feature(_) | Subject::Model(_) => {
                    Answer::Limits(Box::new(self.limits_answer(of, at)))
                }
            },
            Query::Refund { refund, .. } => {
                Answer::Refund(Box::new(self.refunds.get(refund).ok_or(UnknownThing::Refund)?.clone()))
            }
            Query::Charge { charge, grants, .. } => Answer::Charge(self.charge_books(*charge, grants, at)),
            Query::PlanAfter { change, .. } => {
                // Whatever would happen happens to a copy: of all of it only where a cycle has ended and nobody has
                // said so yet, or seats have credits of their own.
                let is_due = self.next_due.is_some_and(|due| due <= at);
                let is_whole = is_due || self.pooling != Pooling::Pooled;
                let mut copy = if is_whole { self.clone() } else { self.without_users() };
                copy.settle_due(at, &mut Vec::new());
                if let Err(why) = copy.decide_plan(change) {
                    return Ok(Answer::Refused(Box::new(why)));
                }
                copy.commit_plan(change, at);
                Answer::Plan(Box::new(copy.plan_answer(at)))
            }
        })
    }

    fn grant_answer(&self, grant: &crate::Grant, at: Timestamp) -> GrantAnswer {
        let pending =
            if grant.state == crate::GrantState::Voided { self.pending_on(grant.no) } else { Vec::new() };
        GrantAnswer { grant: grant.clone(), pending, at }
    }

    fn usage_report(&self, query: &UsageQuery, at: Timestamp) -> UsageReport {
        let mut groups: BTreeMap<UsageKey, Metered> = BTreeMap::new();
        let mut add = |key: UsageKey, metered: &Metered| {
            if query.after.as_ref().is_none_or(|after| key > *after) {
                groups.entry(key).or_default().add(metered);
            }
        };
        for row in self.usage_rows().into_iter().filter(|row| query.covers(row.meter.day)) {
            let key = self.usage_key(query, &row);
            if !query.groups_by(GroupBy::Grant) {
                add(key, &row.metered);
                continue;
            }
            let mut rest = row.metered.clone();
            for (no, paid) in std::mem::take(&mut rest.by_grant).iter() {
                let grant = Some(self.grant(no).id.clone());
                add(UsageKey { grant, ..key.clone() }, &Metered { credits: paid, ..Metered::default() });
                rest.credits.shrink(paid);
            }
            add(key, &rest);
        }
        let rows = groups.into_iter().take(query.limit).map(|(key, metered)| UsageGroup { key, metered });
        UsageReport {
            rows: rows.collect(),
            unattributed: self.totals.unattributed,
            at,
            uncovered: self.uncovered_in_all(),
        }
    }

    fn usage_key(&self, query: &UsageQuery, row: &UsageRow) -> UsageKey {
        let Meter { feature, model, day } = &row.meter;
        let day = query.interval.map(|interval| match interval {
            Interval::Day => *day,
            Interval::Month => day.first_of_month(),
        });
        let team = || self.user(&row.user)?.member.as_ref()?.team.clone();
        UsageKey {
            day,
            user: query.groups_by(GroupBy::User).then(|| row.user.clone()),
            owner: query.groups_by(GroupBy::Owner).then(|| self.owner_of_user(&row.user).clone()),
            team: if query.groups_by(GroupBy::Team) { team() } else { None },
            feature: query.groups_by(GroupBy::Feature).then(|| feature.clone()),
            model: if query.groups_by(GroupBy::Model) { model.clone() } else { None },
            // One row of usage may be of several.
            grant: None,
        }
    }
}
