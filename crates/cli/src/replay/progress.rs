//! How far the replay is, while it runs: a bar on a terminal, a line now and then elsewhere. On stderr, so that
//! stdout has the result alone.

use super::drive::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, interval_at};

const BAR_EVERY_MS: u64 = 200;
const LINE_EVERY_MS: u64 = 5_000;

/// Shows it until dropped.
pub(crate) async fn show(progress: &Progress, total: u64) {
    if std::io::stderr().is_terminal() { bar(progress, total).await } else { lines(progress, total).await }
}

async fn bar(progress: &Progress, total: u64) {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {per_sec}  {msg}  {eta} left")
        .expect("a template with known names");
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_style(style);
    // Dropped with this future, however that ends: the line is cleared for the report.
    let bar = Cleared(bar);
    let mut ticks = every(BAR_EVERY_MS);
    loop {
        ticks.tick().await;
        bar.0.set_position(progress.done.load(Ordering::Relaxed));
        bar.0.set_message(format!("{} refused", progress.refused.load(Ordering::Relaxed)));
    }
}

struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn lines(progress: &Progress, total: u64) {
    let mut ticks = every(LINE_EVERY_MS);
    let mut before = 0;
    loop {
        ticks.tick().await;
        let (done, refused) =
            (progress.done.load(Ordering::Relaxed), progress.refused.load(Ordering::Relaxed));
        eprintln!("{done}/{total}  {}/s  {refused} refused", (done - before) * 1_000 / LINE_EVERY_MS);
        before = done;
    }
}

fn every(ms: u64) -> tokio::time::Interval {
    let every = Duration::from_millis(ms);
    interval_at(Instant::now() + every, every)
}
