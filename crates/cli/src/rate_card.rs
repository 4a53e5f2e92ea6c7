//! `tranche rate-card`: the prices.

use crate::table::{Side, Table, or_dash};
use crate::target::{Failure, Target, contents};
use clap::Subcommand;
use std::path::PathBuf;
use types::Revision;
use wire::json;

#[derive(Subcommand, Clone, Debug)]
pub enum RateCardCommand {
    /// All prices
    Show,
    /// Replaces all prices, for all workspaces
    Set {
        /// JSON: {"prices":[{"feature":"chat","model":"m-1","unit":"input_token","per":1000,"credits":"1"},…]}
        file: PathBuf,
        /// Only if the card still has this revision
        #[arg(long, value_name = "REVISION")]
        if_match: Option<u64>,
    },
}

pub(crate) async fn run(target: &Target, command: RateCardCommand) -> Result<(), Failure> {
    match command {
        RateCardCommand::Show => target.print(&target.client()?.rate_card().await?.value, |card| {
            let mut table = Table::new(&[
                ("feature", Side::Left),
                ("model", Side::Left),
                ("unit", Side::Left),
                ("credits", Side::Right),
                ("per", Side::Right),
            ]);
            for price in &card.prices {
                table.row([
                    price.feature.0.to_string(),
                    or_dash(price.model.as_ref().map(|model| &model.0)),
                    price.unit.0.to_string(),
                    price.credits.0.to_string(),
                    price.per.to_string(),
                ]);
            }
            format!("{table}revision {}\n", card.revision)
        }),
        RateCardCommand::Set { file, if_match } => {
            let bytes = contents(&file)?;
            let name = file.display().to_string();
            let card = json::read::<json::PutRateCard>(&bytes);
            let card = card.map_err(|why| Failure::RateCard { file: name, why })?;
            let set = target.client()?.put_rate_card(&card, if_match.map(Revision)).await?;
            target.print(&set.value, |set| format!("revision {}\n", set.revision))
        }
    }
}
