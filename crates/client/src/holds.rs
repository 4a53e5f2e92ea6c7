//! Holds: open, extend, settle, release. Not here: shapes, retries.

use crate::error::Error;
use crate::exchange::{Ask, Client, path};
use crate::repeat::Repeat;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::{HoldId, IdempotencyKey, WorkspaceId};
use wire::json::{EndedHold, ExtendHold, HeldCredits, Hold, OpenHold, ReleaseHold, SettleHold};

impl Client {
    /// Sets credits aside. With a `key` it is done once however often it is asked, and is asked again by itself; without
    /// one a hold nobody was told of expires.
    pub async fn open_hold(
        &self,
        workspace: &WorkspaceId,
        asked: &OpenHold,
        key: Option<IdempotencyKey>,
    ) -> Result<Hold, Error> {
        let repeat = if key.is_some() { Repeat::Harmless } else { Repeat::Harmful };
        let path = path(&["v1", "workspaces", workspace.as_str(), "holds"])?;
        self.ask(&Ask { key, ..Ask::send(Method::POST, path, asked, repeat) }).await
    }

    /// Holds more, and says what is used for certain, each in all; the hold lasts anew. For a stream: with each step
    /// confirm what was used, and hold a little more than that.
    pub async fn extend_hold(
        &self,
        workspace: &WorkspaceId,
        hold: HoldId,
        asked: &ExtendHold,
    ) -> Result<HeldCredits, Error> {
        self.of_hold(workspace, hold, "extend", asked).await
    }

    /// Charges what the call has cost and frees the rest; again it is the same answer.
    pub async fn settle_hold(
        &self,
        workspace: &WorkspaceId,
        hold: HoldId,
        asked: &SettleHold,
    ) -> Result<EndedHold, Error> {
        self.of_hold(workspace, hold, "settle", asked).await
    }

    /// Charges what is confirmed and frees the rest, if there is anything to release.
    pub async fn release_hold(&self, workspace: &WorkspaceId, hold: HoldId) -> Result<EndedHold, Error> {
        self.of_hold(workspace, hold, "release", &ReleaseHold {}).await
    }

    async fn of_hold<A: DeserializeOwned>(
        &self,
        workspace: &WorkspaceId,
        hold: HoldId,
        verb: &str,
        asked: &impl Serialize,
    ) -> Result<A, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "holds", &hold.to_string(), verb])?;
        self.ask(&Ask::send(Method::POST, path, asked, Repeat::Harmless)).await
    }
}
