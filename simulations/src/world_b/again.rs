//! Somebody who asks for what was answered long ago: under its key the same answer comes, byte for byte, and nothing is
//! charged. Not here: who asks again because no answer came (`clients`).

use crate::chance::{Stream, stream};
use crate::crossings::Crossing;
use crate::fault::{Fault, What};
use crate::world_b::clients::{Office, code};
use crate::world_b::http::{Answer, Ask, Http};
use rand::Rng;
use std::time::Duration;
use testkit::checkers::Broken;

/// A whole consume that was charged under a key.
#[derive(Clone, Debug)]
pub struct Answered {
    pub ask: Ask,
    pub answer: Answer,
}

/// So many of the last ones may be asked for again.
pub const KEPT: usize = 64;
const PATIENCE: Duration = Duration::from_secs(12);
const PAUSE_MS: std::ops::RangeInclusive<u64> = 100..=2_000;

/// Whether keys outlive these faults: one is as durable as its consume, and most consumes are not synced.
#[must_use]
pub fn keys_outlive(faults: &[Fault]) -> bool {
    let loses = |fault: &Fault| {
        matches!(
            fault.what,
            What::PowerLoss { .. }
                | What::SyncError { .. }
                | What::BitRot { .. }
                | What::DiskLost { .. }
                | What::DiskRolledBack { .. }
        )
    };
    !faults.iter().any(loses)
}

impl Office {
    pub async fn ask_for_old_answers(self) {
        let (mut http, mut chance) = (Http::default(), stream(self.seed, "old answers"));
        while self.keys_stay && !self.is_over() {
            tokio::time::sleep(Duration::from_millis(chance.random_range(PAUSE_MS))).await;
            let Some(old) = self.any_old_one(&mut chance) else { continue };
            let to = self.node(&mut chance);
            let Ok(answer) = http.ask(to, &old.ask, PATIENCE).await else { continue };
            let mut record = self.told.record();
            if record.keys_may_end {
                return;
            }
            if answer.status == 200 && answer.body == old.answer.body {
                record.seen.saw(Crossing::KeyIsAskedForAgain);
            } else if answer.status < 500 && code(&answer) != "overloaded" {
                let text = |answer: &Answer| String::from_utf8_lossy(&answer.body).into_owned();
                let (was, is) = (text(&old.answer), text(&answer));
                let what = format!("{to}, key {:?}: first {was}, then {} {is}", old.ask.key, answer.status);
                record.broken.push(Broken { sentence: "S7 a key is answered the same for ever", what });
            }
        }
    }

    fn any_old_one(&self, chance: &mut Stream) -> Option<Answered> {
        let record = self.told.record();
        let count = record.answered.len();
        (count > 0).then(|| record.answered[chance.random_range(0..count)].clone())
    }
}
