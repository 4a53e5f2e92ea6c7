//! What can be read of a shard, and the answers. Not here: who asks.

use super::{BadShape, Travels, travels};
use ledger::{
    Answer, ChargeBooks, GroupBy, Interval, Page, Query, UnknownThing, UsageGroup, UsageKey, UsageQuery,
    UsageReport, WhichMembers,
};
use types::ID_BYTES_MAX;
use wire::rpc;

/// Most rows of one page.
const PAGE_ROWS_MAX: usize = 1_000;
/// Usage is grouped by each thing at most once.
const GROUP_BY_MAX: usize = 5;

travels! {
    struct UsageReport as UsageReport { rows, unattributed, at, uncovered }
    struct WhichMembers as WhichMembers { kind, owner }
    struct ChargeBooks as ChargeBooks { refunded, grants, at }
    struct UsageGroup as UsageGroup { key, metered }
    struct UsageKey as UsageKey { day, user, owner, team, feature, model, grant }
}

travels! {
    enum Query as Query {
        Workspace { id }, Grant { id, grant }, Grants { id, page }, Member { id, user }, Members { id, which, page },
        Allocation { id, user }, Reallocation { id, reallocation }, Usage { id, query }, Plan { id },
    PlanAfter { id, change }, Pooling { id, after }, Overage { id, user }, Teams { id, team, page }, Limits { id, of }, Refund { id, refund }, Charge { id, charge, grants },
    }
    enum GroupBy as GroupBy { User, Owner, Team, Feature, Model, Grant }
    enum Interval as Interval { Day, Month }
    enum Answer as ReadAnswer {
        Workspace(view), Grants(grants), Members(members), Allocation(answer), Reallocation(answer),
    Usage(report), Unknown(thing), Plan(answer), Pooling(answer), Refused(why), Overage(answer), Teams(teams), Limits(answer), Refund(answer), Charge(books),
    }
    enum UnknownThing as UnknownThing { Workspace, Grant, User, Allocation, Reallocation, Plan, Team, Refund }
}

impl Travels for Page {
    type Shape = rpc::Page;

    fn shape(&self) -> rpc::Page {
        let Self { after, limit } = self;
        rpc::Page { after: after.clone(), limit: *limit as u64 }
    }

    fn from_shape(rpc::Page { after, limit }: rpc::Page) -> Result<Self, BadShape> {
        let limit = page_rows(limit)?;
        if after.as_ref().is_some_and(|id| id.len() > ID_BYTES_MAX) {
            return Err(BadShape(format!("a page begins behind an id of at most {ID_BYTES_MAX} bytes")));
        }
        Ok(Self { after, limit })
    }
}

fn page_rows(limit: u64) -> Result<usize, BadShape> {
    let rows = usize::try_from(limit).ok().filter(|rows| (1..=PAGE_ROWS_MAX).contains(rows));
    rows.ok_or_else(|| BadShape(format!("a page has 1 to {PAGE_ROWS_MAX} rows, not {limit}")))
}

impl Travels for UsageQuery {
    type Shape = rpc::UsageQuery;

    fn shape(&self) -> rpc::UsageQuery {
        let Self { group_by, interval, from, to, after, limit } = self;
        rpc::UsageQuery {
            group_by: group_by.shape(),
            interval: interval.shape(),
            from: from.shape(),
            to: to.shape(),
            after: after.shape(),
            limit: *limit as u64,
        }
    }

    fn from_shape(shape: rpc::UsageQuery) -> Result<Self, BadShape> {
        let rpc::UsageQuery { group_by, interval, from, to, after, limit } = shape;
        if group_by.len() > GROUP_BY_MAX {
            return Err(BadShape(format!("usage is grouped by at most {GROUP_BY_MAX} things")));
        }
        Ok(Self {
            group_by: Travels::from_shape(group_by)?,
            interval: Travels::from_shape(interval)?,
            from: Travels::from_shape(from)?,
            to: Travels::from_shape(to)?,
            after: Travels::from_shape(after)?,
            limit: page_rows(limit)?,
        })
    }
}
