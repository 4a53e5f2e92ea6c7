//! How cargo is called from here: in the root, without input, with the flags of `.cargo/config.toml`.
//! Not here: what is called and when (`steps`).

use std::env;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A variable that sets flags makes cargo drop those of `.cargo/config.toml`, and with them tokio's seeded
/// scheduler; so none of them reaches a child.
const FLAGS: [&str; 3] = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"];

pub(crate) struct Cargo {
    program: OsString,
    root: PathBuf,
    colour: bool,
}

impl Cargo {
    /// Warns about flags in the environment.
    ///
    /// # Errors
    /// This crate was moved since it was built.
    pub(crate) fn here() -> Result<Cargo, String> {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let root = crates.and_then(Path::parent).filter(|root| root.join("Cargo.toml").is_file());
        let root =
            root.ok_or("the workspace is not where xtask was built; run `cargo xtask` in it")?.to_owned();
        for flags in FLAGS.iter().filter(|flags| env::var_os(flags).is_some()) {
            eprintln!(
                "xtask: {flags} is set and would drop the flags of .cargo/config.toml; it is left out of what follows"
            );
        }
        let colour = std::io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
        Ok(Cargo { program: env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), root, colour })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// `arguments` are words with single spaces between them.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.root).args(arguments.split(' ')).stdin(Stdio::null());
        for flags in FLAGS {
            command.env_remove(flags);
        }
        if env::var_os("CARGO_TERM_COLOR").is_none() {
            command.env("CARGO_TERM_COLOR", if self.colour { "always" } else { "never" });
        }
        command
    }

    /// What `cargo metadata` says of the workspace's own packages.
    ///
    /// # Errors
    /// A manifest does not parse.
    pub(crate) fn metadata(&self) -> Result<Value, String> {
        let mut command = self.command("metadata --no-deps --format-version 1");
        let output =
            command.stderr(Stdio::inherit()).output().map_err(|why| format!("cargo did not start: {why}"))?;
        serde_json::from_slice(&output.stdout).map_err(|_| "cargo metadata failed: see above".to_owned())
    }

    /// Where builds go, whatever the environment says.
    ///
    /// # Errors
    /// As [`Cargo::metadata`].
    pub(crate) fn target(&self) -> Result<PathBuf, String> {
        let metadata = self.metadata()?;
        let target =
            metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
        Ok(PathBuf::from(target))
    }
}
