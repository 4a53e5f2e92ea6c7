//! What can be read: summaries, usage, the cluster, the books. Not here: what can be changed, prices (`prices`).

use crate::json::{
    Amount, Cycle, Date, DurabilityText, EnforcementText, FeatureText, GivenSpan, GrantText, Instant,
    MembershipText, ModelText, NodeText, PoolingText, TeamText, UnitCounts, UnitText, UserText,
    WorkspaceText, ZoneText,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The summary of a workspace's pool. ETag (of the settings).
///
/// `granted + refunded = used + held + remaining`, `remaining = available + leased`, `unreachable ≤ leased + held`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Workspace {
    pub workspace: WorkspaceText,
    pub name: String,
    pub membership: MembershipText,
    pub durability: DurabilityText,
    /// `shadow`: nothing is refused; see `GET /v1/workspaces/{ws}/shadow`.
    pub enforcement: EnforcementText,
    pub pooling: PoolingText,
    pub timezone: ZoneText,
    pub cycle: Cycle,
    /// What this cycle had and has to spend: net of expired and voided.
    pub granted: Amount,
    /// In this cycle. Includes unattributed and written off; trails the holders by at most a second while they are reachable.
    pub used: Amount,
    /// Of what was used in this cycle.
    pub refunded: Amount,
    pub held: Amount,
    pub remaining: Amount,
    pub available: Amount,
    /// Out on leases and not held.
    pub leased: Amount,
    /// Out on nodes not heard of within a session.
    pub unreachable: Amount,
    pub allocated: Amount,
    /// Missing from allocations, because the pool had too little; whatever is free makes up for it.
    pub short: Amount,
    pub reserved: Amount,
    pub shared: Amount,
    /// Charged, detail lost in a power failure.
    pub unattributed: Amount,
    /// Charged when a node was declared lost.
    pub written_off: Amount,
    /// Credited back when a node was declared lost, though it may have been spent.
    pub exposure: Amount,
    /// On its way from one allocation to another.
    pub pending: Amount,
    /// Usage of this cycle that was told of later and that nothing paid for; not in `used`.
    pub uncovered: Amount,
    pub as_of: AsOf,
}

/// How fresh an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AsOf {
    /// Log index of the shard.
    pub index: u64,
    pub time: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    pub rows: Vec<UsageGroup>,
    /// Where the next page begins; left out on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Charged, detail lost; in no row.
    pub unattributed: Amount,
    /// Told of later, and paid for by nothing; in the rows.
    pub uncovered: Amount,
    pub as_of: AsOf,
}

/// One row. Left out is what was not grouped by, and what the usage has none of (a team, a model).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageGroup {
    /// First day of the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserText>,
    /// Of what services used their owner, of what users used themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<FeatureText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelText>,
    /// Which paid; calls and units are in the row without one, with what nothing paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantText>,
    pub credits: Amount,
    pub calls: u64,
    pub units: UnitCounts,
}

/// A part of a quote, of one unit in one tier: `units × credits ÷ per`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuotePart {
    pub unit: UnitText,
    pub units: u64,
    pub per: u64,
    pub credits: Amount,
}

/// The cluster as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cluster {
    pub node: NodeText,
    pub now: Instant,
    pub nodes: Vec<Node>,
    /// Raft groups: `meta` and the shards.
    pub groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    pub id: NodeText,
    pub api: String,
    pub peer: String,
    /// `this`, `connected`, `down`, or `refused`: it answers, but is not the node it should be.
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
}

/// What a node has out, of workspaces in shards that the answering node hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Holder {
    /// Node and disk.
    pub id: String,
    pub lines: u64,
    pub leased: Amount,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Group {
    pub group: String,
    pub voters: Vec<NodeText>,
    pub leader: Option<NodeText>,
    pub term: u64,
    pub applied: u64,
    pub workspaces: u64,
    /// Known only where the answering node leads.
    pub replicas: Vec<Replica>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replica {
    pub node: NodeText,
    /// Entries it lacks.
    pub lag: u64,
}

/// Puts the clock ahead, where it can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Advance {
    pub advance: GivenSpan,
}

/// What the clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Clock {
    pub now: Instant,
}

/// Every term of S1 (each grant is conserved) per pool on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conservation {
    /// All of them hold.
    pub holds: bool,
    pub pools: Vec<Pool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    pub workspace: WorkspaceText,
    pub holds: bool,
    pub grants: Vec<GrantTerms>,
    pub violations: Vec<Violation>,
}

/// `amount + refunded + exposure = available + out + used + unattributed + written_off + expired + voided + for_overage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantTerms {
    pub grant: GrantText,
    pub amount: Amount,
    pub refunded: Amount,
    pub exposure: Amount,
    pub available: Amount,
    /// The part of `available` that is set aside.
    pub earmarked: Amount,
    pub out: Amount,
    /// `out`, recounted from the open lines.
    pub out_on_lines: Amount,
    pub used: Amount,
    pub unattributed: Amount,
    pub written_off: Amount,
    pub expired: Amount,
    pub voided: Amount,
    pub for_overage: Amount,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Violation {
    pub invariant: String,
    pub what: String,
}
