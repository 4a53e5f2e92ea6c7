//! Steps through a film: forth and back, to a time, to the next step about a user or a line; and what lines, leases and
//! pools are like there. Not here: where films come from (`world_a`, `world_b`), what a step says (`scene`).

use crate::scene::{Lease, Line, Pool, Shot};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, Write};

/// All that is known after some step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub lines: BTreeMap<String, Line>,
    pub leases: BTreeMap<String, Lease>,
    pub pools: BTreeMap<String, Pool>,
}

impl Standing {
    pub fn after(&mut self, shot: &Shot) {
        let scene = &shot.scene;
        if scene.died {
            self.leases.retain(|_, lease| lease.node != shot.node);
        }
        for line in &scene.lines {
            if line.closed {
                self.lines.remove(&line.name);
            } else {
                self.lines.insert(line.name.clone(), line.clone());
            }
        }
        for pool in &scene.pools {
            self.pools.insert(pool.name.clone(), pool.clone());
        }
        for lease in &scene.leases {
            let known = self.leases.remove(&lease.line);
            if !lease.closed {
                let above = lease.above.or(known.and_then(|known| known.above));
                self.leases.insert(lease.line.clone(), Lease { above, ..lease.clone() });
            }
        }
    }
}

/// Where to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    User(String),
    /// By its whole name, or its end: `acme/n3/14`, `n3/14`.
    Line(String),
    Node(String),
    /// A kind of step: `recall-sent`.
    Step(String),
}

impl Break {
    fn parse(words: &[&str]) -> Option<Self> {
        match words {
            ["user", user] => Some(Self::User((*user).to_owned())),
            ["line", line] => Some(Self::Line((*line).to_owned())),
            ["node", node] => Some(Self::Node((*node).to_owned())),
            ["step", step] => Some(Self::Step((*step).to_owned())),
            _ => None,
        }
    }

    #[must_use]
    pub fn stops(&self, shot: &Shot) -> bool {
        let scene = &shot.scene;
        let is = |name: &str, line: &str| name == line || name.ends_with(&format!("/{line}"));
        match self {
            Self::User(user) => {
                scene.user.as_ref() == Some(user) || scene.lines.iter().any(|line| line.user == *user)
            }
            Self::Line(line) => {
                scene.lines.iter().any(|known| is(&known.name, line))
                    || scene.leases.iter().any(|known| is(&known.line, line))
            }
            Self::Node(node) => shot.node == *node,
            Self::Step(step) => shot.step == *step,
        }
    }
}

impl std::fmt::Display for Break {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Node(node) => write!(f, "node {node}"),
            Self::Step(step) => write!(f, "step {step}"),
        }
    }
}

const HELP: &str = "\
  n [COUNT], or nothing      the next step, or so many
  p [COUNT]                  back
  g 62.5s | g #1200          to a time, or to a step by its number
  break user U | line L | node N | step S     stop there; `breaks` lists, `clear` removes all
  c                          go on to the next break
  find TEXT                  go on to the next step that says so
  fault                      go on to where a fault begins or ends
  end                        to the last step: what broke, if anything did
  s                          pools, open lines and leases here; `s u7`, `s n3/14`: only those
  q                          leave
";

/// A person at a film.
#[derive(Debug)]
pub struct Stepper<'a> {
    film: &'a [Shot],
    /// Steps seen so far; the last of them is shown.
    at: usize,
    standing: Standing,
    breaks: Vec<Break>,
}

impl<'a> Stepper<'a> {
    #[must_use]
    pub fn new(film: &'a [Shot]) -> Self {
        Self { film, at: 0, standing: Standing::default(), breaks: Vec::new() }
    }

