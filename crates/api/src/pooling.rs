//! Pooling: whose the credits are that a plan brings for seats. Not here: plans (`plans`), allocations by hand (`allocations`).

use crate::answer::{Answer, changed, ok, other_outcome, with_etag, with_status};
use crate::app::App;
use crate::edge::good;
use crate::extract::{Asked, BesideQuery, Body, One};
use crate::limits::BODY_BYTES_MAX;
use crate::translate;
use axum::extract::State;
use quota::{Change, Outcome, Pending, PoolingAnswer};
use serde::Deserialize;
use std::sync::Arc;
use types::{Credits, WorkspaceId};
use wire::json::{self, Text};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preview {
    /// `true`: what would be answered; nothing is changed.
    preview: Option<bool>,
}

/// Switches whose credits those for seats are, in mid-cycle too: everybody's, each seat's own, or each seat's own first. 202
/// while leases that were called back for it are out.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/pooling", tag = "administration", params(Preview),
    request_body = json::PutPooling, responses((status = 200, description = "The mode", body = json::PoolingState)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    Asked(Preview { preview }): Asked<Preview>,
    BesideQuery(conditions): BesideQuery,
    Body(json::PutPooling { mode }): Body<json::PutPooling, BODY_BYTES_MAX>,
) -> Answer {
    let mode = translate::pooling(good("mode", mode)?);
    if preview == Some(true) {
        let quota = app.quota()?;
        let answer = app.read(Box::pin(quota.pooling(&workspace, Some(mode)))).await?;
        return Ok(ok(&shown(answer)));
    }
    match app.administer(workspace, conditions, Change::SetPooling(mode)).await? {
        Outcome::Pooling(answer) => {
            let (status, revision) = (changed(&answer.pending), answer.revision);
            Ok(with_etag(with_status(status, &shown(*answer)), revision))
        }
        _ => Err(other_outcome()),
    }
}

/// Whose the credits are, and what came of it.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/pooling", tag = "administration",
    responses((status = 200, description = "The mode", body = json::PoolingState)))]
pub(crate) async fn get(State(app): State<Arc<App>>, One(workspace): One<WorkspaceId>) -> Answer {
    let quota = app.quota()?;
    let answer = app.read(Box::pin(quota.pooling(&workspace, None))).await?;
    let revision = answer.revision;
    Ok(with_etag(ok(&shown(answer)), revision))
}

fn shown(answer: PoolingAnswer) -> json::PoolingState {
    let PoolingAnswer {
        mode,
        seats,
        share,
        parts,
        set_aside,
        short,
        by_hand,
        shared,
        pending,
        revision: _,
        at: _,
    } = answer;
    let total = Credits::checked_sum(pending.iter().map(|part| part.amount)).unwrap_or(Credits::MAX);
    let on = |Pending { node, amount }| json::PendingOn { node: Text(node), amount: Text(amount) };
    json::PoolingState {
        mode: Text(translate::pooling_json(mode)),
        seats,
        share: Text(share),
        parts,
        set_aside: Text(set_aside),
        short: Text(short),
        by_hand,
        shared: Text(shared),
        pending: Text(total),
        pending_on: pending.into_iter().map(on).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quota::Pooling;
    use types::{NodeId, Revision, Timestamp};

    #[test]
    fn what_is_shown() {
        let whole = |credits| Credits::whole(credits).unwrap();
        let answer = PoolingAnswer {
            mode: Pooling::PerSeat,
            seats: 70,
            share: whole(5_000),
            parts: 69,
            set_aside: whole(340_000),
            short: whole(5),
            by_hand: 1,
            shared: whole(3),
            pending: vec![Pending { node: NodeId(2), amount: whole(7) }],
            revision: Revision(9),
            at: Timestamp::from_millis(0),
        };
        assert_eq!(
            String::from_utf8(json::write(&shown(answer))).unwrap(),
            r#"{"mode":"per_seat","seats":70,"share":"5000","parts":69,"set_aside":"340000","short":"5","by_hand":1,"shared":"3","pending":"7","pending_on":[{"node":"n2","amount":"7"}]}"#
        );
    }
}
