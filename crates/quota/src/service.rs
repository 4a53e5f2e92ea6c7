//! The signatures others build on; bodies follow.
#![allow(clippy::unused_async, clippy::needless_pass_by_value, clippy::missing_errors_doc)]

use crate::*;
use types::{ReallocationId, Revision, UserId, WorkspaceId};

/// One node's door to everything Tranche can do.
#[derive(Clone, Debug)]
pub struct Quota {}

impl Quota {
    pub async fn consume(&self, _consume: Consume) -> Result<Charge, Refusal> {
        Err(Refusal::NoLeader)
    }
    /// In order; each item on its own.
    pub async fn consume_batch(&self, items: Vec<Consume>) -> Vec<Result<Charge, Refusal>> {
        items.iter().map(|_| Err(Refusal::NoLeader)).collect()
    }
    pub async fn quote(&self, _consume: Consume) -> Result<Quote, Refusal> {
        Err(Refusal::NoLeader)
    }
    /// Every administrator's write. `Outcome` is the variant that belongs to the `Change`.
    pub async fn administer(&self, _command: AdminCommand) -> Result<Outcome, Refusal> {
        Err(Refusal::NoLeader)
    }
    pub async fn workspace(&self, _id: &WorkspaceId, _fresh: bool) -> Result<Summary, Refusal> {
        Err(Refusal::NoLeader)
    }
    /// In order of creation, with what is still out of voided ones.
    pub async fn grants(&self, _id: &WorkspaceId, _page: Page) -> Result<Vec<GrantAnswer>, Refusal> {
        Err(Refusal::NoLeader)
    }
    pub async fn grant(&self, _id: &WorkspaceId, _grant: &types::GrantId) -> Result<GrantAnswer, Refusal> {
        Err(Refusal::NoLeader)
    }
    pub async fn member(&self, _id: &WorkspaceId, _user: &UserId) -> Result<MemberView, Refusal> {
        Err(Refusal::NoLeader)
    }
    pub async fn members(&self, _id: &WorkspaceId, _page: Page) -> Result<Vec<MemberView>, Refusal> {
        Err(Refusal::NoLeader)
    }
    pub async fn allocation(&self, _id: &WorkspaceId, _user: &UserId) -> Result<AllocationAnswer, Refusal> {
        Err(Refusal::NoLeader)
    }
    pub async fn reallocation(
        &self,
        _id: &WorkspaceId,
        _reallocation: &ReallocationId,
    ) -> Result<ReallocationAnswer, Refusal> {
        Err(Refusal::NoLeader)
    }
    pub async fn usage(&self, _id: &WorkspaceId, _query: UsageQuery) -> Result<UsageReport, Refusal> {
        Err(Refusal::NoLeader)
    }
    pub async fn rate_card(&self) -> Result<RateCardView, Refusal> {
        Err(Refusal::NoLeader)
    }
    pub async fn set_rate_card(
        &self,
        _prices: Vec<Price>,
        _if_match: Option<Revision>,
    ) -> Result<Revision, Refusal> {
        Err(Refusal::NoLeader)
    }
    /// Declares a node's holder lost for good.
    pub async fn forget(&self, _node: types::NodeId, _mode: ForgetMode) -> Result<Outcome, Refusal> {
        Err(Refusal::NoLeader)
    }
    pub fn cluster(&self) -> ClusterView {
        ClusterView {
            node: types::NodeId(1),
            now: types::Timestamp::default(),
            nodes: Vec::new(),
            groups: Vec::new(),
        }
    }
    /// Of every workspace in shards this node hosts, as this replica has it.
    pub fn conservation(&self) -> Vec<Conservation> {
        Vec::new()
    }
    /// `Err`: what is not ready yet, for `/readyz`.
    pub fn ready(&self) -> Result<(), String> {
        Err("starting".into())
    }
    /// How long a session lasts at most: what is pending is settled by then (ms).
    pub fn session_ttl_ms(&self) -> i64 {
        60_000
    }
}
