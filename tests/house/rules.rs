//! How each rule of the house judges: from what was found to a list of complaints, nothing read, nothing
//! printed. The tests below plant a breach of each rule and see it named. Not here: the tables.

use std::collections::BTreeMap;

use crate::{LINES_MAX, PURE};

pub(crate) struct Row {
    pub(crate) floor: u8,
    pub(crate) room: &'static str,
    pub(crate) may: &'static str,
    pub(crate) line: &'static str,
}

impl Row {
    pub(crate) fn all(table: &'static str) -> Vec<Row> {
        let row = |(cells, line): (Vec<&'static str>, _)| {
            let [floor, room, may, _] = cells[..] else { panic!("a row of floors has four cells: {line}") };
            Row { floor: floor.parse().expect("a floor is a number"), room, may, line }
        };
        cells(table).map(row).collect()
    }

    fn allows(&self, import: &Import, floor_of: &BTreeMap<&str, u8>) -> bool {
        let to = import.to.as_str();
        let by_name = self.may.split_whitespace().any(|word| word == to);
        let in_tests = import.in_tests && self.may.split_whitespace().any(|word| word == format!("({to})"));
        let by_floor = self.may == "all" && floor_of.get(to).is_some_and(|floor| *floor < self.floor);
        by_name || in_tests || by_floor
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) in_tests: bool,
}

fn cells(table: &'static str) -> impl Iterator<Item = (Vec<&'static str>, &'static str)> {
    let rows = table.lines().filter(|line| !line.is_empty()).skip(1);
    rows.map(|line| (line.splitn(4, '|').map(str::trim).collect(), line))
}

pub(crate) fn against_floors(rows: &[Row], imports: &[Import]) -> Vec<String> {
    let floor_of: BTreeMap<&str, u8> = rows.iter().map(|row| (row.room, row.floor)).collect();
    let judge = |import: &Import| {
        let Import { from, to, .. } = import;
        let Some(row) = rows.iter().find(|row| row.room == from) else {
            return Some(format!("`{from}` imports `{to}` and has no row in FLOORS: give it one"));
        };
        let in_tests = if import.in_tests { " in its tests" } else { "" };
        let complaint = || {
            format!(
                "`{from}` imports `{to}`{in_tests}, which its row does not allow:\n      {}\n    \
                 take it out of the Cargo.toml of `{from}`, or change the row and say why there",
                row.line
            )
        };
        (!row.allows(import, &floor_of)).then(complaint)
    };
    imports.iter().filter_map(judge).collect()
}

pub(crate) fn rows_that_look_up(rows: &[Row]) -> Vec<String> {
    let floor_of: BTreeMap<&str, u8> = rows.iter().map(|row| (row.room, row.floor)).collect();
    let mut complaints = Vec::new();
    for row in rows {
        let named = row.may.split_whitespace().filter(|word| *word != "all" && !word.starts_with('('));
        for import in named {
            match floor_of.get(import) {
                None => {
                    complaints.push(format!("the row of `{}` allows `{import}`, which has no row", row.room));
                }
                Some(floor) if *floor > row.floor => complaints.push(format!(
                    "the row of `{}` (floor {}) allows `{import}` (floor {floor}): imports go down",
                    row.room, row.floor
                )),
                Some(_) => {}
            }
        }
    }
    complaints
}

pub(crate) fn against_parts(parts: &'static str, imports: &[Import]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (cells, line) in cells(parts) {
        let [part, rooms, _] = cells[..] else { panic!("a row of PARTS has three cells: {line}") };
        for Import { from, .. } in imports.iter().filter(|import| import.to == part) {
            if !rooms.split_whitespace().any(|room| room == from) {
                complaints
                    .push(format!("`{from}` imports `{part}`, which is hidden by its row:\n      {line}"));
            }
        }
    }
    complaints
}

/// What a pure room may not import: anything but words, other pure rooms and the derive for its errors. `calendar` has the
/// zones from jiff, whose clock and whose system's zones its `clippy.toml` bans.
pub(crate) fn impure_imports(imports: &[Import]) -> Vec<String> {
    let pure = |name: &str| PURE.contains(&name) || ["types", "thiserror", "loom", "shuttle"].contains(&name);
    let asks = |import: &&Import| {
        (PURE.contains(&import.from.as_str()) || import.from == "types")
            && !import.in_tests
            && !pure(&import.to)
            && (import.from.as_str(), import.to.as_str()) != ("calendar", "jiff")
    };
    let complaint = |import: &Import| format!("`{}` is pure and imports `{}`", import.from, import.to);
    imports.iter().filter(asks).map(complaint).collect()
}

/// Lines that are not comments, with their numbers.
pub(crate) fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether `word` stands in the line by itself and not as the end of a longer name.
pub(crate) fn says(line: &str, word: &str) -> bool {
    let part_of_a_name = |before: char| before.is_alphanumeric() || before == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(part_of_a_name))
}

