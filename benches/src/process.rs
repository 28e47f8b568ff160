//! What this process has used so far.

use crate::Result;

/// Clock ticks of a second in `/proc/self/stat`.
// USER_HZ is 100 on every architecture of Linux that we build for (proc(5), 2026).
const TICKS: f64 = 100.0;

/// Processor seconds of all threads.
pub(crate) fn cpu() -> Result<f64> {
    ticks(&std::fs::read_to_string("/proc/self/stat")?)
        .map(|ticks| ticks / TICKS)
        .ok_or_else(|| "no times in /proc/self/stat".into())
}

/// The most memory it held at any moment, in MiB.
pub(crate) fn peak() -> Result<f64> {
    high_water(&std::fs::read_to_string("/proc/self/status")?)
        .map(|kib| kib / 1_024.0)
        .ok_or_else(|| "no VmHWM in /proc/self/status".into())
}

/// User and system time. The second field is the name of the program in brackets, which may hold anything.
fn ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let number = |n: usize| rest.split(' ').nth(n)?.parse::<f64>().ok();
    Some(number(11)? + number(12)?)
}

/// Kibibytes of the largest resident set.
fn high_water(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_behind_the_name() {
        let stat = "1 (a) b) R 1 1 1 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 1 1";
        assert_eq!(ticks(stat), Some(300.0));
        assert_eq!(ticks("nothing"), None);
    }

    #[test]
    fn the_peak_is_read_in_kibibytes() {
        assert_eq!(high_water("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2_048.0));
        assert_eq!(high_water("VmRSS:\t 1 kB\n"), None);
    }
}
