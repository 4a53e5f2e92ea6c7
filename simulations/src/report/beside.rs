//! The product beside one counter and beside leases of fixed sizes, over the same requests. Not here: how these count
//! (`baseline`).

use super::figures::{count, percent, share, sum};
use super::html::section;
use super::words::escape;
use super::{Report, Variant};
use crate::baseline::Baseline;
use std::fmt::Write;

pub const HEAD: [&str; 5] =
    ["", "falsely refused", "first false refusal", "stranded then", "asked the ledger"];

/// Name and figures, as text: the product first.
pub fn rows(report: &Report) -> Vec<[String; 5]> {
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

fn product(variant: &Variant) -> [String; 5] {
    [
        format!("Tranche, {}", variant.name),
        percent(share(sum(&variant.falsely), variant.asked)),
        after(variant.first_false_refusal_percent),
        percent(variant.stranded_percent),
        percent(100.0 - share(variant.local, variant.charged)),
    ]
}

fn other(baseline: &Baseline) -> [String; 5] {
    let charged = baseline.asked - baseline.refused;
    [
        baseline.name.clone(),
        percent(share(baseline.falsely, baseline.asked)),
        after(baseline.first_false_refusal_percent),
        percent(baseline.stranded_percent),
        percent(100.0 - share(baseline.local, charged)),
    ]
}

pub fn of_page(page: &mut String, report: &Report) {
    let rows = rows(report);
    if rows.is_empty() {
        return;
    }
    let seeds = count(report.baseline_seeds);
    let answer = format!(
        "The others live in a world without faults and distances, over the first {seeds} seeds; of their leases nothing \
         can be called back. Of Tranche only what was charged until 95\u{a0}% were spent: {} without asking anybody.",
        percent(report.variants[0].local_until_95_percent)
    );
    section(page, "What would other ways of counting have done?", &answer);
    page.push_str("<div class=\"scroll\"><table class=\"variants\"><thead><tr>");
    for head in HEAD {
        let _ = write!(page, "<th class=\"n\">{head}</th>");
    }
    page.push_str("</tr></thead><tbody>");
    for [name, figures @ ..] in rows {
        let _ = write!(page, "<tr><th>{}</th>", escape(&name));
        for figure in figures {
            let _ = write!(page, "<td class=\"n\">{}</td>", escape(&figure));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div></section>");
}
