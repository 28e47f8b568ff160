//! Law and platform basics by channel, and claims that need a source.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Context, Field};
use super::finding::{Finding, FindingKind, Level};
use crate::voice::text::{self, Span};

/// What kind of message a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Promotion.
    #[default]
    Marketing,
    /// Receipts, deliveries, accounts.
    Transactional,
    /// A reply inside an open thread.
    Conversational,
    /// Double opt-in and stop confirmations.
    Confirmation,
}

/// Superlatives and promises that a reader may ask proof for. Ours, after the FTC's advertising
/// substantiation policy (1984) and the usual objections of network reviewers.
const SUPERLATIVES: &[&str] = &[
    "the best",
    "world's best",
    "best in the world",
    "best ever",
    "#1",
    "number one",
    "no. 1",
    "the cheapest",
    "the fastest",
    "the safest",
    "the leading",
    "market leader",
    "unbeatable",
    "unrivalled",
    "unrivaled",
    "world-class",
    "world class",
    "the world's first",
    "lowest price",
    "lowest prices",
];
const GUARANTEES: &[&str] = &[
    "guaranteed",
    "guarantee",
    "guarantees",
    "risk-free",
    "risk free",
    "no risk",
    "100% safe",
    "never fails",
    "always works",
    "money back",
    "instant results",
    "proven to",
    "clinically proven",
    "doctor recommended",
    "doctors recommend",
];
/// Health and money claims that no network takes without proof. Ours.
const CURES: &[&str] = &[
    "cures",
    "cure for",
    "heals",
    "miracle cure",
    "prevents cancer",
    "treats depression",
    "lose weight fast",
    "no side effects",
];
const RICHES: &[&str] = &[
    "get rich",
    "guaranteed returns",
    "guaranteed income",
    "double your money",
    "earn money fast",
    "risk-free investment",
    "can't lose",
    "financial freedom guaranteed",
];

/// Claims in `text`. A claim inside one of the `sourced` sentences has its source and is only noted.
#[must_use]
pub(super) fn claims(text: &str, sourced: &[String]) -> Vec<Finding> {
    let mut out = Vec::new();
    let folded = text::Folded::new(text);
    let mut look = |rule: &str, phrases: &[&str], level: Level, message: &str| {
        for span in phrases.iter().flat_map(|p| folded.find(p)) {
            let has_source = sourced.iter().flat_map(|s| folded.find(s)).any(|s| s.overlaps(&span));
            let level = if has_source && level == Level::Warn { Level::Info } else { level };
            if !out.iter().any(|f: &Finding| f.span.is_some_and(|s| s.overlaps(&span))) {
                out.push(
                    Finding::new(
                        rule,
                        FindingKind::Compliance,
                        level,
                        message,
                        "name the proof or say it more plainly",
                    )
                    .at(span),
                );
            }
        }
    };
    look("compliance.health_claim", CURES, Level::Block, "a health claim");
    look("compliance.finance_claim", RICHES, Level::Block, "a promise of money");
    look("compliance.guarantee", GUARANTEES, Level::Warn, "a guarantee without its terms");
    look("compliance.superlative", SUPERLATIVES, Level::Warn, "a superlative without proof");
    out
}

