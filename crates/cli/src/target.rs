//! What all commands share: whom they ask, with which key, and how the answer is printed. Not here: any command.

use clap::{Args, Subcommand};
use client::{Client, Conditions, Key, Options};
use serde::Serialize;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;
use types::{IdempotencyKey, Revision};
use wire::json::{self, Word};

/// Whom to ask, and how to print the answer.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// Base URLs of the nodes, separated by commas
    #[arg(
        long,
        env = "TRANCHE_URL",
        value_name = "URL,…",
        value_delimiter = ',',
        global = true,
        default_value = "http://127.0.0.1:7071"
    )]
    pub(crate) url: Vec<String>,
    /// The operator key; better given as TRANCHE_KEY, as others can read a command line. Left out, nodes on this machine
    /// are asked with the key of `tranche dev` in ./tranche-data, if there is one
    #[arg(long, env = "TRANCHE_KEY", hide_env_values = true, global = true)]
    pub(crate) key: Option<Secret>,
    /// Print the JSON of the API
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

const KEY_OF_DEV: &str = "tranche-data/operator.key";

/// A key as it was given, not yet looked at. Never printed.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A group of commands at a target.
#[derive(Args, Clone, Debug)]
pub struct Group<T: Subcommand> {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(subcommand)]
    pub(crate) what: T,
}

/// One command at a target.
#[derive(Args, Clone, Debug)]
pub struct Single<T: Args> {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) what: T,
}

/// Under which conditions a write is done.
#[derive(Args, Clone, Debug)]
pub struct When {
    /// Do it once, however often it is asked with this key
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<IdempotencyKey>,
    /// Do it only if the resource still has this revision (the number in its ETag)
    #[arg(long, value_name = "REVISION")]
    if_match: Option<u64>,
}

impl From<When> for Conditions {
    fn from(when: When) -> Self {
        let When { idempotency_key, if_match } = when;
        Self { key: idempotency_key, if_match: if_match.map(Revision) }
    }
}

/// Why a command fails; each says on one line what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{}", say(.0))]
    Asked(#[from] client::Error),
    #[error("--url: {0}")]
    Url(#[from] client::BadOptions),
    #[error("--key or TRANCHE_KEY: {0}")]
    Key(#[from] client::BadKey),
    #[error("{file} cannot be read: {why}. Check the path and its permissions")]
    File { file: String, why: std::io::Error },
    #[error("{file} cannot be written: {why}. Check the path and its permissions")]
    Unwritable { file: String, why: std::io::Error },
    #[error("{file} holds no prices: {why}. Their shape is the body of PUT /v1/rate-card in /openapi.json")]
    NoPrices { file: String, why: String },
    #[error(
        "{file} holds no usage: {why}. It is CSV with the columns id, user, feature, happened_at, and model, amount or units.UNIT, \
         or an item of POST /v1/workspaces/{{ws}}/usage/import in each line"
    )]
    NoUsage { file: String, why: String },
    #[error(
        "{refused} of {rows} rows were refused. Correct them and send the file again: what was charged is charged once"
    )]
    RowsRefused { refused: u64, rows: u64 },
    #[error(
        "{why} Before that {sent} rows were charged. Send the file again: what was charged is charged once"
    )]
    Interrupted { sent: u64, why: Box<Self> },
    #[error("the prices are different")]
    Different,
    #[error("{0}")]
    NotCompared(Box<Self>),
    #[error("{0}")]
    Csv(#[from] crate::replay::BadCsv),
    #[error("{0}")]
    Replay(String),
    #[error("the answer could not be printed: {0}. Check where standard output goes")]
    Output(#[from] std::io::Error),
    #[error("the runtime could not be started: {0}")]
    Runtime(std::io::Error),
    #[error("{0}")]
    Unconfirmed(String),
}

fn say(error: &client::Error) -> String {
    match error.code() {
        Some("unauthenticated") => {
            format!(
                "{error} Here: --key or TRANCHE_KEY; `tranche dev` writes it to tranche-data/operator.key."
            )
        }
        Some(code) => format!("{code}: {error}"),
        None => error.to_string(),
    }
}

impl Failure {
    pub fn unreadable(file: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let file = file.display().to_string();
        |why| Self::File { file, why }
    }
}

impl Target {
    pub(crate) fn options(&self) -> Result<Options, Failure> {
        // An empty variable is no key, as it is for most programs.
        let given = self.key.as_ref().map(|Secret(text)| text.trim().to_owned());
        let key = given.filter(|text| !text.is_empty()).or_else(|| self.key_of_dev());
        let key = key.as_deref().map(Key::parse).transpose()?;
        Ok(Options::usual(self.url.iter().map(|url| url.trim().to_owned()).collect(), key))
    }

    /// Only for nodes on this machine: nobody else is shown a key he was not meant to see.
    fn key_of_dev(&self) -> Option<String> {
        let is_here = |url: &String| {
            let host = url.trim().strip_prefix("http://").unwrap_or_default();
            ["127.0.0.1:", "localhost:", "[::1]:"].iter().any(|here| host.starts_with(here))
        };
        let text = self.url.iter().all(is_here).then(|| std::fs::read_to_string(KEY_OF_DEV).ok())??;
        Some(text.trim().to_owned())
    }

    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(self.options()?)?)
    }

    /// Prints an answer: as the API gave it, or for people.
    pub(crate) fn print<T: Serialize>(
        &self,
        answer: &T,
        for_people: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let mut text = if self.json { json::write(answer) } else { for_people(answer).into_bytes() };
        if text.last() != Some(&b'\n') {
            text.push(b'\n');
        }
        let mut out = std::io::stdout().lock();
        match out.write_all(&text).and_then(|()| out.flush()) {
            // Who closed the pipe (`head`) has read enough.
            Err(why) if why.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }
}

/// For `value_parser`: a value in the text form of the API.
pub(crate) fn word<T: Word>(text: &str) -> Result<T, String> {
    T::read(text).map_err(|bad| bad.to_string())
}

/// The whole of a file.
pub(crate) fn contents(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(Failure::unreadable(path))
}
