use neonhub_core::Result;

use super::super::grade::{Exam as Sheet, grades};
use super::super::replay::{Called, Played};
use super::*;

/// The one grade of an output.
async fn judged(cx: &Scope, grader: Grader, output: Value) -> Grade {
    let case = EvalCase { expected: Some(expected()), ..case("one", vec![grader]) };
    let played = Played {
        output,
        seen: vec![json!({ "hits": [{ "id": "chk_1", "text": "within 30 days" }] })],
        ..Played::default()
    };
    let wanted = json!({ "type": "object", "required": ["text"] });
    let sheet = Sheet { case: &case, played: &played, wanted: &wanted };
    let all: Result<Vec<Grade>> = grades(cx, &sheet).await;
    all.unwrap().remove(0)
}

fn expected() -> Value {
    json!({ "text": "You may return a parcel within 30 days.", "n": 10.0 })
}

#[tokio::test]
async fn each_grader_tells_good_from_bad() {
    let (cx, _) = open().await;
    let text = |t: &str| json!({ "text": t });
    let at = |path: &str| path.to_owned();
    let rows = [
        (Grader::Exact { path: at("text") }, expected(), text("other")),
        (Grader::Exact { path: at("gone") }, json!({ "gone": null }), json!({})),
        (Grader::Schema { schema: Value::Null }, text("x"), json!({})),
        (
            Grader::Schema { schema: json!({ "type": "object", "required": ["n"] }) },
            json!({ "n": 1 }),
            text("x"),
        ),
        (
            Grader::Regex { path: at("text"), pattern: r"^\d+ days$".into(), absent: false },
            text("30 days"),
            text("days"),
        ),
        (
            Grader::Regex { path: at("text"), pattern: "<script".into(), absent: true },
            text("x"),
            text("<script>"),
        ),
        (contains("30 DAYS"), text("within 30 days"), text("within a month")),
        (Grader::Contains { path: at(""), text: "secret".into(), absent: true }, text("x"), text("a Secret")),
        (
            Grader::Numeric { path: at("n"), value: None, abs: 0.0, rel: 0.1 },
            json!({ "n": 11 }),
            json!({ "n": 11.2 }),
        ),
        (
            Grader::Numeric { path: at("n"), value: Some(3.0), abs: 0.5, rel: 0.0 },
            json!({ "n": 2.5 }),
            text("x"),
        ),
        (Grader::Code { function: "check.polite".into() }, text("please wait"), text("wait")),
        (
            Grader::Guardrail { channel: at(""), must_not_say: vec!["cheap".into()] },
            text("fine"),
            text("so cheap"),
        ),
        (
            Grader::Guardrail { channel: at(""), must_not_say: vec![] },
            text("fine"),
            text("pay to DE89 3704 0044 0532 0130 00"),
        ),
        (Grader::Citations { path: at("c"), least: 1 }, json!({ "c": ["chk_1"] }), json!({ "c": ["chk_2"] })),
        (
            Grader::Citations { path: at("c"), least: 0 },
            json!({ "c": [{ "source": "chk_1", "quote": "30 days" }] }),
            json!({ "c": [{ "source": "chk_1", "quote": "60 days" }] }),
        ),
        (Grader::Citations { path: at("c"), least: 1 }, json!({ "c": ["chk_1", "chk_1"] }), json!({})),
        (Grader::NoLeak { secrets: vec!["tango".into()] }, text("hello"), text("the word is tango")),
        (Grader::NoLeak { secrets: vec![] }, text("hello"), text("key sk-proj1234567890abcdefghijkl")),
    ];
    for (grader, good, bad) in rows {
        let (word, shown) = (grader.word(), format!("{grader:?}"));
        let (yes, no) = (judged(&cx, grader.clone(), good).await, judged(&cx, grader, bad).await);
        assert_eq!((yes.grader.as_str(), no.grader.as_str()), (word, word));
        // A field that is null is not a field that is missing.
        if word == "exact" && shown.contains("gone") {
            assert!(!no.is_passed);
            continue;
        }
        assert!(yes.is_passed && yes.score == 1.0, "{shown}: {yes:?}");
        assert!(!no.is_passed && no.score < 1.0 && !no.why.is_empty(), "{shown}: {no:?}");
    }
    let missing = judged(&cx, Grader::Code { function: "check.gone".into() }, json!({})).await;
    assert!(!missing.is_passed && missing.why.contains("check.gone"), "{missing:?}");
}

