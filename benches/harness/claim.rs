//! One row of the table: what was claimed, what was measured, and what that says. Not here: measuring, printing.

use serde_json::{Map, Value, json};

/// What a number must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// There is none: the number is stated as it is.
    Stated,
}

#[derive(Clone, Debug)]
pub struct Claim {
    /// As on the speed page, `P1`; or a short name.
    pub id: &'static str,
    pub what: &'static str,
    pub against: &'static str,
    /// The target as a text; what it is worth in numbers is `bound`.
    pub target: &'static str,
    pub bound: Target,
    pub value: f64,
    /// The value as a text, with its unit.
    pub measured: String,
    /// Said only where the target is missed.
    pub if_missed: String,
    pub how: String,
    /// Everything else that was measured on the way, for the machine-readable report.
    pub numbers: Vec<(&'static str, f64)>,
}

impl Claim {
    /// `None` where there is no target.
    pub fn is_met(&self) -> Option<bool> {
        match self.bound {
            Target::AtMost(bound) => Some(self.value <= bound),
            Target::AtLeast(bound) => Some(self.value >= bound),
            Target::Stated => None,
        }
    }

    /// `met`, or by how much it was missed and why.
    pub fn verdict(&self) -> String {
        let (Some(met), Target::AtMost(bound) | Target::AtLeast(bound)) = (self.is_met(), self.bound) else {
            return "stated".into();
        };
        if met {
            return "met".into();
        }
        let (larger, smaller) = if self.value > bound { (self.value, bound) } else { (bound, self.value) };
        let factor = larger / smaller;
        let by = match (smaller > 0.0, factor < 2.0) {
            (false, _) => "missed".to_owned(),
            (true, true) => format!("missed by {:.0} %", ((self.value / bound - 1.0) * 100.0).abs().max(1.0)),
            (true, false) => format!("missed by a factor of {factor:.1}"),
        };
        if self.if_missed.is_empty() { by } else { format!("{by}: {}", self.if_missed) }
    }

    pub fn json(&self) -> Value {
        let numbers: Map<String, Value> =
            self.numbers.iter().map(|(name, number)| ((*name).to_owned(), json!(number))).collect();
        json!({
            "id": self.id, "what": self.what, "against": self.against, "target": self.target,
            "value": self.value, "measured": self.measured, "met": self.is_met(), "verdict": self.verdict(),
            "how": self.how, "numbers": numbers,
        })
    }
}

/// `1.23×`
pub fn times(ratio: f64) -> String {
    format!("{ratio:.2}×")
}

/// `12,345`
pub fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if number < -0.5 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(bound: Target, value: f64) -> Claim {
        Claim {
            id: "P0",
            what: "",
            against: "",
            target: "",
            bound,
            value,
            measured: String::new(),
            if_missed: "the reason".into(),
            how: String::new(),
            numbers: Vec::new(),
        }
    }

    #[test]
    fn a_target_is_met_at_its_bound_and_missed_past_it() {
        assert_eq!(claim(Target::AtMost(3.0), 3.0).verdict(), "met");
        assert_eq!(claim(Target::AtMost(3.0), 3.3).verdict(), "missed by 10 %: the reason");
        assert_eq!(claim(Target::AtMost(1.0), 4.0).verdict(), "missed by a factor of 4.0: the reason");
        assert_eq!(claim(Target::AtLeast(0.8), 0.8).verdict(), "met");
        assert_eq!(claim(Target::AtLeast(0.8), 0.6).verdict(), "missed by 25 %: the reason");
        assert_eq!(claim(Target::AtMost(0.0), 0.5).verdict(), "missed: the reason");
        assert_eq!(claim(Target::Stated, 0.5).verdict(), "stated");
    }

    #[test]
    fn digits_in_threes() {
        let texts = [0.0, 12.0, 123.0, 1_234.4, 1_234_567.0, -1_000.0].map(thousands);
        assert_eq!(texts, ["0", "12", "123", "1,234", "1,234,567", "-1,000"]);
    }
}
