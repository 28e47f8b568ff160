//! The algorithm of people.md 3 step by step, the rules by number, then properties.

use proptest::prelude::*;

use super::*;
use crate::people::normalise::{Identifier, Regions, normalise};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn person(n: usize) -> PersonId {
    format!("per_{n:026}").try_into().unwrap()
}

/// `email:a`, `phone:1`, `user_id:x`, `device_id:d`; a leading `!` means proved.
fn asked(word: &str) -> Asked {
    let (verified, word) = match word.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, word),
    };
    let (kind, value) = word.split_once(':').unwrap();
    let kind = IdentityKind::ALL.into_iter().find(|k| k.as_word() == kind).unwrap();
    let value = match kind {
        IdentityKind::Email => format!("{value}@ex.example"),
        IdentityKind::Phone => format!("+1202555{:0>4}", value),
        _ => value.to_owned(),
    };
    let namespace = (kind == IdentityKind::External).then(|| "shop".to_owned());
    let given = Identifier { kind, value, namespace, region: None };
    Asked { key: normalise(&given, Regions::default()).unwrap().key, verified }
}

fn event(words: &str) -> Vec<Asked> {
    words.split_whitespace().map(asked).collect()
}

/// A component of one person, made at `n` ms.
fn known(n: usize, words: &str) -> Component {
    let created_at = at(i64::try_from(n).unwrap());
    let hold =
        |a: Asked| Held { person: person(n), key: a.key, verified: a.verified, first_seen_at: created_at };
    Component {
        members: vec![Member { person: person(n), created_at }],
        identities: event(words).into_iter().map(hold).collect(),
    }
}

fn run(words: &str, facts: &[Component]) -> Plan {
    resolve(&event(words), facts, Assertion::FirstParty, MergeMode::Safe)
}

#[test]
fn step_3_no_match_makes_a_person_with_everything() {
    let plan = run("email:a phone:1 device_id:d", &[]);
    assert_eq!(plan.target, Target::New);
    assert_eq!(plan.attach, [0, 1, 2]);
    assert!(plan.matched.is_empty() && plan.dropped.is_empty() && plan.candidates.is_empty());
}

#[test]
fn step_4_one_match_takes_the_rest() {
    let plan = run("email:a phone:1", &[known(1, "email:a")]);
    assert_eq!(plan.target, Target::Known(0));
    assert_eq!((plan.matched, plan.attach), (vec![0], vec![1]));
}

#[test]
fn step_4_second_user_id_drops_the_address_and_makes_a_new_person() {
    let plan = run("user_id:abc456 email:jane", &[known(1, "user_id:abc123 email:jane")]);
    assert_eq!(plan.target, Target::New);
    assert_eq!(plan.attach, [0]);
    assert_eq!(plan.dropped, [(1, DropRule::Limit)]);
}

#[test]
fn step_4_sixth_address_is_dropped_from_the_lowest_priority_up() {
    let full = known(1, "user_id:u email:a email:b email:c email:d email:e");
    let plan = run("user_id:u email:f", std::slice::from_ref(&full));
    assert_eq!((plan.target, plan.dropped), (Target::Known(0), vec![(1, DropRule::Limit)]));
    let plan = run("email:a email:f", &[full]);
    assert_eq!((plan.target, plan.matched), (Target::Known(0), vec![0]));
}

#[test]
fn step_4_an_event_alone_cannot_break_a_limit() {
    let plan = run("email:a email:b email:c email:d email:e email:f", &[]);
    assert_eq!((plan.target, plan.attach.len()), (Target::New, 5));
    assert_eq!(plan.dropped, [(5, DropRule::Limit)]);
}

#[test]
fn step_5_shared_identifier_merges_and_the_oldest_survives() {
    let facts = [known(2, "email:a"), known(1, "phone:1")];
    let plan = run("email:a phone:1 external:x", &[]);
    assert_eq!(plan.target, Target::New, "{plan:?}");
    let plan = run("email:a phone:1", &facts);
    assert_eq!(plan.target, Target::Merge(vec![1, 0]));
    assert_eq!(plan.matched, [0, 1]);
}

