//! The page of a report: one file that needs nothing else, in the order in which an engineer asks before a deploy. Not
//! here: pictures (`chart`, `course`), the comparison of variants (`compare`), numbers as text (`figures`).

use super::figures::{Figure, Totals, count, number, of_them, percent, quantile, share, sum, time};
use super::words::{DEFINITIONS, escape, listed, reason, replay};
use super::{Input, Judged, Report, Shown, Spread, VariantReport};
use super::{beside, chart, compare, course};
use std::collections::BTreeSet;
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");
const HOVER: &str = include_str!("hover.js");
/// Broken seeds beyond these stand in the JSON alone.
const BROKEN_SHOWN: usize = 40;

/// The whole page.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut page = String::with_capacity(400_000);
    begin(&mut page, "");
    verdict(&mut page, report);
    if let Some(asked_about) = report.variants.first() {
        broken(&mut page, report);
        tiles(&mut page, asked_about);
        if report.variants.len() > 1 {
            let name = escape(&asked_about.name);
            let _ = write!(
                page,
                "<p class=\"which\">Up to the comparison, all figures are those of <b>{name}</b>.</p>"
            );
        }
        refusals(&mut page, asked_about);
        times(&mut page, asked_about);
        stranded(&mut page, asked_about);
        runs(&mut page, report);
        seeds(&mut page, asked_about);
        beside::of_page(&mut page, report);
        compare::section(&mut page, report);
    }
    inputs(&mut page, report);
    let _ = writeln!(page, "</main><script>{HOVER}</script></body></html>");
    page
}

fn begin(page: &mut String, class: &str) {
    page.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    page.push_str("<meta name=\"color-scheme\" content=\"light dark\"><title>Failure simulations</title>");
    let _ = write!(page, "<style>{STYLE}</style></head><body{class}><main>");
}

/// What of a report is shown by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The worst seed of the first variant over time.
    WorstRun,
    /// The product beside one counter and beside leases of fixed sizes.
    OtherWays,
}

/// A page with this part alone; nothing where the report has no such part.
#[must_use]
pub fn part(report: &Report, part: Part) -> Option<String> {
    let mut page = String::new();
    begin(&mut page, " class=\"part\"");
    let begun = page.len();
    match part {
        Part::WorstRun => run(&mut page, "The worst seed", report.variants.first()?.worst.as_ref()?),
        Part::OtherWays => beside::of_page(&mut page, report),
    }
    if page.len() == begun {
        return None;
    }
    page.push_str("</main></body></html>\n");
    Some(page)
}

/// A section with its question, and an answer in one sentence.
pub(super) fn section(page: &mut String, question: &str, answer: &str) {
    let _ = write!(page, "<section><h2>{question}</h2>");
    if !answer.is_empty() {
        let _ = write!(page, "<p class=\"answer\">{answer}</p>");
    }
}

/// What it comes to, and the sentence that says so.
pub(super) fn judged(report: &Report) -> (Judged, String) {
    let totals = Totals::of(report);
    let runs = of_them(totals.runs, "run", "runs");
    if totals.overdrawn > 0 {
        return (Judged::Bad, format!("A pool was overdrawn in {} of {runs}.", count(totals.overdrawn)));
    }
    if totals.unknown > 0 {
        let stopped = of_them(totals.unknown, "run", "runs");
        let others = match totals.broken.saturating_sub(totals.unknown) {
            0 => String::new(),
            1 => " Another one broke another promise.".to_owned(),
            others => format!(" Another {} broke another promise.", count(others)),
        };
        let why = format!(
            "{stopped} of {} stopped; whether a pool was overdrawn is not known.{others}",
            count(totals.runs)
        );
        return (Judged::Bad, why);
    }
    if totals.broken > 0 {
        let broken = count(totals.broken);
        return (
            Judged::Bad,
            format!("No overdraft was seen, but {broken} of {runs} broke another promise, and ended there."),
        );
    }
    if totals.runs == 0 || totals.asked == 0 {
        return (Judged::Idle, "Nothing was asked of any pool, so nothing is proven.".to_owned());
    }
    if report.variants.iter().any(|variant| variant.charged == 0) {
        return (Judged::Idle, "Nothing was ever charged, so nothing is proven.".to_owned());
    }
    let falsely = report.variants.first().map_or(0.0, |first| share(sum(&first.falsely), first.asked));
    if let Some(most) = report.falsely_max.filter(|most| falsely > *most) {
        let (falsely, most) = (percent(falsely), percent(most));
        let why = format!(
            "No pool was overdrawn, but {falsely} were refused though credits existed, and at most {most} may be."
        );
        return (Judged::Bad, why);
    }
    (Judged::Good, "No pool was overdrawn, and no promise was broken.".to_owned())
}

