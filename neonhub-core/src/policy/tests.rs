use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Timestamp;

#[allow(clippy::needless_pass_by_value, reason = "so that cases can be written as literals")]
fn policy(name: &str, effect: Value, more: Value) -> Policy {
    let mut body = json!({
        "id": format!("pol_{:0>26}", name.bytes().filter(u8::is_ascii_digit).map(char::from).collect::<String>()),
        "name": name, "version": 1, "state": "active", "effect": effect, "reason": "a test",
    });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    serde_json::from_value(body).unwrap()
}

pub(super) fn at() -> Timestamp {
    Timestamp::from_millis(1_795_251_600_000)
}

fn decide(policies: Vec<Policy>, operation: &str, facts: &Value) -> Decision {
    PolicySet::new(policies).decide(operation, facts, at(), Verdict::Allow)
}

fn asks() -> Value {
    json!({ "do": "require_approval", "quorum": 2 })
}

#[test]
fn the_strongest_effect_wins_and_all_that_fired_are_told() {
    let all = [
        policy("a1", json!({ "do": "allow" }), json!({})),
        policy("l2", json!({ "do": "limit", "bucket": "b", "max": 5, "per_ms": 1000 }), json!({})),
        policy("r3", json!({ "do": "redact", "fields": ["email"] }), json!({})),
        policy("q4", asks(), json!({})),
        policy("d5", json!({ "do": "deny" }), json!({ "priority": -5 })),
        policy("n6", json!({ "do": "annotate" }), json!({ "priority": 100 })),
    ];
    let order = ["d5", "q4", "r3", "l2", "a1", "n6"];
    for skip in 0..order.len() {
        let left: Vec<Policy> =
            all.iter().filter(|p| !order[..skip].contains(&p.name.as_str())).cloned().collect();
        let decision = decide(left, "x.y", &json!({}));
        let fired: Vec<&str> = decision.fired().map(|r| r.policy.name.as_str()).collect();
        assert_eq!(fired, order[skip..], "strongest first");
        let expected = [
            Verdict::Deny,
            Verdict::RequireApproval,
            Verdict::Redact,
            Verdict::Limit,
            Verdict::Allow,
            Verdict::Allow,
        ];
        assert_eq!(decision.verdict, expected[skip], "{skip}");
    }
}

#[test]
fn unknown_denies_and_never_allows() {
    let when = json!({ "when": "input.amount > 5" });
    let deny = decide(vec![policy("d1", json!({ "do": "deny" }), when.clone())], "x", &json!({}));
    assert_eq!(deny.verdict, Verdict::Deny);
    let set = PolicySet::new([policy("a1", json!({ "do": "allow" }), when.clone())]);
    let open = set.decide("x", &json!({}), at(), Verdict::RequireApproval);
    assert_eq!((open.verdict, open.by_default), (Verdict::RequireApproval, true));
    let known = set.decide("x", &json!({ "input": { "amount": 6 } }), at(), Verdict::RequireApproval);
    assert_eq!((known.verdict, known.by_default), (Verdict::Allow, false));
}

#[test]
fn conditions_that_share_facts_judge_as_each_alone() {
    let conditions = [
        "input.a > 1 and input.b in [1, 2]",
        "input.b > 1 or input.a == 2",
        "not has(input.c) and input.a.x == 1",
        "input.c == 1",
        r#""owner" in roles and input.b == 1"#,
    ];
    let named = |(n, when): (usize, &&str)| {
        policy(&format!("c{n}"), json!({ "do": "annotate" }), json!({ "when": when }))
    };
    let set = PolicySet::new(conditions.iter().enumerate().map(named));
    for facts in [
        json!({ "input": { "a": 2, "b": 1 }, "roles": ["owner"] }),
        json!({ "input": { "a": 1, "b": 2, "c": 1 }, "roles": [] }),
        json!({ "input": { "a": { "x": 1 } } }),
    ] {
        let together = set.decide("x", &facts, at(), Verdict::Allow);
        for (rule, condition) in together.rules.iter().zip(conditions) {
            let alone = expr::Expr::compile(condition).unwrap().judge(&facts);
            assert_eq!(rule.fault.is_some(), alone.is_err(), "{condition} of {facts}");
            assert_eq!(rule.truth, alone.unwrap_or(Truth::Unknown), "{condition} of {facts}");
        }
    }
}

#[test]
fn what_cannot_be_judged_refuses() {
    let allow = policy("a1", json!({ "do": "allow" }), json!({ "when": "input.n > 5" }));
    let decision = decide(vec![allow.clone()], "x", &json!({ "input": { "n": "six" } }));
    assert_eq!((decision.verdict, decision.failed), (Verdict::Deny, true));
    // A stored condition that this build cannot read counts as a refusal within its scope.
    let broken = Policy { when: "no_such_fact == 1".into(), ..allow };
    let scoped =
        Policy { scope: PolicyScope { operations: vec!["x.*".into()], ..Default::default() }, ..broken };
    assert_eq!(decide(vec![scoped.clone()], "x.y", &json!({})).verdict, Verdict::Deny);
    assert_eq!(decide(vec![scoped], "y.x", &json!({})).verdict, Verdict::Allow);
}

