//! Teams and their reserves. Not here: who is in one (`administration`: a member's `team`).

use crate::administration::{Conditions, Versioned};
use crate::error::Error;
use crate::exchange::{Ask, Client, path};
use reqwest::Method;
use types::{TeamId, WorkspaceId};
use wire::json;

fn team_path(workspace: &WorkspaceId, team: &TeamId, rest: &[&str]) -> Result<String, Error> {
    let segments = ["v1", "workspaces", workspace.as_str(), "teams", team.as_str()];
    path(&[&segments[..], rest].concat())
}

impl Client {
    /// Makes a team, or moves it with all that is nested in it.
    pub async fn put_team(
        &self,
        workspace: &WorkspaceId,
        team: &TeamId,
        asked: &json::PutTeam,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Team>, Error> {
        let path = team_path(workspace, team, &[])?;
        self.ask_versioned(&conditions.ask(Method::PUT, path, asked)).await
    }

    pub async fn team(&self, workspace: &WorkspaceId, team: &TeamId) -> Result<Versioned<json::Team>, Error> {
        self.ask_versioned(&Ask::read(team_path(workspace, team, &[])?)).await
    }

    /// One page, by id: the first, or the one behind `cursor`.
    pub async fn teams(&self, workspace: &WorkspaceId, cursor: Option<&str>) -> Result<json::Teams, Error> {
        self.page(Ask::read(path(&["v1", "workspaces", workspace.as_str(), "teams"])?), cursor).await
    }

    /// Removes a team that nobody is in, that no team is nested in and that has no reserve.
    pub async fn remove_team(
        &self,
        workspace: &WorkspaceId,
        team: &TeamId,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Team>, Error> {
        let path = team_path(workspace, team, &[])?;
        self.ask_versioned(&conditions.ask_bare(Method::DELETE, path)).await
    }

    /// Sets a team's reserve for this cycle and every next.
    pub async fn put_reserve(
        &self,
        workspace: &WorkspaceId,
        team: &TeamId,
        reserve: &json::PutReserve,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Team>, Error> {
        let path = team_path(workspace, team, &["reserve"])?;
        self.ask_versioned(&conditions.ask(Method::PUT, path, reserve)).await
    }

    /// Raises or lowers a team's reserve for this cycle only.
    pub async fn adjust_reserve(
        &self,
        workspace: &WorkspaceId,
        team: &TeamId,
        adjust: &json::Adjust,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Team>, Error> {
        let path = team_path(workspace, team, &["reserve", "adjust"])?;
        self.ask_versioned(&conditions.ask(Method::POST, path, adjust)).await
    }

    /// Returns what is unused of a team's reserve to what is shared.
    pub async fn remove_reserve(
        &self,
        workspace: &WorkspaceId,
        team: &TeamId,
        conditions: &Conditions,
    ) -> Result<Versioned<json::Team>, Error> {
        let path = team_path(workspace, team, &["reserve"])?;
        self.ask_versioned(&conditions.ask_bare(Method::DELETE, path)).await
    }
}
