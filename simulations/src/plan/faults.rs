//! A fault plan: what goes wrong where and when, listed one by one, drawn by chance, or both. Drawn for each seed before
//! the run. Not here: carrying faults out (`world_a`).

mod survival;
#[cfg(test)]
pub mod tests;

use super::text::{BadPlan, Text, Times};
use super::topology::Topology;
use crate::chance::{Stream, stream};
use crate::fault::{Fault, Kind, Unsynced, What};
use crate::outcome::FaultSpan;
use crate::swarm::Swarm;
use crate::world_a::SUPPORTED;
use rand::Rng;
use serde::Deserialize;
use survival::{disks_lost, is_disk_lost, too_many};
use toml::Spanned;
use types::planted::Actor;

pub const FAULTS_MAX: usize = 10_000;
/// A sync that takes longer is a disk that has failed.
const SLOW_SYNC_MAX_US: u64 = 5_000_000;

/// Checked against a topology.
#[derive(Debug)]
pub struct FaultPlan {
    listed: Vec<Listed>,
    chance: Option<(Vec<Kind>, Times)>,
}

#[derive(Clone, Debug)]
struct Listed {
    kind: Kind,
    at: Times,
    lasts: Times,
    place: Place,
    times: u64,
    again_after: Times,
    percent: u32,
    by: Times,
    turns: Times,
    back: bool,
    count: u64,
    speed_percent: u32,
}

#[derive(Clone, Debug)]
enum Place {
    Everywhere,
    /// One of these, by chance.
    OneOf(Vec<usize>),
    /// All of these.
    All(Vec<usize>),
    Link(usize, usize),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fault: Vec<FaultTable>,
    chance: Option<ChanceTable>,
}

/// Faults of the listed kinds, of all kinds without a list, follow each other after so long, the first one the beginning; each seed switches some of
/// the kinds on and draws where, how long and how bad.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChanceTable {
    every: Spanned<Times>,
    kinds: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultTable {
    kind: Spanned<String>,
    at: Spanned<Times>,
    #[serde(rename = "for")]
    lasts: Spanned<Times>,
    node: Option<Spanned<String>>,
    nodes: Option<Spanned<Vec<String>>>,
    zone: Option<Spanned<String>>,
    from: Option<Spanned<String>>,
    to: Option<Spanned<String>>,
    /// It comes so often, each time so long after it began last.
    times: Option<Spanned<u64>>,
    again_after: Option<Spanned<Times>>,
    /// Of messages: drop, duplicate.
    percent: Option<Spanned<u32>>,
    /// How much later: delay, reorder, slow-sync; how far off: skew, strobe, backwards-over-restart.
    by: Option<Spanned<Times>>,
    /// A clock is behind instead of ahead.
    back: Option<Spanned<bool>>,
    /// Turns of this length: flapping, strobe, crash-loop.
    every: Option<Spanned<Times>>,
    /// Syncs that fail.
    count: Option<Spanned<u64>>,
    /// How fast a clock goes: clock-rate.
    speed_percent: Option<Spanned<u32>>,
}

fn kind(text: &Text, name: &Spanned<String>) -> Result<Kind, BadPlan> {
    let known = SUPPORTED.iter().find(|kind| kind.name() == name.get_ref());
    known.copied().ok_or_else(|| {
        let names: Vec<&str> = SUPPORTED.iter().map(|kind| kind.name()).collect();
        text.wrong(&name.span(), format!("{:?}: there are {}", name.get_ref(), names.join(", ")))
    })
}

