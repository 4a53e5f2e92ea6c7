//! The commands of `tranche`, thin over the client: parse arguments, ask, print a short table or the API's JSON.
//!
//! [`Command`] is flattened by the binary next to its own `dev` and `serve`; [`run`] does one. Exit status 0 only on
//! success; an error is one line on stderr that says what to do next. `prices diff` ends as `diff` does: 0, 1 or 2.
//!
//! Not here: running a node (`cluster`), HTTP and retries (`client`), shapes (`wire::json`).

mod allocation;
mod consume;
mod grant;
mod hold;
mod import;
mod limit;
mod member;
mod node;
mod overage;
mod plan;
mod pooling;
mod prices;
mod refund;
mod replay;
mod shadow;
mod table;
mod target;
mod team;
mod usage;
mod workspace;

pub use allocation::{AllocationCommand, Reallocate};
pub use consume::{Consume, Quote};
pub use grant::GrantCommand;
pub use hold::HoldCommand;
pub use import::Import;
pub use limit::LimitCommand;
pub use member::MemberCommand;
pub use node::NodeCommand;
pub use overage::OverageCommand;
pub use plan::PlanCommand;
pub use pooling::PoolingCommand;
pub use prices::PricesCommand;
pub use refund::{Charge, Refund};
pub use replay::Replay;
pub use shadow::ShadowCommand;
pub use target::{Group, Single, Target, When};
pub use team::TeamCommand;
pub use usage::{Usage, UsageCommand};
pub use workspace::WorkspaceCommand;

use clap::Subcommand;
use std::process::ExitCode;
use target::Failure;

/// Everything `tranche` asks a running cluster.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Workspaces: their settings and the summary of their pool
    Workspace(Group<WorkspaceCommand>),
    /// Grants: credits put into a pool
    Grant(Group<GrantCommand>),
    /// Plans: what a workspace has subscribed to
    Plan(Group<PlanCommand>),
    /// Pooling: whose the credits are that a plan brings for seats
    Pooling(Group<PoolingCommand>),
    /// Overage: whether more may be used than is included
    Overage(Group<OverageCommand>),
    /// Members and their balance
    Member(Group<MemberCommand>),
    /// Teams, and what is set aside for them
    Team(Group<TeamCommand>),
    /// Allocations: funded amounts set aside for one user
    Allocation(Group<AllocationCommand>),
    /// Moves unused credits from one user's allocation to another's
    Reallocate(Single<Reallocate>),
    /// Limits: ceilings on what a user may use
    Limit(Group<LimitCommand>),
    /// Credits, calls and units used
    Usage(Single<Usage>),
    /// Shadow mode: what would have been refused, was enforcement on
    Shadow(Group<ShadowCommand>),
    /// Prices: the rate card by its versions, and workspaces' own prices
    Prices(Group<PricesCommand>),
    /// The nodes of the cluster
    Node(Group<NodeCommand>),
    /// Spends credits
    Consume(Single<Consume>),
    /// Gives back what was charged, or a part of it, to the grants that paid
    Refund(Single<Refund>),
    /// What one charge was, which grants paid for it, and what was refunded of it
    Charge(Single<Charge>),
    /// Holds: credits set aside for a call whose price is not known yet
    Hold(Group<HoldCommand>),
    /// The price of a consume, without effect
    Quote(Single<Quote>),
    /// Drives the cluster with a recorded trace and checks the books at the end
    Replay(Single<Replay>),
}

