//! `tranche-sim replay`: one run again, of a campaign or of what `shrink` wrote down, step by step. Not here: what runs,
//! and the steps (`stepper`).

use super::{Verdict, runs};
use simulations::campaign::Campaign;
use simulations::case::Case;
use simulations::outcome::Outcome;
use simulations::plan::schedule::Schedule;
use simulations::stepper::Stepper;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Runs again, and goes through it step by step: a seed of a campaign, or what `shrink` wrote down.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// The directory of a campaign, as `run` leaves it.
    #[arg(long, value_name = "DIRECTORY", requires = "seed", required_unless_present_any = ["file", "case"])]
    run: Option<PathBuf>,
    /// Which run of it.
    #[arg(long, requires = "run")]
    seed: Option<u64>,
    /// Which variant of it; from 1.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=8))]
    variant: u64,
    /// What `shrink` wrote.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["run", "case"])]
    file: Option<PathBuf>,
    /// The case itself.
    #[arg(long, value_name = "JSON", conflicts_with = "run")]
    case: Option<String>,
    /// Write every step to this file, one a line as JSON, instead of going through them.
    #[arg(long, value_name = "FILE")]
    film: Option<PathBuf>,
    /// Print the outcome as JSON, one line, instead of going through the steps.
    #[arg(long)]
    json: bool,
    /// The same without the timeline.
    #[arg(long)]
    brief: bool,
    /// Print what the seed draws as JSON instead of running it: requests, changes and faults, so that something else can
    /// live through the same.
    #[arg(long, requires = "run")]
    schedule: bool,
    /// Though another build of this program ran the campaign: what is replayed may be another run than its report shows.
    #[arg(long, requires = "run")]
    other_program: bool,
}

impl Replay {
    pub fn run(&self) -> Verdict {
        if let (Some(directory), Some(seed)) = (&self.run, self.seed) {
            return self.run_of(directory, seed);
        }
        let text = match (&self.file, &self.case) {
            (Some(file), _) => {
                std::fs::read_to_string(file).map_err(|why| format!("{}: {why}", file.display()))?
            }
            (None, case) => case.clone().unwrap_or_default(),
        };
        let case: Case = serde_json::from_str(&text).map_err(|why| format!("this is no case: {why}"))?;
        self.show(runs::run(&case, self.keeps_film())?)
    }

    fn keeps_film(&self) -> bool {
        self.film.is_some() || !(self.json || self.brief)
    }

    fn show(&self, mut outcome: Outcome) -> Verdict {
        if self.json || self.brief || self.film.is_some() {
            runs::write_film(self.film.as_deref(), &mut outcome)?;
            return runs::print(outcome, self.brief);
        }
        if let Some(broken) = &outcome.broken {
            println!("broken at {} ms: {}: {}", broken.at_ms, broken.sentence, broken.what);
        }
        let (input, output) = (std::io::stdin(), std::io::stdout());
        let prompts = input.is_terminal();
        let stepped = Stepper::new(&outcome.film).run(input.lock(), output.lock(), prompts);
        // Who reads no more wants no more.
        match stepped {
            Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(why.to_string()),
            _ => Ok(outcome.broken.is_none()),
        }
    }

    fn run_of(&self, directory: &Path, seed: u64) -> Verdict {
        let campaign = Campaign::open(directory).map_err(|why| why.to_string())?;
        if !self.other_program {
            campaign.same_program(directory).map_err(|why| why.to_string())?;
        }
        let mistake = campaign.plant.as_deref().map(str::parse).transpose();
        runs::plant(mistake.map_err(|why: types::planted::NoSuchMistake| why.to_string())?)?;
        let number = usize::try_from(self.variant - 1).unwrap_or(usize::MAX);
        let variant = campaign.variants.get(number).ok_or_else(|| {
            let names: Vec<&str> = campaign.variants.iter().map(|variant| variant.name.as_str()).collect();
            format!("there is no variant {}; there are {}", self.variant, names.join(", "))
        })?;
        let plan = variant.same_plan().map_err(|why| why.to_string())?;
        let mut config = plan.config(seed);
        if self.schedule {
            let schedule = Schedule::new(&plan, &config);
            println!("{}", serde_json::to_string(&schedule).map_err(|why| why.to_string())?);
            return Ok(true);
        }
        config.keep_film = self.keeps_film();
        self.show(plan.run(&config, seed))
    }
}
