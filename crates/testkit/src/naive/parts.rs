//! Amounts by grant. Not here: whose they are.

use std::collections::BTreeMap;
use types::GrantId;

pub(super) fn add(parts: &mut BTreeMap<GrantId, u64>, id: &GrantId, amount: u64) {
    if amount > 0 {
        *parts.entry(id.clone()).or_default() += amount;
    }
}

/// Takes up to `amount` out of the parts, in the order given.
pub(super) fn take<'a>(
    parts: &mut BTreeMap<GrantId, u64>,
    order: impl Iterator<Item = &'a GrantId>,
    amount: u64,
) -> Vec<(GrantId, u64)> {
    let mut missing = amount;
    let mut taken = Vec::new();
    for id in order {
        let Some(part) = parts.get_mut(id) else { continue };
        let now = missing.min(*part);
        *part -= now;
        missing -= now;
        taken.push((id.clone(), now));
    }
    parts.retain(|_, left| *left > 0);
    taken
}