/// Rules of the channel over all parts.
#[must_use]
pub(super) fn channel_rules(fields: &[Field<'_>], cx: &Context) -> Vec<Finding> {
    let mut out = Vec::new();
    let folded: Vec<text::Folded<'_>> = fields.iter().map(|f| text::Folded::new(f.text)).collect();
    let has = |phrase: &str| folded.iter().any(|f| f.has(phrase));
    let miss = |rule: &str, level, message: &str, fix: &str| {
        Finding::new(rule, FindingKind::Compliance, level, message, fix)
    };
    if cx.channel == "sms" {
        let named = cx.sender_name.as_deref().is_none_or(has);
        if !named {
            out.push(miss(
                "compliance.sms_sender",
                Level::Block,
                "the text does not name its sender",
                "begin with the brand's name",
            ));
        }
        let opt_out = OPT_OUTS.iter().any(|p| has(p));
        if cx.category == Category::Marketing && !opt_out {
            out.push(miss(
                "compliance.sms_opt_out",
                Level::Block,
                "no way to opt out",
                "add \"Reply STOP to opt out\"",
            ));
        }
    }
    if cx.channel == "email" && cx.category == Category::Marketing {
        out.extend(false_reply(fields));
    }
    if cx.category == Category::Confirmation {
        let sells = ["sale", "offer", "discount", "% off", "buy now", "shop now"].iter().any(|p| has(p));
        if sells {
            out.push(miss(
                "compliance.confirmation_marketing",
                Level::Block,
                "promotion in a confirmation",
                "confirm and nothing else",
            ));
        }
    }
    if cx.is_paid && !["#ad", "#sponsored", "#anzeige", "#werbung", "paid partnership"].iter().any(|p| has(p))
    {
        out.push(miss(
            "compliance.ad_disclosure",
            Level::Block,
            "a paid post without its disclosure",
            "add #ad",
        ));
    }
    out
}

/// Ways to say how to stop. English, German, French, Spanish, Italian, Dutch, Portuguese.
const OPT_OUTS: &[&str] = &[
    "stop",
    "opt out",
    "opt-out",
    "unsubscribe",
    "abmelden",
    "se d\u{e9}sabonner",
    "darse de baja",
    "disiscriverti",
    "afmelden",
    "cancelar",
];

/// A subject that plays a reply or a forward (16 CFR 316, false subject headings).
fn false_reply(fields: &[Field<'_>]) -> Option<Finding> {
    let subject = fields.iter().find(|f| f.name == "subject")?;
    let lower = subject.text.trim_start().to_lowercase();
    let mark = ["re:", "fwd:", "fw:", "aw:", "wg:"].iter().find(|p| lower.starts_with(*p))?;
    let message = "the subject plays a reply that never was";
    let finding = Finding::new(
        "compliance.subject_honesty",
        FindingKind::Compliance,
        Level::Block,
        message,
        "take the prefix off",
    );
    Some(finding.at(Span::new(0, mark.len())).within("subject"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(found: &[Finding]) -> Vec<&str> {
        found.iter().map(|f| f.rule.as_str()).collect()
    }

    #[test]
    fn claims_warn_and_cures_block() {
        assert_eq!(rules(&claims("We are the best in town", &[])), ["compliance.superlative"]);
        assert_eq!(rules(&claims("Results guaranteed.", &[])), ["compliance.guarantee"]);
        assert!(claims("A miracle cure", &[]).iter().any(|f| f.level == Level::Block));
        assert!(claims("Get rich now", &[]).iter().any(|f| f.level == Level::Block));
        assert!(claims("All the bestsellers, guaranteeing nothing", &[]).is_empty());
    }

    #[test]
    fn a_sourced_claim_is_only_noted() {
        let sourced = vec!["Every lamp has a ten-year guarantee.".to_owned()];
        let found = claims("Look. Every lamp has a ten-year guarantee. And more.", &sourced);
        assert_eq!(found[0].level, Level::Info);
    }

    #[test]
    fn texts_name_their_sender_and_the_way_out() {
        let cx = Context { channel: "sms".into(), sender_name: Some("Lumen".into()), ..Context::default() };
        assert!(
            channel_rules(&[Field::new("body", "Lumen: new lamps. Reply STOP to opt out")], &cx).is_empty()
        );
        let found = channel_rules(&[Field::new("body", "New lamps")], &cx);
        assert_eq!(rules(&found), ["compliance.sms_sender", "compliance.sms_opt_out"]);
    }

    #[test]
    fn false_replies_mixed_confirmations_and_hidden_ads_block() {
        let email = Context { channel: "email".into(), ..Context::default() };
        assert_eq!(
            rules(&channel_rules(&[Field::new("subject", "Re: your order")], &email)),
            ["compliance.subject_honesty"]
        );
        let confirm =
            Context { channel: "sms".into(), category: Category::Confirmation, ..Context::default() };
        assert_eq!(
            rules(&channel_rules(&[Field::new("body", "Confirmed. 20% off today")], &confirm)),
            ["compliance.confirmation_marketing"]
        );
        let paid = Context { channel: "instagram".into(), is_paid: true, ..Context::default() };
        assert_eq!(rules(&channel_rules(&[Field::new("text", "Look")], &paid)), ["compliance.ad_disclosure"]);
        assert!(channel_rules(&[Field::new("text", "Look #ad")], &paid).is_empty());
    }
}
