//! The simulated network: every message of every link is lost, late, doubled or overtaken by the dice, and by the faults
//! that are on. Not here: which faults (`faults`), what the messages mean (`words`).

use super::config::Distances;
use super::words::Index;
use crate::chance::Stream;
use rand::Rng;

/// What is wrong with a link in one direction; several faults may be on at once, so they are counted.
#[derive(Clone, Debug, Default)]
struct Link {
    cut: u32,
    cut_since_ms: u64,
    drop_per_mille: Worst,
    duplicate_per_mille: Worst,
    delay_ms: Worst,
    reorder_ms: Worst,
    flaps: Vec<u64>,
}

/// Faults of one kind in one place that are on: the worst of them counts.
#[derive(Clone, Debug, Default)]
pub struct Worst(Vec<u64>);

impl Worst {
    pub fn turn(&mut self, size: u64, on: bool) {
        if on {
            self.0.push(size);
        } else if let Some(at) = self.0.iter().position(|known| *known == size) {
            self.0.swap_remove(at);
        }
    }

    pub fn size(&self) -> u64 {
        self.0.iter().copied().max().unwrap_or(0)
    }
}

#[derive(Debug)]
pub struct Network {
    distances: Distances,
    chance: Stream,
    /// By node and node, each in one direction.
    links: Vec<Link>,
    nodes: usize,
    pub sent: u64,
    pub lost: u64,
    pub doubled: u64,
}

/// The second of a doubled message comes within so long, or so long.
const TWIN_US: u64 = 1_000_000;
const LATE_TWIN_US: u64 = 10_000_000;

/// When a message arrives, in microseconds from now; twice where it is doubled, never where it is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    pub first: Option<u64>,
    pub second: Option<u64>,
}

impl Network {
    pub fn new(distances: Distances, chance: Stream) -> Self {
        let nodes = distances.zone_of.len();
        Self {
            distances,
            chance,
            links: vec![Link::default(); nodes * nodes],
            nodes,
            sent: 0,
            lost: 0,
            doubled: 0,
        }
    }

    fn link(&mut self, from: Index, to: Index) -> &mut Link {
        &mut self.links[from * self.nodes + to]
    }

    pub fn cut(&mut self, from: Index, to: Index, on: bool, now_ms: u64) {
        let link = self.link(from, to);
        if on && link.cut == 0 {
            link.cut_since_ms = now_ms;
        }
        link.cut = if on { link.cut + 1 } else { link.cut.saturating_sub(1) };
    }

    pub fn drop_some(&mut self, from: Index, to: Index, per_mille: u32, on: bool) {
        self.link(from, to).drop_per_mille.turn(u64::from(per_mille), on);
    }

    pub fn duplicate(&mut self, from: Index, to: Index, per_mille: u32, on: bool) {
        self.link(from, to).duplicate_per_mille.turn(u64::from(per_mille), on);
    }

    pub fn delay(&mut self, from: Index, to: Index, ms: u64, on: bool) {
        self.link(from, to).delay_ms.turn(ms, on);
    }

    pub fn reorder(&mut self, from: Index, to: Index, ms: u64, on: bool) {
        self.link(from, to).reorder_ms.turn(ms, on);
    }

    pub fn flap(&mut self, from: Index, to: Index, every_ms: u64, on: bool) {
        let flaps = &mut self.link(from, to).flaps;
        if on {
            flaps.push(every_ms.max(1));
        } else if let Some(at) = flaps.iter().position(|every| *every == every_ms.max(1)) {
            flaps.remove(at);
        }
    }

    /// Every fault of the network ends.
    pub fn heal(&mut self) {
        self.links.fill(Link::default());
    }

    fn cut_for_ms(&self, from: Index, to: Index, now_ms: u64) -> Option<u64> {
        self.links[from * self.nodes + to].cut_for_ms(now_ms)
    }

    pub fn is_cut(&self, from: Index, to: Index, now_ms: u64) -> bool {
        self.cut_for_ms(from, to, now_ms).is_some()
    }

    /// How long nothing has got through between the two in one direction at least; nothing where all does.
    pub fn silent_for_ms(&self, a: Index, b: Index, now_ms: u64) -> Option<u64> {
        self.cut_for_ms(a, b, now_ms).max(self.cut_for_ms(b, a, now_ms))
    }

