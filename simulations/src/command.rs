//! Commands that are printed to be pasted into a shell: this very program, and words quoted where a shell would take them
//! apart. Not here: which commands (`batch`, `report`).

use std::borrow::Cow;
use std::path::Path;

/// This program as a shell finds it from the directory it was started in: it stands on no PATH.
#[must_use]
pub fn this_program() -> String {
    let (Ok(program), Ok(here)) = (std::env::current_exe(), std::env::current_dir()) else {
        return "tranche-sim".to_owned();
    };
    seen_from(&program, &here)
}

fn seen_from(program: &Path, here: &Path) -> String {
    match program.strip_prefix(here) {
        // Without a slash a shell would look for it elsewhere.
        Ok(beside) if beside.components().count() == 1 => quoted_path(&Path::new(".").join(beside)),
        Ok(below) => quoted_path(below),
        Err(_) => quoted_path(program),
    }
}

#[must_use]
pub fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy()).into_owned()
}

/// One word of a shell.
#[must_use]
pub fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+=:,@%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

/// A command's words as they stand, quotes included: where a line may be broken.
pub fn words(command: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut is_quoted, mut is_escaped) = (false, false);
    for letter in command.chars() {
        match letter {
            ' ' if !is_quoted && !is_escaped => words.push(std::mem::take(&mut word)),
            _ => word.push(letter),
        }
        is_quoted ^= letter == '\'' && !is_escaped;
        is_escaped = letter == '\\' && !is_quoted && !is_escaped;
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_program_is_found_from_where_one_stands() {
        let from =
            |here: &str| seen_from(Path::new("/projects/tranche/target/sim/tranche-sim"), Path::new(here));
        assert_eq!(from("/projects/tranche"), "target/sim/tranche-sim");
        assert_eq!(from("/projects/tranche/target/sim"), "./tranche-sim");
        assert_eq!(from("/elsewhere"), "/projects/tranche/target/sim/tranche-sim");
        let spaced = seen_from(Path::new("/my tools/tranche-sim"), Path::new("/elsewhere"));
        assert_eq!(spaced, "'/my tools/tranche-sim'");
        assert!(this_program().contains('/'));
    }

    #[test]
    fn a_shell_reads_what_was_meant() {
        for word in
            ["plain", "before-the-deploy", "two words", "it's", "$HOME", "a;b", "", "*", "a\\b", "'", "~"]
        {
            let said =
                Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(word))).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&said.stdout), word, "{}", quoted(word));
        }
        assert_eq!(quoted("target/sim/tranche-sim"), "target/sim/tranche-sim");
    }

    #[test]
    fn a_command_is_broken_between_words_only() {
        let name = quoted("it's my run");
        let command = format!("x  --run {name} --seed 3");
        assert_eq!(words(&command), ["x", "--run", &name, "--seed", "3"]);
        assert!(words("").is_empty());
    }
}
