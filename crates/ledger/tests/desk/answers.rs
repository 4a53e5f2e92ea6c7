//! How the ledger's answers read in a script: one line each, only what is not zero or plain.

use super::{holder_text, is_quiet, line_text};
use ledger::{
    AllocationAnswer, Answer, Applied, Command, CycleOverage, DenialReason, Due, Event, Grant, GrantState,
    Import, ImportAnswer, ImportResult, ImportedFrom, Intent, LimitHit, LimitView, LimitsAnswer, LineAnswer,
    LineResult, MemberView, Next, Outcome, OverageAnswer, OverageRule, Overflow, Owner, Pending, Plan,
    PlanAnswer, Pooling, PoolingAnswer, ReallocationAnswer, RefundAnswer, RefundedTo, Rejection, Shares,
    State, Subject, TeamView, UsageReport, Workspace, WorkspaceView,
};
use std::fmt::Write as _;
use types::{Backing, Credits, CycleNumber, Source, Timestamp};

pub fn applied(state: &State, command: &Command, applied: &Applied) -> String {
    let workspace = command.workspace().and_then(|id| state.workspace(id));
    let mut out = match &applied.result {
        Err(rejection) => {
            let elsewhere = match rejection {
                Rejection::InsufficientShared { elsewhere, .. } => parts(&[("elsewhere", *elsewhere)]),
                _ => String::new(),
            };
            format!("rejected ({:?}): {rejection}{elsewhere}\n", rejection.retry())
        }
        Ok(outcome) if is_quiet(outcome) => String::new(),
        Ok(outcome) => self::outcome(workspace, outcome),
    };
    for event in &applied.events {
        match event {
            Event::Recall { line, user } => writeln!(out, "  recall {} of {user}", line_text(*line)).unwrap(),
            Event::HolderFenced { holder } => writeln!(out, "  fenced {}", holder_text(*holder)).unwrap(),
        }
    }
    out
}

fn outcome(workspace: Option<&Workspace>, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Workspace(_) | Outcome::Registered | Outcome::Ticked => String::new(),
        Outcome::Grant(answer) => grant(&answer.grant, &answer.pending),
        Outcome::Member(view) => member(view),
        Outcome::Allocation(answer) => allocation(answer),
        Outcome::Reallocation(answer) => reallocation(answer),
        Outcome::Limits(answer) => limits(answer),
        Outcome::Lines(lines) => lines.iter().map(|answer| line(workspace, answer)).collect(),
        Outcome::Forgotten { lines, written_off, exposure } => {
            format!("forgotten: {lines} lines, written off {written_off}, exposure {exposure}\n")
        }
        Outcome::Prices(answer) => format!("prices {}\n", answer.version),
        Outcome::Plan(answer) => plan(answer),
        Outcome::Pooling(answer) => pooling(answer),
        Outcome::Overage(answer) => overage(answer),
        Outcome::Team(view) => team(view),
        Outcome::Refund(answer) => refund(answer),
        Outcome::Imported(answers) => answers.iter().map(import).collect(),
    }
}

/// `name 3` for what is not zero.
fn parts(all: &[(&str, Credits)]) -> String {
    let said = all.iter().filter(|(_, amount)| !amount.is_zero());
    said.fold(String::new(), |text, (name, amount)| format!("{text}, {name} {amount}"))
}

fn pending(parts: &[Pending]) -> String {
    parts.iter().fold(String::new(), |text, p| format!("{text}, pending {} on {}", p.amount, p.node))
}

fn backing(workspace: Option<&Workspace>, backing: Backing) -> String {
    let grant = workspace.map_or_else(String::new, |w| w.grant(backing.grant).id.to_string());
    format!("{}/{grant}", source(backing.source))
}

fn source(source: Source) -> String {
    match source {
        Source::Allocation => "own".to_owned(),
        Source::Reserve(level) => format!("reserve{level}"),
        Source::Shared => "shared".to_owned(),
        Source::Overage => "overage".to_owned(),
    }
}

