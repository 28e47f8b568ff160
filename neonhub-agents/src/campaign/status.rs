//! The states of a campaign and the moves between them.

use neonhub_core::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a campaign stands.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CampaignStatus {
    /// Has a brief.
    #[default]
    Draft,
    /// Has a plan.
    Planned,
    /// Plan, assets and budget were released.
    Approved,
    /// Launched; its start lies ahead.
    Scheduled,
    /// Launched.
    Running,
    /// Stopped for a while; its sends wait.
    Paused,
    /// Ended as planned.
    Completed,
    /// Ended early.
    Cancelled,
    /// Every path is dead.
    Failed,
    /// Put away.
    Archived,
}

impl CampaignStatus {
    /// Every state.
    pub const ALL: &'static [CampaignStatus] = &[
        CampaignStatus::Draft,
        CampaignStatus::Planned,
        CampaignStatus::Approved,
        CampaignStatus::Scheduled,
        CampaignStatus::Running,
        CampaignStatus::Paused,
        CampaignStatus::Completed,
        CampaignStatus::Cancelled,
        CampaignStatus::Failed,
        CampaignStatus::Archived,
    ];

    /// The word that is stored and shown.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            CampaignStatus::Draft => "draft",
            CampaignStatus::Planned => "planned",
            CampaignStatus::Approved => "approved",
            CampaignStatus::Scheduled => "scheduled",
            CampaignStatus::Running => "running",
            CampaignStatus::Paused => "paused",
            CampaignStatus::Completed => "completed",
            CampaignStatus::Cancelled => "cancelled",
            CampaignStatus::Failed => "failed",
            CampaignStatus::Archived => "archived",
        }
    }

    /// True when a campaign may go from this state to `next`.
    #[must_use]
    pub const fn may_become(self, next: CampaignStatus) -> bool {
        use CampaignStatus as S;
        matches!(
            (self, next),
            (S::Draft, S::Planned)
                // A change of plan, texts, audience or budget takes a release back.
                | (S::Planned | S::Approved, S::Planned)
                | (S::Planned, S::Approved)
                | (S::Approved, S::Scheduled | S::Running)
                | (S::Scheduled, S::Running)
                | (S::Scheduled | S::Running, S::Paused)
                | (S::Paused, S::Running | S::Scheduled)
                | (S::Running, S::Completed | S::Failed)
                | (
                    S::Draft | S::Planned | S::Approved | S::Scheduled | S::Running | S::Paused | S::Failed,
                    S::Cancelled
                )
                | (S::Completed | S::Cancelled | S::Failed, S::Archived)
        )
    }

    /// Checks a move.
    ///
    /// # Errors
    /// `Conflict` naming both states and what is possible instead.
    pub fn check_move(self, operation: &'static str, next: CampaignStatus) -> Result<()> {
        if self.may_become(next) {
            return Ok(());
        }
        let possible: Vec<_> =
            CampaignStatus::ALL.iter().filter(|s| self.may_become(**s)).map(|s| s.word()).collect();
        let possible = if possible.is_empty() { "nothing".to_owned() } else { possible.join(", ") };
        Err(Error::new(
            ErrorKind::Conflict,
            operation,
            format!("a campaign that is {} cannot become {}, possible: {possible}", self.word(), next.word()),
        )
        .with_context("from", self.word())
        .with_context("to", next.word()))
    }

    /// True once it was launched and while it may still send.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, CampaignStatus::Scheduled | CampaignStatus::Running | CampaignStatus::Paused)
    }
}

#[cfg(test)]
mod tests {
    use super::CampaignStatus as S;
    use super::*;

    #[test]
    fn the_way_from_draft_to_archive_is_open() {
        let way = [
            S::Draft,
            S::Planned,
            S::Approved,
            S::Scheduled,
            S::Running,
            S::Paused,
            S::Running,
            S::Completed,
            S::Archived,
        ];
        for pair in way.windows(2) {
            pair[0].check_move("campaign.test", pair[1]).unwrap();
        }
    }

    #[test]
    fn every_other_move_is_a_conflict_that_names_both_states() {
        let open = S::ALL.iter().flat_map(|a| S::ALL.iter().filter(|b| a.may_become(**b))).count();
        assert_eq!(open, 23);
        for (from, to) in [
            (S::Draft, S::Running),
            (S::Planned, S::Running),
            (S::Completed, S::Cancelled),
            (S::Archived, S::Draft),
        ] {
            let err = from.check_move("campaign.test", to).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Conflict);
            assert!(err.message().contains(from.word()) && err.message().contains(to.word()));
        }
    }
}
