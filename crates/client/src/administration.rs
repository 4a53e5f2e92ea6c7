//! Administrators' writes, and reading the resources they change. Not here: prices, summaries, usage, the cluster.

use crate::error::Error;
use crate::exchange::{Ask, Client, path};
use crate::repeat::Repeat;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::{GrantId, IdempotencyKey, NodeId, ReallocationId, Revision, UserId, WorkspaceId};
use wire::json;

/// A resource and its revision (the ETag), for a later `if_match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    pub value: T,
    /// `None`: this resource has none.
    pub revision: Option<Revision>,
}

/// Under which conditions a write is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Done once however often it is asked; the write is then asked again by itself.
    pub key: Option<IdempotencyKey>,
    /// Only if the resource still has this revision, else the problem `stale`.
    pub if_match: Option<Revision>,
}

impl Conditions {
    pub const NONE: Self = Self { key: None, if_match: None };

    pub(crate) fn ask<T: Serialize>(&self, method: Method, path: String, body: &T) -> Ask {
        let Self { key, if_match } = self.clone();
        let repeat = if key.is_some() { Repeat::Harmless } else { Repeat::Harmful };
        Ask { key, if_match, ..Ask::send(method, path, body, repeat) }
    }

    pub(crate) fn ask_bare(&self, method: Method, path: String) -> Ask {
        Ask { body: None, ..self.ask(method, path, &()) }
    }

    /// For a body with a permanent id of its own.
    pub(crate) fn ask_once(&self, path: String, body: &impl Serialize) -> Ask {
        Ask { repeat: Repeat::Harmless, ..self.ask(Method::POST, path, body) }
    }
}