/// Does one command and says how it went.
pub fn run(command: Command) -> ExitCode {
    let done = tokio::runtime::Runtime::new()
        .map_err(Failure::Runtime)
        .and_then(|runtime| runtime.block_on(dispatch(command)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // As `diff` does: what is different is said already.
        Err(Failure::Different) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("tranche: {}", table::printable(failure.to_string()));
            if matches!(failure, Failure::NotCompared(_)) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

async fn dispatch(command: Command) -> Result<(), Failure> {
    // Boxed one by one: together they would make one very large future.
    match command {
        Command::Workspace(Group { target, what }) => Box::pin(workspace::run(&target, what)).await,
        Command::Grant(Group { target, what }) => Box::pin(grant::run(&target, what)).await,
        Command::Plan(Group { target, what }) => Box::pin(plan::run(&target, what)).await,
        Command::Pooling(Group { target, what }) => Box::pin(pooling::run(&target, what)).await,
        Command::Overage(Group { target, what }) => Box::pin(overage::run(&target, what)).await,
        Command::Member(Group { target, what }) => Box::pin(member::run(&target, what)).await,
        Command::Team(Group { target, what }) => Box::pin(team::run(&target, what)).await,
        Command::Allocation(Group { target, what }) => Box::pin(allocation::run(&target, what)).await,
        Command::Reallocate(Single { target, what }) => Box::pin(allocation::reallocate(&target, what)).await,
        Command::Limit(Group { target, what }) => Box::pin(limit::run(&target, what)).await,
        Command::Usage(Single { target, what }) => Box::pin(usage::run(&target, what)).await,
        Command::Shadow(Group { target, what }) => Box::pin(shadow::run(&target, what)).await,
        Command::Prices(Group { target, what }) => Box::pin(prices::run(&target, what)).await,
        Command::Node(Group { target, what }) => Box::pin(node::run(&target, what)).await,
        Command::Consume(Single { target, what }) => Box::pin(consume::run(&target, what)).await,
        Command::Refund(Single { target, what }) => Box::pin(refund::refund(&target, what)).await,
        Command::Charge(Single { target, what }) => Box::pin(refund::charge(&target, what)).await,
        Command::Hold(Group { target, what }) => Box::pin(hold::run(&target, what)).await,
        Command::Quote(Single { target, what }) => Box::pin(consume::quote(&target, what)).await,
        Command::Replay(Single { target, what }) => Box::pin(replay::run(&target, what)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Parser, Debug)]
    struct Tranche {
        #[command(subcommand)]
        command: Command,
    }

    fn parse(line: &str) -> Result<Command, String> {
        let parsed = Tranche::try_parse_from(line.split_whitespace());
        parsed.map(|tranche| tranche.command).map_err(|why| why.to_string())
    }

    #[test]
    fn the_arguments_are_consistent() {
        Tranche::command().debug_assert();
    }

    #[test]
    fn every_command_is_read() {
        for line in [
            "workspace show acme --fresh",
            "workspace set acme --name Acme --membership listed --durability disk --enforcement shadow",
            "grant add acme plan-1 --kind plan --amount 350000 --expires-at 2027-01-01T00:00:00Z",
            "grant list acme --json",
            "grant show acme plan-1",
            "grant void acme plan-1 --if-match 7",
            "plan set acme pro --allowance 350000 --per-seat 500 --rollover 50% --rollover-cycles 1 --mid-cycle prorated",
            "plan set acme free --next-cycle --idempotency-key k-1",
            "plan preview acme pro --allowance 1000 --paid false",
            "overage set acme capped --cap 500 --if-match 7",
            "overage set acme off --user ann --idempotency-key k-1",
            "pooling set acme per_seat --if-match 7",
            "pooling preview acme own_first",
            "pooling show acme --json",
            "plan set acme pro --per-seat 5000 --overage capped --overage-cap 20",
            "overage show acme",
            "overage show acme --user ann",
            "overage remove acme --user ann",
            "overage remove acme --if-match 7",
            "plan show acme",
            "plan cancel acme --if-match 7",
            "member set acme ann --ai-access false --team design --role admin",
            "member show acme ann",
            "member list acme",
            "allocation set acme ann 1000 --overflow shared",
            "allocation adjust acme ann -12.5",
            "allocation show acme ann",
            "allocation remove acme ann",
            "reallocate acme move-1 --from ann --to bob --amount 2000",
            "reallocate acme move-1 --show",
            "limit set acme ann 500 --idempotency-key k-1",
            "limit lift acme ann",
            "limit set acme ann 500 --per day",
            "limit lift acme ann --per hour",
            "limit show acme ann",
            "usage acme --group-by user,feature --interval day --from 2026-11-01 --to 2026-12-01",
            "shadow show acme --group-by user,feature --interval day --from 2026-11-01 --to 2026-12-01 --json",
            "usage import acme bill.csv",
            "usage import acme bill.jsonl --json",
            "prices get",
            "prices get --version 3 --file prices.json",
            "prices get --workspace acme --json",
            "prices set prices.json --if-match 3",
            "prices set prices.json --at 2027-01-01T00:00:00Z --idempotency-key k-1",
            "prices set own.json --workspace acme",
            "prices diff prices.json",
            "prices diff old.json new.json",
            "prices diff prices.json --version 3",
            "prices versions",
            "prices remove 7 --if-match 7",
            "prices remove --workspace acme",
            "quote acme ann chat --model m-1 --usage calls=1 --price-version 7.9",
            "team set acme design --parent eng --if-match 7",
            "team set acme eng",
            "team reserve acme design 20000",
            "team adjust acme design -12.5",
            "team unreserve acme design",
            "team show acme design",
            "team list acme",
            "team remove acme design",
            "member set acme ann --no-team",
            "node list",
            "node forget n3 --mode credit --yes",
            "consume acme ann chat --amount 1.5 --idempotency-key k-1",
            "consume acme ann chat --model m-1 --usage input_tokens=1200 --usage output_tokens=300",
            "hold open acme ann chat --amount 2 --ttl-ms 300000 --idempotency-key k-1",
            "hold open acme ann chat --model m-1 --usage output_tokens=300",
            "hold extend acme n1.h42 --amount 3 --confirmed 2",
            "hold settle acme n1.h42 --amount 0",
            "hold settle acme n1.h42 --usage output_tokens=250 --shortfall cap",
            "hold release acme n1.h42",
            "refund acme n1.42.7",
            "refund acme n1.h42 --amount 1.5 --id r-1 --idempotency-key k",
            "charge acme n1.42.7",
            "quote acme ann chat --amount 1.5",
            "replay --trace t.csv --users u.csv --workspace acme --credits 1000 --seed 7 --speed max --url http://a,http://b",
        ] {
            parse(&format!("tranche {line}")).unwrap_or_else(|why| panic!("{line}: {why}"));
        }
    }

    #[test]
    fn what_is_no_command() {
        for (line, why) in [
            ("grant add acme g --kind gift --amount 1", "it is one of: plan"),
            ("grant add acme g --kind plan --amount 1e3", "decimal digits"),
            ("grant add acme g --kind plan --amount 0.1234567", "six decimals"),
            ("allocation set acme a/b 1", "an id has only"),
            ("member set acme ann --team design --no-team", "cannot be used with"),
            ("consume acme ann chat", "--amount"),
            ("consume acme ann chat --amount 1 --usage a=1", "cannot be used with"),
            ("consume acme ann chat --usage tokens", "unit=count"),
            ("hold open acme ann chat --amount 2 --ttl-ms 999", "1000..=300000"),
            ("hold open acme ann chat --amount 2 --ttl-ms 300001", "1000..=300000"),
            ("hold settle acme n1.h42", "--amount"),
            ("hold settle acme n1.h42 --amount 1 --shortfall overage", "it is one of: reject cap"),
            ("refund acme n1.42", "a charge's id is"),
            ("hold release acme n1.42.7", "a hold's id is"),
            ("reallocate acme m --from a --to b", "--amount"),
            ("reallocate acme m --show --from a", "cannot be used with"),
            ("usage acme --group-by colour", "it is one of: user"),
            ("usage", "required"),
            ("usage import acme", "<FILE>"),
            ("prices get --version 3 --workspace acme", "cannot be used with"),
            ("prices set p.json --at tomorrow", "a time is RFC 3339"),
            ("prices set p.json --at 2027-01-01T00:00:00Z --workspace acme", "cannot be used with"),
            ("prices diff a.json b.json --version 3", "cannot be used with"),
            ("prices remove 7 --workspace acme", "cannot be used with"),
            ("quote acme ann chat --usage calls=1 --price-version v7", "a price version is"),
            ("node forget three", "a node id is"),
            ("replay --trace t --users u --workspace w --speed=-1", "a number above 0"),
            ("replay --trace t --users u --workspace w --speed fast", "a number above 0"),
            ("replay --trace t --users u --workspace w --concurrency 0", "1..=4096"),
            ("replay --trace t --users u --workspace w --concurrency 4097", "1..=4096"),
        ] {
            let text = parse(&format!("tranche {line}")).expect_err(line);
            assert!(text.contains(why), "{line}: {text}");
        }
    }

    #[test]
    fn several_nodes_and_a_key_that_is_not_shown() {
        let line = "tranche node list --url http://a:1,http://b:2 --key very-secret-key --json";
        let command = parse(line).unwrap();
        let Command::Node(Group { ref target, .. }) = command else { panic!("{command:?}") };
        assert_eq!(target.url, ["http://a:1", "http://b:2"]);
        assert!(target.json && target.options().is_ok());
        assert!(!format!("{command:?}").contains("very-secret"));
        let Command::Node(empty) = parse("tranche node list --key=").unwrap() else { panic!() };
        assert!(empty.target.options().unwrap().key.is_none(), "an empty key is none");
    }
}
