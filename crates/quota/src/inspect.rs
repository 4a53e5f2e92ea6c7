//! Reads: linearizable at the leader of the workspace's shard; the cluster and the books as this node has them.

use crate::{
    AllocationAnswer, ClusterView, Conservation, GrantAnswer, GroupView, HolderView, LimitsAnswer,
    MemberView, NodeView, OverageAnswer, Page, PeerStatus, PlanAnswer, PlanChange, Pooling, PoolingAnswer,
    Quota, ReallocationAnswer, Refusal, ReplicaView, Subject, Summary, TeamView, UsageQuery, UsageReport,
    WhichMembers,
};
use actors::{LeaderAnswer, LeaderRequest};
use ledger::{Answer, HolderStatus, Query, State, UnknownThing};
use replication::{Group, GroupId};
use std::collections::BTreeMap;
use types::{Credits, GrantId, HolderId, NodeId, ReallocationId, TeamId, Timestamp, UserId, WorkspaceId};

/// What was read, at which index, and which nodes with leases have not been heard.
pub(crate) struct Read {
    index: u64,
    pub(crate) answer: Answer,
    silent: Vec<NodeId>,
}

impl Quota {
    pub(crate) async fn read(&self, id: &WorkspaceId, query: Query, fresh: bool) -> Result<Read, Refusal> {
        match self.ask(self.group_of(id), LeaderRequest::Read { query, fresh }).await? {
            LeaderAnswer::Read { answer: Answer::Unknown(thing), .. } => Err(unknown(thing)),
            LeaderAnswer::Read { answer: Answer::Refused(why), .. } => Err(Refusal::from_rejection(*why)),
            LeaderAnswer::Read { index, answer, silent } => Ok(Read { index, answer, silent }),
            LeaderAnswer::Batch(_) | LeaderAnswer::Applied { .. } | LeaderAnswer::Renewed => {
                Err(Refusal::NoLeader)
            }
        }
    }

    /// `fresh` asks the holders first, for at most a second.
    pub async fn workspace(&self, id: &WorkspaceId, fresh: bool) -> Result<Summary, Refusal> {
        let read = self.read(id, Query::Workspace { id: id.clone() }, fresh).await?;
        let Answer::Workspace(view) = read.answer else { return Err(Refusal::NoLeader) };
        let out = read.silent.iter().filter_map(|node| view.leased_by_node.get(node).copied());
        let unreachable = out.fold(Credits::ZERO, Credits::saturating_add);
        Ok(Summary { view: *view, unreachable, index: read.index })
    }

    /// In order of creation, with what is still out of voided ones.
    pub async fn grants(&self, id: &WorkspaceId, page: Page) -> Result<Vec<GrantAnswer>, Refusal> {
        match self.read(id, Query::Grants { id: id.clone(), page }, false).await?.answer {
            Answer::Grants(grants) => Ok(grants),
            _ => Err(Refusal::NoLeader),
        }
    }

    pub async fn grant(&self, id: &WorkspaceId, grant: &GrantId) -> Result<GrantAnswer, Refusal> {
        match self.read(id, Query::Grant { id: id.clone(), grant: grant.clone() }, false).await?.answer {
            Answer::Grants(mut grants) if !grants.is_empty() => Ok(grants.remove(0)),
            _ => Err(Refusal::NoLeader),
        }
    }

    pub async fn member(&self, id: &WorkspaceId, user: &UserId) -> Result<MemberView, Refusal> {
        match self.read(id, Query::Member { id: id.clone(), user: user.clone() }, false).await?.answer {
            Answer::Members(mut members) if !members.is_empty() => Ok(members.remove(0)),
            _ => Err(Refusal::NoLeader),
        }
    }

    /// In order of their ids.
    pub async fn members(
        &self,
        id: &WorkspaceId,
        which: WhichMembers,
        page: Page,
    ) -> Result<Vec<MemberView>, Refusal> {
        match self.read(id, Query::Members { id: id.clone(), which, page }, false).await?.answer {
            Answer::Members(members) => Ok(members),
            _ => Err(Refusal::NoLeader),
        }
    }

    pub async fn allocation(&self, id: &WorkspaceId, user: &UserId) -> Result<AllocationAnswer, Refusal> {
        match self.read(id, Query::Allocation { id: id.clone(), user: user.clone() }, false).await?.answer {
            Answer::Allocation(allocation) => Ok(allocation),
            _ => Err(Refusal::NoLeader),
        }
    }

    pub async fn team(&self, id: &WorkspaceId, team: &TeamId) -> Result<TeamView, Refusal> {
        let page = Page { after: None, limit: 1 };
        let mut teams = self.read_teams(id, Some(team.clone()), page).await?;
        if teams.is_empty() { Err(Refusal::NoLeader) } else { Ok(teams.remove(0)) }
    }