#[test]
fn step_5_unverified_phone_never_joins_different_addresses() {
    let facts = [known(1, "email:ann phone:1"), known(2, "email:bob")];
    let plan = run("email:bob phone:1", &facts);
    assert_eq!(plan.target, Target::Known(1));
    assert_eq!(plan.dropped, [(1, DropRule::SharedPhone)]);
    assert_eq!(plan.candidates.len(), 1);
    assert_eq!((plan.candidates[0].a, plan.candidates[0].b), (Some(1), 0));
    // Nor does it lend an unknown address to the other member of the household.
    let plan = run("email:carl phone:1", &facts);
    assert_eq!((plan.target, plan.attach), (Target::New, vec![0]));
    assert_eq!(plan.candidates[0].b, 0);
    // A proved phone does join.
    assert_eq!(run("email:bob !phone:1", &facts).target, Target::Merge(vec![0, 1]));
    // And a phone alone finds its holder.
    assert_eq!(run("phone:1", &facts).target, Target::Known(0));
}

#[test]
fn step_5_two_user_ids_third_party_and_mode_stop_a_merge() {
    let facts = [known(1, "user_id:u email:a"), known(2, "external:x email:b")];
    let both = "email:a email:b";
    assert_eq!(run(both, &facts).target, Target::Merge(vec![0, 1]));
    let third = resolve(&event(both), &facts, Assertion::ThirdParty, MergeMode::Safe);
    assert_eq!(third.target, Target::Known(0));
    assert_eq!(third.candidates[0].stopped_by, [StoppedBy::ThirdParty]);
    assert_eq!(third.dropped, [(1, DropRule::HeldByOther)]);
    let only = resolve(&event(both), &facts, Assertion::FirstParty, MergeMode::CandidatesOnly);
    assert_eq!(only.candidates[0].stopped_by, [StoppedBy::CandidatesOnly]);
    let off = resolve(&event(both), &facts, Assertion::FirstParty, MergeMode::Off);
    assert!(off.candidates.is_empty());
    let users = [known(1, "user_id:u email:a"), known(2, "user_id:v email:b")];
    let plan = run(both, &users);
    assert_eq!(plan.candidates[0].stopped_by, [StoppedBy::Limit, StoppedBy::UserIds]);
}

#[test]
fn step_5_best_identifier_decides_by_priority_then_proof_then_age() {
    let facts = [known(1, "external:x"), known(2, "email:a")];
    let third = |words: &str, facts: &[Component]| {
        resolve(&event(words), facts, Assertion::ThirdParty, MergeMode::Safe).target
    };
    assert_eq!(third("external:x email:a", &facts), Target::Known(1));
    let proved = [known(1, "email:a"), known(2, "!email:b")];
    assert_eq!(third("email:a email:b", &proved), Target::Known(1));
    let aged = [known(2, "email:a"), known(1, "email:b")];
    assert_eq!(third("email:a email:b", &aged), Target::Known(1));
}

#[test]
fn step_5_components_stay_bounded() {
    let mut large = known(1, "email:a");
    large.members = (1..=50).map(|n| Member { person: person(n), created_at: at(1) }).collect();
    let plan = run("email:a external:x", &[large, known(99, "external:x")]);
    assert_eq!(plan.candidates[0].stopped_by, [StoppedBy::ComponentSize]);
}

#[test]
fn devices_and_push_tokens_find_nobody() {
    let plan = run("device_id:d email:b", &[known(1, "device_id:d email:a")]);
    assert_eq!(plan.target, Target::New);
    assert_eq!(plan.attach, [0, 1]);
}

#[test]
fn step_6_survivor_is_the_oldest_then_the_smallest_id() {
    let (a, b, c) = (person(1), person(2), person(3));
    assert_eq!(survivor_of([(&c, at(5)), (&b, at(5)), (&a, at(6))]), Some(&b));
}

