//! What faults do to the links between machines. They overlap, so each link keeps all that is wrong with it: the end of one
//! fault ends no other. Not here: connections that break or lead astray (`net`).

use crate::fault::{NodeIndex, What};
use crate::world_b::machine::Machine;
use std::collections::BTreeMap;
use std::time::Duration;
use turmoil::Sim;

/// One direction between two machines of so many nodes; the clients' machine comes behind the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    pub from: NodeIndex,
    pub to: NodeIndex,
    pub all: usize,
}

/// More is no loss but a cut: every lost message takes all that are under way on its link along.
const LOST_PER_MILLE_MAX: u32 = 300;

#[derive(Debug, Default)]
pub struct Links(BTreeMap<Link, Wrong>);

/// What is wrong with one direction; losses and delays are turmoil's, which knows them both ways only.
#[derive(Debug, Default)]
struct Wrong {
    cuts: u32,
    lost_per_mille: Vec<u32>,
    delays_ms: Vec<u64>,
}

impl Link {
    fn name(self, node: NodeIndex) -> String {
        if node < self.all { Machine::name(node) } else { super::CLIENTS.to_owned() }
    }

    fn names(self) -> (String, String) {
        (self.name(self.from), self.name(self.to))
    }

    const fn back(self) -> Self {
        Self { from: self.to, to: self.from, all: self.all }
    }
}

impl Links {
    fn wrong(&mut self, link: Link) -> &mut Wrong {
        self.0.entry(link).or_default()
    }

    /// What is wrong in either direction.
    fn both<T: Copy>(&self, link: Link, of: impl Fn(&Wrong) -> &[T]) -> Vec<T> {
        let ways = [link, link.back()];
        ways.iter().filter_map(|way| self.0.get(way)).flat_map(|wrong| of(wrong).iter().copied()).collect()
    }

    pub fn cut(&mut self, sim: &mut Sim<'_>, link: &Link) {
        let wrong = self.wrong(*link);
        wrong.cuts += 1;
        if wrong.cuts == 1 {
            let (from, to) = link.names();
            sim.partition_oneway(from, to);
        }
    }

    pub fn mend(&mut self, sim: &mut Sim<'_>, link: &Link) {
        let wrong = self.wrong(*link);
        wrong.cuts = wrong.cuts.saturating_sub(1);
        if wrong.cuts == 0 {
            let (from, to) = link.names();
            sim.repair_oneway(from, to);
        }
    }

    /// So many of a thousand messages are lost, both ways.
    pub fn lose(&mut self, sim: &mut Sim<'_>, link: Link, per_mille: u32) {
        self.wrong(link).lost_per_mille.push(per_mille);
        self.set_losses(sim, link);
    }

    pub fn lose_no_more(&mut self, sim: &mut Sim<'_>, link: Link, per_mille: u32) {
        take_one(&mut self.wrong(link).lost_per_mille, &per_mille);
        self.set_losses(sim, link);
        // The last message may have been lost, and the link with it until the next one; a cut one stays so.
        for way in [link, link.back()] {
            let (from, to) = way.names();
            match self.wrong(way).cuts {
                0 => sim.repair_oneway(from, to),
                _ => sim.partition_oneway(from, to),
            }
        }
    }

    fn set_losses(&self, sim: &mut Sim<'_>, link: Link) {
        let worst = self.both(link, |wrong| &wrong.lost_per_mille).into_iter().max().unwrap_or(0);
        let (from, to) = link.names();
        sim.set_link_fail_rate(from, to, f64::from(worst.min(LOST_PER_MILLE_MAX)) / 1_000.0);
    }

    /// Everything takes so long, both ways.
    pub fn slow_down(&mut self, sim: &mut Sim<'_>, link: Link, ms: u64) {
        self.wrong(link).delays_ms.push(ms);
        self.set_delays(sim, link);
    }

    pub fn speed_up(&mut self, sim: &mut Sim<'_>, link: Link, ms: u64) {
        take_one(&mut self.wrong(link).delays_ms, &ms);
        self.set_delays(sim, link);
    }

    fn set_delays(&self, sim: &mut Sim<'_>, link: Link) {
        let (from, to) = link.names();
        match self.both(link, |wrong| &wrong.delays_ms).into_iter().max() {
            Some(ms) => sim.set_link_latency(from, to, Duration::from_millis(ms)),
            None => {
                sim.set_link_latency(&*from, &*to, super::LATENCY.0);
                sim.set_link_max_message_latency(from, to, super::LATENCY.1);
            }
        }
    }

    /// After every step: a loss breaks a link both ways and the next message mends it both ways, cut or not.
    pub fn hold(&self, sim: &mut Sim<'_>) {
        for (link, _) in self.0.iter().filter(|(_, wrong)| wrong.cuts > 0) {
            if !self.both(*link, |wrong| &wrong.lost_per_mille).is_empty() {
                let (from, to) = link.names();
                sim.partition_oneway(from, to);
            }
        }
    }
}

fn take_one<T: PartialEq>(list: &mut Vec<T>, one: &T) {
    if let Some(at) = list.iter().position(|other| other == one) {
        list.swap_remove(at);
    }
}