    /// Reads commands until there are no more.
    ///
    /// # Errors
    /// What is said cannot be written.
    pub fn run(&mut self, input: impl BufRead, mut output: impl Write, prompts: bool) -> io::Result<()> {
        writeln!(output, "{} steps; `?` lists the commands", self.film.len())?;
        self.go_to(1);
        write!(output, "{}", self.here())?;
        let prompt = |output: &mut dyn Write| {
            if prompts { write!(output, "> ").and_then(|()| output.flush()) } else { Ok(()) }
        };
        prompt(&mut output)?;
        for command in input.lines() {
            let command = command?;
            let words: Vec<&str> = command.split_whitespace().collect();
            if words.first() == Some(&"q") {
                break;
            }
            write!(output, "{}", self.obey(&words))?;
            prompt(&mut output)?;
        }
        Ok(())
    }

    /// What is said to a command.
    pub fn obey(&mut self, words: &[&str]) -> String {
        let count = |words: &[&str]| words.first().map_or(Some(1), |count| count.parse::<usize>().ok());
        match words {
            [] => self.by_steps(1),
            ["n", rest @ ..] => match count(rest) {
                Some(count) => self.by_steps(count),
                None => "how many steps?\n".into(),
            },
            ["p", rest @ ..] => match count(rest) {
                Some(count) => {
                    self.go_to(self.at.saturating_sub(count).max(1));
                    self.here()
                }
                None => "how many steps?\n".into(),
            },
            ["g", to] => match self.place(to) {
                Some(at) => {
                    self.go_to(at);
                    self.here()
                }
                None => format!("{to:?} is no time such as 62.5s and no step such as #1200\n"),
            },
            ["break", rest @ ..] => match Break::parse(rest) {
                Some(stop) => {
                    self.breaks.push(stop);
                    self.list_breaks()
                }
                None => "break user U | line L | node N | step S\n".into(),
            },
            ["breaks"] => self.list_breaks(),
            ["clear"] => {
                self.breaks.clear();
                "no breaks\n".into()
            }
            ["c"] if self.breaks.is_empty() => "no breaks; set one with `break user u7`\n".into(),
            ["c"] => {
                let breaks = self.breaks.clone();
                self.on_to(|shot| breaks.iter().any(|stop| stop.stops(shot)))
            }
            ["find", rest @ ..] => {
                let text = rest.join(" ");
                self.on_to(|shot| shot.scene.words.contains(&text))
            }
            ["fault"] => self.on_to(|shot| shot.step.starts_with("fault")),
            ["end"] => {
                self.go_to(self.film.len());
                self.here()
            }
            ["s", rest @ ..] => self.state(rest.first().copied()),
            ["?" | "h" | "help", ..] => HELP.into(),
            [word, ..] => format!("{word:?} is no command; `?` lists them\n"),
        }
    }

    fn by_steps(&mut self, count: usize) -> String {
        if self.at >= self.film.len() {
            return "this is the last step\n".into();
        }
        let to = self.at.saturating_add(count).min(self.film.len());
        let mut said = String::new();
        while self.at < to {
            self.go_to(self.at + 1);
            said += &self.here();
        }
        said
    }

    fn on_to(&mut self, stops: impl Fn(&Shot) -> bool) -> String {
        let next = self.film.iter().skip(self.at).position(stops);
        match next {
            Some(more) => {
                self.go_to(self.at + more + 1);
                self.here()
            }
            None => "no such step comes any more\n".into(),
        }
    }

    /// So many steps from the beginning.
    fn place(&self, to: &str) -> Option<usize> {
        if let Some(number) = to.strip_prefix('#') {
            return number.parse::<usize>().ok().map(|at| at.clamp(1, self.film.len().max(1)));
        }
        let seconds: f64 = to.strip_suffix('s').unwrap_or(to).parse().ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of a run")]
        let at_us = (seconds.max(0.0) * 1e6) as u64;
        Some(
            self.film.partition_point(|shot| shot.at_us < at_us).clamp(0, self.film.len().saturating_sub(1))
                + 1,
        )
    }

