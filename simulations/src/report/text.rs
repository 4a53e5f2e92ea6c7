//! A report for the terminal: the verdict, the answers, variants beside each other, what to replay; some thirty lines of at
//! most a hundred columns. Not here: the page (`html`).

use super::figures::{Figure, count, number, percent, quantile, share, sum, time};
use super::html::{TIMES, judged, planted, reach, spreads, tried};
use super::words::{cut, plain, replay};
use super::{Judged, Report, Spread, VariantReport, beside};
use crate::command;
use std::collections::BTreeMap;
use std::fmt::Write;

const COLUMNS: usize = 100;
const BROKEN_SHOWN: usize = 3;
const VARIANTS_SHOWN: usize = 5;
const REASONS_ROOM: usize = 46;

/// The whole text; every line ends.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut lines = Lines::default();
    let (class, sentence) = judged(report);
    let mark = match class {
        Judged::Good => "OK",
        Judged::Bad => "FAILED",
        Judged::Idle => "IDLE",
    };
    lines.wrapped(&format!("{mark}: "), "    ", &sentence);
    if let Some(plant) = &report.plant {
        lines.wrapped("    ", "    ", &planted(plant));
    }
    lines.wrapped("    ", "    ", &format!("{}.", tried(report)));
    if let Some(reach) = reach(report) {
        lines.wrapped("    ", "    ", &reach);
    }
    broken(&mut lines, report);
    if let Some(asked_about) = report.variants.first() {
        answers(&mut lines, asked_about);
        variants(&mut lines, report);
        others(&mut lines, report);
        worst(&mut lines, asked_about);
    }
    // What a page writes finely, a terminal may not have.
    lines.text.replace('\u{a0}', " ").replace(['−', '–'], "-").replace('±', "+-")
}

/// So many columns at most, on one line.
fn short(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        plain(text)
    } else {
        cut(&plain(text), columns - 1).replace('…', "..")
    }
}

#[derive(Debug, Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{}", short(line, COLUMNS).trim_end());
    }

    /// Broken at spaces; later lines begin with `then`.
    fn wrapped(&mut self, first: &str, then: &str, words: &str) {
        self.broken(first, then, plain(words).split(' '), "");
    }

    /// A command can be pasted though it is long.
    fn command(&mut self, command: &str) {
        let words = command::words(&plain(command));
        self.broken("  ", "      ", words.iter().map(String::as_str), " \\");
    }

    fn broken<'a>(&mut self, first: &str, then: &str, words: impl Iterator<Item = &'a str>, end: &str) {
        let mut line = first.to_owned();
        let mut is_new = true;
        for word in words.filter(|word| !word.is_empty()) {
            let length = line.chars().count() + word.chars().count() + 1 + end.len();
            if length > COLUMNS && !is_new {
                let _ = writeln!(self.text, "{line}{end}");
                line = then.to_owned();
                is_new = true;
            }
            if !is_new {
                line.push(' ');
            }
            line.push_str(word);
            is_new = false;
        }
        let _ = writeln!(self.text, "{line}");
    }
}

fn broken(lines: &mut Lines, report: &Report) {
    let all =
        || report.variants.iter().flat_map(|variant| variant.broken.iter().map(move |one| (variant, one)));
    for (variant, (seed, what)) in all().take(BROKEN_SHOWN) {
        lines.line("");
        lines.line(&format!("seed {seed} of {}: {what}", short(&variant.name, 30)));
        if let Some(command) = replay(variant, *seed) {
            lines.command(&command);
        }
    }
    let more = all().count().saturating_sub(BROKEN_SHOWN);
    if more > 0 {
        lines.line(&format!("and {} broken seeds more", count(more as u64)));
    }
}

/// The most frequent reasons, as far as there is room.
fn reasons(by_name: &BTreeMap<String, u64>) -> String {
    let mut sorted: Vec<(&String, &u64)> = by_name.iter().filter(|(_, number)| **number > 0).collect();
    sorted.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    let mut text = String::new();
    for (at, (name, number)) in sorted.iter().enumerate() {
        let before = if at == 0 { ": " } else { ", " };
        let part = format!("{before}{} {}", short(name, 22), count(**number));
        if text.len() + part.len() > REASONS_ROOM {
            text.push_str(", ...");
            break;
        }
        text.push_str(&part);
    }
    text
}

