//! Carries a plan out on a cluster: faults begin and end in their time and may overlap; a supervisor starts again
//! whatever should run. Not here: drawing the plan (`plan`), the load.

use crate::plan::{Fault, Links, What};
use crate::told::Told;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::order::Moment;
use tests::{Cluster, PATIENCE, Signal, Way, credits, eventually, text};
use tokio::time::Instant;

const TICK: Duration = Duration::from_millis(25);
/// Bytes of a link that loses packets go on or stall for so long.
const STALL: Duration = Duration::from_millis(150);
/// Between two starts of a node that ends by itself.
const START_AGAIN: Duration = Duration::from_millis(500);
/// A node that is told to drain ends by itself within this.
const DRAINED_WITHIN: Duration = Duration::from_secs(30);
/// A full disk is felt for so long after it has room again.
const AFTER_FULL: Duration = Duration::from_secs(10);

/// A fault that has begun.
#[derive(Debug)]
struct Active {
    what: What,
    ends: Instant,
    /// When it last did what it does again and again, and how often.
    last: Instant,
    turns: u32,
    /// Nodes it keeps down.
    down: BTreeSet<u16>,
}

/// What a storm did.
#[derive(Debug, Default)]
pub struct Done {
    pub kinds: BTreeMap<&'static str, u32>,
    pub forgotten: Forgotten,
    pub starts: u32,
}

/// What became of the credits that a lost node had out, in micro-credits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forgotten {
    /// When the operator asked for it.
    pub sent: Moment,
    /// Charged.
    pub written_off: u64,
    /// Given once more, though it may have been spent.
    pub exposure: u64,
}

#[derive(Debug)]
pub struct Storm<'a> {
    cluster: &'a mut Cluster,
    told: Told,
    random: StdRng,
    active: Vec<Active>,
    paused: BTreeSet<u16>,
    draining: BTreeMap<u16, Instant>,
    started: BTreeMap<u16, Instant>,
    was_full: BTreeMap<u16, Instant>,
    lost: BTreeSet<u16>,
    /// Clocks that went back over a restart stay there.
    offsets: BTreeMap<u16, i64>,
    /// What every link and clock was last told: both ways of a pair, and whether it is cut.
    links: BTreeMap<(u16, u16), (Way, Way, bool)>,
    clocks: BTreeMap<u16, i64>,
    pub done: Done,
}

impl<'a> Storm<'a> {
    pub fn new(cluster: &'a mut Cluster, seed: u64, told: &Told) -> Self {
        let now = Instant::now();
        let started = cluster.numbers().map(|node| (node, now)).collect();
        Self {
            cluster,
            told: told.clone(),
            random: StdRng::seed_from_u64(seed),
            active: Vec::new(),
            paused: BTreeSet::new(),
            draining: BTreeMap::new(),
            started,
            was_full: BTreeMap::new(),
            lost: BTreeSet::new(),
            offsets: BTreeMap::new(),
            links: BTreeMap::new(),
            clocks: BTreeMap::new(),
            done: Done::default(),
        }
    }

    pub async fn rage(&mut self, plan: Vec<Fault>) {
        let start = Instant::now();
        // What stops everything else for a while moves all that follows.
        let mut late = Duration::ZERO;
        for fault in plan {
            let due = start + Duration::from_millis(fault.at_ms) + late;
            while Instant::now() < due {
                self.tick().await;
            }
            println!("{:>7.1} s  {fault}", start.elapsed().as_secs_f64());
            if self.does_something(&fault.what) {
                *self.done.kinds.entry(fault.what.kind()).or_default() += 1;
            }
            let before = Instant::now();
            match fault.what {
                What::BitRot { node, credit } => self.lose(node, credit, Loss::BitRot).await,
                What::DiskLost { node, credit } => self.lose(node, credit, Loss::Directory).await,
                what => self.begin(what, Duration::from_millis(fault.for_ms)).await,
            }
            late += before.elapsed();
        }
        while !self.active.is_empty() || !self.draining.is_empty() {
            self.tick().await;
        }
        self.heal().await;
    }

    /// Whether there is anything to it as things are: who is down does not die.
    fn does_something(&mut self, what: &What) -> bool {
        let living = self.living();
        let mut runs = |node: &u16| living.contains(node) && self.cluster.node(*node).runs();
        match what {
            What::Crash { node }
            | What::Pause { node }
            | What::CrashLoop { node, .. }
            | What::Drain { node }
            | What::BackwardsOverRestart { node, .. } => runs(node),
            What::ColdStart | What::LeaderCrash => living.iter().any(runs),
            _ => true,
        }
    }