fn grant(grant: &Grant, out: &[Pending]) -> String {
    let books = &grant.books;
    let state = match grant.state {
        GrantState::Live => "",
        GrantState::Expired => " is over",
        GrantState::Voided => " is void",
    };
    let places = parts(&[
        ("set aside", books.earmarked),
        ("out", books.out),
        ("used", books.used),
        ("unattributed", books.unattributed),
        ("written off", books.written_off),
        ("expired", books.expired),
        ("voided", books.voided),
        ("refunded", books.refunded),
        ("exposure", books.exposure),
        ("for overage", books.for_overage),
    ]);
    let (available, amount) = (books.available, books.amount);
    let rolled = grant.rolled.map_or_else(String::new, |rolled| {
        let until = rolled.last.map_or_else(String::new, |last| format!(" to the end of cycle {}", last.0));
        format!(", kept {} of {}{until}", rolled.kept, rolled.left)
    });
    format!("{}{state}: {available} of {amount} available{places}{rolled}{}\n", grant.id, pending(out))
}

fn overage(answer: &OverageAnswer) -> String {
    let whose = answer.user.as_ref().map_or_else(String::new, |user| format!(" of {user}"));
    let said = |rule| match rule {
        OverageRule::Off => "off".to_owned(),
        OverageRule::On => "on".to_owned(),
        OverageRule::UpTo(cap) => format!("up to {cap}"),
    };
    let rule = answer.rule.map_or_else(|| "no rule".to_owned(), said);
    let rule =
        answer.of_plan.map_or(rule.clone(), |of_plan| format!("{rule}, the plan's is {}", said(of_plan)));
    let mut text = format!("overage{whose}: {rule}{}\n", parts(&[("drawn", answer.drawn)]));
    for CycleOverage { cycle, charged, refunded, out, paid, billed, uncovered, price } in &answer.cycles {
        let (charged, refunded) = (("charged", *charged), ("refunded", *refunded));
        let (out, paid) = (("out", *out), ("paid", *paid));
        let known = parts(&[charged, refunded, out, paid, ("billed", *billed), ("uncovered", *uncovered)]);
        let price = price.map_or_else(String::new, |price| format!(", each credit {price}"));
        writeln!(text, "  cycle {}{known}{price}", cycle.0).unwrap();
    }
    text
}

fn limits(answer: &LimitsAnswer) -> String {
    let one = |limit: &LimitView| {
        let said = parts(&[("used", limit.used), ("remaining", limit.remaining)]);
        let (from, to) = (hour(Some(limit.starts_at)), hour(limit.resets_at));
        format!("{} per {} from {from} to {to}{said}", limit.amount, limit.window)
    };
    let all: Vec<String> = answer.limits.iter().map(one).collect();
    let all = if all.is_empty() { "none".to_owned() } else { all.join("; ") };
    let out = if answer.out.is_zero() { String::new() } else { format!("; out {}", answer.out) };
    format!("limits of {}: {all}{out}\n", answer.of)
}

/// Since scripts begin.
fn hour(at: Option<Timestamp>) -> String {
    let Some(at) = at else { return "no time".to_owned() };
    let ms = at.millis() - 20_000 * 86_400_000;
    if ms % 3_600_000 == 0 { format!("{}h", ms / 3_600_000) } else { format!("{}m", ms / 60_000) }
}

fn refund(answer: &RefundAnswer) -> String {
    let RefundAnswer { id, charge, user, cycle, charged, amount, refunded, to, .. } = answer;
    let cycle = format!("of {charge} by {user} in cycle {}", cycle.0);
    let mut text = format!("{id}: {amount} {cycle}, {refunded} of {charged} so far\n");
    for RefundedTo { from, grant, amount, place } in to {
        writeln!(text, "  {amount} from {} of {grant}: {place:?}", source(*from)).unwrap();
    }
    text
}

