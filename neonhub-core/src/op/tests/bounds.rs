//! Bad input is refused by path and bound.

use super::*;

async fn refused(cx: &Scope, input: Value) -> (String, String) {
    let error = cx.call_by_name("marks.write", input, CallOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let fault = &error.field_faults()[0];
    (fault.field.clone(), fault.message.clone())
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test]
async fn bad_input_is_named_by_path_and_bound_and_what_is_just_within_passes() {
    let cx = open().await;
    let run = |input: Value| cx.call_by_name("marks.write", input, CallOptions::new());
    // The number in the middle is at the 64th level: `list`, its item, and 62 below.
    run(json!({ "list": [nested(62)] })).await.unwrap();
    let (path, bound) = refused(&cx, json!({ "list": [nested(63)] })).await;
    assert!(path.starts_with("list[0][0]") && bound.contains("64"), "{path}: {bound}");
    run(json!({ "list": vec![1; 10_000] })).await.unwrap();
    let (path, bound) = refused(&cx, json!({ "list": vec![1; 10_001] })).await;
    assert_eq!((path.as_str(), bound.as_str()), ("list", "expected at most 10 000 items"));
    let many: serde_json::Map<String, Value> = (0..10_001).map(|n| (n.to_string(), json!(1))).collect();
    let (path, bound) = refused(&cx, json!({ "list": [many] })).await;
    assert_eq!((path.as_str(), bound.as_str()), ("list[0]", "expected at most 10 000 members"));
    let (path, bound) = refused(&cx, json!({ "list": [1, { "a": "b\0c" }] })).await;
    assert_eq!((path.as_str(), bound.as_str()), ("list[1].a", "expected text without NUL"));
    let (path, bound) = refused(&cx, json!({ "list": [{ "a\0": 1 }] })).await;
    assert_eq!((path.as_str(), bound.as_str()), ("list[0]", "expected names without NUL"));
    let fits = (1 << 20) - 200;
    run(json!({ "address": "x".repeat(fits) })).await.unwrap();
    let (_, bound) = refused(&cx, json!({ "address": "x".repeat(1 << 20) })).await;
    assert!(bound.contains("1048576 bytes"), "{bound}");
    for at in [json!(-1), json!(253_402_300_800_000_i64), json!(1e300), json!("2026-01-01")] {
        let (path, _) = refused(&cx, json!({ "at": at })).await;
        assert_eq!(path, "at");
    }
    for at in [0, 253_402_300_799_999_i64] {
        run(json!({ "at": at })).await.unwrap();
    }
    // JSON text has neither NaN nor lone surrogates: a reader refuses them before there is a value at all.
    for text in ["{\"number\": NaN}", "{\"number\": 1e999}", "{\"address\": \"\\ud800\"}"] {
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn typed_calls_keep_to_what_json_cannot_say() {
    let cx = open().await;
    let plain = Write::default;
    let deep = |levels| Write { list: vec![nested(levels)], ..plain() };
    for (input, path, bound) in [
        (Write { number: f64::NAN, ..plain() }, "number", "finite"),
        (Write { number: f64::NEG_INFINITY, ..plain() }, "number", "finite"),
        (Write { address: "a\0".into(), ..plain() }, "address", "NUL"),
        (Write { list: vec![json!(1), json!({ "a": ["\0"] })], ..plain() }, "list[1].a[0]", "NUL"),
        (deep(80), "list[0]", "64"),
    ] {
        let error: Error = cx.call(input).await.unwrap_err();
        let fault = &error.field_faults()[0];
        assert!(fault.field.starts_with(path) && fault.message.contains(bound), "{error}");
    }
    cx.call(deep(60)).await.unwrap();
    assert_eq!(marks(&cx).await, 1);
}
