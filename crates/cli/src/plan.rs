//! `tranche plan`: what a workspace has subscribed to.

use crate::grant::{Kept, kept, told};
use crate::table::{fields, or_dash};
use crate::target::{Failure, Target, When, word};
use clap::{Args, Subcommand};
use types::{Credits, Feature, Money, PlanId, WorkspaceId};
use wire::json::{self, MidCycle, OverageMode, PlanTerm, Shown};

#[derive(Subcommand, Clone, Debug)]
pub enum PlanCommand {
    /// Subscribes to a plan or changes to another one; the same plan again takes back what was to come
    Set {
        workspace: WorkspaceId,
        #[command(flatten)]
        terms: Terms,
        #[command(flatten)]
        when: When,
    },
    /// What `set` with the same arguments would bring; changes nothing
    Preview {
        workspace: WorkspaceId,
        #[command(flatten)]
        terms: Terms,
    },
    /// The plan, its seats, and what it gave in this cycle
    Show { workspace: WorkspaceId },
    /// The plan ends with this cycle
    Cancel {
        workspace: WorkspaceId,
        #[command(flatten)]
        when: When,
    },
}

#[derive(Args, Clone, Debug)]
pub struct Terms {
    plan: PlanId,
    /// What people are shown
    #[arg(long)]
    name: Option<String>,
    /// Credits for each cycle; left out: 0
    #[arg(long)]
    allowance: Option<Credits>,
    /// Credits for each cycle and each member with AI access; left out: 0
    #[arg(long)]
    per_seat: Option<Credits>,
    /// Left out: true
    #[arg(long)]
    paid: Option<bool>,
    /// What is kept of what a cycle leaves: none, all, an amount or a percentage such as 50%; left out: none
    #[arg(long, value_parser = kept, value_name = "KEPT")]
    rollover: Option<Kept>,
    /// What is kept is kept for so many cycles more; left out: until it is used
    #[arg(long, requires = "rollover", value_name = "CYCLES")]
    rollover_cycles: Option<u64>,
    /// What a change or a new seat within a cycle brings: whole or prorated; left out: whole
    #[arg(long, value_parser = word::<MidCycle>)]
    mid_cycle: Option<MidCycle>,
    /// Whether more may be used than is included: off, on or capped; left out: the plan says nothing of it
    #[arg(long, value_parser = word::<OverageMode>)]
    overage: Option<OverageMode>,
    /// With `--overage capped`: credits in each cycle
    #[arg(long, requires = "overage", value_name = "CAP")]
    overage_cap: Option<Credits>,
    /// What may be spent on: names with commas between them; left out: anything
    #[arg(long, value_delimiter = ',', value_name = "FEATURES")]
    features: Option<Vec<Feature>>,
    /// In money for each cycle, such as 49EUR: shown, never collected
    #[arg(long)]
    price: Option<Money>,
    /// In money for each cycle and each seat
    #[arg(long)]
    seat_price: Option<Money>,
    /// In money for each credit of overage
    #[arg(long)]
    overage_price: Option<Money>,
    /// What it is bought for: cycle or year; left out: cycle
    #[arg(long, value_parser = word::<PlanTerm>)]
    term: Option<PlanTerm>,
    /// From the next cycle on; left out: now
    #[arg(long)]
    next_cycle: bool,
}

impl From<Terms> for json::PutPlan {
    fn from(terms: Terms) -> Self {
        let Terms {
            plan,
            name,
            allowance,
            per_seat,
            paid,
            rollover,
            rollover_cycles,
            mid_cycle,
            overage,
            overage_cap,
            features,
            price,
            seat_price,
            overage_price,
            term,
            next_cycle,
        } = terms;
        Self {
            id: plan.into(),
            name,
            allowance: allowance.map(Into::into),
            per_seat: per_seat.map(Into::into),
            paid,
            rollover: rollover.map(|kept| kept.asked(rollover_cycles)),
            mid_cycle: mid_cycle.map(Into::into),
            overage: overage
                .map(|mode| json::PutOverage { mode: mode.into(), cap: overage_cap.map(Into::into) }),
            features: features.map(|features| features.into_iter().map(Into::into).collect()),
            price: price.map(Into::into),
            seat_price: seat_price.map(Into::into),
            overage_price: overage_price.map(Into::into),
            term: term.map(Into::into),
            when: next_cycle.then(|| json::When::NextCycle.into()),
        }
    }
}