impl Client {
    /// Makes a workspace or changes its settings; what is left out stays as it is.
    pub async fn put_workspace(
        &self,
        workspace: &WorkspaceId,
        settings: &json::PutWorkspace,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Settings>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str()])?;
        self.ask_versioned(&conditions.ask(Method::PUT, path, settings)).await
    }

    /// Puts credits into a pool. Its id is permanent, so it is asked again by itself.
    pub async fn make_grant(
        &self,
        workspace: &WorkspaceId,
        grant: &json::PutGrant,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Grant>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "grants"])?;
        self.ask_versioned(&conditions.ask_once(path, grant)).await
    }

    pub async fn grant(
        &self,
        workspace: &WorkspaceId,
        grant: &GrantId,
    ) -> Result<Versioned<json::Grant>, Error> {
        self.read(&["v1", "workspaces", workspace.as_str(), "grants", grant.as_str()]).await
    }

    /// Voids what is left of a grant; what is out on leases follows as it comes back (`pending`).
    pub async fn void_grant(
        &self,
        workspace: &WorkspaceId,
        grant: &GrantId,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Grant>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "grants", grant.as_str()])?;
        self.ask_versioned(&conditions.ask_bare(Method::DELETE, path)).await
    }

    /// One page, in order of creation: the first, or the one behind `cursor`.
    pub async fn grants(&self, workspace: &WorkspaceId, cursor: Option<&str>) -> Result<json::Grants, Error> {
        self.page(Ask::read(path(&["v1", "workspaces", workspace.as_str(), "grants"])?), cursor).await
    }

    /// Subscribes to a plan or changes to another one.
    pub async fn put_plan(
        &self,
        workspace: &WorkspaceId,
        plan: &json::PutPlan,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Plan>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "plan"])?;
        self.ask_versioned(&conditions.ask(Method::PUT, path, plan)).await
    }

    /// What [`Client::put_plan`] would answer. Changes nothing.
    pub async fn preview_plan(
        &self,
        workspace: &WorkspaceId,
        plan: &json::PutPlan,
    ) -> Result<json::Plan, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "plan", "preview"])?;
        self.ask(&Ask::send(Method::POST, path, plan, Repeat::Effectless)).await
    }

    pub async fn plan(&self, workspace: &WorkspaceId) -> Result<Versioned<json::Plan>, Error> {
        self.read(&["v1", "workspaces", workspace.as_str(), "plan"]).await
    }

    /// The plan ends with this cycle.
    pub async fn cancel_plan(
        &self,
        workspace: &WorkspaceId,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Plan>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "plan"])?;
        self.ask_versioned(&conditions.ask_bare(Method::DELETE, path)).await
    }

    /// Switches whose credits those for seats are.
    pub async fn put_pooling(
        &self,
        workspace: &WorkspaceId,
        pooling: &json::PutPooling,
        conditions: &Conditions,
    ) -> Result<Versioned<json::PoolingState>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "pooling"])?;
        self.ask_versioned(&conditions.ask(Method::PUT, path, pooling)).await
    }

    /// What [`Client::put_pooling`] would answer. Changes nothing.
    pub async fn preview_pooling(
        &self,
        workspace: &WorkspaceId,
        pooling: &json::PutPooling,
    ) -> Result<json::PoolingState, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "pooling"])?;
        let path = format!("{path}?preview=true");
        self.ask(&Ask::send(Method::PUT, path, pooling, Repeat::Effectless)).await
    }

    pub async fn pooling(&self, workspace: &WorkspaceId) -> Result<Versioned<json::PoolingState>, Error> {
        self.read(&["v1", "workspaces", workspace.as_str(), "pooling"]).await
    }

    /// Lets a workspace use more than is included, or no longer.
    pub async fn put_overage(
        &self,
        workspace: &WorkspaceId,
        rule: &json::PutOverage,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Overage>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "overage"])?;
        self.ask_versioned(&conditions.ask(Method::PUT, path, rule)).await
    }

    pub async fn overage(&self, workspace: &WorkspaceId) -> Result<Versioned<json::Overage>, Error> {
        self.read(&["v1", "workspaces", workspace.as_str(), "overage"]).await
    }

    /// The workspace may what its plan says, or nothing.
    pub async fn remove_overage(
        &self,
        workspace: &WorkspaceId,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Overage>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "overage"])?;
        self.ask_versioned(&conditions.ask_bare(Method::DELETE, path)).await
    }

    /// The tighter of this rule and the workspace's is what the user may.
    pub async fn put_user_overage(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        rule: &json::PutOverage,
        conditions: &Conditions,
    ) -> Result<Versioned<json::UserOverage>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "overage", user.as_str()])?;
        self.ask_versioned(&conditions.ask(Method::PUT, path, rule)).await
    }

    pub async fn user_overage(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
    ) -> Result<Versioned<json::UserOverage>, Error> {
        self.read(&["v1", "workspaces", workspace.as_str(), "overage", user.as_str()]).await
    }

    /// The user may what his workspace may.
    pub async fn remove_user_overage(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        conditions: &Conditions,
    ) -> Result<Versioned<json::UserOverage>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "overage", user.as_str()])?;
        self.ask_versioned(&conditions.ask_bare(Method::DELETE, path)).await
    }

    /// Makes or changes a member; what is left out stays as it is.
    pub async fn put_member(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        member: &json::PutMember,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Member>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "members", user.as_str()])?;
        self.ask_versioned(&conditions.ask(Method::PUT, path, member)).await
    }

    pub async fn member(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
    ) -> Result<Versioned<json::Member>, Error> {
        self.read(&["v1", "workspaces", workspace.as_str(), "members", user.as_str()]).await
    }

    /// One page, by id: the first, or the one behind `cursor`. `kind`, `owner`: of these alone.
    pub async fn members(
        &self,
        workspace: &WorkspaceId,
        kind: Option<json::MemberKind>,
        owner: Option<&UserId>,
        cursor: Option<&str>,
    ) -> Result<json::Members, Error> {
        let mut ask = Ask::read(path(&["v1", "workspaces", workspace.as_str(), "members"])?);
        if let Some(kind) = kind {
            ask = ask.with("kind", kind.as_str());
        }
        if let Some(owner) = owner {
            ask = ask.with("owner", owner.as_str());
        }
        self.page(ask, cursor).await
    }

    /// Sets a user's allocation for this cycle and every next.
    pub async fn put_allocation(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        allocation: &json::PutAllocation,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Allocation>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "allocations", user.as_str()])?;
        self.ask_versioned(&conditions.ask(Method::PUT, path, allocation)).await
    }

    pub async fn allocation(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
    ) -> Result<Versioned<json::Allocation>, Error> {
        self.read(&["v1", "workspaces", workspace.as_str(), "allocations", user.as_str()]).await
    }

    /// Raises or lowers a user's allocation for this cycle only.
    pub async fn adjust_allocation(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        adjust: &json::Adjust,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Allocation>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "allocations", user.as_str(), "adjust"])?;
        self.ask_versioned(&conditions.ask(Method::POST, path, adjust)).await
    }

    /// Returns the user to what is shared.
    pub async fn remove_allocation(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Allocation>, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "allocations", user.as_str()])?;
        self.ask_versioned(&conditions.ask_bare(Method::DELETE, path)).await
    }

    /// Moves unused credits between two users' allocations. Its id is permanent, so it is asked again by itself.
    pub async fn reallocate(
        &self,
        workspace: &WorkspaceId,
        reallocation: &json::Reallocate,
        conditions: &Conditions,
    ) -> Result<json::Reallocation, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "reallocations"])?;
        self.ask(&conditions.ask_once(path, reallocation)).await
    }

    pub async fn reallocation(
        &self,
        workspace: &WorkspaceId,
        reallocation: &ReallocationId,
    ) -> Result<json::Reallocation, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "reallocations", reallocation.as_str()])?;
        self.ask(&Ask::read(path)).await
    }

    /// Sets or lifts a ceiling on what a user, or all members of a team, may use in a window.
    pub async fn put_limit(
        &self,
        workspace: &WorkspaceId,
        of: impl Into<json::LimitOf>,
        limit: &json::PutLimit,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Limits>, Error> {
        let path = limits_path(workspace, &of.into())?;
        self.ask_versioned(&conditions.ask(Method::PUT, path, limit)).await
    }

    pub async fn limits(
        &self,
        workspace: &WorkspaceId,
        of: impl Into<json::LimitOf>,
    ) -> Result<Versioned<json::Limits>, Error> {
        let path = limits_path(workspace, &of.into())?;
        self.ask_versioned(&Ask::read(path)).await
    }

    /// Lifts all limits of a user, of a team, of a feature or of a model, or the one of a window.
    pub async fn lift_limits(
        &self,
        workspace: &WorkspaceId,
        of: impl Into<json::LimitOf>,
        window: Option<json::Window>,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Limits>, Error> {
        let path = limits_path(workspace, &of.into())?;
        let ask = conditions.ask_bare(Method::DELETE, path);
        let ask = match window {
            Some(window) => ask.with("window", window.as_str()),
            None => ask,
        };
        self.ask_versioned(&ask).await
    }

    /// Declares a node's disk lost for good. It is fenced for ever.
    pub async fn forget_node(&self, node: NodeId, asked: &json::Forget) -> Result<json::Forgotten, Error> {
        let path = path(&["v1", "nodes", &node.to_string(), "forget"])?;
        self.ask(&Conditions::NONE.ask(Method::POST, path, asked)).await
    }

    async fn read<T: DeserializeOwned>(&self, segments: &[&str]) -> Result<Versioned<T>, Error> {
        self.ask_versioned(&Ask::read(path(segments)?)).await
    }

    pub(crate) async fn page<T: DeserializeOwned>(&self, ask: Ask, cursor: Option<&str>) -> Result<T, Error> {
        const ROWS_MAX: &str = "500";
        let ask = ask.with("limit", ROWS_MAX);
        self.ask(&match cursor {
            None => ask,
            Some(cursor) => ask.with("cursor", cursor),
        })
        .await
    }
}

fn limits_path(workspace: &WorkspaceId, of: &json::LimitOf) -> Result<String, Error> {
    let start = ["v1", "workspaces", workspace.as_str(), "limits"];
    match of {
        json::LimitOf::User(user) => path(&[&start[..], &[user.0.as_str()]].concat()),
        json::LimitOf::Team(team) => path(&[&start[..], &["teams", team.0.as_str()]].concat()),
        json::LimitOf::Feature(feature) => path(&[&start[..], &["features", feature.0.as_str()]].concat()),
        json::LimitOf::Model(model) => path(&[&start[..], &["models", model.0.as_str()]].concat()),
    }
}
