//! What can be read of a shard, and the answers. Not here: who may read.

use crate::ledger::{
    AllocationAnswer, AnyCharge, GrantAnswer, LimitsAnswer, MemberKind, MemberView, Metered, OverageAnswer,
    PlanAnswer, PlanChange, Pooling, PoolingAnswer, ReallocationAnswer, RefundAnswer, Rejection, Subject,
    TeamView, WorkspaceView,
};
use serde::{Deserialize, Serialize};

shapes! {
    pub enum Query {
        Workspace { id: String },
        Grant { id: String, grant: String },
        Grants { id: String, page: Page },
        Member { id: String, user: String },
        Members { id: String, which: WhichMembers, page: Page },
        Allocation { id: String, user: String },
        Reallocation { id: String, reallocation: String },
        Usage { id: String, query: UsageQuery },
        Plan { id: String },
        PlanAfter { id: String, change: PlanChange },
        Pooling { id: String, after: Option<Pooling> },
        Overage { id: String, user: Option<String> },
        Teams { id: String, team: Option<String>, page: Page },
        Limits { id: String, of: Subject },
        Refund { id: String, refund: String },
        Charge { id: String, charge: AnyCharge, grants: Vec<u32> },
    }

    pub struct WhichMembers {
        pub kind: Option<MemberKind>,
        pub owner: Option<String>,
    }

    pub struct Page {
        pub after: Option<String>,
        pub limit: u64,
    }

    pub struct UsageQuery {
        pub group_by: Vec<GroupBy>,
        pub interval: Option<Interval>,
        pub from: Option<i32>,
        pub to: Option<i32>,
        pub after: Option<UsageKey>,
        pub limit: u64,
    }

    pub enum GroupBy { User, Owner, Team, Feature, Model, Grant }

    pub enum Interval { Day, Month }

    pub enum ReadAnswer {
        Workspace(Box<WorkspaceView>),
        Grants(Vec<GrantAnswer>),
        Members(Vec<MemberView>),
        Allocation(AllocationAnswer),
        Reallocation(ReallocationAnswer),
        Usage(UsageReport),
        Unknown(UnknownThing),
        Plan(Box<PlanAnswer>),
        Pooling(Box<PoolingAnswer>),
        Refused(Box<Rejection>),
        Overage(Box<OverageAnswer>),
        Teams(Vec<TeamView>),
        Limits(Box<LimitsAnswer>),
        Refund(Box<RefundAnswer>),
        Charge(ChargeBooks),
    }

    pub struct ChargeBooks {
        pub refunded: u64,
        pub grants: Vec<(u32, String)>,
        pub at: i64,
    }

    pub enum UnknownThing { Workspace, Grant, User, Allocation, Reallocation, Plan, Team, Refund }

    pub struct UsageReport {
        pub rows: Vec<UsageGroup>,
        pub unattributed: u64,
        pub at: i64,
        pub uncovered: u64,
    }

    pub struct UsageGroup {
        pub key: UsageKey,
        pub metered: Metered,
    }

    pub struct UsageKey {
        pub day: Option<i32>,
        pub user: Option<String>,
        pub owner: Option<String>,
        pub team: Option<String>,
        pub feature: Option<String>,
        pub model: Option<String>,
        pub grant: Option<String>,
    }
}
