//! Plans that no cluster survives, however good it is: a majority of the ledger's replicas keeps its disks, or nothing is
//! proven. Not here: what else may be wrong in a plan (`faults`).

use super::{FaultTable, Kind, Listed, Place};
use crate::plan::text::{BadPlan, Text};
use std::collections::BTreeSet;
use toml::Spanned;

/// What is on such a disk never comes back.
pub const fn is_disk_lost(kind: Kind) -> bool {
    matches!(kind, Kind::DiskLost | Kind::BitRot | Kind::DiskRolledBack)
}

pub fn too_many(text: &Text, kind: &Spanned<String>, may_lose: usize) -> BadPlan {
    let why = format!(
        "{:?}: of the nodes with a replica of the ledger {may_lose} may lose their disks, or nobody ever leads again",
        kind.get_ref()
    );
    text.wrong(&kind.span(), why)
}

/// How many nodes with a replica may lose their disks by what is listed: what no cluster survives proves nothing.
pub fn disks_lost(
    text: &Text,
    tables: &[FaultTable],
    listed: &[Listed],
    replicas: usize,
    may_lose: usize,
) -> Result<usize, BadPlan> {
    let (mut named, mut any) = (BTreeSet::new(), 0_usize);
    for (table, listed) in tables.iter().zip(listed).filter(|(_, listed)| is_disk_lost(listed.kind)) {
        match &listed.place {
            Place::All(nodes) => named.extend(nodes.iter().copied().filter(|node| *node < replicas)),
            Place::OneOf(_) | Place::Everywhere | Place::Link(..) => {
                any = any.saturating_add(usize::try_from(listed.times).unwrap_or(usize::MAX));
            }
        }
        if named.len().saturating_add(any) > may_lose {
            return Err(too_many(text, &table.kind, may_lose));
        }
    }
    Ok(named.len() + any)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, topology};

    #[test]
    fn what_no_cluster_survives_is_refused_where_it_is_asked() {
        let lost = |node: &str, times: &str| {
            format!("[[fault]]\nkind = \"disk-lost\"\n{node}\nat = \"1s\"\nfor = \"1s\"\n{times}")
        };
        let (n1, n2) = (lost("node = \"n1\"", ""), lost("node = \"n2\"", ""));
        assert!(parse(&n1).is_ok());
        let replicas: Vec<String> = topology().nodes.into_iter().take(3).collect();
        let two = format!("{}{}", lost(&format!("node = {:?}", replicas[0]), ""), lost("node = \"any\"", ""));
        assert!(
            parse(&two).unwrap_err().starts_with("f.toml, line 7, kind: "),
            "{}",
            parse(&two).unwrap_err()
        );
        let others: Vec<String> = topology().nodes.into_iter().skip(3).collect();
        assert!(parse(&lost(&format!("nodes = {others:?}"), "")).is_ok());
        assert!(parse(&lost(&format!("nodes = {:?}", &replicas[..2]), "")).is_err());
        assert!(parse(&lost("node = \"any\"", "times = 2\nagain_after = \"1s\"\n")).is_err());
        let chance = "[chance]\nevery = \"1s\"\nkinds = [\"bit-rot\"]\n";
        assert!(parse(chance).is_ok());
        assert!(parse(&format!("{n1}{n2}{chance}")).is_err());
    }
}