fn import(answer: &ImportAnswer) -> String {
    let again = match &answer.result {
        ImportResult::Charged => "",
        ImportResult::Repeated => "again: ",
        ImportResult::Conflict => return format!("{}: something else was told of under it\n", answer.id),
        ImportResult::Refused(why) => {
            return format!("{}: refused ({:?}): {why}\n", answer.id, why.retry());
        }
    };
    let Import { user, cycle, charged, from, uncovered, .. } =
        &**answer.import.as_ref().expect("it was charged");
    let said = parts(&[("uncovered", *uncovered)]);
    let mut text = format!("{}: {again}{charged} of {user} in cycle {}{said}\n", answer.id, cycle.0);
    for ImportedFrom { from, grant, amount } in from {
        writeln!(text, "  {amount} from {} of {grant}", source(*from)).unwrap();
    }
    text
}

fn plan(answer: &PlanAnswer) -> String {
    let id = |plan: &Plan| plan.id.to_string();
    let name = answer.plan.as_ref().map_or_else(|| "no plan".to_owned(), id);
    let next = answer.next.as_ref().map_or_else(String::new, |next| match next {
        Next::Plan(plan) => format!(", {} with the next cycle", plan.id),
        Next::Ends => format!(", which ends with its {}", answer.term.map_or("cycle", |_| "term")),
    });
    let due = |what, Due { owed, given, most: _ }: Due| {
        let given = if owed == given { String::new() } else { format!(", {given} given") };
        if owed.is_zero() && given.is_empty() { String::new() } else { format!("; {what} {owed}{given}") }
    };
    let seats = format!("seats {}", answer.seats);
    let seats = if answer.seats_paid == answer.seats {
        seats
    } else {
        format!("{seats}, {} paid", answer.seats_paid)
    };
    let cost = answer.cost.map_or_else(String::new, |cost| format!("; costs {cost}"));
    let term = answer.term.map_or_else(String::new, |more| format!("; its term has {more} more"));
    format!(
        "{name}{next}; {seats}{}{}{cost}{term}\n",
        due("allowance", answer.allowance),
        due("for seats", answer.for_seats)
    )
}

fn pooling(answer: &PoolingAnswer) -> String {
    let PoolingAnswer { mode, seats, share, parts: with_part, set_aside, short, by_hand, shared, .. } =
        answer;
    let mode = match mode {
        Pooling::Pooled => "pooled",
        Pooling::PerSeat => "per seat",
        Pooling::OwnFirst => "own first",
    };
    let by_hand = if *by_hand == 0 { String::new() } else { format!(", by hand {by_hand}") };
    let said = parts(&[("share", *share), ("set aside", *set_aside), ("short", *short), ("shared", *shared)]);
    format!("{mode}: seats {seats}, parts {with_part}{by_hand}{said}{}\n", pending(&answer.pending))
}

fn line(workspace: Option<&Workspace>, answer: &LineAnswer) -> String {
    match &answer.result {
        LineResult::Closed => "closed\n".to_owned(),
        LineResult::Rejected(rejection) => format!("rejected: {rejection}\n"),
        LineResult::Line { drawn, frozen, denied } => {
            let drawn: Vec<String> =
                drawn.iter().map(|(b, amount)| format!("{} {amount}", backing(workspace, *b))).collect();
            let drawn = if drawn.is_empty() { "nothing".to_owned() } else { drawn.join(", ") };
            let frozen = if *frozen { ", frozen" } else { "" };
            let denied = denied.as_ref().map_or_else(String::new, |d| {
                let reason = match &d.reason {
                    DenialReason::LimitReached(LimitHit { of, window, amount, resets_at, .. }) => {
                        let of = match of {
                            Subject::User(_) => String::new(),
                            Subject::Team(_) | Subject::Feature(_) | Subject::Model(_) => format!("{of}'s "),
                        };
                        let ends = hour(*resets_at);
                        format!("LimitReached of {of}{amount} per {window}, which ends at {ends}")
                    }
                    DenialReason::FeatureNotInPlan(plan) => format!("FeatureNotInPlan {plan}"),
                    reason => format!("{reason:?}"),
                };
                format!(", denied: {reason}, available {}, elsewhere {}", d.available, d.elsewhere)
            });
            format!("drawn {drawn}{frozen}{denied}\n")
        }
    }
}