/// The directions a fault cuts.
pub fn links_of(what: &What, all: usize) -> Vec<Link> {
    let link = |from, to| Link { from, to, all };
    let both = |(a, b)| [link(a, b), link(b, a)];
    let pairs = |machines: usize| (0..machines).flat_map(move |a| (a + 1..machines).map(move |b| (a, b)));
    match what {
        What::OneWay { from, to } => vec![link(*from, *to)],
        What::Flapping { from, to, .. } => both((*from, *to)).to_vec(),
        What::Partition { nodes } => {
            // The clients are cut off only where they are named.
            let machines = if nodes.contains(&all) { all + 1 } else { all };
            let apart = |(a, b): &(NodeIndex, NodeIndex)| nodes.contains(a) != nodes.contains(b);
            pairs(machines).filter(apart).flat_map(both).collect()
        }
        What::Ring => {
            let far = |(a, b): &(NodeIndex, NodeIndex)| b - a != 1 && b - a != all - 1;
            pairs(all).filter(far).flat_map(both).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use turmoil::net::UdpSocket;

    /// Two nodes that send each other a message every millisecond, and how many each has heard.
    struct Pair {
        sim: Sim<'static>,
        heard: [Arc<AtomicU64>; 2],
    }

    impl Pair {
        fn new() -> Self {
            let mut sim = turmoil::Builder::new()
                .rng_seed(1)
                .tick_duration(Duration::from_millis(1))
                .min_message_latency(crate::world_b::LATENCY.0)
                .max_message_latency(crate::world_b::LATENCY.1)
                .build();
            let heard: [Arc<AtomicU64>; 2] = Default::default();
            for (node, count) in heard.iter().cloned().enumerate() {
                sim.host(Machine::name(node), move || talk(count.clone(), Machine::name(1 - node)));
            }
            Self { sim, heard }
        }

        /// Whether anything was heard in each direction, from node 0 on and from node 1 on.
        fn run_ms(&mut self, links: &Links, ms: u64) -> [bool; 2] {
            // What is under way arrives first.
            for _ in 0..200 {
                self.sim.step().unwrap();
                links.hold(&mut self.sim);
            }
            let before = self.counts();
            for _ in 0..ms {
                self.sim.step().unwrap();
                links.hold(&mut self.sim);
            }
            let after = self.counts();
            [after[1] > before[1], after[0] > before[0]]
        }

        fn counts(&self) -> [u64; 2] {
            [0, 1].map(|node| self.heard[node].load(Ordering::Relaxed))
        }
    }

    async fn talk(heard: Arc<AtomicU64>, to: String) -> turmoil::Result {
        let socket = UdpSocket::bind((IpAddr::from([0, 0, 0, 0]), 9)).await?;
        let mut buffer = [0];
        loop {
            tokio::select! {
                biased;
                _ = socket.recv_from(&mut buffer) => drop(heard.fetch_add(1, Ordering::Relaxed)),
                () = tokio::time::sleep(Duration::from_millis(1)) => {
                    socket.send_to(&[1], (&*to, 9)).await?;
                }
            }
        }
    }

    const THERE: Link = Link { from: 0, to: 1, all: 2 };

    #[test]
    fn a_loss_within_a_cut_lifts_it_neither_while_it_lasts_nor_when_it_ends() {
        let (mut pair, mut links) = (Pair::new(), Links::default());
        assert_eq!(pair.run_ms(&links, 100), [true, true]);
        links.cut(&mut pair.sim, &THERE);
        assert_eq!(pair.run_ms(&links, 100), [false, true]);
        links.lose(&mut pair.sim, THERE.back(), 300);
        assert_eq!(pair.run_ms(&links, 500), [false, true]);
        links.lose_no_more(&mut pair.sim, THERE.back(), 300);
        assert_eq!(pair.run_ms(&links, 100), [false, true]);
        links.mend(&mut pair.sim, &THERE);
        assert_eq!(pair.run_ms(&links, 100), [true, true]);
    }

    #[test]
    fn a_partition_is_whole_after_a_loss_within_it() {
        let (mut pair, mut links) = (Pair::new(), Links::default());
        let partition = links_of(&What::Partition { nodes: vec![0] }, 2);
        partition.iter().for_each(|link| links.cut(&mut pair.sim, link));
        links.lose(&mut pair.sim, THERE, 300);
        assert_eq!(pair.run_ms(&links, 300), [false, false]);
        links.lose_no_more(&mut pair.sim, THERE, 300);
        assert_eq!(pair.run_ms(&links, 300), [false, false]);
        partition.iter().for_each(|link| links.mend(&mut pair.sim, link));
        assert_eq!(pair.run_ms(&links, 100), [true, true]);
    }

    #[test]
    fn what_overlaps_on_a_link_ends_with_the_last_of_it() {
        let (mut pair, mut links) = (Pair::new(), Links::default());
        for link in [THERE, THERE] {
            links.cut(&mut pair.sim, &link);
            links.slow_down(&mut pair.sim, link, 5_000);
        }
        links.mend(&mut pair.sim, &THERE);
        links.speed_up(&mut pair.sim, THERE, 5_000);
        assert_eq!(pair.run_ms(&links, 100), [false, false], "one way is cut, and both are slow");
        links.mend(&mut pair.sim, &THERE);
        links.speed_up(&mut pair.sim, THERE, 5_000);
        assert_eq!(pair.run_ms(&links, 100), [true, true]);
    }

    #[test]
    fn a_ring_cuts_what_is_no_neighbour_and_of_three_nothing() {
        let far =
            |all| links_of(&What::Ring, all).iter().map(|link| (link.from, link.to)).collect::<Vec<_>>();
        assert_eq!(far(3), []);
        assert_eq!(far(4), [(0, 2), (2, 0), (1, 3), (3, 1)]);
    }
}
