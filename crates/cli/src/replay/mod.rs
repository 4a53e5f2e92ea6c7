//! `tranche replay`: drives a cluster with a recorded trace and checks the books at the end.
//!
//! trace (`trace`) × users (`crowd`) → `plan` → `drive`, over HTTP to all nodes in turn → `tally` of what the clients
//! were told → `books`, once they rest → `audit` → `report`. A replay fails if the audit does, and then says so in its
//! exit status. Nobody else may spend in the workspace meanwhile; what was used before is read first and taken off.

mod audit;
mod books;
mod crowd;
mod drive;
mod plan;
mod progress;
mod report;
mod sheet;
mod tally;
mod trace;

pub(crate) use sheet::BadCsv;

use crate::target::{Failure, Target};
use audit::{Audit, Books, Claim};
use books::{Settled, conservation, settle};
use clap::Args;
use client::{Client, Conditions, Options};
use drive::{Action, Drive, Progress, Speed};
use plan::Plan;
use report::{Latency, Report};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tally::Tally;
use tokio::sync::watch;
use trace::Row;
use types::{Credits, Feature, GrantId, Model, Unit, UserId, WorkspaceId};
use wire::json::{self, GrantKind};

const WORKSPACE_USUAL: &str = "replay";
const CREDITS_USUAL: u64 = 100_000;

/// The arguments of `tranche replay`.
#[derive(Args, Clone, Debug)]
pub struct Replay {
    /// Requests: TIMESTAMP,ContextTokens,GeneratedTokens
    #[arg(long, value_name = "CSV")]
    trace: PathBuf,
    /// Users and their rates: client,window_start_s,requests_per_s. The busiest hour stands for the trace's first
    #[arg(long, value_name = "CSV")]
    users: PathBuf,
    /// Made if there is none; left out: `replay`, with 100,000 credits for each seed
    #[arg(long)]
    workspace: Option<WorkspaceId>,
    /// Puts a grant of so many credits into the pool, once for each seed
    #[arg(long)]
    credits: Option<Credits>,
    /// The same files and seed make the same requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many times as fast as recorded; max (or 0): as fast as the senders go
    #[arg(long, default_value = "1", value_parser = Speed::parse)]
    speed: Speed,
    /// Only so many rows of the trace
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Requests under way at once, at most
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    concurrency: u16,
    #[arg(long, default_value = "chat", value_parser = Feature::parse)]
    feature: Feature,
    #[arg(long, default_value = "m-1", value_parser = Model::parse)]
    model: Model,
    /// How the rate card calls ContextTokens
    #[arg(long, default_value = "input_tokens", value_parser = Unit::parse)]
    input_unit: Unit,
    /// How the rate card calls GeneratedTokens
    #[arg(long, default_value = "output_tokens", value_parser = Unit::parse)]
    output_unit: Unit,
    /// Sends an Idempotency-Key with each request, and asks again where an outcome is unknown
    #[arg(long)]
    keyed: bool,
    /// How long the books may take to tell what the clients were told
    #[arg(long, default_value_t = 30_000, value_name = "MS")]
    settle_ms: u64,
    /// Show all users, not only the ten with the most credits
    #[arg(long)]
    all: bool,
}

/// A replay that was prepared: what is sent, and what was on the books before.
struct Prepared {
    client: Client,
    action: Action,
    rows: Vec<Row>,
    crowd: crowd::Crowd,
    before: Books,
}

pub(crate) async fn run(target: &Target, replay: Replay) -> Result<(), Failure> {
    let prepared = Box::pin(prepare(target, &replay)).await?;
    let (report, all) = (Box::pin(play(prepared, &replay)).await?, replay.all);
    target.print(&report, |report| report.for_people(all))?;
    judge(&report)
}

