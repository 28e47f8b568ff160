//! How a number is taken: several runs, the median of them.

use std::time::Instant;

use crate::Result;

/// How much work a measurement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// The sizes of the goals, three runs each.
    Full,
    /// A tenth of the sizes, one run each: shows that the group works, and no more.
    Quick,
}

impl Runs {
    /// How many runs the median is taken over.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Full => 3,
            Self::Quick => 1,
        }
    }

    /// The size of the work: `full`, or a tenth of it (at least 1).
    #[must_use]
    pub fn size(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => (full / 10).max(1),
        }
    }

    /// Takes the value several times and returns the median.
    ///
    /// # Errors
    /// The first error of `run`.
    pub fn median_of(self, mut run: impl FnMut() -> Result<f64>) -> Result<f64> {
        let values = (0..self.count()).map(|_| run()).collect::<Result<Vec<f64>>>()?;
        median(&values).ok_or_else(|| "no run was made".into())
    }
}

/// The middle value; of an even number of values the mean of the two in the middle. `None` without values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(middle.checked_sub(1)?)?;
    Some(f64::midpoint(lower, upper))
}

/// Resident memory of this process in MiB.
// Linux: /proc/self/statm counts pages of 4 KiB (proc(5), 2026).
pub(crate) fn resident() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = text.split(' ').nth(1).ok_or("no second number in statm")?.parse()?;
    Ok(pages * 4_096.0 / 1_048_576.0)
}

/// Runs the work once; returns its result and the seconds it took.
pub fn seconds<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

/// Nanoseconds per call over `calls` calls in a row.
///
/// # Errors
/// The first error of `call`.
pub fn nanoseconds_per_call(calls: usize, mut call: impl FnMut(usize) -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for index in 0..calls {
        call(index)?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / calls.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_and_ignores_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn one_slow_run_does_not_move_the_median() {
        let mut values = [1.0, 90.0, 1.0].into_iter();
        let taken = Runs::Full.median_of(|| values.next().ok_or_else(|| "too many runs".into())).unwrap();
        assert_eq!(taken, 1.0);
        assert_eq!(values.next(), None);
    }

    #[test]
    fn quick_runs_do_a_tenth_once() {
        assert_eq!((Runs::Quick.size(100_000), Runs::Quick.size(3), Runs::Quick.count()), (10_000, 1, 1));
    }
}