/// Where a source reads a clock or draws a number.
///
/// The seeds of std's hash maps pass: where order could matter, in the pure rooms, there are no hash maps.
/// tokio's `Instant::now()` passes: it bounds how long a task waits, enters no book and no answer, and in
/// simulation stands still with tokio's own clock. So it is std's `Instant` that must not be named.
/// Whether a type or a static of the file's product has an atomic in it.
pub(crate) fn declares_an_atomic(text: &str) -> bool {
    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let declares = |line: &str| {
        let line = line.trim_start();
        !line.starts_with("use ")
            && !line.contains("::new(")
            && [": Atomic", "<Atomic", "(Atomic"].iter().any(|word| line.contains(word))
            || line.starts_with("static ") && line.contains(": Atomic")
    };
    product.lines().filter(|line| !line.trim_start().starts_with("//")).any(declares)
}

/// The files of that table.
pub(crate) fn shared(table: &'static str) -> impl Iterator<Item = &'static str> {
    cells(table).map(|(cells, _)| cells[0])
}

pub(crate) fn clocks_and_chance(text: &str) -> Vec<(usize, String)> {
    let words = ["SystemTime", "std::time::Instant", "getrandom", "rand::", "thread_rng"];
    let mut found = Vec::new();
    for (at, line) in code(text) {
        let calendar = line.contains("::now(") && !line.contains("Instant::now(");
        if calendar {
            found.push((at, line.trim().to_owned()));
        }
        found.extend(words.iter().filter(|word| says(line, word)).map(|word| (at, (*word).to_owned())));
    }
    for (start, _) in text.match_indices("std::time::{") {
        let list = text[start..].split('}').next().unwrap_or_default();
        if list.split(|c: char| !c.is_alphanumeric()).any(|name| name == "Instant") {
            found.push((text[..start].lines().count(), "std::time::Instant".to_owned()));
        }
    }
    found
}

pub(crate) fn manners(path: &str, text: &str) -> Vec<String> {
    let unfinished = [
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("#[", "ignore"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
    ];
    let lines = text.lines().count();
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints
            .push(format!("{path}: the first line says which room this is and what is not in it (`//!`)"));
    }
    if lines > LINES_MAX {
        complaints.push(format!("{path}: {lines} lines; past {LINES_MAX} there are two rooms in it"));
    }
    for word in unfinished {
        let at = text.lines().enumerate().filter(|(_, line)| line.contains(word));
        complaints.extend(at.map(|(at, _)| format!("{path}:{}: `{word}`: finish it or take it out", at + 1)));
    }
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
    if ["util", "utils", "helper", "helpers", "common", "manager", "misc"].contains(&stem) {
        complaints.push(format!("{path}: `{stem}` says nothing about what lives there"));
    }
    complaints
}

/// Where a text names a folder that exists on one machine only.
pub(crate) fn foreign_folders(path: &str, text: &str) -> Vec<String> {
    let roots = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];
    let starts = |line: &str, root: &str| {
        let inside = |before: char| before.is_alphanumeric() || "_-.})>".contains(before);
        line.match_indices(root).any(|(at, _)| !line[..at].ends_with(inside))
    };
    let mut complaints = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let named = roots.iter().filter(|root| starts(line, root));
        complaints.extend(named.map(|root| format!("{path}:{}: names a folder under `{root}`", at + 1)));
    }
    complaints
}

