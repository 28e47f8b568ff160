use proptest::prelude::*;
use serde_json::json;

use super::*;

fn judge(source: &str, facts: &Value) -> Truth {
    Expr::compile(source).unwrap_or_else(|f| panic!("{source}: {f}")).judge(facts).unwrap()
}

#[test]
fn conditions_judge_facts() {
    let facts = json!({
        "operation": "campaigns.launch", "roles": ["member", "editor"], "now": 1_795_251_600_000_i64,
        "input": { "budget": { "minor": 50_000, "currency": "EUR" }, "n": 3, "name": "Winter", "tags": ["a", "b"],
            "at": "2026-11-21T09:00:00Z", "live": true },
    });
    for source in [
        "",
        r#"operation == "campaigns.launch""#,
        r#"operation starts_with "campaigns." and not ("admin" in roles)"#,
        r#"input.budget >= money("500", "EUR") and input.budget < money("500.01", "EUR")"#,
        r#"input.n in [1, 2, 3] and input.n not in [4]"#,
        r#"lower(input.name) contains "wint" and length(input.name) == 6"#,
        r#"["a"] subset_of input.tags and input.tags intersects ["b", "z"]"#,
        r#"union(input.tags, ["c"]) == ["c", "b", "a"] and common(input.tags, ["b"]) == ["b"]"#,
        r#"minus(input.tags, ["a"]) == ["b"]"#,
        r#"input.at == instant("2026-11-21T10:00:00+01:00")"#,
        r#"hour(input.at, "Europe/Vienna") == 10 and weekday(input.at, "Europe/Vienna") == "sat""#,
        r#"day(input.at, "Asia/Tokyo") == "2026-11-21" and input.at > date("2026-11-21", "Europe/Vienna")"#,
        "days_between(input.at, input.at) == 0",
        "input.live and not has(input.dead)",
        r#"now > instant("2026-01-01T00:00:00Z")"#,
        r#"input.name == "Win\"ter" or input.name ends_with "ter""#,
    ] {
        assert_eq!(judge(source, &facts), Truth::True, "{source}");
    }
    assert_eq!(judge("input.n != 3", &facts), Truth::False);
}

#[test]
fn what_is_missing_is_unknown() {
    let facts = json!({ "input": { "a": 1, "gone": null } });
    for (source, expected) in [
        ("input.b > 1", Truth::Unknown),
        ("not input.b > 1", Truth::Unknown),
        ("input.b > 1 and input.a == 2", Truth::False),
        ("input.b > 1 or input.a == 1", Truth::True),
        ("input.b > 1 and input.a == 1", Truth::Unknown),
        ("input.b > 1 or input.a == 2", Truth::Unknown),
        ("input.gone == 1", Truth::Unknown),
        ("has(input.gone)", Truth::False),
        ("lower(input.b) in [\"x\"]", Truth::Unknown),
        ("channel == \"sms\"", Truth::Unknown),
    ] {
        assert_eq!(judge(source, &facts), expected, "{source}");
    }
}

#[test]
fn faults_are_named_with_their_position() {
    for (source, position, word) in [
        ("operaton == \"x\"", 1, "operation"),
        ("operation == 5", 11, "text with a number"),
        ("operation = 5", 11, "no meaning"),
        ("not \"x\"", 5, "a comparison"),
        ("(operation == \"x\"", 18, "`)`"),
        ("operation == \"x", 14, "closing quote"),
        ("input.a in 5", 9, "a number"),
        ("hour(now, \"Mars/Olympus\") > 1", 11, "IANA"),
        ("money(\"1.005\", \"EUR\") > input.a", 7, "2 decimals"),
        ("money(\"1\", \"EURO\") > input.a", 12, "ISO 4217"),
        ("date(\"2026-02-30\", \"Etc/UTC\") < now", 6, "2026-11-21"),
        ("system(\"rm\")", 1, "no function"),
        ("roles < [1]", 7, "a set"),
        ("input.a == 1 operation", 14, "found `operation`"),
        ("", 0, ""),
    ] {
        if position == 0 {
            continue;
        }
        let fault = Expr::compile(source).unwrap_err();
        assert_eq!(fault.position, position, "{source}: {fault}");
        assert!(fault.message.contains(word), "{source}: {fault}");
    }
    assert!(Expr::compile(&"(".repeat(4000)).unwrap_err().message.contains("32 levels"));
    assert!(Expr::compile(&"not ".repeat(1000)).unwrap_err().message.contains("32 levels"));
    assert!(Expr::compile(&" ".repeat(5000)).is_err());
}

#[test]
fn values_of_the_open_part_that_do_not_fit_are_faults() {
    let facts = json!({ "input": { "text": "x", "usd": { "minor": 1, "currency": "USD" }, "o": {} } });
    for source in ["input.text > 1", "input.usd > money(\"1\", \"EUR\")", "input.o == 1", "input.text"] {
        assert!(Expr::compile(source).unwrap().judge(&facts).is_err(), "{source}");
    }
    // Both parts are judged: a fault does not hide behind the order of an `or`.
    assert!(Expr::compile("input.text == \"x\" or input.text > 1").unwrap().judge(&facts).is_err());
}

fn truths() -> impl Strategy<Value = (&'static str, Truth)> {
    prop_oneof![
        Just(("input.a == 1", Truth::True)),
        Just(("input.a == 2", Truth::False)),
        Just(("input.b == 1", Truth::Unknown)),
    ]
}

proptest! {
    #[test]
    fn reading_never_panics(source in "\\PC{0,60}") {
        let _ = Expr::compile(&source);
    }

    #[test]
    fn words_in_any_order_never_panic(words in prop::collection::vec(prop::sample::select(vec![
        "not", "and", "or", "(", ")", "[", "]", ",", ".", "==", "<", "in", "has", "input", "now", "\"x\"", "1",
        "money", "lower", "roles", "hour",
    ]), 0..14)) {
        if let Ok(expr) = Expr::compile(&words.join(" ")) {
            let _ = expr.judge(&json!({ "input": 1, "now": 5, "roles": ["x"] }));
        }
    }

    #[test]
    fn de_morgan_holds_with_unknowns(a in truths(), b in truths()) {
        let facts = json!({ "input": { "a": 1 } });
        let left = format!("not ({} and {})", a.0, b.0);
        let right = format!("not {} or not {}", a.0, b.0);
        prop_assert_eq!(judge(&left, &facts), judge(&right, &facts));
        prop_assert_eq!(judge(a.0, &facts), a.1);
    }
}
