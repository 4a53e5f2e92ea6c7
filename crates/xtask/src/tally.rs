//! Reads what libtest prints into suites and counts. Not here: starting tests, printing tables.

use std::collections::BTreeMap;

/// The tests of one executable, or the examples in one crate's documentation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    pub(crate) seconds: f64,
    /// Names of tests that failed.
    pub(crate) failures: Vec<String>,
}

impl Suite {
    pub(crate) fn is_empty(&self) -> bool {
        self.passed + self.failed + self.ignored == 0
    }
}

/// Which suite an executable is: its file name → `room · file`.
pub(crate) type Names = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    names: Names,
    running: Option<Suite>,
    finished: Vec<Suite>,
}

impl Tally {
    pub(crate) fn new(names: Names) -> Tally {
        Tally { names, running: None, finished: Vec::new() }
    }

    /// One line of output, with or without colours.
    pub(crate) fn read(&mut self, line: &str) {
        let line = without_colours(line);
        let words = line.trim();
        if let Some(crate_name) = words.strip_prefix("Doc-tests ") {
            self.begin(format!("{crate_name} · documentation"));
        } else if words.starts_with("Running ") && words.ends_with(')') {
            let executable = words.rsplit(['(', '/', '\\']).next().unwrap_or_default().trim_end_matches(')');
            let name = self.names.get(executable).cloned().unwrap_or_else(|| executable.to_owned());
            self.begin(name);
        } else if let Some(at) = line.find("test result: ") {
            self.end(&line[at..]);
        } else if let Some(test) =
            words.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
            && let Some(suite) = &mut self.running
        {
            suite.failures.push(test.to_owned());
        }
    }

    /// What was read; a suite that broke off in the middle has failed.
    pub(crate) fn finish(mut self) -> Vec<Suite> {
        self.break_off();
        self.finished
    }

    fn begin(&mut self, name: String) {
        self.break_off();
        self.running = Some(Suite { name, ..Suite::default() });
    }

    fn break_off(&mut self) {
        if let Some(mut suite) = self.running.take() {
            suite.failed = (suite.failures.len() as u64).max(1);
            suite.failures.push("(ended without a result: crashed or was killed)".to_owned());
            self.finished.push(suite);
        }
    }

    /// `test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s`
    fn end(&mut self, result: &str) {
        let Some(mut suite) = self.running.take() else { return };
        let count = |what: &str| {
            let part = result.split(['.', ';']).find_map(|part| part.trim().strip_suffix(what));
            part.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        suite.passed = count("passed");
        suite.failed = count("failed");
        suite.ignored = count("ignored");
        let seconds = result.split("finished in ").nth(1).and_then(|rest| rest.trim().strip_suffix('s'));
        suite.seconds = seconds.and_then(|number| number.parse().ok()).unwrap_or(0.0);
        self.finished.push(suite);
    }
}

/// `ESC [ … m` taken out.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Vec<Suite> {
        let names = [("lib-0a1b", "escrow"), ("bounds-2c3d", "escrow · bounds")];
        let names = names.map(|(file, name)| (file.to_owned(), name.to_owned()));
        let mut tally = Tally::new(Names::from(names));
        output.lines().for_each(|line| tally.read(line));
        tally.finish()
    }

    #[test]
    fn suites_are_told_apart_and_counted() {
        let suites = read(
            "     Running unittests src/lib.rs (target/debug/deps/lib-0a1b)\n\nrunning 2 tests\n\
             test a ... ok\ntest b ... FAILED\n\nfailures:\n    b\n\n\
             test result: FAILED. 1 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 1.25s\n\
             \u{1b}[0m\u{1b}[32m     Running\u{1b}[0m tests/bounds.rs (target/debug/deps/bounds-2c3d)\n\
             noise test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             \u{20}  Doc-tests escrow\n\
             test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 61.00s\n\
             all doctests ran in 0.53s; merged doctests compilation took 0.52s\n",
        );
        let numbers: Vec<_> =
            suites.iter().map(|s| (s.name.as_str(), s.passed, s.failed, s.ignored)).collect();
        assert_eq!(
            numbers,
            [("escrow", 1, 1, 3), ("escrow · bounds", 7, 0, 0), ("escrow · documentation", 1, 0, 0)]
        );
        assert_eq!(suites[0].failures, ["b"]);
        assert_eq!((suites[0].seconds, suites[2].seconds), (1.25, 61.0));
    }

    #[test]
    fn a_suite_that_breaks_off_has_failed() {
        let suites = read(
            "Running unittests src/lib.rs (target/debug/deps/lib-0a1b)\ntest a ... ok\n\
             Running tests/other.rs (target/debug/deps/other-4e5f)\ntest x ... FAILED\ntest y ... FAILED\n",
        );
        let failed: Vec<_> = suites.iter().map(|suite| (suite.name.as_str(), suite.failed)).collect();
        assert_eq!(failed, [("escrow", 1), ("other-4e5f", 2)]);
    }
}
