//! What this process has used so far.

use crate::Result;

/// Clock ticks of a second in `/proc/self/stat`.
// USER_HZ is 100 on every architecture of Linux that we build for (proc(5), 2026).
const TICKS: f64 = 100.0;

/// Processor seconds of all threads.
pub(super) fn cpu() -> Result<f64> {
    ticks(&std::fs::read_to_string("/proc/self/stat")?)
        .map(|ticks| ticks / TICKS)
        .ok_or_else(|| "no times in /proc/self/stat".into())
}

/// User and system time. The second field is the name of the program in brackets, which may hold anything.
fn ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let number = |n: usize| rest.split(' ').nth(n)?.parse::<f64>().ok();
    Some(number(11)? + number(12)?)
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
}
