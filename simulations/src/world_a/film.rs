//! The film of a run: every step as a few numbers, hashed as it happens, and kept where somebody wants to see it.
//! Two runs of one seed have the same hash, or something is not deterministic. Not here: who reports what.

use crate::scene::Scene;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Asked,
    Told,
    Refused,
    NoAnswer,
    AdminAsked,
    AdminAnswered,
    DrawSent,
    GaveBack,
    LineClosed,
    LineRejected,
    RecallSent,
    RecallTaken,
    RoundEnded,
    Committed,
    LeaderElected,
    FaultBegins,
    FaultEnds,
    Killed,
    Started,
    NotStarted,
    HolderRefused,
    Forgotten,
    Checked,
    Calm,
    Broken,
}

impl Step {
    /// In words, as films have it: `line-closed`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// Whether it happens at one node.
    pub fn is_of_a_node(self) -> bool {
        !matches!(
            self,
            Self::RoundEnded
                | Self::FaultBegins
                | Self::FaultEnds
                | Self::Checked
                | Self::Calm
                | Self::Broken
        )
    }
}

/// One step: when, where, and two numbers that mean what the step says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub at_us: u64,
    pub step: Step,
    pub node: usize,
    pub a: u64,
    pub b: u64,
}

#[derive(Debug, Default)]
pub struct Film {
    hasher: blake3::Hasher,
    pub frames: u64,
    pub kept: Option<Vec<(Frame, Option<Scene>)>>,
}

impl Film {
    pub fn take(&mut self, frame: Frame) {
        let mut bytes = [0; 28];
        bytes[..8].copy_from_slice(&frame.at_us.to_le_bytes());
        bytes[8] = frame.step as u8;
        bytes[9] = u8::try_from(frame.node).unwrap_or(u8::MAX);
        bytes[10..18].copy_from_slice(&frame.a.to_le_bytes());
        bytes[18..26].copy_from_slice(&frame.b.to_le_bytes());
        self.hasher.update(&bytes);
        self.frames += 1;
        if let Some(kept) = &mut self.kept {
            kept.push((frame, None));
        }
    }

    /// What the last frame is about.
    pub fn tell(&mut self, scene: Scene) {
        if let Some((_, told)) = self.kept.as_mut().and_then(|kept| kept.last_mut()) {
            *told = Some(scene);
        }
    }

    pub fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}