impl Judged {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Idle => "idle",
        }
    }
}

/// How much was tried, in one sentence.
pub(super) fn tried(report: &Report) -> String {
    let totals = Totals::of(report);
    let mut parts = vec![format!(
        "{} of {} simulated min",
        of_them(report.seeds, "seed", "seeds"),
        count(report.minutes)
    )];
    if report.variants.len() > 1 {
        parts.push(format!("{} variants", report.variants.len()));
    }
    parts.push(format!("{} simulated hours", number(report.simulated_hours)));
    parts.push(of_them(totals.asked, "request", "requests"));
    let kinds = if totals.kinds > 1 { format!(" of {} kinds", totals.kinds) } else { String::new() };
    parts.push(format!("{}{kinds}", of_them(totals.faults, "fault", "faults")));
    parts.join(", ")
}

/// What must be said before all else where a mistake was planted.
pub(super) fn planted(mistake: &str) -> String {
    format!("The mistake {mistake} was made on purpose: this says nothing about the product.")
}

/// How far so many seeds without a break reach. Variants share their seeds, so they do not add to it.
pub(super) fn reach(report: &Report) -> Option<String> {
    let totals = Totals::of(report);
    let is_clean = totals.overdrawn == 0 && totals.broken == 0 && totals.asked > 0;
    let seeds = report.variants.first().map_or(0, |first| first.seeds);
    // Nothing in n tries: at most three in n, with 95 % confidence.
    (is_clean && seeds >= 30).then(|| {
        let (seeds, one_in) = (count(seeds), count(seeds / 3));
        format!(
            "None in {seeds} seeds: with 95\u{a0}% confidence, fewer than 1 in {one_in} such runs breaks a promise."
        )
    })
}

fn verdict(page: &mut String, report: &Report) {
    let (judged, sentence) = judged(report);
    let class = judged.class();
    let _ = write!(
        page,
        "<header class=\"{class}\"><p class=\"kicker\">Tranche · failure simulations before a deploy</p>"
    );
    let mark = match class {
        "good" => "M5 12.5l4.5 4.5L19 7.5",
        "bad" => "M7 7l10 10M17 7L7 17",
        _ => "M6 12h12",
    };
    let _ = write!(page, "<h1><svg class=\"mark-{class}\" viewBox=\"0 0 24 24\" aria-hidden=\"true\">");
    let _ = write!(
        page,
        "<circle cx=\"12\" cy=\"12\" r=\"12\"/><path d=\"{mark}\"/></svg><span>{sentence}</span></h1>"
    );
    let _ = write!(page, "<p class=\"lead\">{}.</p>", tried(report));
    if let Some(plant) = &report.plant {
        let _ = write!(page, "<p class=\"lead\"><b>{}</b></p>", escape(&planted(plant)));
    }
    let mut notes: Vec<String> = reach(report).into_iter().collect();
    if report.wall_s > 0.0 {
        notes.push(format!("All of it took {}.", time((report.wall_s * 1_000.0) as u64)));
    }
    let _ = write!(page, "<p class=\"small\">{}</p></header>", notes.join(" "));
}

fn tiles(page: &mut String, variant: &VariantReport) {
    let stranded = Figure::Stranded.sorted(variant);
    let never = |spread: &Spread, ms: u64| if spread.count == 0 { "none".to_owned() } else { time(ms) };
    let tiles = [
        ("falsely refused", percent(Figure::Falsely.overall(variant)), "of all requests"),
        ("charged locally", percent(Figure::Local.overall(variant)), "of all requests"),
        ("recall", never(&variant.recalls, variant.recalls.p99), "p99"),
        ("without a leader", never(&variant.failovers, variant.failovers.p99), "p99"),
        (
            "reallocation",
            never(&variant.reallocations, variant.reallocations.p99),
            "p99, moves until nothing is pending",
        ),
        ("stranded", number(quantile(&stranded, 0.95)), "credits at most, in 19 of 20 seeds"),
    ];
    page.push_str("<ul class=\"tiles\">");
    for (name, value, about) in tiles {
        let _ = write!(page, "<li><span>{name}</span><b>{}</b><small>{about}</small></li>", escape(&value));
    }
    page.push_str("</ul>");
}

