//! Runs whose models are behind a cassette.

use super::*;
use crate::llm::{Cassette, CassetteMode, Llm, Route, Router};

/// A run about a person that asks one thing; gives the answer.
async fn ask(cx: &Scope, person: &str, question: &str) -> String {
    let asked = Command::model("m", LlmRequest::new().user(question));
    let view = Driver::new(Steps::default()).execute(cx, new(&[asked]).person(person)).await.unwrap();
    view.output[0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_runs_asked_about_a_person_is_erased_from_the_tape() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tape.json");
    let (hub, cx, _) = open().await;
    hub.add_model(Arc::new(Scripted::new().reply("red").reply("blue")));
    let cassette = Cassette::for_hub(&path, CassetteMode::Auto).unwrap();
    hub.insert_cassette(Some(cassette.clone()));
    for _ in 0..2 {
        assert_eq!(ask(&cx, "per_1", "a colour for her?").await, "red");
        assert_eq!(ask(&cx, "per_2", "a colour for him?").await, "blue");
    }
    assert_eq!(cassette.erase_person("per_1").unwrap(), 1);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("blue") && !text.contains("red") && !text.contains("for her"), "{text}");
}

#[tokio::test]
async fn a_tape_stands_before_the_router_and_asks_no_provider() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tape.json");
    let script: Arc<dyn Llm> = Arc::new(Scripted::new().reply("routed"));
    let recorder = Cassette::open(&path, CassetteMode::Record, Some(script)).unwrap();
    recorder.complete(LlmRequest::new().user("x")).await.unwrap();
    let router = Router::new().route(Route::new("default").offline_last());
    let hub = base().store("memory:").service(Arc::new(router)).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    hub.insert_cassette(Some(Cassette::for_hub(&path, CassetteMode::Replay).unwrap()));
    assert_eq!(ask(&cx, "per_1", "x").await, "routed");
    hub.insert_cassette(None);
    assert_ne!(ask(&cx, "per_1", "x").await, "routed");
}
