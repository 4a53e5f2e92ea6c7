//! Words of a report: why something was refused, what a figure means, how a seed is replayed; and text from outside made
//! harmless. Not here: numbers (`figures`).

use super::{Shown, VariantReport};
use std::fmt::Write;

/// Text from outside, for a page: no tag, no attribute's end, no control characters.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ if letter.is_control() => safe.push(' '),
            _ => safe.push(letter),
        }
    }
    safe
}

/// Text from outside, for a terminal: one line, and nothing a terminal obeys.
pub fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// So many letters at most.
pub fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(letters.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// What a reason says to somebody who never read the code.
pub fn reason(name: &str) -> &'static str {
    match name {
        "exhausted" => "nothing was left in the pool that this user may take",
        "allocation-exhausted" => "the user's own allocation was used up",
        "limit-reached" => "the user's limit for the cycle was reached",
        "feature-not-in-plan" => "the plan did not have the feature",
        "access-disabled" => "an administrator had switched AI access off",
        "unknown-user" => "the user was not, or no longer, a member",
        "frozen" => "the workspace was frozen",
        "unknown-workspace" => "this node did not know the workspace yet",
        "credits-unreachable" => "credits were left, but none came before the deadline",
        "home-unreachable" => "the one node that may decide this key was away",
        "no-leader" => "an election was going on, and the ledger could not be asked",
        "outcome-unknown" => "asked, but nobody could say whether it was done",
        "timed-out" => "the answer did not come in time",
        "storage-unavailable" => "the node could not write to its disk",
        "overloaded" => "the node had more to do than it takes",
        "key-in-flight" => "the same idempotency key was just being decided",
        "key-conflict" => "the idempotency key belonged to another request",
        "key-window-full" => "no room was left to remember another idempotency key",
        "under-way" => "not answered yet when the load ended",
        "no-answer" => "no node answered before the client gave up",
        "internal" => "the node made a mistake",
        _ => "",
    }
}

/// The command that replays this seed: known for the runs that are shown, and like them for all others.
pub fn replay(variant: &VariantReport, seed: u64) -> Option<String> {
    let shown: Vec<&Shown> = variant.worst.iter().chain(&variant.median).collect();
    if let Some(same) = shown.iter().find(|shown| shown.seed == seed) {
        return Some(same.replay.clone());
    }
    shown.iter().find_map(|shown| with_seed(&shown.replay, shown.seed, seed))
}

/// The same command with another `--seed`.
fn with_seed(command: &str, old: u64, new: u64) -> Option<String> {
    ["--seed ", "--seed="].iter().find_map(|flag| {
        let at = command.find(&format!("{flag}{old}"))? + flag.len();
        let rest = &command[at + old.to_string().len()..];
        let is_whole = rest.chars().next().is_none_or(char::is_whitespace);
        is_whole.then(|| format!("{}{new}{rest}", &command[..at]))
    })
}

/// What the figures of a report mean: (figure, definition).
pub const DEFINITIONS: [(&str, &str); 9] = [
    (
        "Overdrawn",
        "more was charged than granted. Judged from outside: by what clients were told, not by what nodes believe; and \
         counted as well where the product itself stopped over its books (S1 to S5).",
    ),
    (
        "Falsely refused",
        "refused in the end, or not answered when the load ended, though one counter without leases and without \
         faults would have charged it when it came, or then. All other refusals are right: any counter would have made them.",
    ),
    (
        "Charged locally",
        "charged by a node from its own lease, without asking anybody; a share of all requests.",
    ),
    (
        "Stranded",
        "credits on leases of nodes that were down or cut off from the leader, at the worst moment of a run: nobody could \
         spend them then. They come back with the node, or when it is forgotten.",
    ),
    (
        "Lost",
        "charged with what a machine forgot when its power failed, or written off with its disk, and told to nobody. One \
         counter would still have it, so who is refused for want of it is refused falsely.",
    ),
    ("Recall", "from when leases are called back until the round is over."),
    (
        "Time without a leader",
        "from when the pools' shard loses its leader until the next one leads; the first election is not counted.",
    ),
    (
        "Reallocation",
        "a move of credits from one user's allocation to another's that left a part pending, from when it was answered \
         until nothing of it is pending. Cuts of an allocation or a limit are not measured.",
    ),
    (
        "Better, worse, equal",
        "the same seed under two variants: same traffic, same faults. \u{201c}May be chance\u{201d}: a coin thrown \
         for each seed that differs would show as much in one case of twenty.",
    ),
];

/// A list in words: `a, b and c`.
pub fn listed(parts: &[String]) -> String {
    let mut text = String::new();
    for (at, part) in parts.iter().enumerate() {
        let before = match at {
            0 => "",
            _ if at + 1 == parts.len() => " and ",
            _ => ", ",
        };
        let _ = write!(text, "{before}{part}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_harmless() {
        assert_eq!(escape("<b a='1' c=\"2\">&\u{1b}[1m"), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp; [1m");
        assert_eq!(plain("a\u{1b}[31m\nb"), "a [31m b");
        assert_eq!((cut("short", 5), cut("too long", 5)), ("short".to_owned(), "too…".to_owned()));
    }

    #[test]
    fn any_seed_is_replayed_like_the_worst_one() {
        let shown =
            |seed: u64, replay: &str| Some(Shown { seed, replay: replay.to_owned(), ..Shown::default() });
        let variant = VariantReport {
            worst: shown(17, "x run --minutes 17 --seed 17 --only"),
            ..VariantReport::default()
        };
        assert_eq!(replay(&variant, 17).unwrap(), "x run --minutes 17 --seed 17 --only");
        assert_eq!(replay(&variant, 3).unwrap(), "x run --minutes 17 --seed 3 --only");
        let other = VariantReport { worst: shown(1, "x --seed 17"), ..VariantReport::default() };
        assert_eq!(replay(&other, 3), None);
        assert_eq!(replay(&VariantReport::default(), 3), None);
    }
}