    fn go_to(&mut self, at: usize) {
        let at = at.min(self.film.len());
        if at < self.at {
            (self.at, self.standing) = (0, Standing::default());
        }
        while self.at < at {
            self.standing.after(&self.film[self.at]);
            self.at += 1;
        }
    }

    fn here(&self) -> String {
        let Some(shot) = self.at.checked_sub(1).and_then(|at| self.film.get(at)) else {
            return "an empty film\n".into();
        };
        let mut said = String::new();
        let (s, us) = (shot.at_us / 1_000_000, shot.at_us % 1_000_000);
        let _ = writeln!(
            said,
            "#{:<6} {s:>5}.{us:06} s  {:<4} {:<15} {}",
            self.at, shot.node, shot.step, shot.scene.words
        );
        for line in &shot.scene.lines {
            let _ = writeln!(said, "{:25}{}", "", line_words(line));
        }
        for lease in &shot.scene.leases {
            let known = self.standing.leases.get(&lease.line).unwrap_or(lease);
            let _ = writeln!(said, "{:25}{}", "", lease_words(known));
        }
        for pool in &shot.scene.pools {
            let _ = writeln!(said, "{:25}{}", "", pool_words(pool));
        }
        said
    }

    fn state(&self, only: Option<&str>) -> String {
        let Standing { lines, leases, pools } = &self.standing;
        let wanted = |name: &str, user: &str| {
            only.is_none_or(|only| user == only || name == only || name.ends_with(&format!("/{only}")))
        };
        let mut said = String::new();
        if only.is_none() {
            pools.values().for_each(|pool| said += &format!("{}\n", pool_words(pool)));
        }
        let open: Vec<&Line> = lines.values().filter(|line| wanted(&line.name, &line.user)).collect();
        let held: Vec<&Lease> = leases.values().filter(|lease| wanted(&lease.line, &lease.user)).collect();
        said += &format!("{} open lines in the books\n", open.len());
        open.iter().for_each(|line| said += &format!("  {}\n", line_words(line)));
        said += &format!("{} leases at holders\n", held.len());
        held.iter().for_each(|lease| said += &format!("  {}\n", lease_words(lease)));
        said
    }

    fn list_breaks(&self) -> String {
        let names: Vec<String> = self.breaks.iter().map(ToString::to_string).collect();
        format!("breaks: {}\n", names.join(", "))
    }
}

fn credits(micros: u64) -> String {
    let (whole, part) = (micros / 1_000_000, micros % 1_000_000);
    if part == 0 { whole.to_string() } else { format!("{whole}.{part:06}").trim_end_matches('0').to_owned() }
}

fn line_words(line: &Line) -> String {
    if line.closed {
        return format!("book  {} is closed", line.name);
    }
    let marks = if line.frozen { ", frozen" } else { "" };
    let lost = if line.written_off > 0 {
        format!(", {} written off", credits(line.written_off))
    } else {
        String::new()
    };
    format!(
        "book  {} of {}: {} out ({} drawn, {} returned, {} used{lost}){marks}",
        line.name,
        line.user,
        credits(line.out()),
        credits(line.drawn),
        credits(line.returned),
        credits(line.used)
    )
}

fn lease_words(lease: &Lease) -> String {
    if lease.closed {
        return format!("lease {} of {} is closed", lease.line, lease.user);
    }
    let above =
        lease.above.map_or_else(String::new, |above| format!(", {} above the watermark", credits(above)));
    format!("lease {} of {}: {} to spend{above}", lease.line, lease.user, credits(lease.balance))
}

