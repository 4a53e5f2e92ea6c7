//! The product beside one counter and beside leases of fixed sizes, over the same requests. Not here: how these count
//! (`baseline`).

use super::figures::{count, percent, share, sum};
use super::html::section;
use super::words::escape;
use super::{Report, VariantReport};
use crate::baseline::Baseline;
use std::fmt::Write;

pub const HEAD: [&str; 5] =
    ["", "falsely refused", "first false refusal", "stranded then", "asked the ledger"];

/// Falsely refused and stranded, in per cent: for pictures.
type Parts = [f64; 2];

/// Name and figures, as text: the product first.
pub fn rows(report: &Report) -> Vec<[String; 5]> {
    rows_and_parts(report).into_iter().map(|(row, _)| row).collect()
}

fn rows_and_parts(report: &Report) -> Vec<([String; 5], Parts)> {
    let Some(first) = report.variants.first().filter(|_| !report.baselines.is_empty()) else {
        return Vec::new();
    };
    let mut rows = vec![product(first)];
    rows.extend(report.baselines.iter().map(other));
    rows
}

fn after(spent: Option<f64>) -> String {
    spent.map_or_else(|| "never".to_owned(), |spent| format!("{} spent", percent(spent)))
}

fn product(variant: &VariantReport) -> ([String; 5], Parts) {
    let falsely = share(sum(&variant.falsely), variant.asked);
    let row = [
        format!("Tranche, {}", variant.name),
        percent(falsely),
        after(variant.first_false_refusal_percent),
        percent(variant.stranded_percent),
        percent(100.0 - share(variant.local, variant.charged)),
    ];
    (row, [falsely, variant.stranded_percent])
}

fn other(baseline: &Baseline) -> ([String; 5], Parts) {
    let charged = baseline.asked - baseline.refused;
    let falsely = share(baseline.falsely, baseline.asked);
    let row = [
        baseline.name.clone(),
        percent(falsely),
        after(baseline.first_false_refusal_percent),
        percent(baseline.stranded_percent),
        percent(100.0 - share(baseline.local, charged)),
    ];
    (row, [falsely, baseline.stranded_percent])
}

pub fn of_page(page: &mut String, report: &Report) {
    let rows = rows_and_parts(report);
    if rows.is_empty() {
        return;
    }
    let seeds = match report.baseline_seeds {
        1 => "seed".to_owned(),
        seeds => format!("{} seeds", count(seeds)),
    };
    let answer = format!(
        "The others live in a world without faults and distances, over the first {seeds}; of their leases nothing \
         can be called back. Of Tranche only what was charged until 95\u{a0}% were spent: {} without asking anybody.",
        percent(report.variants[0].local_until_95_percent)
    );
    section(page, "What would other ways of counting have done?", &answer);
    page.push_str("<div class=\"scroll\"><table class=\"reasons beside\"><thead><tr><th></th>");
    let [_, falsely, first, stranded, asked] = HEAD;
    let _ =
        write!(page, "<th class=\"n\">{falsely}</th><th class=\"meter\"></th><th class=\"n\">{first}</th>");
    let _ =
        write!(page, "<th class=\"n\">{stranded}</th><th class=\"meter\"></th><th class=\"n\">{asked}</th>");
    page.push_str("</tr></thead><tbody>");
    for ([name, falsely, first, stranded, asked], [refused, idle]) in rows {
        let bar = |class: &str, part: f64| match part {
            part if part > 0.0 => format!("<i class=\"{class}\" style=\"width:{part:.2}%\"></i>"),
            _ => String::new(),
        };
        let _ = write!(page, "<tr><th><b>{}</b></th>", escape(&name));
        let _ = write!(page, "<td class=\"n\">{}</td>", escape(&falsely));
        let _ = write!(page, "<td class=\"meter\">{}</td>", bar("falsely", refused));
        let _ = write!(page, "<td class=\"n\">{}</td>", escape(&first));
        let _ = write!(page, "<td class=\"n\">{}</td>", escape(&stranded));
        let _ = write!(page, "<td class=\"meter\">{}</td>", bar("out", idle));
        let _ = write!(page, "<td class=\"n\">{}</td></tr>", escape(&asked));
    }
    page.push_str("</tbody></table></div></section>");
}
