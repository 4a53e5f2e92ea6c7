//! Programs that Debian has and a command needs. Not here: starting them.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A program and the Debian package it comes in.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) why: &'static str,
}

/// Installs what is missing, and says so.
///
/// # Errors
/// apt-get is not there, not allowed or could not: with the command to type by hand.
pub(crate) fn install(programs: &[Program]) -> Result<(), String> {
    let missing: Vec<&Program> = programs.iter().filter(|program| found(program.name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for Program { name, package, why } in &missing {
        println!("{name} is missing ({why}); installing Debian's {package}");
    }
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    let by_hand = || format!("install it by hand: sudo apt-get install {}", packages.join(" "));
    if found("apt-get").is_none() {
        return Err(format!("there is no apt-get here; {}", by_hand()));
    }
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(&packages);
    // A fresh container has no lists, and old lists name packages that are gone.
    let done = apt_get(&install) || (apt_get(&["update"]) && apt_get(&install));
    let still = missing.iter().find(|program| found(program.name).is_none());
    match (done, still) {
        (true, None) => Ok(()),
        (true, Some(program)) => {
            Err(format!("{} installed no {}; {}", program.package, program.name, by_hand()))
        }
        (false, _) => Err(format!("apt-get failed, see above; {}", by_hand())),
    }
}

fn apt_get(arguments: &[&str]) -> bool {
    let mut command = match env::var("USER").as_deref() {
        Ok("root") => Command::new("apt-get"),
        _ if found("sudo").is_some() => {
            let mut sudo = Command::new("sudo");
            // Without a terminal nobody can type a password: fail instead of waiting.
            sudo.args(["-n", "--preserve-env=DEBIAN_FRONTEND", "apt-get"]);
            sudo
        }
        _ => Command::new("apt-get"),
    };
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Where the program is; servers live in `sbin`, which users often have not in their path.
fn found(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_and_not_installed() {
        assert!(found("sh").is_some() && found("no-such-program-anywhere").is_none());
        assert_eq!(install(&[Program { name: "sh", package: "dash", why: "a test" }]), Ok(()));
    }
}