    fn living(&self) -> Vec<u16> {
        self.cluster.numbers().filter(|node| !self.lost.contains(node)).collect()
    }

    async fn begin(&mut self, what: What, lasts: Duration) {
        let mut down = BTreeSet::new();
        match &what {
            What::Crash { node } => _ = down.insert(*node),
            What::BackwardsOverRestart { node, ms } => {
                down.insert(*node);
                *self.offsets.entry(*node).or_default() -= ms;
            }
            What::ColdStart => down.extend(self.living()),
            What::LeaderCrash => {
                // Where nobody knows a leader there may be none; then anybody dies.
                let leader = self.leader().await;
                down.extend(leader.or_else(|| self.living().first().copied()));
            }
            What::CrashLoop { node, .. } => self.kill(*node),
            What::Drain { node } => self.drain(*node),
            What::DiskFull { node } => self.cluster.node(*node).disk().fill(),
            _ => {}
        }
        down.iter().for_each(|node| self.kill(*node));
        let now = Instant::now();
        self.active.push(Active { what, ends: now + lasts, last: now, turns: 0, down });
        self.tick().await;
    }

    /// Who leads a shard that has workspaces, in the words of whoever answers.
    async fn leader(&mut self) -> Option<u16> {
        let mut nodes = self.living();
        nodes.retain(|node| self.cluster.node(*node).runs() && !self.paused.contains(node));
        for node in nodes {
            let mut api = self.cluster.api(node);
            let asked = api.send("GET", "/v1/cluster", &[], None);
            let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_secs(1), asked).await else { continue };
            let view = answer.json();
            let groups = view["groups"].as_array().cloned().unwrap_or_default();
            let leaders = groups.iter().filter(|group| group["workspaces"].as_u64() > Some(0));
            let leaders =
                leaders.filter_map(|group| group["leader"].as_str()?.strip_prefix('n')?.parse().ok());
            let leaders: Vec<u16> = leaders.filter(|leader| !self.lost.contains(leader)).collect();
            if !leaders.is_empty() {
                return Some(leaders[self.random.random_range(0..leaders.len())]);
            }
        }
        None
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        self.end_what_is_over(now);
        self.turn(now);
        self.set_links();
        self.set_clocks();
        self.supervise(now);
        tokio::time::sleep(TICK).await;
    }

    fn end_what_is_over(&mut self, now: Instant) {
        let (over, active) = std::mem::take(&mut self.active).into_iter().partition(|a| a.ends <= now);
        self.active = active;
        let over: Vec<Active> = over;
        for Active { what, .. } in over {
            if let What::DiskFull { node } = what
                && !self.active.iter().any(|fault| fault.what == what)
            {
                self.cluster.node(node).disk().free();
                self.was_full.insert(node, now);
            }
        }
    }

    /// What is done again and again.
    fn turn(&mut self, now: Instant) {
        let mut breaks = Vec::new();
        let mut dies = Vec::new();
        for fault in &mut self.active {
            let every = match &fault.what {
                What::Flapping { every_ms, .. }
                | What::Reset { every_ms, .. }
                | What::CrashLoop { every_ms, .. }
                | What::Strobe { every_ms, .. } => Duration::from_millis(*every_ms),
                What::Drop { .. } => STALL,
                _ => continue,
            };
            if now < fault.last + every {
                continue;
            }
            (fault.last, fault.turns) = (now, fault.turns + 1);
            match &fault.what {
                What::Reset { links, .. } => breaks.push(links.clone()),
                What::CrashLoop { node, .. } => dies.push(*node),
                What::Drop { per_mille, .. } => {
                    fault.turns = u32::from(self.random.random_range(0..1_000) < *per_mille);
                }
                _ => {}
            }
        }
        for Links { from, to } in breaks {
            to.iter().for_each(|to| self.cluster.reset(from, *to));
        }
        dies.into_iter().for_each(|node| self.kill(node));
    }

    /// All links as the faults that are on together want them.
    fn set_links(&mut self) {
        let nodes: Vec<u16> = self.cluster.numbers().collect();
        let (mut ways, mut cuts) = (BTreeMap::new(), BTreeSet::new());
        let cut = |cuts: &mut BTreeSet<(u16, u16)>, a: u16, b: u16| _ = cuts.insert((a.min(b), a.max(b)));
        for a in &nodes {
            ways.extend(nodes.iter().filter(|b| *b != a).map(|b| ((*a, *b), Way::OPEN)));
        }
        for fault in &self.active {
            let is_on = fault.turns % 2 == 1;
            match &fault.what {
                What::OneWay { links } => each(&mut ways, links, |way| way.held = true),
                What::Drop { links, .. } => both(&mut ways, links, |way| way.held |= is_on),
                What::Delay { links, ms } => {
                    both(&mut ways, links, |way| way.delay = way.delay.max(Duration::from_millis(*ms)));
                }
                What::SlowLink { links, bytes_per_s } => {
                    both(&mut ways, links, |way| way.bytes_per_s = Some(*bytes_per_s));
                }
                What::Flapping { links, .. } if !is_on => {
                    links.to.iter().for_each(|to| cut(&mut cuts, links.from, *to));
                }
                What::Partition { nodes: inside, is_silent } => {
                    for a in inside {
                        let outside = nodes.iter().filter(|b| !inside.contains(b));
                        let to: Vec<u16> = outside.copied().collect();
                        if *is_silent {
                            both(&mut ways, &Links { from: *a, to }, |way| way.held = true);
                        } else {
                            to.iter().for_each(|b| cut(&mut cuts, *a, *b));
                        }
                    }
                }
                What::Ring => {
                    for (at, a) in nodes.iter().enumerate() {
                        cut(&mut cuts, *a, nodes[(at + 2) % nodes.len()]);
                    }
                }
                _ => {}
            }
        }
        for ((a, b), way) in ways.iter().filter(|((a, b), _)| a < b) {
            let is_cut = cuts.contains(&(*a, *b));
            let wanted = (*way, ways[&(*b, *a)], is_cut);
            if self.links.insert((*a, *b), wanted) == Some(wanted) {
                continue;
            }
            self.cluster.set(*a, *b, wanted.0, wanted.1);
            if is_cut {
                self.cluster.cut(*a, *b);
            }
        }
    }

    fn set_clocks(&mut self) {
        for node in self.living() {
            let mut ms = self.offsets.get(&node).copied().unwrap_or(0);
            for fault in &self.active {
                match fault.what {
                    What::Skew { node: of, ms: off } if of == node => ms += off,
                    What::Strobe { node: of, ms: off, .. } if of == node && fault.turns % 2 == 0 => ms += off,
                    _ => {}
                }
            }
            if self.clocks.insert(node, ms) != Some(ms) {
                self.cluster.node(node).clock().set_ms(ms);
            }
        }
    }

    /// Starts what should run, stops and wakes what is paused, and sees who has ended.
    fn supervise(&mut self, now: Instant) {
        for node in self.living() {
            self.see_who_has_ended(node, now);
            let down = self.active.iter().any(|fault| fault.down.contains(&node));
            let rested = self.started.get(&node).is_none_or(|at| now >= *at + START_AGAIN);
            if !down && rested && !self.cluster.node(node).runs() {
                self.cluster.node(node).start();
                self.done.starts += 1;
                self.started.insert(node, now);
            }
            let pause = |fault: &Active| matches!(fault.what, What::Pause { node: of } if of == node);
            let is_paused = self.active.iter().any(pause);
            if is_paused && self.cluster.node(node).runs() {
                self.cluster.node(node).process().signal(Signal::STOP);
                self.paused.insert(node);
            } else if !is_paused && self.paused.remove(&node) && self.cluster.node(node).runs() {
                self.cluster.node(node).process().signal(Signal::CONT);
            }
        }
    }

    fn see_who_has_ended(&mut self, node: u16, now: Instant) {
        let was_taken = self.cluster.node(node).address_was_taken();
        let Some(status) = self.cluster.node(node).ended() else {
            let is_late = self.draining.get(&node).is_some_and(|since| now > *since + DRAINED_WITHIN);
            if is_late && !self.paused.contains(&node) {
                self.told.record().breaks(format!("n{node} does not end {DRAINED_WITHIN:?} after SIGTERM"));
                self.draining.remove(&node);
            }
            return;
        };
        let is_full = |fault: &Active| matches!(fault.what, What::DiskFull { node: of } if of == node);
        let felt_full = self.was_full.get(&node).is_some_and(|at| now < *at + AFTER_FULL);
        let may_end = was_taken || felt_full || self.active.iter().any(is_full);
        match self.draining.remove(&node) {
            Some(_) if status.success() => {}
            _ if may_end => println!("           n{node} ended with {status}"),
            drained => {
                let drained = if drained.is_some() { "draining, " } else { "" };
                self.told
                    .record()
                    .breaks(format!("{drained}n{node} ended by itself with {status}; see its log"));
            }
        }
    }

    fn kill(&mut self, node: u16) {
        if !self.lost.contains(&node) {
            self.cluster.node(node).kill();
            self.draining.remove(&node);
            self.paused.remove(&node);
        }
    }

    fn drain(&mut self, node: u16) {
        if self.cluster.node(node).runs() {
            self.cluster.node(node).process().signal(Signal::TERM);
            self.draining.insert(node, Instant::now());
        }
    }

    /// Ends all faults, and waits until every node that is left is ready.
    pub async fn heal(&mut self) {
        let now = Instant::now();
        self.active.iter_mut().for_each(|fault| fault.ends = now);
        self.offsets.clear();
        self.tick().await;
        for node in self.living() {
            let end = Instant::now() + PATIENCE;
            while !self.cluster.node(node).is_ready().await {
                assert!(Instant::now() < end, "n{node} is not ready {PATIENCE:?} after the last fault");
                self.tick().await;
            }
        }
    }

    /// A disk that is gone for ever: the node refuses to start, and the operator forgets it.
    async fn lose(&mut self, node: u16, credit: bool, loss: Loss) {
        self.heal().await;
        // Nobody asks it any more.
        self.told.record().lost.insert(node, Moment::MAX);
        self.lost.insert(node);
        self.cluster.node(node).kill();
        let now = self.told.now();
        self.told.record().lost.insert(node, now);
        let data = self.cluster.node(node).data();
        let why = match loss {
            Loss::BitRot => {
                damage(&newest_segment(&data));
                "damaged at byte"
            }
            Loss::Directory => {
                std::fs::rename(&data, data.with_extension("lost")).expect("the directory is moved away");
                "node ids are never reused"
            }
        };
        self.refuses_to_start(node, why).await;
        let mode = if credit { "credit" } else { "charge" };
        let (path, body) = (format!("/v1/nodes/n{node}/forget"), format!(r#"{{"mode":"{mode}"}}"#));
        let mut api = self.cluster.api(self.living()[0]);
        let sent = self.told.now();
        let forgotten = eventually("the node is forgotten", 2 * PATIENCE, async || {
            let answer = api.write("POST", &path, &body).await;
            assert!([200, 409, 503].contains(&answer.status), "{}", answer.text());
            (answer.status == 200).then_some(answer)
        });
        let forgotten = forgotten.await.json();
        assert_eq!(text(&forgotten["node"]), format!("n{node}"));
        println!("           forgotten: {forgotten}");
        let [written_off, exposure] =
            ["written_off", "exposure"].map(|part| credits(&forgotten[part]).micros());
        self.done.forgotten = Forgotten { sent, written_off, exposure };
        self.refuses_to_start(node, "tranche: ").await;
    }

    async fn refuses_to_start(&mut self, node: u16, why: &str) {
        self.cluster.node(node).start();
        let what = format!("n{node} refuses to start: {why}");
        let status = eventually(&what, PATIENCE, async || self.cluster.node(node).process().ended()).await;
        let log = self.cluster.node(node).process().log();
        assert!(
            !status.success() && log.contains(why) && !log.contains("panicked"),
            "{what}: {status} {log}"
        );
        self.cluster.node(node).kill();
    }
}

#[derive(Clone, Copy, Debug)]
enum Loss {
    BitRot,
    Directory,
}

fn each(ways: &mut BTreeMap<(u16, u16), Way>, links: &Links, change: impl Fn(&mut Way)) {
    links.to.iter().for_each(|to| change(ways.get_mut(&(links.from, *to)).expect("two nodes")));
}

fn both(ways: &mut BTreeMap<(u16, u16), Way>, links: &Links, change: impl Fn(&mut Way)) {
    each(ways, links, &change);
    links.to.iter().for_each(|to| change(ways.get_mut(&(*to, links.from)).expect("two nodes")));
}

fn newest_segment(data: &Path) -> PathBuf {
    let files = std::fs::read_dir(data.join("journal")).expect("a journal");
    let names = files.map(|file| file.expect("an entry").path());
    // Those of the past are not read at a start.
    let is_past =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("past-"));
    let segments = names.filter(|path| path.extension().is_some_and(|end| end == "seg") && !is_past(path));
    segments.max().expect("a segment")
}

/// Turns a bit round in what was durable long ago.
fn damage(segment: &Path) {
    let mut bytes = std::fs::read(segment).expect("the segment is read");
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("something was written");
    bytes[last / 3] ^= 1;
    std::fs::write(segment, bytes).expect("the segment is written");
}