impl FaultPlan {
    /// Nothing goes wrong.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { listed: Vec::new(), chance: None }
    }

    /// # Errors
    /// Something is not understood, out of its bounds, or not in the topology.
    pub fn parse(text: &Text, topology: &Topology, minutes: u64) -> Result<Self, BadPlan> {
        let file: File = text.parse()?;
        let never = |table: &&FaultTable| table.at.get_ref().least_us >= minutes * 60_000_000;
        if let Some(late) = file.fault.iter().find(never) {
            let why = format!("the load is over after {minutes} min, before this begins");
            return Err(text.wrong(&late.at.span(), why));
        }
        let listed: Result<Vec<Listed>, BadPlan> =
            file.fault.iter().map(|table| listed(text, table, topology)).collect();
        let listed = listed?;
        let may_lose = (topology.replicas - 1) / 2;
        let lost = disks_lost(text, &file.fault, &listed, topology.replicas, may_lose)?;
        let mut count: u64 = 0;
        for (table, listed) in file.fault.iter().zip(&listed) {
            count = count.saturating_add(listed.count());
            if count > FAULTS_MAX as u64 {
                let span = table.times.as_ref().map_or(table.kind.span(), Spanned::span);
                return Err(text.wrong(&span, format!("{count} faults by this one; at most {FAULTS_MAX}")));
            }
        }
        let chance = match file.chance {
            None => None,
            Some(table) => {
                if table.every.get_ref().least_us < 100_000 {
                    return Err(text.wrong(&table.every.span(), "at least 100 ms"));
                }
                let possible =
                    SUPPORTED.into_iter().filter(|kind| *kind != Kind::Ring || is_a_ring(topology));
                let kinds: Result<Vec<Kind>, BadPlan> = match &table.kinds {
                    Some(kinds) => kinds
                        .iter()
                        .map(|name| match kind(text, name)? {
                            kind if is_disk_lost(kind) && lost >= may_lose => {
                                Err(too_many(text, name, may_lose))
                            }
                            Kind::Ring if !is_a_ring(topology) => Err(no_ring(text, name)),
                            kind => Ok(kind),
                        })
                        .collect(),
                    None => Ok(possible.filter(|kind| lost < may_lose || !is_disk_lost(*kind)).collect()),
                };
                let kinds = kinds?;
                if kinds.is_empty() {
                    return Err(text.wrong(&table.every.span(), "`kinds` names none"));
                }
                Some((kinds, *table.every.get_ref()))
            }
        };
        Ok(Self { listed, chance })
    }

    /// A seed's faults, by time; none lasts longer than the run.
    #[must_use]
    pub fn draw(&self, seed: u64, nodes: usize, run_ms: u64) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (number, listed) in self.listed.iter().enumerate() {
            let mut chance = stream(seed, &format!("fault {number}"));
            let mut at_ms = listed.at.draw_ms(&mut chance);
            for _turn in 0..listed.times {
                for what in listed.what(nodes, &mut chance) {
                    let for_ms = listed.lasts.draw_ms(&mut chance).max(1);
                    faults.push(Fault { at_ms, for_ms, what });
                }
                at_ms += listed.again_after.draw_ms(&mut chance);
            }
        }
        if let Some((kinds, every)) = &self.chance {
            let every_ms = (every.least_us / 1_000, every.most_us / 1_000);
            faults
                .extend(Swarm { nodes, until_ms: run_ms, kinds: kinds.clone(), every_ms }.draw_within(seed));
        }
        faults.retain(|fault| fault.at_ms < run_ms);
        faults.sort_by_key(|fault| fault.at_ms);
        // What is listed is bounded by its file; chance draws no more than that.
        faults.truncate(FAULTS_MAX);
        for fault in &mut faults {
            fault.for_ms = fault.for_ms.min(run_ms - fault.at_ms).max(1);
        }
        faults
    }
}

/// What a kind cannot do without, and what it does not know.
struct Needs {
    nodes: bool,
    link: bool,
    percent: bool,
    by: bool,
    every: bool,
    count: bool,
    speed: bool,
}