fn pool_words(pool: &Pool) -> String {
    let pending =
        if pool.pending > 0 { format!(", {} pending", credits(pool.pending)) } else { String::new() };
    format!(
        "pool  {}: {} available, {} out, {} used of {}{pending}",
        pool.name,
        credits(pool.available),
        credits(pool.out),
        credits(pool.used),
        credits(pool.granted)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Scene;

    fn shot(at_us: u64, step: &str, node: &str, scene: Scene) -> Shot {
        Shot { at_us, step: step.into(), node: node.into(), scene }
    }

    fn film() -> Vec<Shot> {
        let user = || Some("u7".to_owned());
        let line = |drawn: u64, closed: bool| Line {
            name: "acme/n3/14".into(),
            user: "u7".into(),
            drawn,
            closed,
            ..Line::default()
        };
        let lease = |balance: u64, above: Option<u64>| Lease {
            node: "n3".into(),
            line: "acme/n3/14".into(),
            user: "u7".into(),
            balance,
            above,
            closed: false,
        };
        vec![
            shot(0, "started", "n3", Scene { words: "starts".into(), ..Scene::default() }),
            shot(
                1_000_000,
                "committed",
                "n1",
                Scene { lines: vec![line(20_000_000, false)], ..Scene::default() },
            ),
            shot(
                2_000_000,
                "draw-sent",
                "n3",
                Scene { user: user(), leases: vec![lease(5_000_000, Some(9_500_000))], ..Scene::default() },
            ),
            shot(
                3_000_000,
                "told",
                "n3",
                Scene { user: user(), leases: vec![lease(4_000_000, None)], ..Scene::default() },
            ),
            shot(4_000_000, "killed", "n3", Scene { died: true, ..Scene::default() }),
            shot(5_000_000, "committed", "n1", Scene { lines: vec![line(0, true)], ..Scene::default() }),
        ]
    }

    #[test]
    fn forth_and_back_shows_the_same() {
        let film = film();
        let mut stepper = Stepper::new(&film);
        assert!(stepper.obey(&["g", "3s"]).contains("#4"));
        let there = stepper.state(None);
        assert!(there.contains("lease acme/n3/14 of u7: 4 to spend, 9.5 above the watermark"), "{there}");
        assert!(there.contains("book  acme/n3/14 of u7: 20 out"), "{there}");
        stepper.obey(&["end"]);
        assert_eq!(stepper.state(None), "0 open lines in the books\n0 leases at holders\n");
        stepper.obey(&["p", "2"]);
        assert_eq!(stepper.state(None), there);
        assert_eq!(stepper.obey(&["n", "9"]).lines().count(), 3, "two steps, one of them with a line");
        assert_eq!(stepper.obey(&[]), "this is the last step\n");
    }

    #[test]
    fn a_break_stops_at_a_user_a_line_a_node_a_step() {
        let film = film();
        let stops = |words: &[&str]| {
            let mut stepper = Stepper::new(&film);
            stepper.obey(&["break", words[0], words[1]]);
            stepper.obey(&["c"]);
            stepper.at
        };
        assert_eq!(stops(&["user", "u7"]), 2);
        assert_eq!(stops(&["line", "n3/14"]), 2);
        assert_eq!(stops(&["line", "3/14"]), 0, "that is no line");
        assert_eq!(stops(&["step", "killed"]), 5);
        assert_eq!(stops(&["node", "n1"]), 2);
    }

    #[test]
    fn what_is_not_understood_is_answered() {
        let film = film();
        let mut said = Vec::new();
        let commands = "c\nfly\ng noon\nbreak u7\nn many\nfind zebra\n?\ns u8\nq\nn\n";
        Stepper::new(&film).run(commands.as_bytes(), &mut said, false).unwrap();
        let said = String::from_utf8(said).unwrap();
        for answer in [
            "no breaks; set one",
            "\"fly\" is no command",
            "\"noon\" is no time",
            "break user U |",
            "how many steps?",
            "no such step comes",
            "back",
            "0 leases at holders",
        ] {
            assert!(said.contains(answer), "{answer}: {said}");
        }
        assert_eq!(said.matches("#1 ").count(), 1, "what comes after q is not obeyed");
        let mut nothing = Vec::new();
        Stepper::new(&[]).run("n\ng 3s\np\ns\n".as_bytes(), &mut nothing, true).unwrap();
    }
}