fn answers(lines: &mut Lines, variant: &VariantReport) {
    lines.line("");
    lines.line(&format!("{}, {} nodes", short(&variant.name, 60), variant.nodes));
    let falsely = sum(&variant.falsely);
    let mut rightly = variant.refused.clone();
    for (name, number) in &variant.falsely {
        let all = rightly.entry(name.clone()).or_default();
        *all = all.saturating_sub(*number);
    }
    for (name, number, why) in [
        ("falsely refused", falsely, reasons(&variant.falsely)),
        ("rightly refused", sum(&rightly), reasons(&rightly)),
        ("charged locally", variant.local, String::new()),
    ] {
        let part = percent(share(number, variant.asked));
        lines.line(&format!("  {name:<17}{part:>9}  {} of {}{why}", count(number), count(variant.asked)));
    }
    for ((name, _), spread) in TIMES.iter().zip(spreads(variant)) {
        let name = name.to_lowercase();
        lines.line(&format!("  {name:<17}{}", in_words(spread)));
    }
    let sorted = Figure::Stranded.sorted(variant);
    let part = |part| number(quantile(&sorted, part));
    let (half, most, worst) = (part(0.5), part(0.95), part(1.0));
    let name = "stranded";
    lines.line(&format!(
        "  {name:<17}{half:>9}  credits in half of the seeds at most; 19 of 20 {most}; worst {worst}"
    ));
    if variant.lost > 0.0 {
        let (name, lost) = ("lost", number(variant.lost));
        lines.line(&format!("  {name:<17}{lost:>9}  credits with memory or disks, over all seeds"));
    }
}

fn in_words(spread: &Spread) -> String {
    if spread.count == 0 {
        return format!("{:>9}", "never");
    }
    let times = count(spread.count);
    let (p50, p90, p99, max) = (time(spread.p50), time(spread.p90), time(spread.p99), time(spread.max));
    format!("{p50:>9}  p50; p90 {p90}, p99 {p99}, max {max}; {times} times")
}

fn variants(lines: &mut Lines, report: &Report) {
    let Some((first, others)) = report.variants.split_first() else { return };
    if others.is_empty() {
        return;
    }
    lines.line("");
    let head = [
        "variant",
        "falsely",
        "refused",
        "local",
        "stranded",
        "recall p99",
        "leaderless",
        "falsely, by seed",
    ];
    row(lines, &head.map(str::to_owned));
    for variant in report.variants.iter().take(VARIANTS_SHOWN) {
        let p99 = |spread: &Spread| if spread.count == 0 { "never".to_owned() } else { time(spread.p99) };
        let overall = |figure: Figure| figure.text(figure.overall(variant));
        let pairs = Figure::Falsely.pairs(first, variant);
        let by_seed = if std::ptr::eq(first, variant) {
            "(the first)".to_owned()
        } else {
            format!("{} better, {} worse", count(pairs.better), count(pairs.worse))
        };
        row(
            lines,
            &[
                variant.name.clone(),
                overall(Figure::Falsely),
                overall(Figure::Refused),
                overall(Figure::Local),
                overall(Figure::Stranded),
                p99(&variant.recalls),
                p99(&variant.failovers),
                by_seed,
            ],
        );
    }
    let more = report.variants.len().saturating_sub(VARIANTS_SHOWN);
    if more > 0 {
        lines.line(&format!("and {more} variants more"));
    }
}

/// One counter, and leases of fixed sizes.
fn others(lines: &mut Lines, report: &Report) {
    let rows = beside::rows(report);
    if rows.is_empty() {
        return;
    }
    lines.line("");
    let head = beside::HEAD.map(str::to_owned);
    for [name, falsely, first, stranded, asked] in [head].into_iter().chain(rows) {
        let name = short(&name, 26);
        lines.line(&format!("{name:<26}{falsely:>17}{first:>22}{stranded:>15}{asked:>18}"));
    }
}

fn row(lines: &mut Lines, cells: &[String; 8]) {
    let [name, falsely, refused, local, stranded, recall, leaderless, by_seed] = cells;
    let name = short(name, 18);
    lines.line(&format!(
        "{name:<18}{falsely:>9}{refused:>9}{local:>8}{stranded:>10}{recall:>11}{leaderless:>12}  {by_seed}"
    ));
}

fn worst(lines: &mut Lines, variant: &VariantReport) {
    if let Some(worst) = &variant.worst {
        lines.line("");
        lines.line(&format!("the worst seed, {}: {}", worst.seed, worst.why));
        lines.command(&worst.replay);
    }
}
