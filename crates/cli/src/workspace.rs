//! `tranche workspace`: settings, and the pool at a glance.

use crate::table::{fields, or_dash};
use crate::target::{Failure, Target, When, word};
use clap::Subcommand;
use types::{CivilDate, WorkspaceId, ZoneName};
use wire::json::{self, Durability, Enforcement, Every, Membership, PutCycle, Shown};

#[derive(Subcommand, Clone, Debug)]
pub enum WorkspaceCommand {
    /// The pool: granted, used, remaining
    Show {
        workspace: WorkspaceId,
        /// Ask the holders first, for at most a second
        #[arg(long)]
        fresh: bool,
    },
    /// Makes a workspace or changes its settings; what is left out stays as it is
    Set {
        workspace: WorkspaceId,
        #[arg(long)]
        name: Option<String>,
        /// Who may spend: open or listed
        #[arg(long, value_parser = word::<Membership>)]
        membership: Option<Membership>,
        /// What a consume must have survived: local, disk or quorum
        #[arg(long, value_parser = word::<Durability>)]
        durability: Option<Durability>,
        /// on, or shadow: decisions are made and counted, and nothing is refused
        #[arg(long, value_parser = word::<Enforcement>)]
        enforcement: Option<Enforcement>,
        /// Where its cycles' days are: an IANA name such as Europe/Berlin
        #[arg(long, value_parser = word::<ZoneName>)]
        timezone: Option<ZoneName>,
        /// How long its cycles are: month or year; this one then ends where the next one begins
        #[arg(long, value_parser = word::<Every>, requires = "anchor")]
        cycle: Option<Every>,
        /// The day on which cycles begin, such as 2026-01-31
        #[arg(long, value_parser = word::<CivilDate>, requires = "cycle")]
        anchor: Option<CivilDate>,
        #[command(flatten)]
        when: When,
    },
}

pub(crate) async fn run(target: &Target, command: WorkspaceCommand) -> Result<(), Failure> {
    let client = target.client()?;
    match command {
        WorkspaceCommand::Show { workspace, fresh } => {
            target.print(&client.workspace(&workspace, fresh).await?.value, summary)
        }
        WorkspaceCommand::Set {
            workspace,
            name,
            membership,
            durability,
            enforcement,
            timezone,
            cycle,
            anchor,
            when,
        } => {
            let settings = json::PutWorkspace {
                name,
                membership: membership.map(Into::into),
                durability: durability.map(Into::into),
                enforcement: enforcement.map(Into::into),
                timezone: timezone.map(Into::into),
                cycle: cycle
                    .zip(anchor)
                    .map(|(every, anchor)| PutCycle { every: every.into(), anchor: anchor.into() }),
            };
            let settings = client.put_workspace(&workspace, &settings, &when.into()).await?;
            target.print(&settings.value, |set| {
                fields(&[
                    ("workspace", set.workspace.0.to_string()),
                    ("name", set.name.clone()),
                    ("membership", set.membership.0.as_str().into()),
                    ("durability", set.durability.0.as_str().into()),
                    ("enforcement", set.enforcement.0.as_str().into()),
                    ("timezone", set.timezone.0.to_string()),
                    ("cycle", self::cycle(&set.cycle)),
                ])
            })
        }
    }
}

fn cycle(cycle: &json::Cycle) -> String {
    let json::Cycle { number, starts_at, ends_at, every, anchor } = cycle;
    let ends = or_dash(ends_at.as_ref().map(|at| Shown(&at.0)));
    let rule = every.zip(*anchor).map_or_else(String::new, |(every, anchor)| {
        format!(", every {} as of {}", every.0.as_str(), anchor.0)
    });
    format!("{number}, from {} to {ends}{rule}", Shown(&starts_at.0))
}

fn summary(pool: &json::Workspace) -> String {
    let amount = |name: &'static str, amount: json::Amount| (name, amount.0.to_string());
    let mut lines = vec![
        ("workspace", pool.workspace.0.to_string()),
        ("name", pool.name.clone()),
        ("enforcement", pool.enforcement.0.as_str().into()),
        ("cycle", cycle(&pool.cycle)),
        amount("granted", pool.granted),
        amount("used", pool.used),
        amount("held", pool.held),
        amount("remaining", pool.remaining),
        amount("  available", pool.available),
        amount("  leased", pool.leased),
        amount("allocated", pool.allocated),
        amount("reserved", pool.reserved),
        amount("shared", pool.shared),
    ];
    // Only where something is out of the ordinary.
    let rare = [
        amount("unreachable", pool.unreachable),
        amount("refunded", pool.refunded),
        amount("short", pool.short),
        amount("pending", pool.pending),
        amount("uncovered", pool.uncovered),
        amount("unattributed", pool.unattributed),
        amount("written off", pool.written_off),
        amount("exposure", pool.exposure),
    ];
    lines.extend(rare.into_iter().filter(|(_, amount)| amount != "0"));
    fields(&lines)
}