fn allocation(answer: &AllocationAnswer) -> String {
    let user = &answer.user;
    let Some(amount) = answer.amount else {
        return format!("{user} has no allocation{}\n", pending(&answer.pending));
    };
    let said =
        parts(&[("every next cycle", answer.standing), ("short", answer.short), ("used", answer.used)]);
    let overflow = match answer.overflow {
        Overflow::None => "",
        Overflow::Shared => ", then shared",
    };
    let what = if answer.of_seat { "part" } else { "allocation" };
    format!("{what} of {user}: {amount}{overflow}{said}{}\n", pending(&answer.pending))
}

fn team(view: &TeamView) -> String {
    let parent = view.parent.as_ref().map_or_else(String::new, |parent| format!(" in {parent}"));
    let members = if view.members == 0 { String::new() } else { format!(", members {}", view.members) };
    let reserve = view.reserve.map_or_else(String::new, |reserve| format!(", reserve {reserve}"));
    let said = parts(&[
        ("every next cycle", view.standing),
        ("short", view.short),
        ("used", view.used),
        ("leased", view.leased),
        ("remaining", view.remaining),
    ]);
    format!("team {}{parent}{members}{reserve}{said}{}\n", view.team, pending(&view.pending))
}

fn reallocation(answer: &ReallocationAnswer) -> String {
    let said = parts(&[("moved", answer.moved), ("lapsed", answer.lapsed)]);
    let ReallocationAnswer { id, from, to, asked, .. } = answer;
    format!("{id}: {asked} from {from} to {to}{said}{}\n", pending(&answer.pending))
}

fn member(view: &MemberView) -> String {
    let listed = if view.listed { "" } else { " (no member)" };
    let access = if view.ai_access { "" } else { ", no access" };
    let team = view.team.as_ref().map_or_else(String::new, |team| format!(", team {team}"));
    let service = view.service.as_ref().map_or_else(String::new, |service| {
        let shares = match &service.shares {
            Shares::Nothing => String::new(),
            Shares::WithOwner => ", shares with its owner".to_owned(),
            Shares::With(other) => format!(", shares with {other}"),
        };
        format!(", service of {}{shares}", service.owner)
    });
    let said = parts(&[
        ("allocation", view.allocation.unwrap_or(Credits::ZERO)),
        ("short", view.short),
        ("pending", view.pending),
        ("reserve", view.reserve),
        ("limit", view.limit.unwrap_or(Credits::ZERO)),
        ("used", view.used),
        ("refunded", view.refunded),
        ("leased", view.leased),
    ]);
    format!("{}{listed}{service}{access}{team}{said}, remaining {}\n", view.user, view.remaining)
}

fn pool(view: &WorkspaceView) -> String {
    let said = parts(&[
        ("used", view.used),
        ("refunded", view.refunded),
        ("held", view.held),
        ("available", view.available),
        ("leased", view.leased),
        ("allocated", view.allocated),
        ("reserved", view.reserved),
        ("short", view.short),
        ("shared", view.shared),
        ("unattributed", view.unattributed),
        ("written off", view.written_off),
        ("exposure", view.exposure),
        ("pending", view.pending),
        ("uncovered", view.uncovered),
    ]);
    let cycle =
        if view.cycle == CycleNumber::FIRST { String::new() } else { format!("cycle {}: ", view.cycle.0) };
    format!("{cycle}granted {}{said}\n", view.granted)
}