const fn needs(kind: Kind) -> Needs {
    let link = matches!(
        kind,
        Kind::Drop | Kind::Delay | Kind::Duplicate | Kind::Reorder | Kind::OneWay | Kind::Flapping
    );
    let everywhere = matches!(kind, Kind::Ring | Kind::ColdStart | Kind::LeaderCrash);
    Needs {
        nodes: !link && !everywhere,
        link,
        percent: matches!(kind, Kind::Drop | Kind::Duplicate),
        by: matches!(
            kind,
            Kind::Delay
                | Kind::Reorder
                | Kind::SlowSync
                | Kind::Skew
                | Kind::Strobe
                | Kind::BackwardsOverRestart
        ),
        every: matches!(kind, Kind::Flapping | Kind::Strobe | Kind::CrashLoop),
        count: matches!(kind, Kind::SyncError),
        speed: matches!(kind, Kind::ClockRate),
    }
}

/// Up to so many nodes each has all others as its neighbours.
const RING_MIN: usize = 4;

/// Whether nodes that hear their neighbours alone do not hear all.
const fn is_a_ring(topology: &Topology) -> bool {
    topology.nodes.len() >= RING_MIN
}

fn no_ring(text: &Text, kind: &Spanned<String>) -> BadPlan {
    let why =
        format!("{:?}: of fewer than {RING_MIN} nodes each has all others as neighbours", kind.get_ref());
    text.wrong(&kind.span(), why)
}

fn listed(text: &Text, table: &FaultTable, topology: &Topology) -> Result<Listed, BadPlan> {
    let kind = kind(text, &table.kind)?;
    if kind == Kind::Ring && !is_a_ring(topology) {
        return Err(no_ring(text, &table.kind));
    }
    let needs = needs(kind);
    let name = kind.name();
    let check = |field: &str, needed: bool, span: Option<std::ops::Range<usize>>| match (needed, span) {
        (true, None) => Err(text.wrong(&table.kind.span(), format!("{name:?} needs {field}"))),
        (false, Some(span)) => Err(text.wrong(&span, format!("{name:?} has no {field}"))),
        _ => Ok(()),
    };
    check("percent", needs.percent, table.percent.as_ref().map(Spanned::span))?;
    check("by", needs.by, table.by.as_ref().map(Spanned::span))?;
    check("every", needs.every, table.every.as_ref().map(Spanned::span))?;
    check("count", needs.count, table.count.as_ref().map(Spanned::span))?;
    check("speed_percent", needs.speed, table.speed_percent.as_ref().map(Spanned::span))?;
    check("from and to", needs.link, table.from.as_ref().or(table.to.as_ref()).map(Spanned::span))?;
    let bounded = |field: &Option<Spanned<u64>>, default: u64, most: u64| match field {
        Some(given) if (1..=most).contains(given.get_ref()) => Ok(*given.get_ref()),
        Some(given) => Err(text.wrong(&given.span(), format!("{}: 1 to {most}", given.get_ref()))),
        None => Ok(default),
    };
    let percent = |field: &Option<Spanned<u32>>, most: u32| match field {
        Some(given) if (1..=most).contains(given.get_ref()) => Ok(*given.get_ref()),
        Some(given) => Err(text.wrong(&given.span(), format!("{}: 1 to {most}", given.get_ref()))),
        None => Ok(100),
    };
    if let Some(by) = &table.by {
        let most = if kind == Kind::SlowSync { SLOW_SYNC_MAX_US } else { u64::MAX };
        if by.get_ref().least_us < 1_000 || by.get_ref().most_us > most {
            let bound = if kind == Kind::SlowSync { "1 ms to 5 s" } else { "at least 1 ms" };
            return Err(text.wrong(&by.span(), bound));
        }
    }
    for given in [Some(&table.lasts), table.every.as_ref()].into_iter().flatten() {
        if given.get_ref().least_us < 1_000 {
            return Err(text.wrong(&given.span(), "at least 1 ms"));
        }
    }
    if let (Some(back), false) = (&table.back, matches!(kind, Kind::Skew | Kind::Strobe)) {
        return Err(text.wrong(&back.span(), format!("{name:?} has no back")));
    }
    let times = bounded(&table.times, 1, FAULTS_MAX as u64)?;
    if let (Some(given), None) = (&table.times, &table.again_after) {
        return Err(text.wrong(&given.span(), "what comes more than once needs again_after"));
    }
    let of =
        |field: &Option<Spanned<Times>>| field.as_ref().map_or(Times::exactly(0), |given| *given.get_ref());
    Ok(Listed {
        kind,
        at: *table.at.get_ref(),
        lasts: *table.lasts.get_ref(),
        place: place(text, table, topology, &needs)?,
        times,
        again_after: of(&table.again_after),
        percent: percent(&table.percent, 100)?,
        by: of(&table.by),
        turns: of(&table.every),
        back: table.back.as_ref().is_some_and(|back| *back.get_ref()),
        count: bounded(&table.count, 1, 1_000)?,
        speed_percent: percent(&table.speed_percent, 1_000)?,
    })
}

