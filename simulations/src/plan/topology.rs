//! A topology: nodes in zones, how far zones are from each other, how long disks take. Not here: what goes wrong (`faults`).

use super::text::{BadPlan, Exactly, Text, Times};
use crate::world_a::{Distances, Latency, workspace_id};
use placement::{Membership, MembershipEpoch, Shape};
use serde::Deserialize;
use toml::Spanned;
use types::NodeId;

pub const NODES_MAX: usize = 64;
const ZONES_MAX: usize = 16;
/// Elections wait 500 to 800 ms: further apart, or with slower disks, nobody leads for long.
const ONE_WAY_MAX_US: u64 = 150_000;
const SYNC_MAX_US: u64 = 100_000;
const SESSION_US: (u64, u64) = (5_000_000, 600_000_000);

/// Checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Names of nodes, n1 to so many in the order of the zones; those first that have a replica of the ledger: the ones to
    /// which real nodes of these names and zones would give the first pool.
    pub nodes: Vec<String>,
    /// By the same places.
    pub ids: Vec<NodeId>,
    /// Names of zones.
    pub zones: Vec<String>,
    pub replicas: usize,
    pub distances: Distances,
    pub disk_sync: Times,
    pub session_ttl_ms: u64,
    /// Names of nodes by zone.
    named: Vec<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Of the ledger: 1, 3 or 5; in as many zones as there are.
    replicas: Option<Spanned<usize>>,
    /// What a sync of a disk takes.
    disk_sync: Option<Spanned<Times>>,
    /// How long a holder may spend without hearing from the ledger.
    session: Option<Spanned<Exactly>>,
    zone: Vec<Zone>,
    latency: LatencyTable,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Zone {
    name: Spanned<String>,
    nodes: Option<Spanned<usize>>,
}

/// One way.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LatencyTable {
    within_zone: Spanned<Times>,
    /// Between any two zones that have no link of their own.
    between_zones: Option<Spanned<Times>>,
    #[serde(default)]
    link: Vec<Link>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    zones: Spanned<Vec<String>>,
    one_way: Spanned<Times>,
}

const REPLICAS: usize = 3;
const SYNC: Times = Times { least_us: 200, most_us: 2_000 };

impl Topology {
    /// # Errors
    /// A field is not understood, or out of its bounds.
    pub fn parse(text: &Text) -> Result<Self, BadPlan> {
        let file: File = text.parse()?;
        let mut zones: Vec<String> = Vec::new();
        let mut sizes = Vec::new();
        for zone in &file.zone {
            let name = zone.name.get_ref();
            if name.is_empty() || zones.contains(name) {
                let why = format!("{name:?}: zones have names, each its own");
                return Err(text.wrong(&zone.name.span(), why));
            }
            if zones.len() == ZONES_MAX {
                return Err(text.wrong(&zone.name.span(), format!("at most {ZONES_MAX} zones")));
            }
            let nodes = zone.nodes.as_ref().map_or(1, |nodes| *nodes.get_ref());
            if nodes == 0 || sizes.iter().sum::<usize>() + nodes > NODES_MAX {
                let why = format!("at least one node in each zone, at most {NODES_MAX} in all");
                let span = zone.nodes.as_ref().map_or(zone.name.span(), Spanned::span);
                return Err(text.wrong(&span, why));
            }
            zones.push(name.clone());
            sizes.push(nodes);
        }
        let nodes: usize = sizes.iter().sum();
        let replicas = file.replicas.as_ref().map_or(REPLICAS, |replicas| *replicas.get_ref());
        if ![1, 3, 5].contains(&replicas) || replicas > nodes {
            let why = format!("1, 3 or 5 replicas, no more than the {nodes} nodes");
            return Err(match &file.replicas {
                Some(given) => text.wrong(&given.span(), why),
                None => {
                    let last = file.zone.last().map(|zone| (&zone.nodes, &zone.name));
                    let span = last.map(|(nodes, name)| nodes.as_ref().map_or(name.span(), Spanned::span));
                    let why = format!("`replicas` is {REPLICAS} where it is not said: {why}");
                    text.wrong(&span.unwrap_or(0..0), why)
                }
            });
        }
        let sync = file.disk_sync.as_ref().map_or(Ok(SYNC), |sync| within(text, sync, (0, SYNC_MAX_US)))?;
        let session_us = match &file.session {
            Some(given) if !(SESSION_US.0..=SESSION_US.1).contains(&given.get_ref().0) => {
                let why = format!("between {} ms and {} ms", SESSION_US.0 / 1_000, SESSION_US.1 / 1_000);
                return Err(text.wrong(&given.span(), why));
            }
            Some(given) => given.get_ref().0,
            None => cluster::defaults::SESSION_TTL_MS * 1_000,
        };
        let between = distances(text, &file.latency, &zones)?;
        let mut names = (1..).map(|number| format!("n{number}"));
        let named = sizes.into_iter().map(|size| names.by_ref().take(size).collect()).collect();
        Ok(Self::of(zones, named, replicas, between, sync, session_us / 1_000))
    }