fn usage(report: &UsageReport) -> String {
    let mut out = String::new();
    for row in &report.rows {
        let words = [
            row.key.day.map(|day| format!("day {}", day.0 - 20_000)),
            row.key.user.as_ref().map(ToString::to_string),
            row.key.owner.as_ref().map(|owner| format!("of {owner}")),
            row.key.team.as_ref().map(ToString::to_string),
            row.key.feature.as_ref().map(ToString::to_string),
            row.key.model.as_ref().map(ToString::to_string),
            row.key.grant.as_ref().map(|grant| format!("paid by {grant}")),
        ];
        let name: Vec<String> = words.into_iter().flatten().collect();
        let units = row.metered.units.iter().fold(String::new(), |text, (u, n)| format!("{text}, {n} {u}"));
        let (credits, calls) = (row.metered.credits, row.metered.calls);
        writeln!(out, "{}: {credits} in {calls} calls{units}", name.join(" ")).unwrap();
    }
    if !report.unattributed.is_zero() {
        writeln!(out, "unattributed {}", report.unattributed).unwrap();
    }
    if !report.uncovered.is_zero() {
        writeln!(out, "uncovered {}", report.uncovered).unwrap();
    }
    out
}

/// Every open line and every intent that owes something.
pub fn lines(workspace: &Workspace) -> String {
    let mut out = String::new();
    for (id, line) in &workspace.lines {
        let marks = [(line.frozen, ", frozen"), (line.written_off, ", written off")];
        let marks = marks.iter().filter(|(is, _)| *is).fold(String::new(), |text, (_, mark)| text + mark);
        let cycle =
            if line.cycle == workspace.cycle { String::new() } else { format!(" in cycle {}", line.cycle.0) };
        let pledged = parts(&[("pledged", line.pledged())]);
        let types::Scope { list: _, feature, model } = &line.scope;
        let feature = feature.as_ref().map_or_else(String::new, |feature| format!(" for {feature}"));
        let model = model.as_ref().map_or_else(String::new, |model| format!(" with {model}"));
        let of = format!("{}{feature}{model}", line.user);
        writeln!(out, "{} of {of}{cycle}{marks}{pledged}", line_text(*id)).unwrap();
        for n in &line.backings {
            let said = parts(&[
                ("drawn", n.drawn),
                ("used", n.used),
                ("returned", n.returned),
                ("unattributed", n.unattributed),
                ("written off", n.written_off),
                ("out", n.outstanding()),
            ]);
            writeln!(out, "  {}:{}", backing(Some(workspace), n.backing), &said[1..]).unwrap();
        }
    }
    let owing = |intent: &&Intent| !intent.pending().is_zero();
    for intent in workspace.intents.values().filter(owing) {
        let from = match &intent.from {
            Owner::User(user) => user.to_string(),
            Owner::Team(team) => format!("team {team}"),
        };
        writeln!(out, "{from} owes {} of {}", intent.pending(), intent.asked).unwrap();
    }
    out
}

pub fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Workspace(view) => pool(view),
        Answer::Grants(grants) => {
            let window = |g: &Grant| {
                let days = |at: Timestamp| at.day().0 - 20_000;
                g.expires_at.map_or_else(String::new, |at| format!("until day {}, ", days(at)))
            };
            grants.iter().map(|a| format!("{}{}", window(&a.grant), grant(&a.grant, &a.pending))).collect()
        }
        Answer::Members(members) => members.iter().map(member).collect(),
        Answer::Allocation(answer) => allocation(answer),
        Answer::Reallocation(answer) => reallocation(answer),
        Answer::Usage(report) => usage(report),
        Answer::Unknown(what) => format!("unknown {what:?}\n"),
        Answer::Plan(answer) => plan(answer),
        Answer::Pooling(answer) => pooling(answer),
        Answer::Refused(why) => format!("would be rejected: {why}\n"),
        Answer::Overage(answer) => overage(answer),
        Answer::Teams(teams) => teams.iter().map(team).collect(),
        Answer::Limits(answer) => limits(answer),
        Answer::Refund(answer) => refund(answer),
        Answer::Charge(books) => format!("refunded {}\n", books.refunded),
    }
}
