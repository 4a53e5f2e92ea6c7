//! The cluster, its books, and nodes that are lost for good. Operators' routes.

use crate::answer::{Answer, ok, other_outcome};
use crate::app::App;
use crate::edge::maybe;
use crate::extract::{Body, Conditions, One};
use crate::limits::BODY_BYTES_MAX;
use crate::translate;
use axum::extract::State;
use quota::{ClusterView, GroupView, NodeView, Outcome, PeerStatus, ReplicaView};
use std::sync::Arc;
use types::NodeId;
use wire::json::{self, Text};

/// Nodes, Raft groups with leaders and replicas, leases out, lag: as this node sees them.
#[utoipa::path(get, path = "/v1/cluster", tag = "operation",
    responses((status = 200, description = "The cluster", body = json::Cluster)))]
pub(crate) async fn cluster(State(app): State<Arc<App>>) -> Answer {
    Ok(ok(&cluster_json(app.quota()?.cluster())))
}

/// Declares a node's disk lost for good: its lines are closed, and what was out on them is charged or credited back.
/// Refused while the node answers. An idempotency key is accepted and not kept: who is forgotten stays forgotten.
#[utoipa::path(post, path = "/v1/nodes/{node}/forget", tag = "operation", request_body = json::Forget,
    responses((status = 200, description = "Forgotten", body = json::Forgotten)))]
pub(crate) async fn forget(
    State(app): State<Arc<App>>,
    One(node): One<NodeId>,
    conditions: Conditions,
    Body(json::Forget { mode }): Body<json::Forget, BODY_BYTES_MAX>,
) -> Answer {
    // Who is forgotten stays forgotten: no key has to be kept. And a node has no revision.
    let _key = conditions.key_only()?;
    let mode = maybe("mode", mode)?.unwrap_or(json::ForgetMode::Charge);
    match app.change(Box::pin(app.quota()?.forget(node, translate::forget_mode(mode)))).await? {
        Outcome::Forgotten { lines, written_off, exposure } => Ok(ok(&json::Forgotten {
            node: Text(node),
            lines,
            written_off: Text(written_off),
            exposure: Text(exposure),
        })),
        _ => Err(other_outcome()),
    }
}

/// Every term of S1 (each grant is conserved) per pool on this node.
#[utoipa::path(get, path = "/v1/debug/conservation", tag = "operation",
    responses((status = 200, description = "The books", body = json::Conservation)))]
pub(crate) async fn conservation(State(app): State<Arc<App>>) -> Answer {
    let pools: Vec<json::Pool> = app.quota()?.conservation().into_iter().map(pool_json).collect();
    Ok(ok(&json::Conservation { holds: pools.iter().all(|pool| pool.holds), pools }))
}

fn pool_json(books: quota::Conservation) -> json::Pool {
    let quota::Conservation { workspace, grants, violations } = books;
    let holds = violations.is_empty() && grants.iter().all(|terms| terms.books.is_conserved());
    let grants = grants.into_iter().map(|terms| json::GrantTerms {
        grant: Text(terms.grant),
        amount: Text(terms.books.amount),
        refunded: Text(terms.books.refunded),
        exposure: Text(terms.books.exposure),
        available: Text(terms.books.available),
        earmarked: Text(terms.books.earmarked),
        out: Text(terms.books.out),
        out_on_lines: Text(terms.out_on_lines),
        used: Text(terms.books.used),
        unattributed: Text(terms.books.unattributed),
        written_off: Text(terms.books.written_off),
        expired: Text(terms.books.expired),
        voided: Text(terms.books.voided),
        for_overage: Text(terms.books.for_overage),
    });
    let grants = grants.collect();
    let violations = violations
        .into_iter()
        .map(|violation| json::Violation { invariant: violation.invariant.into(), what: violation.what });
    json::Pool { workspace: Text(workspace), holds, grants, violations: violations.collect() }
}

fn cluster_json(view: ClusterView) -> json::Cluster {
    let ClusterView { node, now, nodes, groups } = view;
    json::Cluster {
        node: Text(node),
        now: Text(now),
        nodes: nodes.into_iter().map(node_json).collect(),
        groups: groups.into_iter().map(group_json).collect(),
    }
}

fn node_json(view: NodeView) -> json::Node {
    let NodeView { id, api, peer, status, holder } = view;
    let (status, detail) = match status {
        PeerStatus::This => ("this", None),
        PeerStatus::Connected => ("connected", None),
        PeerStatus::Down => ("down", None),
        PeerStatus::Refused(why) => ("refused", Some(why)),
    };
    let holder = holder.map(|holder| json::Holder {
        id: holder.holder.to_string(),
        lines: holder.lines,
        leased: Text(holder.leased),
    });
    json::Node { id: Text(id), api, peer, status: status.into(), detail, holder }
}

fn group_json(view: GroupView) -> json::Group {
    let GroupView { group, voters, leader, term, applied, workspaces, replicas } = view;
    let replica = |ReplicaView { node, lag }| json::Replica { node: Text(node), lag };
    json::Group {
        group,
        voters: voters.into_iter().map(Text).collect(),
        leader: leader.map(Text),
        term,
        applied,
        workspaces,
        replicas: replicas.into_iter().map(replica).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Credits, DiskId, HolderId, Timestamp};

    #[test]
    fn the_golden_cluster() {
        let holder = quota::HolderView {
            holder: HolderId { node: NodeId(2), disk: DiskId(255) },
            lines: 3,
            leased: Credits::whole(9).unwrap(),
        };
        let node =
            |id, status, holder| NodeView { id, api: "a:1".into(), peer: "p:2".into(), status, holder };
        let view = ClusterView {
            node: NodeId(1),
            now: Timestamp::from_millis(0),
            nodes: vec![
                node(NodeId(1), PeerStatus::This, None),
                node(NodeId(2), PeerStatus::Refused("it is n3".into()), Some(holder)),
            ],
            groups: vec![GroupView {
                group: "s0".into(),
                voters: vec![NodeId(1), NodeId(2)],
                leader: None,
                term: 4,
                applied: 17,
                workspaces: 2,
                replicas: vec![ReplicaView { node: NodeId(2), lag: 1 }],
            }],
        };
        let golden = concat!(
            r#"{"node":"n1","now":"1970-01-01T00:00:00Z","nodes":[{"id":"n1","api":"a:1","peer":"p:2","status":"this"},"#,
            r#"{"id":"n2","api":"a:1","peer":"p:2","status":"refused","detail":"it is n3","#,
            r#""holder":{"id":"n2/00000000000000ff","lines":3,"leased":"9"}}],"#,
            r#""groups":[{"group":"s0","voters":["n1","n2"],"leader":null,"term":4,"applied":17,"workspaces":2,"#,
            r#""replicas":[{"node":"n2","lag":1}]}]}"#
        );
        assert_eq!(String::from_utf8(json::write(&cluster_json(view))).unwrap(), golden);
    }
}