#[test]
fn scopes_leave_out_what_they_do_not_name() {
    let scope = json!({ "scope": { "operations": ["a.*", "b.get"], "roles": ["member"], "agents": ["cam*"],
        "channels": ["sms"], "regions": ["eu"] } });
    let set = PolicySet::new([policy("d1", json!({ "do": "deny" }), scope)]);
    let fits =
        json!({ "roles": ["viewer", "member"], "agent": "campaign", "channel": "sms", "region": "eu" });
    let verdict = |operation: &str, facts: &Value| set.decide(operation, facts, at(), Verdict::Allow).verdict;
    assert_eq!(verdict("a.b.c", &fits), Verdict::Deny);
    assert_eq!(verdict("b.get", &fits), Verdict::Deny);
    assert_eq!(verdict("b.set", &fits), Verdict::Allow);
    for name in ["roles", "agent", "channel", "region"] {
        let mut facts = fits.clone();
        facts.as_object_mut().unwrap().remove(name);
        assert_eq!(verdict("a.b", &facts), Verdict::Allow, "without {name}");
    }
}

#[test]
fn policies_hold_in_their_time() {
    let span = json!({ "valid_from": 1_795_251_600_000_i64, "valid_to": 1_795_251_600_010_i64 });
    let set = PolicySet::new([policy("d1", json!({ "do": "deny" }), span)]);
    let at = |ms| set.decide("x", &json!({}), Timestamp::from_millis(ms), Verdict::Allow).verdict;
    assert_eq!(at(1_795_251_599_999), Verdict::Allow);
    assert_eq!(at(1_795_251_600_000), Verdict::Deny);
    assert_eq!(at(1_795_251_600_010), Verdict::Allow);
}

#[test]
fn a_call_hears_the_policies_of_its_operation_each_once() {
    let of_room = |n: usize| {
        let more = json!({ "scope": { "operations": [format!("room{}.*", n % 20)] }, "when": "input.n > 5" });
        policy(&format!("p{n}"), json!({ "do": "deny" }), more)
    };
    let set = PolicySet::new((0..200).map(of_room));
    let decide = |operation: &str| {
        set::work::take();
        let decision = set.decide(operation, &json!({ "input": { "n": 1 } }), at(), Verdict::Allow);
        assert!(decision.by_default);
        set::work::take()
    };
    assert_eq!(decide("room3.get"), (10, 200), "scopes are matched once for each operation");
    assert_eq!(decide("room3.get"), (10, 0), "and then remembered");
    assert_eq!((decide("shop.get"), decide("shop.get")), ((0, 200), (0, 0)));
    let all = PolicySet::new((0..200).map(|n| policy(&format!("p{n}"), json!({ "do": "deny" }), json!({}))));
    let decision = all.decide("x.y", &json!({}), at(), Verdict::Allow);
    assert_eq!((set::work::take(), decision.rules.len()), ((200, 200), 200));
}

#[test]
fn globs_fit_as_people_expect() {
    for (pattern, word, fits) in [
        ("*", "", true),
        ("a.*", "a.b.c", true),
        ("a.*", "ab", false),
        ("*.get", "x.y.get", true),
        ("a*b*c", "aXbYc", true),
        ("a*b*c", "aXcYb", false),
        ("", "a", false),
        ("a**", "a", true),
        ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
    ] {
        assert_eq!(set::glob(pattern, word), fits, "{pattern} {word}");
    }
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let effects = prop_oneof![
        Just(json!({ "do": "allow" })),
        Just(json!({ "do": "deny" })),
        Just(asks()),
        Just(json!({ "do": "redact", "fields": ["a"] })),
        Just(json!({ "do": "annotate" })),
    ];
    let conditions =
        prop::sample::select(vec!["", "input.a == 1", "input.a == 2", "input.b == 1", "input.a > \"x\""]);
    (0_u32..6, effects, conditions, -2_i32..2, 1_u32..3).prop_map(|(n, effect, when, priority, version)| {
        policy(
            &format!("p{n}"),
            effect,
            json!({ "when": when, "priority": priority, "version": version,
            "id": format!("pol_{:0>26}", n * 10 + version) }),
        )
    })
}

proptest! {
    #[test]
    fn the_order_of_storage_does_not_matter(
        policies in prop::collection::vec(any_policy(), 0..12), seed in any::<u64>(),
    ) {
        let mut seen = std::collections::BTreeSet::new();
        let policies: Vec<Policy> = policies.into_iter().filter(|p| seen.insert(p.id.clone())).collect();
        let facts = json!({ "input": { "a": 1 } });
        let mut turned = policies.clone();
        let mut rng = crate::Seed::from_number(seed).rng();
        for n in (1..turned.len()).rev() {
            let other = usize::try_from(rng.below(n as u64 + 1)).unwrap();
            turned.swap(n, other);
        }
        prop_assert_eq!(decide(policies, "x.y", &facts), decide(turned, "x.y", &facts));
    }
}
