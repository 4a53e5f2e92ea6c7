//! Some workspaces have services among their users: they begin to share with their owner or with each other, and to share
//! otherwise, while they spend. Not here: what sharing means (`ledger`).

use super::admins::{AdminStep, Wanted, user_id};
use super::config::Config;

use crate::chance::stream;
use crate::swarm::log_uniform;
use ledger::{Change, MemberKind, ServiceChange, Shares};
use rand::Rng;

/// The owner is the first user, whom storms are about; the services are the two after him.
pub fn draw(config: &Config, seed: u64, at: usize) -> Vec<AdminStep> {
    let mut chance = stream(seed, &format!("services of {at}"));
    if config.workspaces[at].users < 3 || !chance.random_bool(0.3) {
        return Vec::new();
    }
    let mut steps = Vec::new();
    let mut at_ms = log_uniform(&mut chance, 700, 30_000);
    while at_ms < config.run_ms {
        let (service, other) = if chance.random_bool(0.7) { (1, 2) } else { (2, 1) };
        let shares = match chance.random_range(0..6) {
            0..=2 => Shares::WithOwner,
            3 => Shares::With(user_id(other)),
            _ => Shares::Nothing,
        };
        let service = Change::PutMember {
            user: user_id(service),
            ai_access: None,
            team: None,
            role: None,
            service: ServiceChange {
                kind: Some(MemberKind::Service),
                owner: Some(user_id(0)),
                shares: Some(shares),
            },
        };
        let node = chance.random_range(0..config.nodes);
        steps.push(AdminStep { at_ms, node, what: Wanted::Change { workspace: at, change: service } });
        at_ms += log_uniform(&mut chance, 5_000, 120_000);
    }
    steps
}
