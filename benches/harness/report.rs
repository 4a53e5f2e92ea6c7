//! The table for people, the report for machines, and the README's section. Not here: what stands in the rows.

use crate::NotMeasured;
use crate::claim::Claim;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- measured: written by `cargo xtask bench` -->";
const END: &str = "<!-- /measured -->";

#[derive(Debug)]
pub struct Report {
    pub machine: String,
    pub claims: Vec<Claim>,
    /// Measurements that could not be made, with the reason.
    pub not_measured: Vec<(&'static str, String)>,
}

impl Report {
    /// For the terminal.
    pub fn text(&self) -> String {
        let mut text = format!("\n{}\n\n", self.machine);
        for claim in &self.claims {
            let Claim { id, what, against, target, measured, how, .. } = claim;
            text += &format!("{id:<7} {what}\n        against {against}; target {target}\n");
            text += &format!("        {measured}: {}\n        {how}\n", claim.verdict());
        }
        for (id, why) in &self.not_measured {
            text += &format!("{id:<7} NOT MEASURED: {why}\n");
        }
        let met = self.claims.iter().filter(|claim| claim.is_met() == Some(true)).count();
        let missed = self.claims.iter().filter(|claim| claim.is_met() == Some(false)).count();
        text + &format!("\n{met} met, {missed} missed, {} not measured\n", self.not_measured.len())
    }

    pub fn json(&self) -> Value {
        let not_measured = self.not_measured.iter().map(|(id, why)| json!({ "id": id, "why": why }));
        json!({
            "machine": self.machine,
            "claims": self.claims.iter().map(Claim::json).collect::<Vec<_>>(),
            "not_measured": not_measured.collect::<Vec<_>>(),
        })
    }

    /// For the README.
    pub fn markdown(&self) -> String {
        let mut text = format!("{}.\n\n", self.machine);
        text += "| | what | against | target | measured | how |\n|---|---|---|---|---|---|\n";
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        for claim in &self.claims {
            let Claim { id, what, against, target, measured, how, .. } = claim;
            let verdict = match claim.is_met() {
                Some(true) => format!("**{measured}** · met"),
                Some(false) => format!("**{measured}** · {}", claim.verdict()),
                None => format!("**{measured}**"),
            };
            let cells = [*id, what, against, target, &verdict, how].map(cell);
            text += &format!("| {} |\n", cells.join(" | "));
        }
        text
    }

    /// Replaces the section between the marks.
    pub fn write_readme(&self, path: &Path) -> Result<(), NotMeasured> {
        let fault = || NotMeasured::io(path.display().to_string());
        let text = fs::read_to_string(path).map_err(fault())?;
        let text = between_marks(&text, &self.markdown())
            .ok_or_else(|| NotMeasured::wrong(format!("{} has no section {BEGIN}", path.display())))?;
        fs::write(path, text).map_err(fault())
    }
}

fn between_marks(text: &str, section: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{section}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Target;

    #[test]
    fn only_the_section_changes() {
        let text = format!("above\n{BEGIN}\nold\n{END}\nbelow\n");
        let expected = format!("above\n{BEGIN}\nnew\n{END}\nbelow\n");
        assert_eq!(between_marks(&text, "new\n"), Some(expected));
        assert_eq!(between_marks("no marks", "new\n"), None);
    }

    #[test]
    fn a_row_says_whether_it_was_met() {
        let claim = |value| Claim {
            id: "P1",
            what: "a | b",
            against: "c",
            target: "≤ 3×",
            bound: Target::AtMost(3.0),
            value,
            measured: format!("{value}×"),
            if_missed: "slow".into(),
            how: "d".into(),
            numbers: Vec::new(),
        };
        let report =
            Report { machine: "m".into(), claims: vec![claim(2.0), claim(6.0)], not_measured: Vec::new() };
        let text = report.markdown();
        assert!(text.contains("| P1 | a \\| b | c | ≤ 3× | **2×** · met | d |"), "{text}");
        assert!(text.contains("**6×** · missed by a factor of 2.0: slow"), "{text}");
        assert!(report.text().ends_with("1 met, 1 missed, 0 not measured\n"));
        assert_eq!(report.json()["claims"][0]["met"], true);
    }
}
