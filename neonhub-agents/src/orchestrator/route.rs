//! Which agent a request is for.

use std::collections::{BTreeMap, BTreeSet};

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;

use crate::registry::{Directory, is_away, stand_in};

/// From here on an intent is chosen.
// Rule of agents, section 6: 0.55.
const THRESHOLD: f64 = 0.55;
/// Words that say nothing about what is asked.
const STOP: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "for", "from", "how", "i", "in", "is",
    "it", "its", "me", "my", "of", "on", "or", "our", "please", "that", "the", "this", "to", "us", "was",
    "we", "what", "when", "with", "you", "your",
];

/// Finds the agent and the intent for words of a person, or for the name of an intent.
///
/// Words are compared with what each intent says it does and with its examples, rarer words counting more; no model is
/// asked. For an agent that is away the one it names to stand in is given. What is told of confidence is the share of the request's known words that the intent knows.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouteIntent {
    /// What is asked, in words: 1 to 4 000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// An intent, as `agent.intent` or bare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// The input of the intent, to be checked against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// An intent that may be meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteChoice {
    /// `agent.intent`.
    pub address: String,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
}

/// The intent that is meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Routed {
    /// The agent.
    pub agent: String,
    /// The intent.
    pub intent: String,
    /// How sure that is, 0 to 1; 1 when it was named.
    pub confidence: f64,
    /// The next three, best first.
    pub alternatives: Vec<RouteChoice>,
    /// The agent that is meant, when it is away and `agent` stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
}

impl Operation for RouteIntent {
    type Output = Routed;
    const NAME: &'static str = "orchestrator.route";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;
    const ERRORS: &'static [&'static str] = &["no_intent", "unknown_intent", "ambiguous_intent"];

    async fn run(self, cx: &Scope) -> Result<Routed> {
        let mut faults = Faults::new();
        let is_one = self.text.is_some() != self.intent.is_some();
        faults.check(is_one, "text", "expected either words or an intent");
        let length = self.text.as_ref().map_or(1, |text| text.trim().chars().count());
        faults.check((1..=4_000).contains(&length), "text", "expected 1..4 000 characters");
        faults.into_result(Self::NAME)?;
        let directory = Directory::load(cx).await?;
        let (address, confidence, alternatives) = match (&self.text, &self.intent) {
            (Some(text), _) => chosen(&directory, text)?,
            (None, intent) => {
                let asked = directory.address(cx.hub(), Self::NAME, None, intent.as_deref(), None)?;
                (asked.address(), 1.0, Vec::new())
            }
        };
        let mut asked = directory.address(cx.hub(), Self::NAME, None, Some(&address), None)?;
        let mut instead_of = None;
        if is_away(cx, &asked.spec.name).await?
            && let Some(Ok(other)) = stand_in(cx, Self::NAME, &directory, &asked)
            && !is_away(cx, &other.spec.name).await?
        {
            instead_of = Some(std::mem::replace(&mut asked, other).spec.name);
        }
        if let Some(input) = &self.input {
            asked.check(cx.hub(), Self::NAME, input)?;
        }
        let (agent, intent) = (asked.spec.name, asked.intent.name);
        Ok(Routed { agent, intent, confidence, alternatives, instead_of })
    }

    fn examples() -> Vec<Self> {
        vec![
            RouteIntent { text: Some("Pause the campaign that is running".into()), ..Self::default() },
            RouteIntent { intent: Some("support.suggest_reply".into()), ..Self::default() },
        ]
    }
}

fn chosen(directory: &Directory, text: &str) -> Result<(String, f64, Vec<RouteChoice>)> {
    let mut ranked = rank(&documents(directory), text);
    let top = ranked.first().filter(|best| best.confidence >= THRESHOLD).cloned();
    let Some(best) = top else {
        let near: Vec<&str> = ranked.iter().take(3).map(|s| s.address.as_str()).collect();
        let why = "no intent fits these words: say it in other words, or name the intent";
        return Err(Error::new(ErrorKind::NotFound, RouteIntent::NAME, why)
            .with_code("no_intent")
            .with_context("closest", near.join(", ")));
    };
    ranked.remove(0);
    ranked.retain(|s| s.confidence > 0.0);
    ranked.truncate(3);
    Ok((best.address, best.confidence, ranked))
}

/// What each intent says of itself.
fn documents(directory: &Directory) -> Vec<(String, BTreeSet<String>)> {
    let mut all = Vec::new();
    for spec in directory.current() {
        for intent in &spec.intents {
            let examples: Vec<String> = intent.examples.iter().map(ToString::to_string).collect();
            let text = format!(
                "{} {} {} {} {} {}",
                spec.name,
                spec.title,
                intent.name,
                intent.doc,
                spec.capabilities.join(" "),
                examples.join(" ")
            );
            all.push((format!("{}.{}", spec.name, intent.name), words(&text)));
        }
    }
    all
}

/// Intents by how much of the request they know, best first; equal ones by address.
fn rank(documents: &[(String, BTreeSet<String>)], text: &str) -> Vec<RouteChoice> {
    let mut holders: BTreeMap<&str, u32> = BTreeMap::new();
    for (_, words) in documents {
        for word in words {
            *holders.entry(word).or_default() += 1;
        }
    }
    let total = f64::from(u32::try_from(documents.len()).unwrap_or(u32::MAX));
    let weight = |word: &str| holders.get(word).map_or(0.0, |n| (1.0 + total / f64::from(*n)).ln());
    let asked = words(text);
    let whole: f64 = asked.iter().map(|word| weight(word)).sum();
    let mut found: Vec<RouteChoice> = documents
        .iter()
        .map(|(address, words)| {
            let known: f64 = asked.iter().filter(|word| words.contains(*word)).map(|word| weight(word)).sum();
            let confidence = if whole > 0.0 { (known / whole * 1_000.0).round() / 1_000.0 } else { 0.0 };
            RouteChoice { address: address.clone(), confidence }
        })
        .collect();
    found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then_with(|| a.address.cmp(&b.address)));
    found
}

/// Words in lower case without endings that change nothing, each once.
fn words(text: &str) -> BTreeSet<String> {
    let folded: String = text.nfkc().collect::<String>().to_lowercase();
    folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && !STOP.contains(word))
        .map(stem)
        .collect()
}

/// The word without its ending, and without the letter that was doubled before it: running, plans, pauses.
fn stem(word: &str) -> String {
    for ending in ["ing", "es", "ed", "s", "e"] {
        let Some(short) = word.strip_suffix(ending).filter(|short| short.chars().count() >= 3) else {
            continue;
        };
        let mut back = short.chars().rev();
        let is_doubled = ending.len() > 1 && back.next() == back.next();
        let cut = short.chars().next_back().filter(|_| is_doubled).map_or(0, char::len_utf8);
        return short.get(..short.len() - cut).unwrap_or(short).to_owned();
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rarer_words_decide() {
        let all = [
            ("a.pause".to_owned(), words("Pauses a running campaign")),
            ("a.plan".to_owned(), words("Plans a campaign with its costs")),
            ("b.score".to_owned(), words("Scores how close a text is")),
        ];
        let best = |text: &str| rank(&all, text).remove(0);
        assert_eq!(best("please pause my campaign").address, "a.pause");
        assert_eq!(best("planning the campaign").address, "a.plan");
        assert!(best("campaign").confidence <= 1.0);
        assert_eq!(best("quantum tea").confidence, 0.0);
        let shared = rank(&all, "pause the campaign");
        assert_eq!(shared[0].confidence, 1.0);
        assert!(shared[1].confidence < THRESHOLD, "{shared:?}");
    }
}