fn place(text: &Text, table: &FaultTable, topology: &Topology, needs: &Needs) -> Result<Place, BadPlan> {
    let node = |name: &str, span: std::ops::Range<usize>| {
        topology.node(name).ok_or_else(|| {
            let why = format!("there is no node {name:?}; there are n1 to n{}", topology.nodes.len());
            text.wrong(&span, why)
        })
    };
    if needs.link {
        let places = [table.node.as_ref().map(Spanned::span), table.zone.as_ref().map(Spanned::span)];
        let places = places.into_iter().chain([table.nodes.as_ref().map(Spanned::span)]);
        if let Some(span) = places.flatten().next() {
            return Err(text.wrong(&span, format!("{:?} is of a link: from and to", table.kind.get_ref())));
        }
        let (Some(from), Some(to)) = (&table.from, &table.to) else {
            return Err(
                text.wrong(&table.kind.span(), format!("{:?} needs from and to", table.kind.get_ref()))
            );
        };
        let ends = (node(from.get_ref(), from.span())?, node(to.get_ref(), to.span())?);
        if ends.0 == ends.1 {
            return Err(text.wrong(&to.span(), "a link has two ends"));
        }
        return Ok(Place::Link(ends.0, ends.1));
    }
    let given = [
        table.node.as_ref().map(Spanned::span),
        table.nodes.as_ref().map(Spanned::span),
        table.zone.as_ref().map(Spanned::span),
    ];
    let given: Vec<_> = given.into_iter().flatten().collect();
    if !needs.nodes {
        return match given.first() {
            Some(span) => Err(text.wrong(span, format!("{:?} is everywhere", table.kind.get_ref()))),
            None => Ok(Place::Everywhere),
        };
    }
    if given.len() != 1 {
        let why = format!("{:?} needs one of node, nodes, zone", table.kind.get_ref());
        return Err(text.wrong(&table.kind.span(), why));
    }
    if let Some(one) = &table.node {
        return match one.get_ref().as_str() {
            "any" => Ok(Place::OneOf((0..topology.nodes.len()).collect())),
            name => Ok(Place::All(vec![node(name, one.span())?])),
        };
    }
    if let Some(many) = &table.nodes {
        if many.get_ref().is_empty() {
            return Err(text.wrong(&many.span(), "at least one node"));
        }
        let nodes: Result<Vec<usize>, BadPlan> =
            many.get_ref().iter().map(|name| node(name, many.span())).collect();
        return Ok(Place::All(nodes?));
    }
    let Some(zone) = &table.zone else { return Ok(Place::Everywhere) };
    let nodes = topology.zone(zone.get_ref()).ok_or_else(|| {
        let why = format!("there is no zone {:?}; there are {}", zone.get_ref(), topology.zones.join(", "));
        text.wrong(&zone.span(), why)
    })?;
    Ok(Place::All(nodes))
}

