//! The twelve queues of the product as data. A row becomes a queue when its capability declares a handler.

use std::time::Duration;

use super::Backoff;
use crate::Permission;

/// The defaults of one queue.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name.
    pub queue: &'static str,
    /// Short name it is also known by.
    pub alias: Option<&'static str>,
    /// Jobs in work at once in one process.
    pub concurrency: usize,
    /// Tries before a job is given up.
    pub attempts: u16,
    /// Pauses between tries.
    pub backoff: Backoff,
    /// Time for one try.
    pub timeout: Duration,
    /// The right that enqueueing needs.
    pub needs: Permission,
    /// Queues that its jobs feed.
    pub then: &'static [&'static str],
}

const fn row(
    queue: &'static str,
    concurrency: usize,
    attempts: u16,
    pauses: (u64, u64),
    timeout: u64,
) -> Row {
    Row {
        queue,
        alias: None,
        concurrency,
        attempts,
        backoff: Backoff::doubling(Duration::from_secs(pauses.0), Duration::from_secs(pauses.1)),
        timeout: Duration::from_secs(timeout),
        needs: Permission::ExecuteAgents,
        then: &[],
    }
}

impl Row {
    const fn alias(mut self, word: &'static str) -> Row {
        self.alias = Some(word);
        self
    }

    const fn needs(mut self, word: Permission) -> Row {
        self.needs = word;
        self
    }

    const fn then(mut self, queues: &'static [&'static str]) -> Row {
        self.then = queues;
        self
    }
}

/// Defaults of a queue that is not one of the twelve.
pub(super) const PLAIN: Row = row("", 8, 10, (1, 600), 60);

/// The twelve queues: concurrency, tries, first and longest pause in seconds, time for a try in seconds.
// Names and concurrency are those of the earlier product; tries, pauses and timeouts are our choice.
pub const TWELVE: [Row; 12] = [
    row("intake.fetch", 8, 8, (5, 900), 60).alias("intake").then(&["intake.normalize"]),
    row("intake.normalize", 8, 5, (1, 60), 30).then(&["intake.embed", "learning.tune"]),
    row("intake.embed", 4, 5, (2, 600), 120),
    row("email.compose", 4, 3, (2, 300), 120).alias("email").then(&["email.send"]),
    row("email.send", 16, 10, (1, 600), 60).needs(Permission::SendMessages),
    row("sms.compose", 4, 3, (2, 300), 120).alias("sms").then(&["sms.send"]),
    row("sms.send", 8, 10, (1, 600), 60).needs(Permission::SendMessages),
    row("social.compose", 4, 3, (2, 300), 180).alias("social").then(&["social.send"]),
    row("social.send", 4, 10, (1, 600), 300).needs(Permission::SendMessages),
    row("learning.tune", 2, 5, (10, 600), 300).alias("learning"),
    row("budget.execute", 2, 5, (10, 1_800), 120).alias("budget").needs(Permission::SpendBudget),
    row("seo.analytics", 2, 4, (60, 3_600), 900).alias("seo-analytics"),
];

/// The row of a name or a short name.
pub(super) fn resolve(name: &str) -> Option<&'static Row> {
    TWELVE.iter().find(|row| row.queue == name || row.alias == Some(name))
}

/// The full name of a queue.
pub(crate) fn full_name(name: &str) -> &str {
    resolve(name).map_or(name, |row| row.queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_lead_to_their_queue_and_every_next_queue_exists() {
        let short = ["intake", "email", "sms", "social", "learning", "budget", "seo-analytics"];
        let full: Vec<_> = short.iter().map(|s| resolve(s).unwrap().queue).collect();
        assert_eq!(
            full,
            [
                "intake.fetch",
                "email.compose",
                "sms.compose",
                "social.compose",
                "learning.tune",
                "budget.execute",
                "seo.analytics"
            ]
        );
        for row in TWELVE {
            assert!(row.then.iter().all(|next| resolve(next).is_some()), "{}", row.queue);
        }
        assert!(resolve("email.sent").is_none());
    }

    #[test]
    fn fourth_try_of_a_fetch_waits_up_to_forty_seconds() {
        assert_eq!(resolve("intake.fetch").unwrap().backoff.ceiling_ms(4), 40_000);
        assert_eq!(resolve("intake.fetch").unwrap().backoff.ceiling_ms(60), 900_000);
    }
}
