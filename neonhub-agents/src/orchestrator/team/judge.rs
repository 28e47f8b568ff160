//! Criticising and judging drafts by rules, where no model does it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::guardrail;
use crate::registry::{figures_of, texts_of};
use crate::voice::similar::{jaccard, shingles};

/// What was found wrong with a draft.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Critique {
    /// Index of the draft among those that were finished.
    pub(super) draft: usize,
    /// 0 to 1.
    pub(super) score: f64,
    pub(super) flaws: Vec<String>,
}

/// The flaws of each draft: figures that the input does not have, gaps, words that act on a reader's model, and
/// nothing but what an earlier draft says. Each flaw takes a quarter of the score.
pub(super) fn criticise(input: &Value, drafts: &[&Value]) -> Vec<Critique> {
    let known = figures_of(input);
    let mut critiques = Vec::with_capacity(drafts.len());
    for (i, draft) in drafts.iter().enumerate() {
        let mut flaws = Vec::new();
        let unknown: Vec<String> = figures_of(draft).difference(&known).cloned().collect();
        if !unknown.is_empty() {
            flaws.push(format!("figures that the input does not have: {}", unknown.join(", ")));
        }
        let texts = texts_of(draft);
        if texts.iter().all(|(_, text)| text.trim().is_empty()) {
            flaws.push("it says nothing".to_owned());
        }
        for (path, text) in &texts {
            if text.contains("[needs input") {
                flaws.push(format!("{path} has a gap"));
            }
            if guardrail::is_hostile(text) {
                flaws.push(format!("{path} gives orders to whoever reads it"));
            }
        }
        if let Some(first) = drafts.iter().take(i).position(|other| other == draft) {
            flaws.push(format!("it is the same as draft {}", first + 1));
        }
        let score = (1.0 - 0.25 * flaws.len() as f64).max(0.0);
        critiques.push(Critique { draft: i, score, flaws });
    }
    critiques
}

/// The index of the draft that wins: the best score, then the one that shares most wording with the others, then the
/// first.
pub(super) fn judge(drafts: &[&Value], critiques: &[Critique]) -> usize {
    let words: Vec<BTreeSet<String>> = drafts.iter().map(|draft| shingles(&plain(draft))).collect();
    let score = |i: usize| critiques.iter().find(|c| c.draft == i).map_or(0.0, |c| c.score);
    let shared = |i: usize| -> f64 {
        let Some(own) = words.get(i) else { return 0.0 };
        words.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, other)| jaccard(own, other)).sum()
    };
    let mut best = 0;
    for i in 1..drafts.len() {
        let order = score(i).total_cmp(&score(best)).then(shared(i).total_cmp(&shared(best)));
        if order.is_gt() {
            best = i;
        }
    }
    best
}

fn plain(draft: &Value) -> String {
    texts_of(draft).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn flaws_are_named_and_cost() {
        let input = json!({ "days": 30 });
        let same = json!({ "text": "Return it within 30 days." });
        let drafts = [
            same.clone(),
            json!({ "text": "Return it within 45 days." }),
            same,
            json!({ "text": "" }),
            json!({ "text": "[needs input: text] and more" }),
        ];
        let all: Vec<&Value> = drafts.iter().collect();
        let found = criticise(&input, &all);
        assert!(found[0].flaws.is_empty());
        assert!(found[1].flaws[0].contains("45") && found[1].score < 1.0);
        assert!(found[2].flaws[0].contains("draft 1"));
        assert!(found[3].flaws[0].contains("nothing"));
        assert!(found[4].flaws[0].contains("gap"));
        assert_eq!(judge(&all, &found), 0);
    }

    #[test]
    fn of_equal_drafts_the_one_that_others_agree_with_wins() {
        let drafts = [
            json!("We never take anything back at all."),
            json!("You may return a parcel within a month of its delivery."),
            json!("You may return a parcel within a month of buying it."),
        ];
        let all: Vec<&Value> = drafts.iter().collect();
        let fair: Vec<Critique> =
            (0..3).map(|draft| Critique { draft, score: 1.0, flaws: Vec::new() }).collect();
        assert_eq!(judge(&all, &fair), 1);
        assert_eq!(judge(&all[..1], &fair), 0);
    }
}
