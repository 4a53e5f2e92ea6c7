//! `tranche member`: users of a workspace and their balance.

use crate::table::{Side, Table, fields, or_dash};
use crate::target::{Failure, Target, When, word};
use clap::{Args, Subcommand};
use types::{TeamId, UserId, WorkspaceId};
use wire::json::{self, MemberKind, Role};

#[derive(Subcommand, Clone, Debug)]
pub enum MemberCommand {
    /// Makes or changes a member; what is left out stays as it is
    Set {
        workspace: WorkspaceId,
        user: UserId,
        #[command(flatten)]
        change: Box<MemberChange>,
        #[command(flatten)]
        when: When,
    },
    /// One member and his balance
    Show { workspace: WorkspaceId, user: UserId },
    /// All users of a workspace
    List {
        workspace: WorkspaceId,
        /// user or service
        #[arg(long, value_parser = word::<MemberKind>)]
        kind: Option<MemberKind>,
        /// Services of this owner alone
        #[arg(long)]
        owner: Option<UserId>,
    },
}

/// What is left out stays as it is.
#[derive(Args, Clone, Debug)]
pub struct MemberChange {
    #[arg(long, value_name = "true|false")]
    ai_access: Option<bool>,
    #[arg(long)]
    team: Option<TeamId>,
    /// Takes him out of his team
    #[arg(long, conflicts_with = "team")]
    no_team: bool,
    /// owner, admin or member
    #[arg(long, value_parser = word::<Role>)]
    role: Option<Role>,
    /// user or service
    #[arg(long, value_parser = word::<MemberKind>)]
    kind: Option<MemberKind>,
    /// Of a service: the user who answers for it
    #[arg(long)]
    owner: Option<UserId>,
    /// Of a service: it spends by the allocation and limits of its `owner`, or of another service
    #[arg(long)]
    shares: Option<UserId>,
    /// Of a service: it spends by its own
    #[arg(long, conflicts_with = "shares")]
    no_shares: bool,
}

impl MemberChange {
    fn asked(self) -> json::PutMember {
        let Self { ai_access, team, no_team, role, kind, owner, shares, no_shares } = self;
        let team = if no_team { Some(None) } else { team.map(|team| Some(team.into())) };
        let shares = if no_shares { Some(None) } else { shares.map(|shares| Some(shares.into())) };
        let (role, kind, owner) = (role.map(Into::into), kind.map(Into::into), owner.map(Into::into));
        json::PutMember { ai_access, team, role, kind, owner, shares }
    }
}

pub(crate) async fn run(target: &Target, command: MemberCommand) -> Result<(), Failure> {
    let client = target.client()?;
    match command {
        MemberCommand::Set { workspace, user, change, when } => {
            let member = change.asked();
            target.print(&client.put_member(&workspace, &user, &member, &when.into()).await?.value, one)
        }
        MemberCommand::Show { workspace, user } => {
            target.print(&client.member(&workspace, &user).await?.value, one)
        }
        MemberCommand::List { workspace, kind, owner } => {
            let mut all = client.members(&workspace, kind, owner.as_ref(), None).await?;
            while let Some(cursor) = all.cursor.take() {
                let page = client.members(&workspace, kind, owner.as_ref(), Some(&cursor)).await?;
                all.items.extend(page.items);
                all.cursor = page.cursor;
            }
            target.print(&all, list)
        }
    }
}

fn access(member: &json::Member) -> String {
    if member.ai_access { "yes".into() } else { "no".into() }
}

fn one(member: &json::Member) -> String {
    let overflow = or_dash(member.overflow.as_ref().map(|overflow| overflow.0.as_str()));
    fields(&[
        ("user", member.user.0.to_string()),
        ("listed", if member.listed { "yes".into() } else { "no".into() }),
        ("AI access", access(member)),
        ("role", member.role.0.as_str().into()),
        ("kind", member.kind.0.as_str().into()),
        ("owner", or_dash(member.owner.as_ref().map(|owner| &owner.0))),
        ("shares", or_dash(member.shares.as_ref().map(|shares| &shares.0))),
        ("team", or_dash(member.team.as_ref().map(|team| &team.0))),
        ("allocation", or_dash(member.allocation.map(|amount| amount.0))),
        ("overflow", overflow),
        ("limit", or_dash(member.limit.map(|amount| amount.0))),
        ("used", member.used.0.to_string()),
        ("refunded", member.refunded.0.to_string()),
        ("leased", member.leased.0.to_string()),
        ("pending", member.pending.0.to_string()),
        ("reserve", member.reserve.0.to_string()),
        ("remaining", member.remaining.0.to_string()),
    ])
}

fn list(members: &json::Members) -> String {
    let mut table = Table::new(&[
        ("user", Side::Left),
        ("team", Side::Left),
        ("role", Side::Left),
        ("owner", Side::Left),
        ("ai", Side::Left),
        ("allocation", Side::Right),
        ("limit", Side::Right),
        ("used", Side::Right),
        ("remaining", Side::Right),
    ]);
    for member in &members.items {
        table.row([
            member.user.0.to_string(),
            or_dash(member.team.as_ref().map(|team| &team.0)),
            member.role.0.as_str().into(),
            or_dash(member.owner.as_ref().map(|owner| &owner.0)),
            access(member),
            or_dash(member.allocation.map(|amount| amount.0)),
            or_dash(member.limit.map(|amount| amount.0)),
            member.used.0.to_string(),
            member.remaining.0.to_string(),
        ]);
    }
    table.to_string()
}