    fn of(
        zones: Vec<String>,
        named: Vec<Vec<String>>,
        replicas: usize,
        between: Vec<Vec<Latency>>,
        disk_sync: Times,
        session_ttl_ms: u64,
    ) -> Self {
        // (zone, name, id): n3 is 3, and who has no such name gets what is left.
        let mut all: Vec<(usize, String, NodeId)> = Vec::new();
        let mut unnumbered = 1 + named.iter().flatten().filter(|name| name.parse::<NodeId>().is_ok()).count();
        for (zone, name) in
            named.iter().enumerate().flat_map(|(zone, names)| names.iter().map(move |n| (zone, n)))
        {
            let id = name.parse().unwrap_or_else(|_| {
                unnumbered += 1;
                NodeId(u16::try_from(unnumbered - 1).expect("a few nodes"))
            });
            all.push((zone, name.clone(), id));
        }
        let with_replica = replicas_of_first_pool(&all, replicas);
        all.sort_by_key(|(_, _, id)| with_replica.iter().position(|with| with == id).unwrap_or(replicas));
        let zone_of = all.iter().map(|(zone, _, _)| *zone).collect();
        let ids = all.iter().map(|(_, _, id)| *id).collect();
        Self {
            nodes: all.into_iter().map(|(_, name, _)| name).collect(),
            ids,
            zones,
            replicas,
            distances: Distances { zone_of, between },
            disk_sync,
            session_ttl_ms,
            named,
        }
    }

    /// Each zone with twice its nodes: beside each n3 an n3b.
    ///
    /// # Errors
    /// That is more than [`NODES_MAX`].
    pub fn twice_the_nodes(&self) -> Result<Self, String> {
        if self.nodes.len() * 2 > NODES_MAX {
            return Err(format!("twice {} nodes is more than {NODES_MAX}", self.nodes.len()));
        }
        let twice = |names: &Vec<String>| {
            names.iter().cloned().chain(names.iter().map(|name| format!("{name}b"))).collect()
        };
        let named = self.named.iter().map(twice).collect();
        let (zones, between) = (self.zones.clone(), self.distances.between.clone());
        Ok(Self::of(zones, named, self.replicas, between, self.disk_sync, self.session_ttl_ms))
    }

    #[must_use]
    pub fn node(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node == name)
    }

    /// The nodes of a zone.
    #[must_use]
    pub fn zone(&self, name: &str) -> Option<Vec<usize>> {
        let zone = self.zones.iter().position(|zone| zone == name)?;
        let of = &self.distances.zone_of;
        Some((0..of.len()).filter(|node| of[*node] == zone).collect())
    }
}

