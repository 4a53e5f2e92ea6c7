//! What ran: the steps as they pass, the table at the end and the last line. Not here: running anything.

use std::time::Duration;

use crate::tally::Suite;

struct Step {
    name: &'static str,
    /// Empty when the step runs no tests.
    suites: Vec<Suite>,
    failure: Option<String>,
    took: Duration,
}

#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

impl Report {
    pub(crate) fn step(
        &mut self,
        name: &'static str,
        suites: Vec<Suite>,
        done: Result<(), String>,
        took: Duration,
    ) {
        let failure = done.err();
        match &failure {
            None => println!("── {name}: done in {:.1} s", took.as_secs_f64()),
            Some(why) => println!("── {name}: FAILED after {:.1} s: {why}", took.as_secs_f64()),
        }
        self.steps.push(Step { name, suites, failure, took });
    }

    /// Prints all of it; true when nothing failed.
    pub(crate) fn print(&self) -> bool {
        print!("{}", self.text());
        self.counts().1 == 0
    }

    /// Tests that passed and tests that failed; a step that failed without a failed test counts as one, so
    /// that `0 failed` always means that all is well.
    fn counts(&self) -> (u64, u64) {
        let mut counts = (0, 0);
        for Step { suites, failure, .. } in &self.steps {
            let failed: u64 = suites.iter().map(|suite| suite.failed).sum();
            counts.0 += suites.iter().map(|suite| suite.passed).sum::<u64>();
            counts.1 += failed.max(u64::from(failure.is_some()));
        }
        counts
    }

    fn text(&self) -> String {
        let suites = || self.steps.iter().flat_map(|step| &step.suites);
        let names = suites().map(|suite| suite.name.as_str()).chain(self.steps.iter().map(|step| step.name));
        let wide = names.map(|name| name.chars().count()).max().unwrap_or(0).max("suite".len());

        let mut text = format!(
            "\n{:<wide$}  {:>7}  {:>7}  {:>7}  {:>8}\n",
            "suite", "passed", "failed", "ignored", "seconds"
        );
        for suite in suites().filter(|suite| !suite.is_empty()) {
            let Suite { name, passed, failed, ignored, seconds, .. } = suite;
            text += &format!("{name:<wide$}  {passed:>7}  {failed:>7}  {ignored:>7}  {seconds:>8.2}\n");
        }
        let empty = suites().filter(|suite| suite.is_empty()).count();
        if empty > 0 {
            text += &format!("({empty} more without a test in them)\n");
        }
        text += &format!("\n{:<wide$}  {:>34}\n", "step", "seconds");
        for Step { name, failure, took, .. } in &self.steps {
            let failure = failure.as_ref().map(|why| format!("  FAILED: {why}")).unwrap_or_default();
            text += &format!("{name:<wide$}  {:>34.1}{failure}\n", took.as_secs_f64());
        }
        let failures: Vec<String> = suites()
            .flat_map(|suite| suite.failures.iter().map(move |test| format!("  {}: {test}\n", suite.name)))
            .collect();
        if !failures.is_empty() {
            text += &format!("\nfailed:\n{}", failures.concat());
        }
        let (passed, failed) = self.counts();
        text + &format!("\n{passed} passed, {failed} failed\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(name: &str, passed: u64, failures: &[&str]) -> Suite {
        let failures: Vec<String> = failures.iter().map(|test| (*test).to_owned()).collect();
        Suite { name: name.to_owned(), passed, failed: failures.len() as u64, failures, ..Suite::default() }
    }

    fn last_line(report: &Report) -> String {
        report.text().lines().last().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_last_line_counts_tests_and_steps_that_failed_without_one() {
        let took = Duration::from_millis(1500);
        let mut report = Report::default();
        report.step("format", Vec::new(), Ok(()), took);
        report.step("tests", vec![suite("a", 3, &[]), suite("b", 4, &[]), suite("c", 0, &[])], Ok(()), took);
        assert_eq!(last_line(&report), "7 passed, 0 failed");
        assert!(report.text().contains("(1 more without a test in them)"));

        report.step("loom", vec![suite("d", 1, &["seal", "spend"])], Err("exit 101".to_owned()), took);
        assert_eq!(last_line(&report), "8 passed, 2 failed");
        assert!(report.text().contains("  d: seal\n  d: spend\n"));

        report.step("lints", Vec::new(), Err("exit 1".to_owned()), took);
        assert_eq!(last_line(&report), "8 passed, 3 failed");
        assert!(!report.print());
    }
}