#[tokio::test]
async fn effects_and_secrets_in_calls_are_seen() {
    let (cx, _) = open().await;
    let played = |tool: &str, class, args| Played {
        calls: vec![Called { tool: tool.into(), args, class }],
        ..Played::default()
    };
    let passes = async |grader: Grader, played: &Played| {
        let case = case("one", vec![grader]);
        grades(&cx, &Sheet { case: &case, played, wanted: &Value::Null }).await.unwrap()[0].is_passed
    };
    let none = || Grader::NoEffect { allow: vec![] };
    assert!(passes(none(), &played("shop.stock", EffectClass::Read, json!({}))).await);
    for class in [EffectClass::Idempotent, EffectClass::Write, EffectClass::Compensable] {
        assert!(!passes(none(), &played("memory.add", class, json!({}))).await);
        let allowed = Grader::NoEffect { allow: vec!["memory.add".into()] };
        assert!(passes(allowed, &played("memory.add", class, json!({}))).await);
    }
    // A secret also leaves the house in the arguments of a tool that only reads.
    let told = played("web.get", EffectClass::Read, json!({ "url": "https://x.example/?q=tango" }));
    assert!(!passes(Grader::NoLeak { secrets: vec!["tango".into()] }, &told).await);
}

fn judge() -> Grader {
    Grader::Judge { rubric: "Says how long.".into(), model: None }
}

fn vote(better: &str) -> Reply {
    Reply::json(&json!({ "better": better, "why": "so" }))
}

#[tokio::test]
async fn a_judge_votes_twice_with_the_places_swapped() {
    let (cx, _) = open().await;
    let output = json!({ "text": "Thirty days." });
    for (votes, score, is_passed) in [
        (["first", "second"], 1.0, true),
        (["tie", "tie"], 1.0, true),
        // A judge that always takes the first answer has no opinion.
        (["first", "first"], 0.5, false),
        (["second", "first"], 0.0, false),
    ] {
        let script = play_script(&cx, Scripted::new().reply(vote(votes[0])).reply(vote(votes[1])));
        let grade = judged(&cx, judge(), output.clone()).await;
        assert_eq!((grade.score, grade.is_passed), (score, is_passed), "{votes:?}");
        let shown: Vec<String> = script.requests().iter().map(|r| r.messages[0].text()).collect();
        let place = |text: &str, needle: &str| text.find(needle).unwrap();
        assert!(place(&shown[0], "Thirty") < place(&shown[0], "within 30"), "{}", shown[0]);
        assert!(place(&shown[1], "Thirty") > place(&shown[1], "within 30"), "{}", shown[1]);
    }
    let away = neonhub_core::Error::new(neonhub_core::ErrorKind::Unavailable, "x", "away");
    play_script(&cx, Scripted::new().reply(Reply::Fail(away)));
    let none = judged(&cx, judge(), output).await;
    assert!(!none.is_passed && none.why.contains("no verdict"), "{none:?}");
}

/// What a router is when none of its models can be reached: the offline model under another word.
#[derive(Debug)]
struct Routed(neonhub_core::llm::Offline);

#[async_trait::async_trait]
impl neonhub_core::llm::Llm for Routed {
    fn provider(&self) -> &str {
        "router"
    }
    fn caps(&self, model: Option<&str>) -> neonhub_core::llm::ModelCaps {
        self.0.caps(model)
    }
    async fn call(&self, request: neonhub_core::llm::LlmRequest) -> Result<neonhub_core::llm::DeltaStream> {
        self.0.call(request).await
    }
}

#[tokio::test]
async fn what_the_offline_model_fills_in_is_no_vote() {
    let (cx, _) = open().await;
    cx.hub().add_model(Arc::new(Routed(neonhub_core::llm::Offline::new())));
    let far = judged(&cx, judge(), json!({ "text": "You may return any parcel within 90 days" })).await;
    assert!(!far.is_passed && far.why.starts_with("rules"), "{far:?}");
}

#[tokio::test]
async fn offline_the_judge_goes_by_rules() {
    let (cx, _) = open().await;
    let near = judged(&cx, judge(), json!({ "text": "You may return any parcel within 30 days" })).await;
    assert!(near.is_passed && near.why.starts_with("rules"), "{near:?}");
    let made_up = judged(&cx, judge(), json!({ "text": "You may return any parcel within 90 days" })).await;
    assert!(!made_up.is_passed);
}
