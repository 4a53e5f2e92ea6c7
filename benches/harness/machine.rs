//! The machine, as far as numbers depend on it: processor, kernel, how busy it is. Not here: what ran on it.

use std::fs;

/// From which load average on the numbers are told to be disturbed.
pub const BUSY_FROM: f64 = 1.5;

/// `2 cores of Intel Xeon, 23 GiB, Linux 6.1.0, 2026-01-31, load average 0.12 at the start`
pub fn line() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into());
    let gib = field("/proc/meminfo", "MemTotal").and_then(|text| kib(&text)).unwrap_or(0) >> 20;
    let kernel = read("/proc/sys/kernel/osrelease");
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let load = load_average();
    let busy =
        if load > BUSY_FROM { ": others were at work, so read ratios, and those with slack" } else { "" };
    format!(
        "{cores} cores of {model}, {gib} GiB, Linux {}, {today}, load average {load:.2} at the start{busy}",
        kernel.trim()
    )
}

/// Of the last minute.
pub fn load_average() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// This process's resident memory.
pub fn resident_bytes() -> u64 {
    field("/proc/self/status", "VmRSS").and_then(|text| kib(&text)).unwrap_or(0) << 10
}

fn kib(text: &str) -> Option<u64> {
    text.split(' ').next()?.parse().ok()
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path);
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_tells_about_itself() {
        assert!(line().contains("Linux") && resident_bytes() > 100_000);
    }
}
