//! Text. Not here: page.
use std::fmt::Write;
pub fn text(report: &super::Report) -> String {
    let mut out = String::new();
    for v in &report.variants {
        let _ = writeln!(
            out,
            "{}: nodes {} seeds {} asked {} charged {} local {} refused {:?} falsely {:?} broken {:?} recalls {:?} failovers {:?} reallocations {:?} epk {}",
            v.name,
            v.nodes,
            v.seeds,
            v.asked,
            v.charged,
            v.local,
            v.refused,
            v.falsely,
            v.broken,
            v.recalls,
            v.failovers,
            v.reallocations,
            v.entries_per_thousand
        );
    }
    let _ = writeln!(out, "{:?} {} h in {} s", report.inputs, report.simulated_hours, report.wall_s);
    out
}