    /// In order of their ids.
    pub async fn teams(&self, id: &WorkspaceId, page: Page) -> Result<Vec<TeamView>, Refusal> {
        self.read_teams(id, None, page).await
    }

    async fn read_teams(
        &self,
        id: &WorkspaceId,
        team: Option<TeamId>,
        page: Page,
    ) -> Result<Vec<TeamView>, Refusal> {
        match self.read(id, Query::Teams { id: id.clone(), team, page }, false).await?.answer {
            Answer::Teams(teams) => Ok(teams),
            _ => Err(Refusal::NoLeader),
        }
    }

    pub async fn reallocation(
        &self,
        id: &WorkspaceId,
        reallocation: &ReallocationId,
    ) -> Result<ReallocationAnswer, Refusal> {
        let query = Query::Reallocation { id: id.clone(), reallocation: reallocation.clone() };
        match self.read(id, query, false).await?.answer {
            Answer::Reallocation(reallocation) => Ok(reallocation),
            _ => Err(Refusal::NoLeader),
        }
    }

    pub async fn plan(&self, id: &WorkspaceId) -> Result<PlanAnswer, Refusal> {
        self.read_plan(id, Query::Plan { id: id.clone() }).await
    }

    /// What there would be after a change that is not made.
    pub async fn plan_after(&self, id: &WorkspaceId, change: PlanChange) -> Result<PlanAnswer, Refusal> {
        self.read_plan(id, Query::PlanAfter { id: id.clone(), change }).await
    }

    async fn read_plan(&self, id: &WorkspaceId, query: Query) -> Result<PlanAnswer, Refusal> {
        match self.read(id, query, false).await?.answer {
            Answer::Plan(plan) => Ok(*plan),
            _ => Err(Refusal::NoLeader),
        }
    }

    /// What is pooled; or what there would be `after` a switch that is not made.
    pub async fn pooling(&self, id: &WorkspaceId, after: Option<Pooling>) -> Result<PoolingAnswer, Refusal> {
        match self.read(id, Query::Pooling { id: id.clone(), after }, false).await?.answer {
            Answer::Pooling(pooling) => Ok(*pooling),
            _ => Err(Refusal::NoLeader),
        }
    }

    /// Of the workspace, or of one user.
    pub async fn overage(&self, id: &WorkspaceId, user: Option<&UserId>) -> Result<OverageAnswer, Refusal> {
        match self.read(id, Query::Overage { id: id.clone(), user: user.cloned() }, false).await?.answer {
            Answer::Overage(overage) => Ok(*overage),
            _ => Err(Refusal::NoLeader),
        }
    }

    /// Of a user, or of a team.
    pub async fn limits(&self, id: &WorkspaceId, of: Subject) -> Result<LimitsAnswer, Refusal> {
        match self.read(id, Query::Limits { id: id.clone(), of }, false).await?.answer {
            Answer::Limits(limits) => Ok(*limits),
            _ => Err(Refusal::NoLeader),
        }
    }

    /// With the log index of the shard it was read at.
    pub async fn usage(&self, id: &WorkspaceId, query: UsageQuery) -> Result<(u64, UsageReport), Refusal> {
        let read = self.read(id, Query::Usage { id: id.clone(), query }, false).await?;
        match read.answer {
            Answer::Usage(report) => Ok((read.index, report)),
            _ => Err(Refusal::NoLeader),
        }
    }

    /// Whether time has something to do here that is not done yet: with pools this node has replicas of, with prices.
    pub fn has_dues(&self, at: Timestamp) -> bool {
        let is_due = |state: &State| {
            !state.schedule.due(at, 1).is_empty() || state.schedule.short_of_ends().next().is_some()
        };
        // Prices that come into force do so as soon as this node's clock has ticked past them.
        self.clock().now() < at || self.shards().replica().groups().any(|group| group.peek(is_due))
    }

    /// The cluster as this node sees it.
    pub fn cluster(&self) -> ClusterView {
        let leases = self.leases_by_holder();
        let node = |listed: &crate::ListedNode| NodeView {
            id: listed.id,
            api: listed.api.clone(),
            peer: listed.peer.clone(),
            status: if listed.id == self.node() { PeerStatus::This } else { self.peers().status(listed.id) },
            holder: self.holder_of(listed.id).map(|holder| {
                let (lines, leased) = leases.get(&holder).copied().unwrap_or((0, Credits::ZERO));
                HolderView { holder, lines, leased }
            }),
        };
        let shards = self.shards().map().shards().map(GroupId::Shard);
        ClusterView {
            node: self.node(),
            now: self.clock().now(),
            nodes: self.listed().iter().map(node).collect(),
            groups: [GroupId::Meta].into_iter().chain(shards).map(|id| self.group_view(id)).collect(),
        }
    }