fn broken(page: &mut String, report: &Report) {
    let all =
        || report.variants.iter().flat_map(|variant| variant.broken.iter().map(move |one| (variant, one)));
    let many = all().count();
    if many == 0 {
        return;
    }
    page.push_str("<section class=\"broken\"><h2>What broke</h2><ol>");
    for (variant, (seed, what)) in all().take(BROKEN_SHOWN) {
        let (name, what) = (escape(&variant.name), escape(what));
        let _ = write!(page, "<li><b>Seed {seed}</b> <span class=\"of\">{name}</span><p>{what}</p>");
        if let Some(command) = replay(variant, *seed) {
            let _ = write!(page, "<code class=\"command\">{}</code>", escape(&command));
        }
        page.push_str("</li>");
    }
    page.push_str("</ol>");
    if many > BROKEN_SHOWN {
        let _ =
            write!(page, "<p class=\"small\">And {} more; the JSON has them all.</p>", many - BROKEN_SHOWN);
    }
    page.push_str("</section>");
}

fn refusals(page: &mut String, variant: &VariantReport) {
    let (falsely, refused) = (sum(&variant.falsely), sum(&variant.refused).max(sum(&variant.falsely)));
    let rightly = refused - falsely;
    let (asked, of_all) = (variant.asked, share(falsely, variant.asked));
    let answer = match falsely {
        _ if asked == 0 => "Nobody asked for anything.".to_owned(),
        0 => format!("Never, in {} requests.", count(asked)),
        _ => format!(
            "{} of {}: <b>{}</b> of all requests. Another {} were refused as any counter would have.",
            count(falsely),
            of_them(asked, "request", "requests"),
            percent(of_all),
            count(rightly)
        ),
    };
    section(page, "Was anybody refused though credits existed?", &answer);
    if asked > 0 {
        let remote = variant.charged.saturating_sub(variant.local);
        let parts = [
            ("local", variant.local, "charged locally"),
            ("remote", remote, "charged after asking"),
            ("rightly", rightly, "rightly refused"),
            ("falsely", falsely, "falsely refused"),
        ];
        let shares = parts.map(|(class, number, name)| (class, share(number, asked), name));
        page.push_str(&chart::whole(&shares));
        page.push_str("<ul class=\"legend\">");
        for (class, part, name) in shares {
            let _ = write!(page, "<li><i class=\"{class}\"></i>{name} <b>{}</b></li>", percent(part));
        }
        page.push_str("</ul>");
    }
    if refused > 0 {
        reasons(page, variant);
    }
    page.push_str("</section>");
}

