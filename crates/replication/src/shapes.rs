//! openraft's types to and from their frozen shapes. Not here: bytes, and the ledger's types (`convert`).

use crate::raft::{Entry, LeaderId, LogId, Membership, Proposals, StoredMembership, Vote};
use openraft::{EmptyNode, EntryPayload};
use std::collections::{BTreeMap, BTreeSet};
use types::NodeId;
use wire::raft as shape;

/// openraft counts nodes in 64 bits; ours have 16, and only ours get in.
pub(crate) fn node(raft: u64) -> NodeId {
    NodeId(u16::try_from(raft).expect("openraft knows only the nodes we named"))
}

pub(crate) fn log_id_shape(id: &LogId) -> shape::LogId {
    shape::LogId { term: id.leader_id.term, node: node(id.leader_id.node_id).0, index: id.index }
}

pub(crate) fn log_id(shape: shape::LogId) -> LogId {
    LogId { leader_id: LeaderId { term: shape.term, node_id: shape.node.into() }, index: shape.index }
}

pub(crate) fn vote_shape(vote: &Vote) -> shape::Vote {
    let Vote { leader_id, committed } = vote;
    shape::Vote { term: leader_id.term, node: node(leader_id.node_id).0, committed: *committed }
}

pub(crate) fn vote(shape: shape::Vote) -> Vote {
    let shape::Vote { term, node, committed } = shape;
    Vote { leader_id: LeaderId { term, node_id: node.into() }, committed }
}

pub(crate) fn membership_shape(membership: &Membership) -> shape::Membership {
    let numbers = |nodes: &BTreeSet<u64>| nodes.iter().map(|id| node(*id).0).collect();
    shape::Membership {
        configs: membership.get_joint_config().iter().map(numbers).collect(),
        nodes: membership.nodes().map(|(id, EmptyNode {})| node(*id).0).collect(),
    }
}

/// An error only where the shape is damaged: a voter that is no node.
pub(crate) fn membership(shape: shape::Membership) -> Result<Membership, String> {
    let numbers = |nodes: Vec<u16>| nodes.into_iter().map(u64::from).collect::<BTreeSet<u64>>();
    let configs: Vec<BTreeSet<u64>> = shape.configs.into_iter().map(numbers).collect();
    let nodes: BTreeMap<u64, EmptyNode> =
        shape.nodes.into_iter().map(|id| (id.into(), EmptyNode {})).collect();
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|error| error.to_string())
}

pub(crate) fn stored_membership_shape(stored: &StoredMembership) -> shape::StoredMembership {
    shape::StoredMembership {
        log_id: stored.log_id().as_ref().map(log_id_shape),
        membership: membership_shape(stored.membership()),
    }
}

pub(crate) fn stored_membership(shape: shape::StoredMembership) -> Result<StoredMembership, String> {
    Ok(StoredMembership::new(shape.log_id.map(log_id), membership(shape.membership)?))
}

pub(crate) fn entry_shape(entry: &Entry) -> shape::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => shape::Payload::Blank,
        EntryPayload::Normal(Proposals(bytes)) => shape::Payload::Commands(bytes.clone()),
        EntryPayload::Membership(nodes) => shape::Payload::Membership(membership_shape(nodes)),
    };
    shape::Entry { log_id: log_id_shape(&entry.log_id), payload }
}

pub(crate) fn entry(shape: shape::Entry) -> Result<Entry, String> {
    let payload = match shape.payload {
        shape::Payload::Blank => EntryPayload::Blank,
        shape::Payload::Commands(bytes) => EntryPayload::Normal(Proposals(bytes)),
        shape::Payload::Membership(nodes) => EntryPayload::Membership(membership(nodes)?),
    };
    Ok(Entry { log_id: log_id(shape.log_id), payload })
}
