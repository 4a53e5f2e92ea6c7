//! Rate cards and workspaces' own prices: reading, putting, taking back. Not here: what a call costs (`consume`).

use crate::administration::{Conditions, Versioned};
use crate::error::Error;
use crate::exchange::{Ask, Client, path};
use reqwest::Method;
use types::WorkspaceId;
use wire::json;

impl Client {
    /// The rate card in force.
    pub async fn rate_card(&self) -> Result<Versioned<json::RateCard>, Error> {
        self.ask_versioned(&Ask::read(path(&["v1", "rate-card"])?)).await
    }

    /// Every rate card that is kept: replaced, in force, scheduled.
    pub async fn rate_cards(&self) -> Result<json::RateCards, Error> {
        self.ask(&Ask::read(path(&["v1", "rate-card", "versions"])?)).await
    }

    /// One of them.
    pub async fn rate_card_version(&self, version: u64) -> Result<Versioned<json::RateCard>, Error> {
        let path = path(&["v1", "rate-card", "versions", &version.to_string()])?;
        self.ask_versioned(&Ask::read(path)).await
    }

    /// A rate card for all workspaces, at once or later. `if_match` is the version in force.
    pub async fn put_rate_card(
        &self,
        card: &json::PutRateCard,
        conditions: &Conditions,
    ) -> Result<Versioned<json::PricesSet>, Error> {
        self.ask_versioned(&conditions.ask(Method::PUT, path(&["v1", "rate-card"])?, card)).await
    }

    /// Takes back a rate card that is not in force yet.
    pub async fn remove_rate_card(
        &self,
        version: u64,
        conditions: &Conditions,
    ) -> Result<Versioned<json::PricesSet>, Error> {
        let path = path(&["v1", "rate-card", "versions", &version.to_string()])?;
        self.ask_versioned(&conditions.ask_bare(Method::DELETE, path)).await
    }

    /// A workspace's own prices.
    pub async fn prices(&self, workspace: &WorkspaceId) -> Result<Versioned<json::WorkspacePrices>, Error> {
        self.ask_versioned(&Ask::read(own(workspace)?)).await
    }

    /// Prices of its own for a workspace, instead of those it had.
    pub async fn put_prices(
        &self,
        workspace: &WorkspaceId,
        prices: &json::PutPrices,
        conditions: &Conditions,
    ) -> Result<Versioned<json::PricesSet>, Error> {
        self.ask_versioned(&conditions.ask(Method::PUT, own(workspace)?, prices)).await
    }

    /// Takes a workspace's own prices away.
    pub async fn remove_prices(
        &self,
        workspace: &WorkspaceId,
        conditions: &Conditions,
    ) -> Result<Versioned<json::PricesSet>, Error> {
        self.ask_versioned(&conditions.ask_bare(Method::DELETE, own(workspace)?)).await
    }
}

fn own(workspace: &WorkspaceId) -> Result<String, Error> {
    path(&["v1", "workspaces", workspace.as_str(), "prices"])
}