async fn prepare(target: &Target, replay: &Replay) -> Result<Prepared, Failure> {
    let limit = replay.limit.map(|rows| usize::try_from(rows).unwrap_or(usize::MAX));
    let rows = trace::read(&replay.trace, limit)?;
    let crowd = crowd::read(&replay.users)?;
    let options = Options { idle_connections_max: replay.concurrency.into(), ..target.options()? };
    let client = all_nodes(options).await?;
    let Replay { workspace, mut credits, feature, model, input_unit, output_unit, .. } = replay.clone();
    let workspace = workspace.unwrap_or_else(|| {
        credits = credits.or(Credits::whole(CREDITS_USUAL));
        WorkspaceId::parse(WORKSPACE_USUAL).expect("letters")
    });
    let action = Action { workspace, feature, model: Some(model), input_unit, output_unit };
    let workspace = &action.workspace;
    let (membership, durability, enforcement, timezone, cycle) = Default::default();
    let unchanged = json::PutWorkspace { name: None, membership, durability, enforcement, timezone, cycle };
    client.put_workspace(workspace, &unchanged, &Conditions::NONE).await?;
    if let Some(credits) = credits {
        let made = client.make_grant(workspace, &grant(replay.seed, credits), &Conditions::NONE).await;
        made.map_err(|error| match error.code() {
            Some("id_conflict") => Failure::Replay(format!(
                "seed {} has put another amount into {workspace} before. Take another --seed, or leave --credits out",
                replay.seed
            )),
            _ => error.into(),
        })?;
    }
    // Asked once without effect, so that a missing price is one error and not one refusal for each row.
    if let (Some(row), Some(user)) = (rows.first(), crowd.users().first()) {
        let first = action.consume(user, row.input_tokens, row.output_tokens);
        client.quote(workspace, &first.into()).await?;
    }
    let resting = |last: Option<&Books>, now: &Books| last == Some(now) && now.agree();
    let settled = settle(&client, workspace, Duration::from_millis(replay.settle_ms), resting).await?;
    if !settled.in_time {
        return Err(Failure::Replay(format!(
            "the books of {workspace} do not come to rest: somebody spends there now. Wait for them, or use another \
             workspace"
        )));
    }
    Ok(Prepared { client, action, rows, crowd, before: settled.books })
}

/// A client of every node that the given ones list and that answers from here.
async fn all_nodes(options: Options) -> Result<Client, Failure> {
    let client = Client::new(options.clone())?;
    let mut urls: Vec<String> = client.urls().map(str::to_owned).collect();
    let listed = client.cluster().await?.nodes.into_iter().map(|node| format!("http://{}", node.api));
    for url in listed.filter(|url| !urls.contains(url)).collect::<Vec<_>>() {
        let Ok(node) = Client::new(Options { urls: vec![url.clone()], ..options.clone() }) else { continue };
        if node.health().await.is_ok() {
            urls.push(url);
        }
    }
    Ok(Client::new(Options { urls, ..options })?)
}

fn grant(seed: u64, credits: Credits) -> json::PutGrant {
    let id = GrantId::parse(&format!("replay-{seed}")).expect("letters, digits and a dash");
    json::PutGrant {
        id: id.into(),
        kind: GrantKind::Promotion.into(),
        amount: credits.into(),
        priority: None,
        paid: None,
        starts_at: None,
        expires_at: None,
        rollover: None,
        price: None,
    }
}

async fn play(prepared: Prepared, replay: &Replay) -> Result<Report, Failure> {
    let Prepared { client, action, rows, crowd, before } = prepared;
    let (users, total) = (crowd.users().to_vec(), rows.len() as u64);
    let progress = Arc::new(Progress::default());
    let drive = Arc::new(Drive {
        client: client.clone(),
        action: action.clone(),
        users: users.clone(),
        tally: Mutex::new(Tally::new(users.len())),
        plan: Mutex::new(Plan::new(rows, crowd, replay.seed, replay.keyed.then_some(before.calls))),
        speed: replay.speed,
        progress: progress.clone(),
    });
    let elapsed = sent(&drive, replay.concurrency, &progress, total).await;
    let drive = Arc::into_inner(drive).expect("all senders have ended");
    let tally = drive.tally.into_inner().expect("no sender panicked");

    let checking = check(&client, &action, &users, &tally, &before, replay);
    let (audit, settled, conservation) = tokio::select! {
        checked = Box::pin(checking) => checked?,
        _ = tokio::signal::ctrl_c() => {
            return Err(Failure::Replay("interrupted before the books were checked. Run it again".into()));
        }
    };
    let sent = tally.allowed() + tally.refusals() + tally.unknown.len() as u64;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let credits = tally.told.iter().fold(Credits::ZERO, |sum, told| sum.saturating_add(told.credits));
    Ok(Report {
        workspace: action.workspace.to_string(),
        nodes: client.urls().map(str::to_owned).collect(),
        seed: replay.seed,
        rows: total,
        sent,
        elapsed_ms: millis(elapsed),
        per_s: sent.saturating_mul(1_000) / millis(elapsed).max(1),
        behind_ms_max: tally.behind_us_max / 1_000,
        latency_us: Latency::of(&tally),
        allowed: tally.allowed(),
        unknown: tally.unknown.len() as u64,
        credits: credits.to_string(),
        users: report::users(&users, &tally),
        refused: tally.refused,
        settled_ms: millis(settled.waited),
        settle_ms_max: replay.settle_ms,
        unreachable: settled.books.unreachable.to_string(),
        holds: audit.balanced && conservation.iter().all(|node| node.holds) && sent == total,
        conservation,
        audit,
    })
}