fn edge(a: usize, b: usize) -> Edge {
    Edge { a: person(a), b: person(b), at: at(i64::try_from(a + b).unwrap()) }
}

#[test]
fn undo_of_an_inner_merge_splits_only_its_component() {
    let all = [edge(1, 2), edge(2, 3), edge(3, 4), edge(8, 9)];
    assert_eq!(components(&all).len(), 2);
    let undone = [edge(1, 2), edge(3, 4), edge(8, 9)];
    let members: Vec<_> = components(&undone).into_iter().map(|j| j.members).collect();
    assert_eq!(members, [vec![person(1), person(2)], vec![person(3), person(4)], vec![person(8), person(9)]]);
    assert_eq!(components(&undone)[1].merged_at, at(7));
}

proptest! {
    #[test]
    fn rule_3_any_order_of_edges_gives_the_same_components(
        pairs in prop::collection::vec((0_usize..12, 0_usize..12), 0..20), seed in any::<u64>(),
    ) {
        let edges: Vec<_> = pairs.into_iter().filter(|(a, b)| a != b).map(|(a, b)| edge(a, b)).collect();
        let mut shuffled = edges.clone();
        let n = shuffled.len().max(1);
        for i in 0..shuffled.len() {
            shuffled.swap(i, (seed as usize).wrapping_mul(i + 7) % n);
        }
        prop_assert_eq!(components(&edges), components(&shuffled));
    }

    #[test]
    fn every_identifier_has_exactly_one_fate(
        words in prop::sample::subsequence(vec!["user_id:u", "email:a", "email:b", "phone:1", "phone:2", "external:x", "device_id:d"], 1..7),
        first in prop::sample::subsequence(vec!["user_id:u", "email:a", "phone:1", "external:y", "email:c"], 0..5),
        second in prop::sample::subsequence(vec!["user_id:v", "email:b", "phone:2", "external:x"], 0..4),
        third_party in any::<bool>(),
    ) {
        let facts = [known(1, &first.join(" ")), known(2, &second.join(" "))];
        let words = event(&words.join(" "));
        let assertion = if third_party { Assertion::ThirdParty } else { Assertion::FirstParty };
        let plan = resolve(&words, &facts, assertion, MergeMode::Safe);
        let mut fates: Vec<usize> = plan.attach.iter().chain(&plan.matched).copied().chain(plan.dropped.iter().map(|d| d.0)).collect();
        fates.sort_unstable();
        prop_assert_eq!(fates, (0..words.len()).collect::<Vec<_>>());
        // Rule 4: nothing that someone holds is attached to another person, but devices, which prove nothing.
        for i in &plan.attach {
            let key = &words[*i].key;
            prop_assert!(!key.kind.finds_people() || facts.iter().all(|c| c.identities.iter().all(|h| h.key != *key)));
        }
    }

    #[test]
    fn merges_keep_the_limits(
        words in prop::sample::subsequence(vec!["email:a", "email:f", "phone:1", "external:x"], 2..4),
        first in prop::sample::subsequence(vec!["email:a", "email:b", "email:c", "email:d"], 1..4),
        second in prop::sample::subsequence(vec!["email:f", "email:g", "email:h", "external:x"], 1..4),
    ) {
        let facts = [known(1, &first.join(" ")), known(2, &second.join(" "))];
        let words = event(&words.join(" "));
        let plan = resolve(&words, &facts, Assertion::FirstParty, MergeMode::Safe);
        let held = match &plan.target {
            Target::New => vec![],
            Target::Known(c) => vec![*c],
            Target::Merge(all) => all.clone(),
        };
        let keys = held.iter().flat_map(|c| facts[*c].identities.iter().map(|h| &h.key)).chain(plan.attach.iter().map(|i| &words[*i].key));
        prop_assert!(limit::holds(keys));
    }
}
