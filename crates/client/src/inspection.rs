//! What can only be read: summaries, usage, the cluster, the books, health. Not here: prices.

use crate::administration::Versioned;
use crate::error::Error;
use crate::exchange::{Ask, Client, path};
use types::{Day, WorkspaceId};
use wire::json::{self, Shown};

/// Which rows of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// Each at most once; none: one sum.
    pub group_by: Vec<json::GroupBy>,
    /// `None`: one row over all days.
    pub interval: Option<json::Interval>,
    /// First UTC day that counts.
    pub from: Option<Day>,
    /// First UTC day that counts no more.
    pub to: Option<Day>,
}

impl Client {
    /// The summary of a workspace's pool. `fresh`: the holders are asked first, for at most a second.
    pub async fn workspace(
        &self,
        workspace: &WorkspaceId,
        fresh: bool,
    ) -> Result<Versioned<json::Workspace>, Error> {
        let ask = Ask::read(path(&["v1", "workspaces", workspace.as_str()])?);
        self.ask_versioned(&if fresh { ask.with("fresh", "true") } else { ask }).await
    }

    /// Credits, calls and units, grouped: one page, the first or the one behind `cursor`.
    pub async fn usage(
        &self,
        workspace: &WorkspaceId,
        query: &UsageQuery,
        cursor: Option<&str>,
    ) -> Result<json::UsageReport, Error> {
        let ask = Ask::read(path(&["v1", "workspaces", workspace.as_str(), "usage"])?);
        self.page(grouped(ask, query), cursor).await
    }

    /// The same with all rows. A page shows what was used when it was read.
    pub async fn all_usage(
        &self,
        workspace: &WorkspaceId,
        query: &UsageQuery,
    ) -> Result<json::UsageReport, Error> {
        let mut all = self.usage(workspace, query, None).await?;
        while let Some(cursor) = all.cursor.take() {
            let page = self.usage(workspace, query, Some(&cursor)).await?;
            all.rows.extend(page.rows);
            (all.cursor, all.as_of) = (page.cursor, page.as_of);
            (all.unattributed, all.uncovered) = (page.unattributed, page.uncovered);
        }
        Ok(all)
    }

    /// What was allowed in shadow mode, and what would have been refused: one page.
    pub async fn shadow(
        &self,
        workspace: &WorkspaceId,
        query: &UsageQuery,
        cursor: Option<&str>,
    ) -> Result<json::ShadowReport, Error> {
        let ask = Ask::read(path(&["v1", "workspaces", workspace.as_str(), "shadow"])?);
        self.page(grouped(ask, query), cursor).await
    }

    /// The same with all rows.
    pub async fn all_shadow(
        &self,
        workspace: &WorkspaceId,
        query: &UsageQuery,
    ) -> Result<json::ShadowReport, Error> {
        let mut all = self.shadow(workspace, query, None).await?;
        while let Some(cursor) = all.cursor.take() {
            let page = self.shadow(workspace, query, Some(&cursor)).await?;
            all.rows.extend(page.rows);
            (all.cursor, all.as_of) = (page.cursor, page.as_of);
        }
        Ok(all)
    }

    /// Nodes, groups with leaders and replicas, leases out, lag: as the asked node sees them.
    pub async fn cluster(&self) -> Result<json::Cluster, Error> {
        self.ask(&Ask::read(path(&["v1", "cluster"])?)).await
    }

    /// The books of the asked node, pool by pool.
    pub async fn conservation(&self) -> Result<json::Conservation, Error> {
        self.ask(&Ask::read(path(&["v1", "debug", "conservation"])?)).await
    }

    /// Whether the asked node answers at all.
    pub async fn health(&self) -> Result<(), Error> {
        self.ask_text(&Ask::read(path(&["healthz"])?)).await.map(|_| ())
    }

    /// Whether the asked node is ready; the inner error says what it waits for.
    pub async fn ready(&self) -> Result<Result<(), String>, Error> {
        let (status, text) = self.ask_text(&Ask::read(path(&["readyz"])?)).await?;
        Ok(if status.is_success() { Ok(()) } else { Err(text.trim().into()) })
    }

    /// The asked node's metrics, in the OpenMetrics text format.
    pub async fn metrics(&self) -> Result<String, Error> {
        self.ask_text(&Ask::read(path(&["metrics"])?)).await.map(|(_, text)| text)
    }
}

fn grouped(mut ask: Ask, query: &UsageQuery) -> Ask {
    let UsageQuery { group_by, interval, from, to } = query;
    if !group_by.is_empty() {
        let names: Vec<&str> = group_by.iter().map(|by| by.as_str()).collect();
        ask = ask.with("group_by", names.join(","));
    }
    if let Some(interval) = interval {
        ask = ask.with("interval", interval.as_str());
    }
    for (name, day) in [("from", from), ("to", to)] {
        if let Some(day) = day {
            ask = ask.with(name, Shown(day).to_string());
        }
    }
    ask
}
