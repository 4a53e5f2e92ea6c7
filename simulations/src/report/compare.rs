//! Variants beside each other over the same seeds: a table with differences to the first, by pair, and a picture of each
//! figure. Not here: who is compared with whom (the first of a report with each other), and the figures (`figures`).

use super::chart::{bars, by_variant, spreads};
use super::figures::{Figure, Pairs, count, number, time};
use super::html;
use super::words::escape;
use super::{Report, VariantReport};
use std::fmt::Write;

/// Nothing where there is nothing to compare.
pub(super) fn section(page: &mut String, report: &Report) {
    let Some((first, others)) = report.variants.split_first() else { return };
    if others.is_empty() {
        return;
    }
    let answer = format!(
        "Same seeds, same traffic, the same plan of faults. Differences are to <b>{}</b>; \u{201c}better\u{201d} counts the seeds.",
        escape(&first.name)
    );
    html::section(page, "Which variant fares better?", &answer);
    table(page, first, &report.variants);
    pictures(page, &report.variants);
    page.push_str("</section>");
}

fn table(page: &mut String, first: &VariantReport, variants: &[VariantReport]) {
    page.push_str("<div class=\"scroll\"><table class=\"variants\"><thead><tr><th></th>");
    for variant in variants {
        let _ = write!(page, "<th class=\"n\">{}</th>", escape(&variant.name));
    }
    page.push_str("</tr></thead><tbody>");
    for figure in Figure::ALL {
        let about = if figure == Figure::Stranded { "credits, mean of all seeds" } else { figure.about() };
        let _ = write!(page, "<tr><th>{}<small>{about}</small></th>", figure.name());
        for (at, variant) in variants.iter().enumerate() {
            let value = figure.overall(variant);
            let _ = write!(page, "<td class=\"n\"><b>{}</b>", escape(&figure.text(value)));
            if at > 0 {
                let difference = escape(&figure.difference(value - figure.overall(first)));
                let _ = write!(page, "<small>{difference}</small>{}", pairs(figure.pairs(first, variant)));
            }
            page.push_str("</td>");
        }
        page.push_str("</tr>");
    }
    for (at, (name, _)) in html::TIMES.iter().enumerate() {
        let row = |variant: &VariantReport| {
            let spread = html::spreads(variant)[at];
            if spread.count == 0 { None } else { Some(spread.p99 as f64) }
        };
        let text = |value: f64| time(value as u64);
        plain_row(page, name, "p99", variants, row, text);
    }
    let entries = |variant: &VariantReport| Some(variant.commands_per_thousand);
    plain_row(page, "Ledger commands", "for a thousand charges", variants, entries, number);
    let broken = |variant: &VariantReport| Some(variant.broken.len() as f64);
    plain_row(page, "Seeds that broke", "any promise", variants, broken, number);
    page.push_str("</tbody></table></div>");
}

/// A figure that is known of a variant as a whole only.
fn plain_row(
    page: &mut String,
    name: &str,
    about: &str,
    variants: &[VariantReport],
    value: impl Fn(&VariantReport) -> Option<f64>,
    text: impl Fn(f64) -> String,
) {
    let _ = write!(page, "<tr><th>{name}<small>{about}</small></th>");
    let first = variants.first().and_then(&value);
    for (at, variant) in variants.iter().enumerate() {
        let Some(own) = value(variant) else {
            page.push_str("<td class=\"n\">–</td>");
            continue;
        };
        let _ = write!(page, "<td class=\"n\"><b>{}</b>", escape(&text(own)));
        if let (true, Some(first)) = (at > 0, first) {
            let sign = if own > first { "+" } else { "−" };
            let apart =
                if own == first { "±0".to_owned() } else { format!("{sign}{}", text((own - first).abs())) };
            let _ = write!(page, "<small>{}</small>", escape(&apart));
        }
        page.push_str("</td>");
    }
    page.push_str("</tr>");
}

/// In how many seeds it was better, equal and worse, as a bar with its numbers.
fn pairs(pairs: Pairs) -> String {
    if pairs.all() == 0 {
        return String::new();
    }
    let Pairs { better, worse, equal } = pairs;
    let mut html = String::from("<span class=\"pairs\">");
    for (class, seeds) in [("better", better), ("equal", equal), ("worse", worse)] {
        if seeds > 0 {
            let _ = write!(html, "<i class=\"{class}\" style=\"flex-grow:{seeds}\"></i>");
        }
    }
    let _ = write!(
        html,
        "</span><small>{} better · {} worse · {} equal",
        count(better),
        count(worse),
        count(equal)
    );
    if better + worse > 0 && pairs.may_be_chance() {
        html.push_str("<br>may be chance");
    }
    html.push_str("</small>");
    html
}

fn pictures(page: &mut String, variants: &[VariantReport]) {
    page.push_str("<div class=\"panels four\">");
    for figure in Figure::ALL {
        let rows: Vec<(&str, Vec<f64>)> =
            variants.iter().map(|variant| (variant.name.as_str(), figure.sorted(variant))).collect();
        picture(page, figure.name(), figure.about(), &by_variant(figure, &rows));
    }
    for (at, (name, _)) in html::TIMES.iter().enumerate() {
        let rows: Vec<(&str, &super::Spread)> =
            variants.iter().map(|variant| (variant.name.as_str(), html::spreads(variant)[at])).collect();
        picture(page, name, "p50, p90, p99 and the longest", &spreads(name, &rows));
    }
    let rows: Vec<(&str, f64)> =
        variants.iter().map(|variant| (variant.name.as_str(), variant.commands_per_thousand)).collect();
    picture(page, "Ledger commands", "for a thousand charges", &bars("Ledger commands", &rows));
    page.push_str("</div><p class=\"small\">A dot is the seed in the middle, the thick bar half of all seeds, the thin ");
    page.push_str("line nine of ten, each point a seed; what lies beyond the axis is left out, the worst is written beside. For times: a dot at p50, the thick bar to p90, the long stroke ");
    page.push_str("at p99, the line to the longest.</p>");
}

fn picture(page: &mut String, title: &str, about: &str, svg: &str) {
    let _ =
        write!(page, "<figure><figcaption><b>{title}</b><small>{about}</small></figcaption>{svg}</figure>");
}