/// Sends everything, showing how far it is; Ctrl-C ends it early, and what was sent is still checked.
async fn sent(drive: &Arc<Drive>, senders: u16, progress: &Progress, total: u64) -> Duration {
    let (stop, stopped) = watch::channel(false);
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.send_replace(true);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        elapsed = drive::drive(drive, senders, &stopped) => elapsed,
        () = progress::show(progress, total) => unreachable!("it shows until it is dropped"),
        () = interrupted => unreachable!("it is pending"),
    }
}

async fn check(
    client: &Client,
    action: &Action,
    users: &[UserId],
    tally: &Tally,
    before: &Books,
    replay: &Replay,
) -> Result<(Audit, Settled, Vec<books::Conserved>), Failure> {
    let claims = claims(client, action, users, tally).await?;
    let balanced = |last: Option<&Books>, now: &Books| {
        let audit = audit::audit(before, now, &claims);
        // An interval is met long before the last report is in: there the books must also have come to rest.
        audit.balanced && (!audit.interval || last == Some(now))
    };
    let deadline = Duration::from_millis(replay.settle_ms);
    let settled = settle(client, &action.workspace, deadline, balanced).await?;
    let audit = audit::audit(before, &settled.books, &claims);
    let conservation = conservation(client, &action.workspace).await;
    Ok((audit, settled, conservation))
}

/// What each user was told, and what the requests with an unknown outcome would have cost.
async fn claims(
    client: &Client,
    action: &Action,
    users: &[UserId],
    tally: &Tally,
) -> Result<BTreeMap<UserId, Claim>, Failure> {
    let claim = |told: &tally::Told| Claim {
        told: told.credits,
        calls: told.calls,
        unknown: Credits::ZERO,
        unknown_calls: 0,
    };
    let mut claims: BTreeMap<UserId, Claim> =
        users.iter().cloned().zip(tally.told.iter().map(claim)).collect();
    for unknown in &tally.unknown {
        let (user, row) = (&users[unknown.user], unknown.row);
        let asked = action.consume(user, row.input_tokens, row.output_tokens);
        let price = client.quote(&action.workspace, &asked.into()).await?.charge.0;
        let claim = claims.entry(user.clone()).or_default();
        claim.unknown = claim.unknown.saturating_add(price);
        claim.unknown_calls += 1;
    }
    Ok(claims)
}

/// The sentence behind the exit status.
fn judge(report: &Report) -> Result<(), Failure> {
    if report.allowed == 0 {
        return Err(Failure::Replay(format!(
            "nothing was allowed in {}. Give the pool credits with --credits, or look at the refusals above",
            report.workspace
        )));
    }
    if report.holds {
        return Ok(());
    }
    let wrong = report.audit.checks.iter().find(|check| !check.holds);
    let node = report.conservation.iter().find(|node| !node.holds);
    Err(Failure::Replay(match (wrong, node) {
        (Some(check), _) if report.unreachable != "0" => format!(
            "the books do not balance ({}), but {} credits are out on nodes that do not answer. Bring them back and \
             look again with `tranche usage {}`",
            check.what, report.unreachable, report.workspace
        ),
        (Some(check), _) => format!(
            "the books do not balance: {}: ledger {}, expected {} to {}. If nobody else spent in {} meanwhile, keep \
             the data directories and report this",
            check.what, check.ledger, check.at_least, check.at_most, report.workspace
        ),
        (None, Some(node)) => format!(
            "conservation could not be confirmed at {}: {}. Look at GET /v1/debug/conservation there",
            node.node, node.detail
        ),
        (None, None) => {
            format!(
                "interrupted after {} of {} requests; those are in order. Run it again",
                report.sent, report.rows
            )
        }
    }))
}
