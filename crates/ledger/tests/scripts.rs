//! The ledger's behaviour as scripts: `crates/ledger/scripts/*.txt`, one scenario each, read and run here.
//!
//! A script is blocks of commands, `---`, and what they answer; a blank line ends a block. `UPDATE_SCRIPTS=1`
//! rewrites the answers. After every command the books are recounted in full. Not here: what the words mean
//! (`desk`).

mod desk;

use desk::Desk;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const SCRIPTS_MIN: usize = 45;

/// Commands and their expected answer, as they stand in the file.
struct Block {
    commands: Vec<String>,
    expected: String,
}

#[test]
fn every_script_answers_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(paths.len() >= SCRIPTS_MIN, "only {} scripts in {}", paths.len(), folder.display());
    let update = std::env::var_os("UPDATE_SCRIPTS").is_some();
    let mut differences = String::new();
    for path in &paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).unwrap();
        // A ledger that stops is one more difference: the other scripts are run all the same.
        match std::panic::catch_unwind(|| run(&name, &text)) {
            Err(_) => writeln!(differences, "{name} stopped, see above").unwrap(),
            Ok(now) if now == text => {}
            Ok(now) if update => fs::write(path, &now).unwrap(),
            Ok(now) => writeln!(differences, "{name}\n{}", difference(&text, &now)).unwrap(),
        }
    }
    assert!(differences.is_empty(), "\n{differences}UPDATE_SCRIPTS=1 accepts what is answered now");
}

/// The script as it should read: the same commands, with the answers of today.
fn run(name: &str, text: &str) -> String {
    let mut desk = Desk::new();
    let (head, blocks) = read(name, text);
    let mut now = head;
    for block in blocks {
        let mut answers = String::new();
        for command in &block.commands {
            writeln!(now, "{command}").unwrap();
            if !command.starts_with('#') {
                answers.push_str(
                    &desk.perform(command).unwrap_or_else(|bad| panic!("{name}: {command}: {bad}")),
                );
                desk.assert_books_are_right(&format!("{name}: {command}"));
            }
        }
        if answers.is_empty() {
            answers.push_str("ok\n");
        }
        write!(now, "---\n{answers}\n").unwrap();
    }
    now.truncate(now.trim_end().len());
    now.push('\n');
    now
}

/// The comment at the top, and the blocks.
fn read(name: &str, text: &str) -> (String, Vec<Block>) {
    let mut head = String::new();
    let mut blocks = Vec::new();
    for part in text.split("\n\n").map(str::trim).filter(|part| !part.is_empty()) {
        if part.lines().all(|line| line.starts_with('#')) {
            assert!(blocks.is_empty(), "{name}: a comment stands at the top or inside a block");
            write!(head, "{part}\n\n").unwrap();
            continue;
        }
        let (commands, expected) = part.split_once("\n---").unwrap_or((part, ""));
        let commands = commands.lines().map(str::to_owned).collect();
        blocks.push(Block { commands, expected: expected.trim_start().to_owned() });
    }
    assert!(!blocks.is_empty(), "{name} does nothing");
    assert!(
        blocks.iter().all(|block| !block.expected.contains("\n---")),
        "{name}: a block lacks its blank line"
    );
    (head, blocks)
}

/// Lines that differ, in order, with one line of what is around them.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    // Longest common subsequence from the end, small enough for scripts.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let skip = common[i + 1][j].max(common[i][j + 1]);
            common[i][j] = if old[i] == new[j] { common[i + 1][j + 1] + 1 } else { skip };
        }
    }
    let (mut i, mut j, mut out, mut context) = (0, 0, String::new(), None);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            context = Some(old[i]);
            (i, j) = (i + 1, j + 1);
            continue;
        }
        if let Some(line) = context.take() {
            writeln!(out, "   {line}").unwrap();
        }
        if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            writeln!(out, " - {}", old[i]).unwrap();
            i += 1;
        } else {
            writeln!(out, " + {}", new[j]).unwrap();
            j += 1;
        }
    }
    out
}
