//! `tranche prices`: rate cards and workspaces' own prices, as files and on the cluster. Not here: comparing them (`diff`).

mod diff;

use crate::table::{Side, Table, fields, or_dash};
use crate::target::{Failure, Target, When, contents, word};
use clap::Subcommand;
use client::Client;
use diff::Entries;
use std::path::{Path, PathBuf};
use types::{Timestamp, WorkspaceId};
use wire::json::{self, Shown};

#[derive(Subcommand, Clone, Debug)]
pub enum PricesCommand {
    /// The rate card in force, one of another version, or a workspace's own prices
    Get {
        /// A rate card that is scheduled, or was replaced
        #[arg(long, value_name = "N", conflicts_with = "workspace")]
        version: Option<u64>,
        /// The prices of its own that this workspace has
        #[arg(long, value_name = "WORKSPACE")]
        workspace: Option<WorkspaceId>,
        /// Writes them to a file instead, as `set` reads it
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Puts a rate card in force for all workspaces, or a workspace's own prices
    Set {
        /// JSON: {"prices":[{"feature":"chat","model":"m-1","unit":"input_token","per":1000,"credits":"1"},…],"minimums":[…]}
        file: PathBuf,
        /// When the rate card comes into force, for example 2027-01-01T00:00:00Z; left out: as the file says, or at once
        #[arg(long, value_name = "INSTANT", value_parser = word::<Timestamp>, conflicts_with = "workspace")]
        at: Option<Timestamp>,
        /// Prices of this workspace's own, in force at once
        #[arg(long, value_name = "WORKSPACE")]
        workspace: Option<WorkspaceId>,
        #[command(flatten)]
        when: When,
    },
    /// What setting a file would change, or what is different in another file: exit status 0 if nothing is, 1 if something
    /// is, 2 if they could not be compared
    Diff {
        file: PathBuf,
        /// Compare `file` with this one, not with the cluster
        #[arg(conflicts_with_all = ["version", "workspace"])]
        other: Option<PathBuf>,
        /// Compare this rate card with `file`; left out: the one in force
        #[arg(long, value_name = "N", conflicts_with = "workspace")]
        version: Option<u64>,
        /// Compare this workspace's own prices with `file`
        #[arg(long, value_name = "WORKSPACE")]
        workspace: Option<WorkspaceId>,
    },
    /// Every rate card that is kept: replaced, in force, scheduled
    Versions,
    /// Takes back a rate card that is not in force yet, or a workspace's own prices
    Remove {
        #[arg(conflicts_with = "workspace")]
        version: Option<u64>,
        #[arg(long, value_name = "WORKSPACE")]
        workspace: Option<WorkspaceId>,
        #[command(flatten)]
        when: When,
    },
}

const REMOVE_WHAT: &str = "nothing was named; give the version of a scheduled rate card, or --workspace";

pub(crate) async fn run(target: &Target, command: PricesCommand) -> Result<(), Failure> {
    match command {
        PricesCommand::Get { version, workspace, file } => {
            get(target, version, workspace.as_ref(), file.as_deref()).await
        }
        PricesCommand::Set { file, at, workspace, when } => {
            let (client, mut card) = (target.client()?, read(&file)?);
            let set = match workspace {
                None => {
                    card.effective_at = at.map(Into::into).or(card.effective_at);
                    client.put_rate_card(&card, &when.into()).await?
                }
                Some(workspace) => {
                    let prices = of_workspace(&file, card)?;
                    client.put_prices(&workspace, &prices, &when.into()).await?
                }
            };
            target.print(&set.value, set_text)
        }
        PricesCommand::Diff { file, other, version, workspace } => {
            let compared = compare(target, &file, other.as_deref(), version, workspace.as_ref()).await;
            let changes = compared.map_err(|why| Failure::NotCompared(Box::new(why)))?;
            target.print(&changes, ToString::to_string)?;
            if changes.is_empty() { Ok(()) } else { Err(Failure::Different) }
        }
        PricesCommand::Versions => target.print(&target.client()?.rate_cards().await?, |cards| {
            let mut table = Table::new(&[
                ("version", Side::Right),
                ("effective at", Side::Left),
                ("state", Side::Left),
                ("prices", Side::Right),
            ]);
            for card in &cards.versions {
                let at = Shown(&card.effective_at.0).to_string();
                let state = card.state.0.as_str().to_owned();
                table.row([card.version.to_string(), at, state, card.prices.to_string()]);
            }
            table.to_string()
        }),
        PricesCommand::Remove { version, workspace, when } => {
            let (client, when) = (target.client()?, when.into());
            let removed = match (version, workspace) {
                (Some(version), _) => client.remove_rate_card(version, &when).await?,
                (None, Some(workspace)) => client.remove_prices(&workspace, &when).await?,
                (None, None) => return Err(Failure::Unconfirmed(REMOVE_WHAT.into())),
            };
            target.print(&removed.value, set_text)
        }
    }
}

fn set_text(set: &json::PricesSet) -> String {
    let at = Shown(&set.effective_at.0).to_string();
    fields(&[("version", set.version.to_string()), ("effective at", at)])
}

async fn get(
    target: &Target,
    version: Option<u64>,
    workspace: Option<&WorkspaceId>,
    file: Option<&Path>,
) -> Result<(), Failure> {
    let client = target.client()?;
    if let Some(file) = file {
        let card = on_cluster(&client, version, workspace).await?;
        let name = || file.display().to_string();
        return std::fs::write(file, exported(&card))
            .map_err(|why| Failure::Unwritable { file: name(), why });
    }
    if let Some(workspace) = workspace {
        return target.print(&client.prices(workspace).await?.value, |own| {
            let at = Some(own.effective_at);
            list_text(own.version, at, json::CardState::InForce, &own.prices, &own.minimums)
        });
    }
    let card = match version {
        None => client.rate_card().await?.value,
        Some(version) => client.rate_card_version(version).await?.value,
    };
    target.print(&card, |card| {
        list_text(card.version, card.effective_at, card.state.0, &card.prices, &card.minimums)
    })
}

fn list_text(
    version: u64,
    effective_at: Option<json::Instant>,
    state: json::CardState,
    prices: &[json::Price],
    minimums: &[json::Minimum],
) -> String {
    let mut table = Table::new(&[
        ("feature", Side::Left),
        ("model", Side::Left),
        ("unit", Side::Left),
        ("above", Side::Right),
        ("credits", Side::Right),
        ("per", Side::Right),
    ]);
    for json::Price { feature, model, unit, per, credits, tiers } in prices {
        let begins = [(String::new(), credits.0)].into_iter();
        for (above, credits) in begins.chain(tiers.iter().map(|t| (t.above.to_string(), t.credits.0))) {
            let model = or_dash(model.as_ref().map(|model| &model.0));
            let (feature, unit) = (feature.0.to_string(), unit.0.to_string());
            table.row([feature, model, unit, above, credits.to_string(), per.to_string()]);
        }
    }
    for json::Minimum { feature, model, credits } in minimums {
        let model = or_dash(model.as_ref().map(|model| &model.0));
        let unit = diff::MINIMUM.to_owned();
        table.row([feature.0.to_string(), model, unit, String::new(), credits.0.to_string(), String::new()]);
    }
    let at = or_dash(effective_at.map(|at| Shown(&at.0).to_string()));
    format!("{table}version {version}, {}, effective at {at}\n", state.as_str())
}

/// Prices on the cluster, as they would be put.
async fn on_cluster(
    client: &Client,
    version: Option<u64>,
    workspace: Option<&WorkspaceId>,
) -> Result<json::PutRateCard, Failure> {
    let (prices, minimums) = match (workspace, version) {
        (Some(workspace), _) => {
            // A workspace without prices of its own has an empty list of them.
            match client.prices(workspace).await {
                Ok(own) => (own.value.prices, own.value.minimums),
                Err(error) if error.code() == Some("not_found") => (Vec::new(), Vec::new()),
                Err(error) => return Err(error.into()),
            }
        }
        (None, version) => {
            let card = match version {
                None => client.rate_card().await?.value,
                Some(version) => client.rate_card_version(version).await?.value,
            };
            (card.prices, card.minimums)
        }
    };
    Ok(json::PutRateCard {
        prices: prices.into_iter().map(Into::into).collect(),
        minimums: minimums.into_iter().map(Into::into).collect(),
        effective_at: None,
    })
}

/// One entry on a line, so that what changed in a file is easily seen.
fn exported(card: &json::PutRateCard) -> String {
    let json::PutRateCard { prices, minimums, effective_at: _ } = card;
    let minimums = if minimums.is_empty() {
        String::new()
    } else {
        format!(",\n\"minimums\":{}", lines(minimums.iter().map(json::write)))
    };
    format!("{{\"prices\":{}{minimums}}}\n", lines(prices.iter().map(json::write)))
}

fn lines(entries: impl Iterator<Item = Vec<u8>>) -> String {
    let lines: Vec<String> =
        entries.map(|entry| format!("\n  {}", String::from_utf8_lossy(&entry))).collect();
    let end = if lines.is_empty() { "" } else { "\n" };
    format!("[{}{end}]", lines.join(","))
}

fn read(file: &PathBuf) -> Result<json::PutRateCard, Failure> {
    let bytes = contents(file)?;
    let name = file.display().to_string();
    json::read(&bytes).map_err(|why| Failure::NoPrices { file: name, why: why.to_string() })
}

fn of_workspace(file: &Path, card: json::PutRateCard) -> Result<json::PutPrices, Failure> {
    let json::PutRateCard { prices, minimums, effective_at } = card;
    if effective_at.is_some() {
        let why = "a workspace's own prices come into force at once, without `effective_at`".to_owned();
        return Err(Failure::NoPrices { file: file.display().to_string(), why });
    }
    Ok(json::PutPrices { prices, minimums })
}

async fn compare(
    target: &Target,
    file: &PathBuf,
    other: Option<&Path>,
    version: Option<u64>,
    workspace: Option<&WorkspaceId>,
) -> Result<diff::Changes, Failure> {
    let entries = |name: &Path, card| {
        let file = || name.display().to_string();
        Entries::of(card).map_err(|why| Failure::NoPrices { file: file(), why })
    };
    let given = entries(file, read(file)?)?;
    if let Some(other) = other {
        let new = entries(other, read(&other.to_owned())?)?;
        return Ok(diff::changes(&given, &new));
    }
    let old = on_cluster(&target.client()?, version, workspace).await?;
    Ok(diff::changes(&entries(Path::new("the cluster's answer"), old)?, &given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exported_is_what_is_set() {
        let body = concat!(
            r#"{"prices":[{"feature":"*","model":"*","unit":"call","per":1,"credits":"9"},"#,
            r#"{"feature":"chat","model":"m-1","unit":"input_token","per":1000,"credits":"1","#,
            r#""tiers":[{"above":200000,"credits":"2"}]}],"minimums":[{"feature":"chat","model":"m-1","credits":"0.5"}]}"#
        );
        let card: json::PutRateCard = json::read(body.as_bytes()).unwrap();
        let text = exported(&card);
        assert_eq!(json::read::<json::PutRateCard>(text.as_bytes()), Ok(card.clone()));
        assert_eq!(text.lines().count(), 7, "{text}");
        let none = json::PutRateCard { prices: vec![], minimums: vec![], effective_at: None };
        assert_eq!(exported(&none), "{\"prices\":[]}\n");
        let free = json::PutRateCard { minimums: vec![], ..card };
        assert_eq!(json::read::<json::PutRateCard>(exported(&free).as_bytes()), Ok(free));
    }
}