/// Refusals by reason: false ones first, as what one can do something about.
fn reasons(page: &mut String, variant: &VariantReport) {
    let names: BTreeSet<&String> = variant.refused.keys().chain(variant.falsely.keys()).collect();
    let mut rows: Vec<(&String, u64, u64)> = names
        .into_iter()
        .map(|name| {
            let falsely = variant.falsely.get(name).copied().unwrap_or(0);
            let all = variant.refused.get(name).copied().unwrap_or(0);
            (name, falsely, all.saturating_sub(falsely))
        })
        .filter(|(_, falsely, rightly)| falsely + rightly > 0)
        .collect();
    rows.sort_by_key(|(_, falsely, rightly)| std::cmp::Reverse((*falsely, *rightly)));
    let most = rows.iter().map(|(_, falsely, rightly)| *falsely.max(rightly)).max().unwrap_or(1).max(1);
    page.push_str("<div class=\"scroll\"><table class=\"reasons\"><thead><tr><th>reason</th>");
    page.push_str("<th class=\"n\">falsely</th><th class=\"meter\"></th><th class=\"n\">rightly</th><th class=\"meter\"></th></tr></thead><tbody>");
    for (name, falsely, rightly) in rows {
        let _ = write!(page, "<tr><th><b>{}</b><small>{}</small></th>", escape(name), reason(name));
        for (class, number) in [("falsely", falsely), ("rightly", rightly)] {
            let wide = number as f64 * 100.0 / most as f64;
            let text = if number == 0 { "–".to_owned() } else { count(number) };
            let part = if number == 0 { String::new() } else { percent(share(number, variant.asked)) };
            let _ = write!(page, "<td class=\"n\">{text}<small>{part}</small></td><td class=\"meter\">");
            if number > 0 {
                let _ = write!(page, "<i class=\"{class}\" style=\"width:{wide:.2}%\"></i>");
            }
            page.push_str("</td>");
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div>");
}

/// Names over numbers.
fn facts(page: &mut String, facts: &[(&str, String)]) {
    page.push_str("<dl class=\"facts\">");
    for (name, value) in facts {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(value));
    }
    page.push_str("</dl>");
}

fn panel(page: &mut String, title: &str, about: &str) {
    let _ = write!(page, "<figure><figcaption><b>{title}</b><small>{about}</small></figcaption>");
}

pub(super) const TIMES: [(&str, &str); 3] = [
    ("Recalls", "a round, from calling leases back to its end"),
    ("Without a leader", "from losing one to the next"),
    ("Reallocations", "moves that left a part pending, until nothing is"),
];

pub(super) const fn spreads(variant: &VariantReport) -> [&Spread; 3] {
    [&variant.recalls, &variant.failovers, &variant.reallocations]
}

fn times(page: &mut String, variant: &VariantReport) {
    section(page, "How long did recalls, failovers and reallocations take?", "");
    page.push_str("<div class=\"panels\">");
    for ((title, about), spread) in TIMES.into_iter().zip(spreads(variant)) {
        panel(page, title, about);
        if spread.count == 0 {
            page.push_str("<p class=\"none\">Never happened.</p></figure>");
            continue;
        }
        facts(
            page,
            &[
                ("times", count(spread.count)),
                ("p50", time(spread.p50)),
                ("p90", time(spread.p90)),
                ("p99", time(spread.p99)),
                ("max", time(spread.max)),
            ],
        );
        page.push_str(&chart::durations(spread, title));
        page.push_str("</figure>");
    }
    page.push_str("</div></section>");
}

/// What half of the seeds, nineteen of twenty and the worst one stayed within.
fn over_seeds(figure: Figure, best_first: &[f64]) -> [(&'static str, String); 4] {
    let text = |part| figure.text(quantile(best_first, part));
    [("best", text(0.0)), ("half", text(0.5)), ("19 of 20", text(0.95)), ("worst", text(1.0))]
}

fn stranded(page: &mut String, variant: &VariantReport) {
    let sorted = Figure::Stranded.sorted(variant);
    let without = sorted.iter().filter(|value| **value <= 0.0).count() as u64;
    let answer = match sorted.len() as u64 {
        0 => "No seed ran.".to_owned(),
        seeds if without == seeds => {
            "In no seed: nothing was ever on a node that was down or cut off.".to_owned()
        }
        1 => format!("<b>{}</b> credits, in the one seed that ran.", number(sorted[0])),
        _ if without == 0 => format!(
            "Some in every seed: in half of them at most <b>{}</b> credits, in 19 of 20 at most {}, at worst {}.",
            number(quantile(&sorted, 0.5)),
            number(quantile(&sorted, 0.95)),
            number(quantile(&sorted, 1.0))
        ),
        seeds => format!(
            "None in {} of {}. In half of all seeds at most <b>{}</b> credits, in 19 of 20 at most {}, at worst {}.",
            count(without),
            of_them(seeds, "seed", "seeds"),
            number(quantile(&sorted, 0.5)),
            number(quantile(&sorted, 0.95)),
            number(quantile(&sorted, 1.0))
        ),
    };
    let lost = match variant.lost {
        lost if lost > 0.0 => {
            format!(" Lost for good with memory or disks, over all seeds: <b>{}</b> credits.", number(lost))
        }
        _ => String::new(),
    };
    section(page, "How many credits were left stranded?", &format!("{answer}{lost}"));
    if sorted.len() > 1 && sorted.last().is_some_and(|most| *most > 0.0) {
        page.push_str("<div class=\"panels two\">");
        let some = &sorted[without as usize..];
        panel(
            page,
            "Credits stranded",
            &format!("where there were any, in {}", of_them(some.len() as u64, "seed", "seeds")),
        );
        let _ = write!(page, "{}</figure>", chart::histogram(Figure::Stranded, some));
        panel(page, "The same, seed by seed", "from the best to the worst");
        let _ = write!(page, "{}</figure></div>", chart::ranked(Figure::Stranded, &sorted));
    }
    page.push_str("</section>");
}

fn runs(page: &mut String, report: &Report) {
    let Some((first, others)) = report.variants.split_first() else { return };
    if report.variants.iter().all(|variant| variant.median.is_none() && variant.worst.is_none()) {
        return;
    }
    section(page, "What does such a run look like?", "");
    both(page, first);
    for other in others.iter().filter(|other| other.median.is_some() || other.worst.is_some()) {
        let _ = write!(page, "<details><summary>The same of <b>{}</b></summary>", escape(&other.name));
        both(page, other);
        page.push_str("</details>");
    }
    page.push_str("</section>");
}

fn both(page: &mut String, variant: &VariantReport) {
    match (&variant.median, &variant.worst) {
        (Some(median), Some(worst)) if median.seed == worst.seed => {
            run(page, "The worst seed, and the one in the middle", worst);
        }
        (median, worst) => {
            for (name, shown) in [("The seed in the middle", median), ("The worst seed", worst)] {
                if let Some(shown) = shown {
                    run(page, name, shown);
                }
            }
        }
    }
}

fn run(page: &mut String, name: &str, shown: &Shown) {
    let (seed, why) = (shown.seed, escape(&shown.why));
    let _ = write!(page, "<article class=\"run\"><h3>{name}: {seed}</h3><p class=\"why\">{why}</p>");
    let summary = course::summary(&shown.outcome);
    let summary: Vec<(&str, String)> =
        summary.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    facts(page, &summary);
    if let Some(broken) = &shown.outcome.broken {
        let (sentence, what) = (escape(&broken.sentence), escape(&broken.what));
        let _ = write!(
            page,
            "<p class=\"broke\">Broken at {}: <b>{sentence}</b>. {what}</p>",
            time(broken.at_ms)
        );
    }
    page.push_str("<p class=\"readout\" aria-hidden=\"true\"></p>");
    page.push_str(&course::course(&shown.outcome));
    let _ = write!(page, "<code class=\"command\">{}</code></article>", escape(&shown.replay));
}

fn seeds(page: &mut String, variant: &VariantReport) {
    if variant.by_seed.len() < 2 {
        return;
    }
    section(page, "How different are the seeds?", "");
    page.push_str("<div class=\"panels\">");
    for figure in [Figure::Falsely, Figure::Refused, Figure::Local] {
        let best_first = figure.best_first(variant);
        panel(page, figure.name(), figure.about());
        facts(page, &over_seeds(figure, &best_first));
        let _ = write!(page, "{}</figure>", chart::ranked(figure, &best_first));
    }
    page.push_str("</div></section>");
}

fn inputs(page: &mut String, report: &Report) {
    section(page, "What was simulated, and what do the figures mean?", "");
    page.push_str("<div class=\"scroll\"><table class=\"inputs\"><tbody>");
    for Input { role, file, about } in &report.inputs {
        let (role, file, about) = (escape(role), escape(file), escape(about));
        let _ = write!(page, "<tr><th>{role}</th><td><code>{file}</code></td><td>{about}</td></tr>");
    }
    page.push_str("</tbody></table></div>");
    let mut named: Vec<&VariantReport> = report.variants.iter().collect();
    named.dedup_by(|one, before| (&one.faults, one.nodes) == (&before.faults, before.nodes));
    for variant in &named {
        let mut kinds: Vec<(&String, &u64)> =
            variant.faults.iter().filter(|(_, count)| **count > 0).collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let kinds: Vec<String> =
            kinds.iter().map(|(kind, number)| format!("{} {}", count(**number), escape(kind))).collect();
        let name = if named.len() == 1 && report.variants.len() > 1 { "All variants" } else { &variant.name };
        let name = escape(name);
        let faults = if kinds.is_empty() { "none".to_owned() } else { listed(&kinds) };
        let nodes = of_them(variant.nodes as u64, "node", "nodes");
        let _ = write!(page, "<p class=\"small\"><b>{name}</b>, {nodes}. Faults begun: {faults}.</p>");
    }
    page.push_str("<dl class=\"meanings\">");
    for (name, meaning) in DEFINITIONS {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{meaning}</dd></div>");
    }
    page.push_str("</dl></section>");
}
