//! The whole example with its bundled data: wall time and peak memory of the process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::median;
use crate::{Goal, Result, Row, Runs};

/// Path of the example, built in release mode.
const PROGRAM: &str = "NEONHUB_CAMPAIGN";

/// How often the memory of the process is read. What it shows is a high-water mark, so a late look loses little.
const LOOK: Duration = Duration::from_millis(1);

/// Both rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let program =
        std::env::var_os(PROGRAM).ok_or_else(|| format!("{PROGRAM} must name the built example"))?;
    let program = PathBuf::from(program);
    let (mut seconds, mut megabytes) = (Vec::new(), Vec::new());
    for _ in 0..runs.count() {
        let folder = tempfile::tempdir()?;
        let (took, peak) = run(&program, folder.path())?;
        seconds.push(took);
        megabytes.push(peak);
    }
    let seconds = median(&seconds).ok_or("no run was made")?;
    // Memory is a limit for every run, so the largest one counts.
    let megabytes = megabytes.into_iter().fold(0.0, f64::max);
    Ok(vec![
        Row::new("whole example, bundled data", seconds, "s", Goal::AtMost(5.0)),
        Row::new("whole example, peak memory", megabytes, "MB", Goal::AtMost(150.0)),
    ])
}

/// Runs the example into the folder; gives seconds and the peak of its resident memory in MB (10^6 bytes).
fn run(program: &Path, out: &Path) -> Result<(f64, f64)> {
    let start = Instant::now();
    let mut command = Command::new(program);
    command.arg("--out").arg(out.join("out")).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn()?;
    let status_file = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let seen = std::fs::read_to_string(&status_file).unwrap_or_default();
        peak_kib = high_water_kib(&seen).unwrap_or(peak_kib);
        thread::sleep(LOOK);
    };
    let seconds = start.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("the example ended with {status}").into());
    }
    if peak_kib == 0 {
        return Err("the system shows no peak memory of a process: this row needs Linux".into());
    }
    Ok((seconds, peak_kib as f64 * 1024.0 / 1e6))
}

/// `VmHWM` of a Linux process status, in KiB.
fn high_water_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_water_mark_is_read() {
        assert_eq!(
            high_water_kib("Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t  1234 kB\nVmRSS:\t 5 kB\n"),
            Some(1234)
        );
        assert_eq!(high_water_kib("Name:\tx\n"), None);
    }
}
