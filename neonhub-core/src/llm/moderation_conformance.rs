//! The suite every [`Moderator`] passes. A provider's test module invokes it in one line:
//!
//! ```ignore
//! async fn open(case: &str) -> neonhub_core::Result<Arc<dyn Moderator>> { /* a fresh model */ }
//! neonhub_core::moderation_conformance!(open);
//! ```

use std::sync::Arc;

use super::{ModerationRequest, Moderator};
use crate::{ErrorKind, Result};

/// The scenarios, by name.
pub const CASES: &[&str] = &[
    "each_input_has_its_verdict_in_order",
    "a_verdict_fits_its_categories",
    "wrong_request_is_invalid_input",
    "unknown_model_is_not_found",
];

/// How many scenarios this file holds, for the test that none is left off the list.
#[must_use]
pub fn count_in_source() -> usize {
    include_str!("moderation_conformance.rs").lines().filter(|l| l.starts_with("pub async fn ")).count()
}

/// Three texts, of which the second is a threat.
#[must_use]
pub fn texts() -> ModerationRequest {
    ModerationRequest::texts(["Our teas are picked by hand.", "I will kill you.", "We ship within two days."])
}

/// A threat is flagged, and the texts beside it are not.
pub async fn each_input_has_its_verdict_in_order(model: Arc<dyn Moderator>) -> Result<()> {
    let made = model.classify(&texts()).await?;
    let flagged: Vec<bool> = made.verdicts.iter().map(|verdict| verdict.is_flagged).collect();
    assert_eq!(flagged, [false, true, false]);
    assert_eq!(made.provider, model.provider());
    assert!(!made.model.is_empty());
    Ok(())
}

/// A flagged text has a flagged category, a clean one has none, and scores are shares.
pub async fn a_verdict_fits_its_categories(model: Arc<dyn Moderator>) -> Result<()> {
    for verdict in model.classify(&texts()).await?.verdicts {
        let any = verdict.categories.values().any(|category| category.is_flagged);
        assert_eq!(any, verdict.is_flagged, "{verdict:?}");
        let mut scores = verdict.categories.values().filter_map(|category| category.score);
        assert!(scores.all(|score| (0.0..=1.0).contains(&score)), "{verdict:?}");
    }
    Ok(())
}

/// No input and too many are refused, and nothing is sent.
pub async fn wrong_request_is_invalid_input(model: Arc<dyn Moderator>) -> Result<()> {
    let many = vec!["tea"; model.max_batch() + 1];
    for wrong in [ModerationRequest::default(), ModerationRequest::texts(many)] {
        let refused = model.classify(&wrong).await.map(drop);
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    }
    Ok(())
}

/// A model the provider does not have is `NotFound`.
pub async fn unknown_model_is_not_found(model: Arc<dyn Moderator>) -> Result<()> {
    let missing = ModerationRequest { model: Some("no-such-model".into()), ..texts() };
    let refused = model.classify(&missing).await.map(drop);
    assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::NotFound));
    Ok(())
}

/// Makes a test of each scenario of the suite. `open` is `async fn(case: &str) -> Result<Arc<dyn Moderator>>`.
#[macro_export]
macro_rules! moderation_conformance {
    ($open:expr) => {
        $crate::moderation_conformance!(@each $open; each_input_has_its_verdict_in_order,
            a_verdict_fits_its_categories, wrong_request_is_invalid_input, unknown_model_is_not_found);
    };
    (@each $open:expr; $($case:ident),+) => {
        $(
            #[tokio::test]
            async fn $case() -> $crate::Result<()> {
                $crate::llm::moderation_conformance::$case($open(stringify!($case)).await?).await
            }
        )+

        #[test]
        fn every_case_of_the_suite_is_run() {
            assert_eq!([$(stringify!($case)),+].as_slice(), $crate::llm::moderation_conformance::CASES);
            let count = $crate::llm::moderation_conformance::count_in_source();
            assert_eq!($crate::llm::moderation_conformance::CASES.len(), count);
        }
    };
}
