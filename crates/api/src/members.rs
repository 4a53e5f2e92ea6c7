//! Members: users with a role, a team, AI access; and each user's balance.

use crate::answer::{Answer, ok, other_outcome, with_etag};
use crate::app::App;
use crate::edge::{ListQuery, cut, maybe};
use crate::error::Refused;
use crate::extract::{Asked, Body, Conditions, One, Two};
use crate::limits::BODY_BYTES_MAX;
use crate::translate;
use axum::extract::State;
use quota::{Change, MemberKind, MemberView, Outcome, Service, ServiceChange, Shares, WhichMembers};
use serde::Deserialize;
use std::sync::Arc;
use types::{UserId, WorkspaceId};
use wire::json::{self, Text, Word};

/// Makes or changes a member; what is left out stays as it is.
#[utoipa::path(put, path = "/v1/workspaces/{ws}/members/{user}", tag = "administration",
    request_body = json::PutMember, responses((status = 200, description = "The member", body = json::Member)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    Two(workspace, user): Two<WorkspaceId, UserId>,
    conditions: Conditions,
    Body(asked): Body<json::PutMember, BODY_BYTES_MAX>,
) -> Answer {
    let json::PutMember { ai_access, team, role, kind, owner, shares } = asked;
    let team = team.map(|team| maybe("team", team)).transpose()?;
    let role = maybe("role", role)?.map(translate::role);
    let shares = shares.map(|shares| Ok::<_, Refused>(shares_of(maybe("shares", shares)?))).transpose()?;
    let kind = maybe("kind", kind)?.map(translate::member_kind);
    let service = ServiceChange { kind, owner: maybe("owner", owner)?, shares };
    let change = Change::PutMember { user, ai_access, team, role, service };
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

/// The word that means its owner, whoever that is: no service of that id can be shared with.
const OWNER: &str = "owner";

fn shares_of(with: Option<UserId>) -> Shares {
    match with {
        None => Shares::Nothing,
        Some(owner) if owner.as_str() == OWNER => Shares::WithOwner,
        Some(service) => Shares::With(service),
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct MembersQuery {
    /// `user` or `service`; left out: both.
    kind: Option<String>,
    /// Services of this owner alone.
    owner: Option<String>,
    /// The `cursor` of the page before, with all else unchanged.
    cursor: Option<String>,
    /// Rows of a page, 1 to 500; left out: 100.
    limit: Option<String>,
}

impl MembersQuery {
    fn read(self) -> Result<(WhichMembers, ListQuery), Refused> {
        let Self { kind, owner, cursor, limit } = self;
        let kind = kind.map(|text| json::MemberKind::read(&text)).transpose();
        let kind = kind.map_err(|bad| Refused::invalid(format!("kind: {bad}")))?.map(translate::member_kind);
        let owner = owner.map(|text| UserId::read(&text)).transpose();
        let owner = owner.map_err(|bad| Refused::invalid(format!("owner: {bad}")))?;
        Ok((WhichMembers { kind, owner }, ListQuery { cursor, limit }))
    }
}

/// All users and services, by id.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/members", tag = "administration", params(MembersQuery),
    responses((status = 200, description = "A page of members", body = json::Members)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    Asked(query): Asked<MembersQuery>,
) -> Answer {
    let (which, list) = query.read()?;
    let (page, limit) = list.page::<UserId>()?;
    let views = app.read(Box::pin(app.quota()?.members(&workspace, which, page))).await?;
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
        service,
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
    let kind = if service.is_some() { MemberKind::Service } else { MemberKind::User };
    let (owner, shares) = match service {
        None => (None, None),
        Some(Service { owner, shares }) => (Some(owner), shares_json(shares)),
    };
    json::Member {
        user: Text(user),
        listed,
        ai_access,
        team: team.map(Text),
        role: Text(translate::role_json(role)),
        kind: Text(translate::member_kind_json(kind)),
        owner: owner.map(Text),
        shares: shares.map(Text),
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

fn shares_json(shares: Shares) -> Option<UserId> {
    match shares {
        Shares::Nothing => None,
        Shares::WithOwner => Some(UserId::parse(OWNER).expect("an id")),
        Shares::With(service) => Some(service),
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
            service: Some(Service { owner: UserId::parse("bob").unwrap(), shares: Shares::WithOwner }),
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
            r#"{"user":"ann","listed":true,"ai_access":true,"team":null,"role":"admin","kind":"service","owner":"bob","shares":"owner","allocation":"1000","#,
            r#""overflow":"none","short":"0","pending":"0","reserve":"7","limit":null,"used":"12","refunded":"2","leased":"50","remaining":"988"}"#
        );
        assert_eq!(String::from_utf8(json::write(&member_json(view))).unwrap(), golden);
    }
}