fn replicas_of_first_pool(nodes: &[(usize, String, NodeId)], replicas: usize) -> Vec<NodeId> {
    let node = |(zone, _, id): &(usize, String, NodeId)| placement::Node {
        id: *id,
        zone: zone.to_string(),
        weight: 1,
    };
    let members = Membership::new(MembershipEpoch(1), nodes.iter().map(node).collect());
    let members = members.expect("nodes have numbers of their own");
    let replicas = u8::try_from(replicas).expect("1, 3 or 5");
    let map = placement::propose(&members, Shape { replicas, ..cluster::defaults::SHAPE });
    let map = map.expect("1, 3 or 5 replicas are possible");
    map.replicas(map.shard_of(&workspace_id(0))).to_vec()
}

fn within(text: &Text, times: &Spanned<Times>, (least, most): (u64, u64)) -> Result<Times, BadPlan> {
    let given = *times.get_ref();
    if given.least_us < least || given.most_us > most {
        let in_ms = |us: u64| us / 1_000;
        let why = format!("between {} ms and {} ms", in_ms(least), in_ms(most));
        return Err(text.wrong(&times.span(), why));
    }
    Ok(given)
}

fn distances(text: &Text, table: &LatencyTable, zones: &[String]) -> Result<Vec<Vec<Latency>>, BadPlan> {
    let latency = |times: &Spanned<Times>| -> Result<Latency, BadPlan> {
        let Times { least_us, most_us } = within(text, times, (0, ONE_WAY_MAX_US))?;
        Ok(Latency { least_us, most_us })
    };
    let near = latency(&table.within_zone)?;
    let far = table.between_zones.as_ref().map(latency).transpose()?;
    let mut between: Vec<Vec<Option<Latency>>> = vec![vec![far; zones.len()]; zones.len()];
    for (zone, row) in between.iter_mut().enumerate() {
        row[zone] = Some(near);
    }
    let mut linked = Vec::new();
    for link in &table.link {
        let one_way = latency(&link.one_way)?;
        let place = |name: &String| zones.iter().position(|zone| zone == name);
        let places: Vec<Option<usize>> = link.zones.get_ref().iter().map(place).collect();
        let [Some(a), Some(b)] = places[..] else {
            let why = format!("two of the zones {}", zones.join(", "));
            return Err(text.wrong(&link.zones.span(), why));
        };
        if a == b || linked.contains(&(a, b)) {
            return Err(text.wrong(&link.zones.span(), "a link has two ends, and each two zones one link"));
        }
        linked.extend([(a, b), (b, a)]);
        (between[a][b], between[b][a]) = (Some(one_way), Some(one_way));
    }
    let missing = |row: &Vec<Option<Latency>>| row.iter().any(Option::is_none);
    if between.iter().any(missing) {
        let why = "between_zones, or a latency.link for each two zones";
        return Err(text.wrong(&table.within_zone.span(), why));
    }
    Ok(between.into_iter().map(|row| row.into_iter().flatten().collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn parse(content: &str) -> Result<Topology, String> {
        let text = Text { name: "t.toml".into(), content: content.into() };
        Topology::parse(&text).map_err(|why| why.to_string())
    }

    fn zones(sizes: &[usize], rest: &str) -> String {
        let zones =
            ('a'..).zip(sizes).map(|(name, nodes)| format!("[[zone]]\nname = \"{name}\"\nnodes = {nodes}\n"));
        let zones: String = zones.collect();
        format!("{rest}\n{zones}[latency]\nwithin_zone = \"0.1ms..0.3ms\"\nbetween_zones = \"1ms..2ms\"\n")
    }

    #[test]
    fn replicas_are_in_as_many_zones_as_there_are_and_first() {
        let topology = parse(&zones(&[2, 2, 1], "")).unwrap();
        let (names, of) = (&topology.nodes, &topology.distances.zone_of);
        assert_eq!(BTreeSet::from_iter(&of[..3]).len(), 3, "{names:?}");
        assert_eq!(topology.zone("b").unwrap().len(), 2);
        assert_eq!(topology.node("n4").map(|place| topology.ids[place]), Some(NodeId(4)));
        let (n3, n4, n5) = (topology.node("n3"), topology.node("n4"), topology.node("n5"));
        assert_eq!(topology.distances.from_to(n3.unwrap(), n4.unwrap()).most_us, 300);
        assert_eq!(topology.distances.from_to(n4.unwrap(), n5.unwrap()).most_us, 2_000);
        let twice = topology.twice_the_nodes().unwrap();
        assert_eq!((twice.nodes.len(), twice.zone("b").unwrap().len()), (10, 4));
        assert_eq!(BTreeSet::from_iter(&twice.ids).len(), 10, "{:?}", twice.ids);
        assert_eq!(twice.zone("c").unwrap().len(), 2);
    }

    #[test]
    fn five_nodes_side_by_side_are_as_five_real_ones() {
        let text = include_str!("../../../cluster/topologies/five-nodes.toml");
        assert_eq!(parse(text).unwrap().nodes, ["n2", "n5", "n4", "n1", "n3"]);
    }

    #[test]
    fn a_link_has_a_latency_of_its_own() {
        let link = "[[latency.link]]\nzones = [\"a\", \"b\"]\none_way = \"40ms\"\n";
        let topology = parse(&format!("{}{link}", zones(&[1, 1, 1], ""))).unwrap();
        let place = |name: &str| topology.node(name).unwrap();
        assert_eq!(topology.distances.from_to(place("n2"), place("n1")).least_us, 40_000);
        assert_eq!(topology.distances.from_to(place("n3"), place("n1")).most_us, 2_000);
    }

    #[test]
    fn bounds_are_told_with_line_and_field() {
        assert!(parse(&zones(&[32, 32], "")).is_ok());
        let complaints = [
            (
                zones(&[33, 32], ""),
                "t.toml, line 7, nodes: at least one node in each zone, at most 64 in all",
            ),
            (
                zones(&[1, 0, 1], ""),
                "t.toml, line 7, nodes: at least one node in each zone, at most 64 in all",
            ),
            (
                zones(&[1, 1], ""),
                "t.toml, line 7, nodes: `replicas` is 3 where it is not said: 1, 3 or 5 replicas, no more than the 2 nodes",
            ),
            (
                zones(&[5], "replicas = 4"),
                "t.toml, line 1, replicas: 1, 3 or 5 replicas, no more than the 5 nodes",
            ),
            (zones(&[3], "disk_sync = \"101ms\""), "t.toml, line 1, disk_sync: between 0 ms and 100 ms"),
            (zones(&[3], "session = \"4s\""), "t.toml, line 1, session: between 5000 ms and 600000 ms"),
            (zones(&[3], "sesion = \"4s\""), "t.toml, line 1, sesion: unknown field"),
        ];
        for (content, complaint) in complaints {
            let why = parse(&content).unwrap_err();
            assert!(why.starts_with(complaint), "{why}");
        }
        assert!(parse(&zones(&[3], "disk_sync = \"100ms\"")).is_ok());
        let far = |ms: u64| zones(&[1, 1, 1], "").replace("1ms..2ms", &format!("1ms..{ms}ms"));
        assert!(parse(&far(150)).is_ok());
        assert!(parse(&far(151)).unwrap_err().ends_with("between_zones: between 0 ms and 150 ms"));
        let link = |ends: &str| format!("[[latency.link]]\nzones = [{ends}]\none_way = \"40ms\"\n");
        for ends in ["\"a\", \"a\"", "\"a\", \"b\", \"c\"", "\"a\""] {
            assert!(parse(&format!("{}{}", zones(&[1, 1, 1], ""), link(ends))).is_err(), "{ends}");
        }
        let twice = link("\"a\", \"b\"") + &link("\"b\", \"a\"");
        assert!(
            parse(&format!("{}{twice}", zones(&[1, 1, 1], "")))
                .unwrap_err()
                .contains("each two zones one link")
        );
        let no_zone = "[[latency.link]]\nzones = [\"a\", \"z\"]\none_way = \"40ms\"\n";
        let why = parse(&format!("{}{no_zone}", zones(&[1, 1, 1], ""))).unwrap_err();
        assert!(why.ends_with("zones: two of the zones a, b, c"), "{why}");
    }
}
