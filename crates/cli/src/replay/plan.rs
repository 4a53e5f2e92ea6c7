//! What is sent, request by request: the trace in order, a user for each row, a key where keys are asked for. The
//! same files, seed and run make the same plan. Not here: when it is sent, and what comes back.

use super::crowd::Crowd;
use super::trace::Row;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use types::IdempotencyKey;

/// One request to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub row: Row,
    /// Place in [`Crowd::users`].
    pub user: usize,
    pub key: Option<IdempotencyKey>,
}

/// All requests, one after the other.
#[derive(Debug)]
pub(crate) struct Plan {
    rows: std::vec::IntoIter<Row>,
    crowd: Crowd,
    users: StdRng,
    keys: Option<Keys>,
}

/// Where keys come from.
#[derive(Debug)]
struct Keys {
    dice: StdRng,
    run: u64,
}

impl Plan {
    /// `keyed` is the number of this run, so that a later one of the same seed is not taken for its repetition: the
    /// calls already on the books tell runs apart.
    pub fn new(rows: Vec<Row>, crowd: Crowd, seed: u64, keyed: Option<u64>) -> Self {
        Self {
            rows: rows.into_iter(),
            crowd,
            users: dice(seed, b"users"),
            keys: keyed.map(|run| Keys { dice: dice(seed, b"keys"), run }),
        }
    }
}

impl Iterator for Plan {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        let row = self.rows.next()?;
        let user = self.crowd.draw(row.offset_us, &mut self.users);
        let key = self.keys.as_mut().map(|Keys { dice, run }| {
            let text = format!("replay-{run}-{:016x}{:016x}", dice.next_u64(), dice.next_u64());
            IdempotencyKey::parse(&text).expect("letters, digits and dashes, fewer than 128")
        });
        Some(Planned { row, user, key })
    }
}

/// A stream of its own for each purpose, so that asking for keys changes no user.
fn dice(seed: u64, purpose: &[u8]) -> StdRng {
    let mut whole = [0; 32];
    whole[..8].copy_from_slice(&seed.to_le_bytes());
    for (place, byte) in whole[8..].iter_mut().zip(purpose) {
        *place = *byte;
    }
    StdRng::from_seed(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn crowd() -> Crowd {
        Crowd::example(&[("client-0", 1.0), ("client-1", 2.0), ("client-2", 3.0)])
    }

    fn rows() -> Vec<Row> {
        (0..200).map(|n| Row { offset_us: n, input_tokens: n, output_tokens: 1 }).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_plan() {
        let plan = |seed, keyed| Plan::new(rows(), crowd(), seed, keyed).collect::<Vec<_>>();
        assert_eq!(plan(7, Some(0)), plan(7, Some(0)));
        assert_ne!(plan(7, None), plan(8, None));
        assert_eq!(plan(7, None).iter().map(|planned| planned.row).collect::<Vec<_>>(), rows());
    }

    #[test]
    fn keys_have_a_stream_and_runs_have_keys_of_their_own() {
        let plan = |keyed| Plan::new(rows(), crowd(), 7, keyed).collect::<Vec<_>>();
        let users = |keyed| plan(keyed).into_iter().map(|planned| planned.user).collect::<Vec<_>>();
        assert_eq!(users(None), users(Some(0)), "keys change no user");
        let keys =
            |run| plan(Some(run)).into_iter().filter_map(|planned| planned.key).collect::<BTreeSet<_>>();
        assert_eq!(keys(0).len(), rows().len());
        assert!(keys(0).is_disjoint(&keys(200)));
        assert!(plan(None).iter().all(|planned| planned.key.is_none()));
    }
}