pub(crate) async fn run(target: &Target, command: PlanCommand) -> Result<(), Failure> {
    let client = target.client()?;
    let plan = match command {
        PlanCommand::Set { workspace, terms, when } => {
            client.put_plan(&workspace, &terms.into(), &when.into()).await?.value
        }
        PlanCommand::Preview { workspace, terms } => client.preview_plan(&workspace, &terms.into()).await?,
        PlanCommand::Show { workspace } => client.plan(&workspace).await?.value,
        PlanCommand::Cancel { workspace, when } => client.cancel_plan(&workspace, &when.into()).await?.value,
    };
    target.print(&plan, one)
}

fn one(plan: &json::Plan) -> String {
    let json::Plan { plan, next, seats, allowance, for_seats, cost, term_ends_at } = plan;
    let credits = |given: &json::PlanCredits| match (given.owed.0, given.given.0) {
        (owed, given) if owed == given => owed.to_string(),
        (owed, given) => format!("{owed}, {given} given"),
    };
    let mut lines = vec![("plan", or_dash(plan.as_ref().map(terms)))];
    if let Some(json::NextPlan { plan, starts_at }) = next {
        let at = or_dash(starts_at.as_ref().map(|at| Shown(&at.0)));
        let what = plan.as_ref().map_or_else(|| "none".to_owned(), terms);
        lines.push(("next", format!("{what}, from {at}")));
    }
    lines.push(("seats", format!("{}, {} paid in this cycle", seats.enabled, seats.paid)));
    lines.push(("allowance", credits(allowance)));
    lines.push(("for seats", credits(for_seats)));
    lines.extend(cost.as_ref().map(|cost| ("cost", format!("{} in this cycle", money(cost)))));
    lines.extend(term_ends_at.as_ref().map(|at| ("term ends", Shown(&at.0).to_string())));
    fields(&lines)
}

pub(crate) fn money(money: &json::Money) -> String {
    format!("{} {}", money.amount.0, money.currency)
}

fn terms(plan: &json::PlanTerms) -> String {
    let json::PlanTerms {
        id, name, allowance, per_seat, paid, rollover, mid_cycle, overage, features, ..
    } = plan;
    let json::PlanTerms { price, seat_price, overage_price, term, .. } = plan;
    let prices = [(price, "cycle"), (seat_price, "seat"), (overage_price, "credit of overage")];
    let priced = |(price, what): (&Option<json::Money>, &str)| {
        let price = price.as_ref()?;
        Some(format!(", {} a {what}", money(price)))
    };
    let prices: String = prices.into_iter().filter_map(priced).collect();
    let term = if term.0 == PlanTerm::Year { ", for a year" } else { "" };
    let name = name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let overage = overage.as_ref().map_or_else(String::new, |rule| {
        let cap = rule.cap.as_ref().map_or_else(String::new, |cap| format!(" at {}", cap.0));
        format!(", overage {}{cap}", rule.mode.0.as_str())
    });
    let features = features.as_ref().map_or_else(String::new, |features| {
        let names: Vec<&str> = features.iter().map(|feature| feature.0.as_str()).collect();
        format!(", for {}", if names.is_empty() { "nothing".to_owned() } else { names.join(", ") })
    });
    let paid = if *paid { "" } else { ", not paid" };
    let (id, allowance, per_seat, mid_cycle) = (&id.0, allowance.0, per_seat.0, mid_cycle.0.as_str());
    format!(
        "{id}{name}: {allowance} and {per_seat} a seat each cycle{paid}, {}, {mid_cycle} in mid-cycle{overage}{features}{prices}{term}",
        told(rollover)
    )
}
