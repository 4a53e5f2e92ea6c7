//! Members: users with a role, a team, AI access; and each user's balance.

use crate::answer::{Answer, ok, other_outcome, with_etag};
use crate::app::App;
use crate::edge::{ListQuery, cut, maybe};
use crate::extract::{Asked, Body, Conditions, One, Two};
use crate::limits::BODY_BYTES_MAX;
use crate::translate;
use axum::extract::State;
use quota::{Change, MemberView, Outcome};
use std::sync::Arc;
use types::{UserId, WorkspaceId};
use wire::json::{self, Text};

/// Makes or changes a member; what is left out stays as it is.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/members/{user}", tag = "administration",
    request_body = json::PutMember, responses((status = 200, description = "The member", body = json::Member)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
    conditions: Conditions,
    Body(json::PutMember { ai_access, team, role }): Body<json::PutMember, BODY_BYTES_MAX>,
) -> Answer {
    let team = team.map(|team| maybe("team", team)).transpose()?;
    let role = maybe("role", role)?.map(translate::role);
    let change = Change::PutMember { user, ai_access, team, role };
    match app.administer(workspace, conditions, change).await? {
        Outcome::Member(view) => {
            let revision = view.revision;
            Ok(with_etag(ok(&member_json(*view)), revision))
        }
        _ => Err(other_outcome()),
    }
}

/// One user and his balance.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/members/{user}", tag = "administration",
    responses((status = 200, description = "The member", body = json::Member)))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
) -> Answer {
    let view = app.read(Box::pin(app.quota()?.member(&workspace, &user))).await?;
    let revision = view.revision;
    Ok(with_etag(ok(&member_json(view)), revision))
}

/// All users, by id.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/members", tag = "administration", params(ListQuery),
    responses((status = 200, description = "A page of members", body = json::Members)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    Asked(query): Asked<ListQuery>,
) -> Answer {
    let (page, limit) = query.page::<UserId>()?;
    let views = app.read(Box::pin(app.quota()?.members(&workspace, page))).await?;
    let (views, cursor) = cut(views, limit, |view| view.user.to_string());
    let items = views.into_iter().map(member_json).collect();
    Ok(ok(&json::Members { items, cursor }))
}

fn member_json(view: MemberView) -> json::Member {
    let MemberView {
        user,
        listed,
        ai_access,
        team,
        role,
        allocation,
        overflow,
        short,
        pending,
        reserve,
        limit,
        used,
        refunded,
        leased,
        remaining,
        revision: _,
    } = view;
    json::Member {
        user: Text(user),
        listed,
        ai_access,
        team: team.map(Text),
        role: Text(translate::role_json(role)),
        allocation: allocation.map(Text),
        overflow: overflow.map(|overflow| Text(translate::overflow_json(overflow))),
        short: Text(short),
        pending: Text(pending),
        reserve: Text(reserve),
        limit: limit.map(Text),
        used: Text(used),
        refunded: Text(refunded),
        leased: Text(leased),
        remaining: Text(remaining),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quota::Role;
    use types::{Credits, Revision};

    #[test]
    fn the_golden_member() {
        let whole = |credits| Credits::whole(credits).unwrap();
        let view = MemberView {
            user: UserId::parse("ann").unwrap(),
            listed: true,
            ai_access: true,
            team: None,
            role: Role::Admin,
            allocation: Some(whole(1_000)),
            overflow: Some(quota::Overflow::None),
            short: Credits::ZERO,
            pending: Credits::ZERO,
            reserve: whole(7),
            limit: None,
            used: whole(12),
            refunded: whole(2),
            leased: whole(50),
            remaining: whole(988),
            revision: Revision(3),
        };
        let golden = concat!(
            r#"{"user":"ann","listed":true,"ai_access":true,"team":null,"role":"admin","allocation":"1000","#,
            r#""overflow":"none","short":"0","pending":"0","reserve":"7","limit":null,"used":"12","refunded":"2","leased":"50","remaining":"988"}"#
        );
        assert_eq!(String::from_utf8(json::write(&member_json(view))).unwrap(), golden);
    }
}