    pub fn send(&mut self, from: Index, to: Index, now_ms: u64) -> Arrivals {
        self.sent += 1;
        if from == to {
            return Arrivals { first: Some(0), second: None };
        }
        let latency = self.distances.from_to(from, to);
        let base = self.chance.random_range(latency.least_us..=latency.most_us);
        let dice: u32 = self.chance.random_range(0..1_000);
        let link = &self.links[from * self.nodes + to];
        let late = link.delay_ms.size() * 1_000;
        let (reorder_ms, per_mille) = (link.reorder_ms.size(), link.duplicate_per_mille.size());
        let overtaken = if reorder_ms > 0 { self.chance.random_range(0..reorder_ms * 1_000) } else { 0 };
        let doubled = per_mille > 0 && u64::from(self.chance.random_range(0_u32..1_000)) < per_mille;
        if link.cut_for_ms(now_ms).is_some() || u64::from(dice) < link.drop_per_mille.size() {
            self.lost += 1;
            return Arrivals::default();
        }
        let first = base + late + overtaken;
        self.doubled += u64::from(doubled);
        // Mostly soon; some come when what they speak of is long over.
        let late_us = if doubled && self.chance.random_bool(0.25) { LATE_TWIN_US } else { TWIN_US };
        let second = doubled.then(|| first + self.chance.random_range(0..late_us));
        Arrivals { first: Some(first), second }
    }
}

impl Link {
    fn cut_for_ms(&self, now_ms: u64) -> Option<u64> {
        let cut = (self.cut > 0).then(|| now_ms.saturating_sub(self.cut_since_ms));
        let flaps = self.flaps.iter().filter(|every| (now_ms / *every).is_multiple_of(2));
        cut.max(flaps.map(|every| now_ms % every).max())
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Latency;
    use super::*;
    use crate::chance::stream;

    fn network() -> Network {
        let distances = Distances::even(3, Latency { least_us: 100, most_us: 2_000 });
        Network::new(distances, stream(3, "network"))
    }

    #[test]
    fn zones_are_as_far_from_each_other_as_they_are() {
        let near = Latency { least_us: 100, most_us: 200 };
        let far = Latency { least_us: 5_000, most_us: 6_000 };
        let distances = Distances { zone_of: vec![0, 0, 1], between: vec![vec![near, far], vec![far, near]] };
        let mut network = Network::new(distances, stream(3, "network"));
        assert!((100..=200).contains(&network.send(0, 1, 0).first.unwrap()));
        assert!((5_000..=6_000).contains(&network.send(0, 2, 0).first.unwrap()));
        assert!((5_000..=6_000).contains(&network.send(2, 1, 0).first.unwrap()));
    }

    #[test]
    fn a_healthy_link_is_only_as_late_as_its_latency() {
        let mut network = network();
        for _ in 0..100 {
            let arrivals = network.send(0, 1, 0);
            assert!((100..=2_000).contains(&arrivals.first.unwrap()) && arrivals.second.is_none());
        }
        assert_eq!(network.send(2, 2, 0).first, Some(0));
    }

    #[test]
    fn faults_are_one_way_and_end() {
        let mut network = network();
        network.cut(0, 1, true, 5);
        network.cut(0, 1, true, 9);
        network.cut(0, 1, false, 12);
        assert_eq!(network.silent_for_ms(1, 0, 25), Some(20), "since the first cut, whoever asks");
        assert_eq!(network.silent_for_ms(1, 2, 25), None);
        assert_eq!(network.send(0, 1, 0), Arrivals::default());
        assert!(network.send(1, 0, 0).first.is_some());
        network.cut(0, 1, false, 13);
        assert!(network.send(0, 1, 0).first.is_some());
        network.flap(0, 1, 100, true);
        assert!(network.is_cut(0, 1, 50) && !network.is_cut(0, 1, 150));
        network.delay(1, 2, 500, true);
        network.delay(1, 2, 20, true);
        network.delay(1, 2, 20, false);
        network.duplicate(1, 2, 1_000, true);
        let arrivals = network.send(1, 2, 0);
        assert!(arrivals.first.unwrap() >= 500_000 && arrivals.second.is_some());
        network.drop_some(2, 1, 1_000, true);
        assert_eq!(network.send(2, 1, 0), Arrivals::default());
        network.heal();
        assert!(network.send(2, 1, 0).first.is_some() && !network.is_cut(0, 1, 50));
    }
}