impl Listed {
    /// How many faults it makes.
    fn count(&self) -> u64 {
        let places = match &self.place {
            Place::All(nodes) if self.kind != Kind::Partition => nodes.len() as u64,
            _ => 1,
        };
        self.times.saturating_mul(places)
    }

    fn what(&self, nodes: usize, chance: &mut Stream) -> Vec<What> {
        let places = match &self.place {
            Place::Everywhere => vec![0],
            Place::OneOf(nodes) => vec![nodes[chance.random_range(0..nodes.len())]],
            Place::All(nodes) => nodes.clone(),
            Place::Link(from, _) => vec![*from],
        };
        let (from, to) = match self.place {
            Place::Link(from, to) => (from, to),
            _ => (0, 1 % nodes),
        };
        let per_mille = self.percent * 10;
        let (ms, every_ms) = (self.by.draw_ms(chance).max(1), self.turns.draw_ms(chance).max(1));
        let off = i64::try_from(ms).unwrap_or(i64::MAX);
        let off = if self.back { -off } else { off };
        let each = |what: &dyn Fn(usize) -> What| places.iter().map(|node| what(*node)).collect();
        match self.kind {
            Kind::Drop => vec![What::Drop { from, to, per_mille }],
            Kind::Delay => vec![What::Delay { from, to, ms }],
            Kind::Duplicate => vec![What::Duplicate { from, to, per_mille }],
            Kind::Reorder => vec![What::Reorder { from, to, ms }],
            Kind::OneWay => vec![What::OneWay { from, to }],
            Kind::Partition => vec![What::Partition { nodes: places }],
            Kind::Ring => vec![What::Ring],
            Kind::Flapping => vec![What::Flapping { from, to, every_ms }],
            Kind::Reset => vec![What::Reset { from, to }],
            Kind::WrongNode => vec![What::WrongNode { from, to }],
            Kind::Crash => each(&|node| What::Crash { node }),
            Kind::PowerLoss => {
                let unsynced = Unsynced::Scattered(chance.random());
                each(&|node| What::PowerLoss { node, unsynced })
            }
            Kind::Pause => each(&|node| What::Pause { node }),
            Kind::CrashLoop => each(&|node| What::CrashLoop { node, every_ms }),
            Kind::ColdStart => vec![What::ColdStart],
            Kind::ActorPanic => each(&|node| What::ActorPanic { node, actor: Actor::Allocation, points: 0 }),
            Kind::Drain => each(&|node| What::Drain { node }),
            Kind::LeaderCrash => vec![What::LeaderCrash],
            Kind::SlowSync => each(&|node| What::SlowSync { node, ms }),
            Kind::SyncError => each(&|node| What::SyncError { node, count: self.count }),
            Kind::DiskFull => each(&|node| What::DiskFull { node }),
            Kind::BitRot => each(&|node| What::BitRot { node }),
            Kind::DiskLost => each(&|node| What::DiskLost { node }),
            Kind::DiskRolledBack => each(&|node| What::DiskRolledBack { node }),
            Kind::Skew => each(&|node| What::Skew { node, ms: off }),
            Kind::Strobe => each(&|node| What::Strobe { node, ms: off, every_ms }),
            Kind::ClockRate => each(&|node| What::ClockRate { node, per_mille: self.speed_percent * 10 }),
            Kind::ClockFrozen => each(&|node| What::ClockFrozen { node }),
            Kind::BackwardsOverRestart => each(&|node| What::BackwardsOverRestart { node, ms: off.abs() }),
        }
    }
}

/// Faults for charts, with the names of nodes.
#[must_use]
pub fn spans(faults: &[Fault], topology: &Topology) -> Vec<FaultSpan> {
    let name = |node: usize| topology.nodes.get(node).cloned().unwrap_or_default();
    let span = |fault: &Fault| FaultSpan {
        kind: fault.what.kind().name().to_owned(),
        at_ms: fault.at_ms,
        for_ms: fault.for_ms,
        place: fault.what.place(&name),
    };
    faults.iter().map(span).collect()
}
