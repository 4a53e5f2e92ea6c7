//! What a data directory was made for, kept in it, so that it is never used for something else. Not here: placement.

use crate::log::LogDatabase;
use crate::{GroupSpec, Options, ReplicationFault};
use types::NodeId;
use wire::envelope::{decode, encode};
use wire::raft as shape;

/// Compares the options with what the directory was made for, or notes it in a new one.
pub(crate) fn check(database: &LogDatabase, options: &Options) -> Result<(), ReplicationFault> {
    let plan = plan_of(options);
    let Some(bytes) = database.plan().map_err(database_fault)? else {
        let bytes = encode(&plan).map_err(database_fault)?;
        return database.make_plan(bytes).map_err(database_fault);
    };
    let found: shape::Plan = decode(&bytes).map_err(database_fault)?;
    if found.node != plan.node {
        return Err(ReplicationFault::OtherNode { expected: NodeId(plan.node), found: NodeId(found.node) });
    }
    match first_difference(&found.groups, &plan.groups) {
        None => Ok(()),
        Some(what) => Err(ReplicationFault::OtherGroups(what)),
    }
}

fn plan_of(options: &Options) -> shape::Plan {
    let sorted = |nodes: &[NodeId]| {
        let mut numbers: Vec<u16> = nodes.iter().map(|node| node.0).collect();
        numbers.sort_unstable();
        numbers
    };
    let planned = |spec: &GroupSpec| shape::PlannedGroup {
        group: spec.id.number().expect("options were checked"),
        voters: sorted(&spec.voters),
        learners: sorted(&spec.learners),
    };
    let mut groups: Vec<_> = options.groups.iter().map(planned).collect();
    groups.sort_by_key(|planned| planned.group);
    shape::Plan { node: options.node.0, groups }
}

fn first_difference(stored: &[shape::PlannedGroup], asked: &[shape::PlannedGroup]) -> Option<String> {
    let name = |planned: &shape::PlannedGroup| crate::GroupId::from_number(planned.group);
    if stored.len() != asked.len() {
        return Some(format!("{} groups then, {} now", stored.len(), asked.len()));
    }
    let (stored, asked) = stored.iter().zip(asked).find(|(stored, asked)| stored != asked)?;
    Some(format!(
        "{}: voters {:?}, learners {:?} then; {}: voters {:?}, learners {:?} now",
        name(stored),
        stored.voters,
        stored.learners,
        name(asked),
        asked.voters,
        asked.learners
    ))
}

fn database_fault(error: impl std::fmt::Display) -> ReplicationFault {
    ReplicationFault::Database(error.to_string())
}
