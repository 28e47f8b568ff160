//! How fast jobs of a queue are done.

use std::time::Instant;

/// Most jobs taken in advance, and for how much time of work.
const AHEAD: (usize, f64) = (512, 0.02);

/// How fast jobs are done, so that quick ones are taken in advance and slow ones are not.
pub(super) struct Pace {
    since: Instant,
    done: usize,
    per_second: f64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Pace { since: Instant::now(), done: 0, per_second: 0.0 }
    }

    pub(super) fn count(&mut self, jobs: usize) {
        self.done += jobs;
    }

    pub(super) fn ahead(&mut self) -> usize {
        let elapsed = self.since.elapsed().as_secs_f64();
        if elapsed >= 0.005 {
            self.per_second = self.done as f64 / elapsed;
            self.done = 0;
            self.since = Instant::now();
        }
        ((self.per_second * AHEAD.1) as usize).min(AHEAD.0)
    }
}
