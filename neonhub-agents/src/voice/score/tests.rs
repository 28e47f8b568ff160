use super::*;
use crate::voice::fixture::{self, kestrel, loaf};
use crate::voice::model::{PreferredTerm, RuleSource};

fn voice() -> Voice {
    let mut voice = Voice { brand: "Kestrel".into(), ..Voice::default() };
    voice.vocabulary.preferred =
        vec![PreferredTerm { term: "guests".into(), instead_of: vec!["customers".into()] }];
    voice.vocabulary.banned = vec!["cheap".into(), "customers".into()];
    voice.vocabulary.products = vec!["KestrelDB".into(), "Spark".into()];
    voice
}

#[test]
fn on_brand_beats_off_brand_in_nearly_every_pair() {
    for (word, proposal) in [("loaf", loaf()), ("kestrel", kestrel())] {
        let scored: Vec<(bool, f64, &'static str)> = fixture::texts()
            .filter(|(b, ..)| *b == word)
            .map(|(_, on, t)| (on, score(t, &proposal.voice, &proposal.rules, "").score, t))
            .collect();
        type Row = (bool, f64, &'static str);
        let (on, off): (Vec<Row>, Vec<Row>) = scored.iter().partition(|(on, ..)| *on);
        assert!(on.len() >= 10 && off.len() >= 10);
        let pairs = on.len() * off.len();
        let won = on.iter().flat_map(|a| off.iter().map(move |b| a.1 > b.1)).filter(|w| *w).count();
        let listing =
            scored.iter().map(|(on, s, t)| format!("{on} {s:.3} {t}")).collect::<Vec<_>>().join("\n");
        assert!(won as f64 >= 0.95 * pairs as f64, "{word}: {won} of {pairs}\n{listing}");
        let passing = on.iter().filter(|(_, s, _)| *s >= 0.75).count();
        let failing = off.iter().filter(|(_, s, _)| *s < 0.75).count();
        assert!(
            passing * 10 >= on.len() * 8 && failing * 10 >= off.len() * 9,
            "{word}: {passing} pass, {failing} fail\n{listing}"
        );
    }
}

#[test]
fn penalties_are_those_of_the_formula() {
    let clean = score("We greet the people at the door every day.", &voice(), &[], "");
    let banned = score("We greet the cheap people at the door every day.", &voice(), &[], "");
    assert!((banned.parts.penalty - 0.15).abs() < 1e-9 && clean.parts.penalty.abs() < 1e-9);
    let name = score("We ship kestreldb and Kestrel DB every day.", &voice(), &[], "");
    assert!((name.parts.penalty - 0.10).abs() < 1e-9);
    assert_eq!(name.violations.len(), 2);
    assert_eq!(name.violations[0].fix, "KestrelDB");
}

#[test]
fn preferred_words_count_by_use() {
    let half = score(
        "Our guests and other customers came.",
        &Voice {
            vocabulary: super::super::Vocabulary { banned: Vec::new(), ..voice().vocabulary },
            ..voice()
        },
        &[],
        "",
    );
    assert!((half.parts.vocabulary - 0.5).abs() < 1e-9);
    let v = &half.violations[0];
    assert_eq!((v.rule.as_str(), v.fix.as_str()), ("preferred_term", "guests"));
    assert_eq!(v.span.unwrap().of("Our guests and other customers came."), "customers");
}

#[test]
fn broken_must_rules_cost_and_should_rules_do_not() {
    let rule = |severity, pattern| Rule {
        kind: RuleKind::Dont,
        text: "no shouting".into(),
        pattern: Some(pattern),
        severity,
        source: RuleSource::default(),
    };
    let text = "Look here! We have a very long sentence in this text that goes on.";
    let rules =
        [rule(Severity::Must, Pattern::NoExclamation), rule(Severity::Should, Pattern::MaxSentenceWords(5))];
    let scored = score(text, &voice(), &rules, "");
    assert!((scored.parts.penalty - 0.20).abs() < 1e-9);
    assert_eq!(scored.violations.len(), 2);
    for (pattern, text) in [
        (Pattern::NoEmoji, "ok \u{1f389}"),
        (Pattern::NoHashtags, "see #bread"),
        (Pattern::NoCapitals, "this is LOUD"),
        (Pattern::NoContractions, "we don't"),
        (Pattern::NoQuestions, "why?"),
        (Pattern::Term("very".into()), "a very long"),
    ] {
        assert!(breaks(text, &pattern).is_some(), "{text}");
        assert!(breaks("a plain line", &pattern).is_none());
    }
}

#[test]
fn names_in_addresses_and_plain_words_are_left_alone() {
    assert!(
        wrong_names("Go to https://kestreldb.example/x or mail hi@kestreldb.example", "KestrelDB").is_empty()
    );
    assert!(wrong_names("a spark of joy", "Spark").is_empty());
    assert_eq!(wrong_names("try SPARK now", "Spark").len(), 1);
    assert!(wrong_names("KestrelDB it is", "KestrelDB").is_empty());
}

#[test]
fn thresholds_decide_the_outcome() {
    let p = loaf();
    let good = score(
        "Morning! The rye's warm, and it smells like toasted nuts. Pop by before it's gone.",
        &p.voice,
        &p.rules,
        "",
    );
    assert_eq!(good.outcome, Outcome::Pass);
    let bad = score("BUY NOW: cheap artisanal products for consumers, guaranteed!!!", &p.voice, &p.rules, "");
    assert_eq!(bad.outcome, Outcome::Flag);
    assert!((0.0..=1.0).contains(&bad.score));
}

#[test]
fn a_brand_without_examples_is_scored_by_the_rest() {
    let scored = score("Plain words.", &voice(), &[], "");
    assert_eq!(scored.parts.exemplar, None);
    assert!(scored.score > 0.0);
}
