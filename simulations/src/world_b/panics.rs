//! Panics of the product: its assertions of invariants stay on everywhere, and tasks and actors swallow what they throw.
//! Not here: what a panic means (`judge`).

use std::sync::Mutex;
use types::planted::AS_ASKED;

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// From now on every panic of this process is noted, but those that a fault asked for.
pub fn begin() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().replace('\n', " ");
        tracing::info!(target: "film", text, "panic");
        if text.contains(AS_ASKED) {
            return;
        }
        if let Ok(mut panics) = PANICS.lock() {
            panics.push(text);
        }
    }));
}

/// What was noted since the last call.
pub fn take() -> Vec<String> {
    PANICS.lock().map(|mut panics| std::mem::take(&mut *panics)).unwrap_or_default()
}
