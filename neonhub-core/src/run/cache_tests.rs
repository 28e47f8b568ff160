//! Where the prefix of a run's requests may be cached.

use super::*;
use crate::Secret;
use crate::llm::{Provider, ToolSpec};
use crate::testing::provider::ProviderMock;

#[tokio::test]
async fn a_provider_is_told_where_the_prefix_of_a_request_of_a_run_ends() {
    let mock = ProviderMock::start().await.unwrap();
    mock.reply_always("hello");
    let provider = Provider::builder("anthropic").base_url(mock.base_url("anthropic"));
    let provider = provider.api_key(Secret::new("key")).model("claude-sonnet-5").build().unwrap();
    let (_hub, cx, _) = open().await;
    cx.hub().add_model(Arc::new(provider));
    let tool = ToolSpec {
        name: "notes.add".into(),
        doc: "Adds a note.".into(),
        input_schema: json!({ "type": "object", "properties": {} }),
    };
    let request = LlmRequest::new().system("be brief").tool(tool).user("hello?");
    let asked = [Command::model("m", request.clone())];
    let view = Driver::new(Steps::default()).execute(&cx, new(&asked)).await.unwrap();
    assert_eq!(view.run.status, RunStatus::Completed, "{:?}", view.run.failure);
    let body = &mock.seen()[0].body;
    let mark = json!({ "type": "ephemeral" });
    for part in ["/tools/0", "/system/0", "/messages/0/content/0"] {
        assert_eq!(body.pointer(part).unwrap()["cache_control"], mark, "{part} of {body}");
    }
    // The log and the key of a recorded answer are those of the request without the marks.
    let log = load_log(&cx, &view.run.id).await.unwrap();
    let planned = log.iter().find_map(|entry| match &entry.what {
        What::ModelPlanned { request, .. } => Some(request.as_ref().clone()),
        _ => None,
    });
    assert_eq!(planned.unwrap(), request);
    assert_eq!(request.clone().cached().hash().unwrap(), request.hash().unwrap());
}

#[test]
fn no_more_marks_than_a_request_may_hold_and_none_on_the_words_of_the_model() {
    use crate::llm::{CacheHint, Message};
    let talk = ["a", "b", "c"].iter().fold(LlmRequest::new().system("s"), |request, said| {
        request.user(*said).message(Message::assistant("so"))
    });
    let marks = talk.user("d").cached().cache_hints;
    assert_eq!(marks, [CacheHint::System, CacheHint::Message(6), CacheHint::Message(4)]);
}