/// Lines on which an example of Rust begins in the docs.
pub(crate) fn examples(text: &str) -> Vec<usize> {
    let (mut found, mut is_open) = (Vec::new(), false);
    for (at, line) in (1..).zip(text.lines()) {
        let line = line.trim_start();
        let Some(doc) = line.strip_prefix("//!").or_else(|| line.strip_prefix("///")) else {
            is_open = false;
            continue;
        };
        let Some(language) = doc.trim().strip_prefix("```") else { continue };
        let is_rust =
            |word: &str| ["", "rust", "no_run", "should_panic", "compile_fail", "ignore"].contains(&word);
        if !is_open && language.split(',').all(is_rust) {
            found.push(at);
        }
        is_open = !is_open;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FLOORS, PARTS};

    fn import(from: &str, to: &str, in_tests: bool) -> Import {
        Import { from: from.to_owned(), to: to.to_owned(), in_tests }
    }

    #[test]
    fn a_forbidden_import_is_named_with_its_row() {
        let rows = Row::all(FLOORS);
        let fine = [
            import("api", "quota", false),
            import("cluster", "api", false),
            import("simulations", "testkit", true),
        ];
        assert_eq!(against_floors(&rows, &fine), Vec::<String>::new());
        for (from, to) in [
            ("api", "ledger"),
            ("types", "wire"),
            ("escrow", "types"),
            ("cluster", "testkit"),
            ("xtask", "types"),
        ] {
            let complaints = against_floors(&rows, &[import(from, to, false)]);
            assert_eq!(complaints.len(), 1, "{from} → {to}");
            assert!(complaints[0].contains(&format!("`{from}` imports `{to}`")), "{}", complaints[0]);
            assert!(complaints[0].contains(&format!("| {from} ")), "{}", complaints[0]);
        }
        assert!(against_floors(&rows, &[import("cellar", "types", false)])[0].contains("no row"));
    }

    #[test]
    fn an_example_is_found_and_a_picture_is_not() {
        let picture = "//! ```text\n//! a -> b\n//! ```\n";
        assert_eq!(examples(picture), Vec::<usize>::new());
        for planted in
            ["/// ```\n/// f();\n/// ```", "/// ```no_run\n/// f();\n/// ```", "//! ```rust,ignore\n//! ```"]
        {
            assert_eq!(examples(&format!("{picture}{planted}")), [4], "{planted}");
        }
    }

    #[test]
    fn an_import_for_tests_is_not_one_for_the_product() {
        let rows = [
            Row { floor: 2, room: "journal", may: "types (testkit)", line: "" },
            Row { floor: 0, room: "types", may: "", line: "" },
            Row { floor: 5, room: "testkit", may: "journal", line: "" },
        ];
        assert!(rows_that_look_up(&rows).is_empty());
        assert!(against_floors(&rows, &[import("journal", "testkit", true)]).is_empty());
        assert_eq!(against_floors(&rows, &[import("journal", "testkit", false)]).len(), 1);
        let up = [
            Row { floor: 0, room: "types", may: "journal", line: "" },
            Row { floor: 2, room: "journal", may: "x", line: "" },
        ];
        assert_eq!(rows_that_look_up(&up).len(), 2);
    }

    #[test]
    fn a_part_outside_its_room_is_named() {
        let planted = [
            import("quota", "openraft", false),
            import("wire", "bincode", false),
            import("api", "rand", true),
        ];
        let complaints = against_parts(PARTS, &planted);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(
            complaints[0].contains("`quota` imports `openraft`")
                && complaints[1].contains("`api` imports `rand`")
        );
        let planted = [
            import("ledger", "tokio", false),
            import("ledger", "proptest", true),
            import("leasing", "ledger", false),
        ];
        assert_eq!(impure_imports(&planted), ["`ledger` is pure and imports `tokio`"]);
    }

    #[test]
    fn an_atomic_that_is_declared_is_found_and_one_that_is_named_is_not() {
        assert!(declares_an_atomic("struct S {\n    count: AtomicU64,\n}"));
        assert!(
            declares_an_atomic("struct S(AtomicU64);") && declares_an_atomic("    turn: Arc<AtomicUsize>,")
        );
        assert!(declares_an_atomic("static S: AtomicU8 = AtomicU8::new(0);"));
        for other in [
            "use std::sync::atomic::AtomicU64;",
            "let n = AtomicU64::new(0);",
            "#[cfg(test)]\nmod tests {\n    struct S(AtomicU64);\n}",
        ] {
            assert!(!declares_an_atomic(other), "{other}");
        }
    }

    #[test]
    fn a_clock_or_a_die_is_found() {
        for planted in [
            "let at = SystemTime::now();",
            "use std::time::Instant;",
            "use std::time::{\n    Duration,\n    Instant,\n};",
            "let t = jiff::Timestamp::now();",
            "getrandom::fill(&mut seed);",
            "let n = rand::random::<u8>();",
        ] {
            assert!(!clocks_and_chance(planted).is_empty(), "{planted}");
        }
        for fine in [
            "let end = tokio::time::Instant::now() + deadline;",
            "use std::time::{Duration};\nuse tokio::time::{Instant, timeout};",
            "// SystemTime::now is asked for in platform",
            "let now = clock.now();",
            "operand::left()",
        ] {
            assert_eq!(clocks_and_chance(fine), Vec::new(), "{fine}");
        }
    }

    #[test]
    fn bad_manners_are_found() {
        assert!(manners("crates/a/src/lib.rs", "//! A room.\n").is_empty());
        assert_eq!(manners("crates/a/src/lib.rs", "mod a;\n").len(), 1);
        assert_eq!(manners("crates/a/src/utils.rs", "//! Things.\n").len(), 1);
        assert_eq!(
            manners("a.rs", &format!("//! Long.\n{}", "\n".repeat(LINES_MAX - 1))),
            Vec::<String>::new()
        );
        assert_eq!(manners("a.rs", &format!("//! Long.\n{}", "\n".repeat(LINES_MAX))).len(), 1);
        let unfinished =
            format!("//! Half.\nfn f() {{ {}!() }} // {}\n", "unimplemented", concat!("TO", "DO"));
        assert_eq!(manners("a.rs", &unfinished).len(), 2);
        let folder = format!("see {}anna/notes", concat!("/ho", "me/"));
        assert_eq!(foreign_folders("a.md", &folder).len(), 1);
        assert_eq!(
            foreign_folders("a.md", "GET https://example.com/v1/home/x and crates/work/x"),
            Vec::<String>::new()
        );
    }
}
