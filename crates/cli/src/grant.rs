//! `tranche grant`: credits put into a pool.

use crate::table::{Side, Table, fields, or_dash};
use crate::target::{Failure, Target, When, word};
use clap::Subcommand;
use types::{Credits, GrantId, Money, Timestamp, WorkspaceId};
use wire::json::{self, GrantKind, Keep, Shown};

#[derive(Subcommand, Clone, Debug)]
pub enum GrantCommand {
    /// Puts credits into a pool; the id is permanent, so that the same command again adds nothing
    Add {
        workspace: WorkspaceId,
        grant: GrantId,
        /// plan, seat, pack, trial, promotion or correction
        #[arg(long, value_parser = word::<GrantKind>)]
        kind: GrantKind,
        #[arg(long)]
        amount: Credits,
        /// 0 to 100, the smallest burns first; left out: 50
        #[arg(long)]
        priority: Option<u64>,
        /// Left out: by kind (plan, seat and pack are paid)
        #[arg(long)]
        paid: Option<bool>,
        /// Left out: at once
        #[arg(long, value_parser = word::<Timestamp>, value_name = "TIME")]
        starts_at: Option<Timestamp>,
        /// Left out: never
        #[arg(long, value_parser = word::<Timestamp>, value_name = "TIME")]
        expires_at: Option<Timestamp>,
        /// It ends with its cycle, and this is kept of what is left then: none, all, an amount or a percentage such as 50%;
        /// left out: it lasts over the ends of cycles
        #[arg(long, value_parser = kept, value_name = "KEPT")]
        rollover: Option<Kept>,
        /// What is kept is kept for so many cycles more; left out: until it is used
        #[arg(long, requires = "rollover", value_name = "CYCLES")]
        rollover_cycles: Option<u64>,
        /// What was asked for it in money, such as 49EUR: shown, never collected
        #[arg(long)]
        price: Option<Money>,
        #[command(flatten)]
        when: When,
    },
    /// All grants of a pool
    List { workspace: WorkspaceId },
    /// One grant and where its credits are
    Show { workspace: WorkspaceId, grant: GrantId },
    /// Voids what is left of a grant
    Void {
        workspace: WorkspaceId,
        grant: GrantId,
        #[command(flatten)]
        when: When,
    },
}

pub(crate) async fn run(target: &Target, command: GrantCommand) -> Result<(), Failure> {
    let client = target.client()?;
    match command {
        GrantCommand::Add {
            workspace,
            grant,
            kind,
            amount,
            priority,
            paid,
            starts_at,
            expires_at,
            rollover,
            rollover_cycles,
            price,
            when,
        } => {
            let grant = json::PutGrant {
                id: grant.into(),
                kind: kind.into(),
                amount: amount.into(),
                priority: priority.map(Into::into),
                paid,
                starts_at: starts_at.map(Into::into),
                expires_at: expires_at.map(Into::into),
                rollover: rollover.map(|kept| kept.asked(rollover_cycles)),
                price: price.map(Into::into),
            };
            target.print(&client.make_grant(&workspace, &grant, &when.into()).await?.value, one)
        }
        GrantCommand::List { workspace } => {
            let mut all = client.grants(&workspace, None).await?;
            while let Some(cursor) = all.cursor.take() {
                let page = client.grants(&workspace, Some(&cursor)).await?;
                all.items.extend(page.items);
                all.cursor = page.cursor;
            }
            target.print(&all, list)
        }
        GrantCommand::Show { workspace, grant } => {
            target.print(&client.grant(&workspace, &grant).await?.value, one)
        }
        GrantCommand::Void { workspace, grant, when } => {
            target.print(&client.void_grant(&workspace, &grant, &when.into()).await?.value, one)
        }
    }
}

fn one(grant: &json::Grant) -> String {
    let mut lines = vec![
        ("grant", grant.id.0.to_string()),
        ("kind", grant.kind.0.as_str().into()),
        ("state", grant.state.0.as_str().into()),
        ("amount", grant.amount.0.to_string()),
        ("available", grant.available.0.to_string()),
        ("leased", grant.leased.0.to_string()),
        ("used", grant.used.0.to_string()),
        ("expires", or_dash(grant.expires_at.as_ref().map(|at| Shown(&at.0)))),
    ];
    if let Some(rollover) = grant.rollover {
        lines.push(("rollover", told(&rollover)));
    }
    if !grant.pending.0.is_zero() {
        lines.push(("pending", pending(&grant.pending_from, grant.pending.0)));
    }
    fields(&lines)
}

/// What is kept of a grant when its cycle ends.
#[derive(Clone, Copy, Debug)]
pub enum Kept {
    None,
    All,
    UpTo(Credits),
    Percent(u64),
}

impl Kept {
    pub(crate) fn asked(self, cycles: Option<u64>) -> json::PutRollover {
        let (keep, amount, percent) = match self {
            Self::None => (Keep::None, None, None),
            Self::All => (Keep::All, None, None),
            Self::UpTo(amount) => (Keep::UpTo, Some(amount), None),
            Self::Percent(percent) => (Keep::Percent, None, Some(percent)),
        };
        let (amount, percent) = (amount.map(Into::into), percent.map(Into::into));
        json::PutRollover { keep: keep.into(), amount, percent, cycles: cycles.map(Into::into) }
    }
}

pub(crate) fn kept(text: &str) -> Result<Kept, String> {
    let wrong = || "it is none, all, an amount such as 500, or a percentage such as 50%".to_owned();
    match (text, text.strip_suffix('%')) {
        ("none", _) => Ok(Kept::None),
        ("all", _) => Ok(Kept::All),
        (_, Some(percent)) => percent.parse().map(Kept::Percent).map_err(|_| wrong()),
        (amount, None) => amount.parse().map(Kept::UpTo).map_err(|_| wrong()),
    }
}

pub(crate) fn told(rollover: &json::Rollover) -> String {
    let json::Rollover { keep, amount, percent, cycles, left, kept } = rollover;
    let keeps = match (amount, percent) {
        (Some(amount), _) => format!("keeps up to {}", amount.0),
        (None, Some(percent)) => format!("keeps {percent} %"),
        (None, None) => format!("keeps {}", keep.0.as_str()),
    };
    let cycles = cycles.map_or_else(String::new, |cycles| format!(" for {cycles} cycles"));
    let so_far =
        left.zip(*kept).map_or_else(String::new, |(left, kept)| format!(", {} of {}", kept.0, left.0));
    format!("{keeps}{cycles}{so_far}")
}

/// What a change could not move yet, and until when at the latest.
pub(crate) fn pending(from: &[json::PendingFrom], total: Credits) -> String {
    let parts = from.iter().map(|part| {
        format!("{} on {} until {} at the latest", part.amount.0, part.node.0, Shown(&part.until.0))
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { total.to_string() } else { format!("{total}: {}", parts.join(", ")) }
}

fn list(grants: &json::Grants) -> String {
    let mut table = Table::new(&[
        ("grant", Side::Left),
        ("kind", Side::Left),
        ("state", Side::Left),
        ("amount", Side::Right),
        ("available", Side::Right),
        ("leased", Side::Right),
        ("used", Side::Right),
        ("expires", Side::Left),
    ]);
    for grant in &grants.items {
        table.row([
            grant.id.0.to_string(),
            grant.kind.0.as_str().into(),
            grant.state.0.as_str().into(),
            grant.amount.0.to_string(),
            grant.available.0.to_string(),
            grant.leased.0.to_string(),
            grant.used.0.to_string(),
            or_dash(grant.expires_at.as_ref().map(|at| Shown(&at.0))),
        ]);
    }
    table.to_string()
}
