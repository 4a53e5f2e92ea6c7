//! The hot path: consume, batch, quote. Not here: shapes, retries.

use crate::error::Error;
use crate::exchange::{Ask, Client, path};
use crate::repeat::Repeat;
use reqwest::Method;
use types::{IdempotencyKey, WorkspaceId};
use wire::json::{AskQuote, Batch, BatchResult, Charge, Consume, Quote};

impl Client {
    /// Spends now. With a `key` it is done once however often it is asked, and is asked again by itself; without one
    /// [`Error::outcome_unknown`] may leave it open whether it was done.
    pub async fn consume(
        &self,
        workspace: &WorkspaceId,
        asked: &Consume,
        key: Option<IdempotencyKey>,
    ) -> Result<Charge, Error> {
        let repeat = if key.is_some() { Repeat::Harmless } else { Repeat::Harmful };
        let path = path(&["v1", "workspaces", workspace.as_str(), "consume"])?;
        self.ask(&Ask { key, ..Ask::send(Method::POST, path, asked, repeat) }).await
    }

    /// Up to 1,000 consumes, each with an answer of its own, in order. Asked again by itself only if every item has a
    /// key.
    pub async fn consume_batch(&self, workspace: &WorkspaceId, asked: &Batch) -> Result<BatchResult, Error> {
        let keyed = asked.items.iter().all(|item| item.key.is_some());
        let repeat = if keyed { Repeat::Harmless } else { Repeat::Harmful };
        let path = path(&["v1", "workspaces", workspace.as_str(), "consume", "batch"])?;
        self.ask(&Ask::send(Method::POST, path, asked, repeat)).await
    }

    /// The price of a consume, without effect: by the prices in force, or by those that are named.
    pub async fn quote(&self, workspace: &WorkspaceId, asked: &AskQuote) -> Result<Quote, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "quote"])?;
        self.ask(&Ask::send(Method::POST, path, asked, Repeat::Effectless)).await
    }
}