    fn group_view(&self, id: GroupId) -> GroupView {
        let voters = self.shards().replicas(id).to_vec();
        let Some(group) = self.shards().replica().group(id) else {
            let (leader, replicas) = (None, Vec::new());
            return GroupView {
                group: id.to_string(),
                voters,
                leader,
                term: 0,
                applied: 0,
                workspaces: 0,
                replicas,
            };
        };
        let status = group.status();
        let replica =
            |follower: &replication::Follower| ReplicaView { node: follower.node, lag: follower.lag };
        GroupView {
            group: id.to_string(),
            voters,
            leader: status.leader,
            term: status.term,
            applied: status.applied_index.unwrap_or(0),
            workspaces: group.peek(|state| state.workspaces.len() as u64),
            replicas: status.followers.iter().map(replica).collect(),
        }
    }

    fn leases_by_holder(&self) -> BTreeMap<HolderId, (u64, Credits)> {
        let mut leases: BTreeMap<HolderId, (u64, Credits)> = BTreeMap::new();
        for group in self.hosted_shards() {
            group.peek(|state| {
                for (id, line) in state.workspaces.values().flat_map(|w| &w.lines) {
                    let entry = leases.entry(id.holder).or_insert((0, Credits::ZERO));
                    entry.0 += 1;
                    entry.1 = entry.1.saturating_add(line.outstanding());
                }
            });
        }
        leases
    }

    fn hosted_shards(&self) -> impl Iterator<Item = &Group> {
        self.shards().replica().groups().filter(|group| group.id() != GroupId::Meta)
    }

    /// Of every workspace in shards this node hosts, as this replica has it; recounted in full.
    pub fn conservation(&self) -> Vec<Conservation> {
        let of_group = |group: &Group| {
            group.peek(|state| state.workspaces.values().map(|w| w.conservation()).collect::<Vec<_>>())
        };
        self.hosted_shards().flat_map(of_group).collect()
    }

    /// `Err`: what is not ready yet, for `/readyz`.
    pub fn ready(&self) -> Result<(), String> {
        if let Some(fault) = self.holder().fault().borrow().as_ref() {
            return Err(fault.to_string());
        }
        self.holder().journal().takes_charges().map_err(|why| why.to_string())?;
        for group in self.shards().replica().groups() {
            let status = group.status();
            if let Some(why) = status.stopped {
                return Err(format!("group {} has stopped: {why}", group.id()));
            }
            let Some(leader) = status.leader else {
                return Err(format!("group {} knows no leader", group.id()));
            };
            self.leads_or_follows(group.id(), leader)?;
        }
        let registered = |state: &ledger::State| {
            state.holders.get(&self.holder().id()).is_some_and(|record| record.status == HolderStatus::Active)
        };
        let meta = self.shards().replica().group(GroupId::Meta);
        if meta.is_some_and(|meta| meta.peek(registered)) {
            Ok(())
        } else {
            Err("this node has not registered yet".into())
        }
    }
}

impl Quota {
    /// Who is cut off still remembers the last leader, or still takes itself for it.
    fn leads_or_follows(&self, group: GroupId, leader: NodeId) -> Result<(), String> {
        let in_reach = |node: NodeId| match self.peers().status(node) {
            PeerStatus::This | PeerStatus::Connected => true,
            PeerStatus::Down | PeerStatus::Refused(_) => node == self.node(),
        };
        if leader != self.node() {
            let lost = format!("group {group} has its leader {leader} out of reach");
            return if in_reach(leader) { Ok(()) } else { Err(lost) };
        }
        let voters = self.shards().replicas(group);
        let reached = voters.iter().filter(|voter| in_reach(**voter)).count();
        if reached * 2 > voters.len() {
            Ok(())
        } else {
            Err(format!("group {group} reaches {reached} of {} replicas, no majority", voters.len()))
        }
    }
}

fn unknown(thing: UnknownThing) -> Refusal {
    match thing {
        UnknownThing::Workspace => Refusal::UnknownWorkspace,
        UnknownThing::Grant => Refusal::NotFound("grant"),
        UnknownThing::User => Refusal::NotFound("member"),
        UnknownThing::Allocation => Refusal::NotFound("allocation"),
        UnknownThing::Reallocation => Refusal::NotFound("reallocation"),
        UnknownThing::Plan => Refusal::NotFound("plan"),
        UnknownThing::Team => Refusal::NotFound("team"),
        UnknownThing::Refund => Refusal::NotFound("refund"),
    }
}
