use serde_json::json;

use super::*;
use crate::llm::{Message, OfflineTemplate, Part, PartBody, Role, Source};

mod suite {
    use crate::llm::{Llm, Offline};
    use std::sync::Arc;

    async fn open(_case: &str) -> crate::Result<Arc<dyn Llm>> {
        Ok(Arc::new(Offline::new()))
    }
    crate::llm_conformance!(open);
}

async fn refusal(request: LlmRequest) -> Error {
    Offline::new().complete(request).await.unwrap_err()
}

#[tokio::test]
async fn what_only_a_model_can_do_is_refused_with_the_cure() {
    let image = PartBody::Image { mime: "image/png".into(), blob: "00".into() };
    for request in [
        LlmRequest::new().user("Write me a poem about rain."),
        LlmRequest::new().user("Translate 'tea' to Japanese."),
        LlmRequest::new().message(Message::new(Role::User, vec![image.into()])),
    ] {
        let err = refusal(request).await;
        assert_eq!(err.kind(), ErrorKind::Unsupported);
        assert!(err.message().contains("configure a provider"), "{err}");
    }
    let other = refusal(LlmRequest::new().user("hi").model("some-model")).await;
    assert_eq!(other.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn answers_are_marked_offline_and_free_of_surprises() {
    let request = LlmRequest::new()
        .offline(OfflineTemplate::new("{{ pick(['a', 'b', 'c']) }} {{ x }}", json!({"x": "end"})))
        .seed(11);
    let a = Offline::new().complete(request.clone()).await.unwrap();
    let b = Offline::new().complete(request.clone()).await.unwrap();
    assert_eq!(serde_json::to_vec(&a).unwrap(), serde_json::to_vec(&b).unwrap());
    assert!(a.is_offline());
    assert_eq!((a.provider.as_str(), a.model.as_str()), ("offline", "offline-rules-1"));
    assert!(a.usage.total() > 0 && !a.usage.exact);
}

/// Golden answer: it may change only together with the number of the model.
#[tokio::test]
async fn the_same_request_gives_the_same_bytes_forever() {
    let template =
        "{{ pick(['New', 'Fresh', 'Just in', 'Here']) }}: {{ product }}{{ pick(['!', '.', ' today']) }}";
    let task = OfflineTemplate::new(template, json!({"product": "Sencha"})).variants(3);
    let answer = Offline::new().complete(LlmRequest::new().offline(task).seed(2026)).await.unwrap();
    assert_eq!(answer.variants, GOLDEN);
    assert_eq!(answer.text, answer.variants[0]);
}

const GOLDEN: [&str; 3] = ["New: Sencha!", "Fresh: Sencha.", "Just in: Sencha today"];

#[tokio::test]
async fn stop_and_limit_cut_the_text() {
    let of = |n: Option<u32>, stop: &str| {
        let mut request =
            LlmRequest::new().offline(OfflineTemplate::new("one two three four five six", json!({})));
        request.max_output_tokens = n;
        request.stop = vec![stop.to_owned()];
        async move { Offline::new().complete(request).await }
    };
    let stopped = of(None, " three").await.unwrap();
    assert_eq!((stopped.text.as_str(), stopped.stop), ("one two", StopKind::Done));
    let cut = of(Some(2), "never").await.unwrap();
    assert_eq!((cut.text.as_str(), cut.stop), ("one tw", StopKind::Length));
}

#[tokio::test]
async fn every_task_answers_from_a_long_page() {
    let page =
        "Green tea is picked in spring. It keeps for a year in a dark tin. Returns are free for 30 days. "
            .repeat(40);
    let variants = OfflineTemplate::new(
        "{{ pick(['a b c', 'd e f']) }} {{ text }} {{ pick(['x', 'y', 'z']) }}",
        json!({"text": page}),
    )
    .variants(5);
    let tasks: Vec<LlmRequest> = vec![
        LlmRequest::new().offline(variants),
        LlmRequest::new().user(page.clone()).offline(OfflineTask::Summarize { sentences: 5 }),
        LlmRequest::new().user(page.clone()).offline(OfflineTask::KeyPhrases { count: 10 }),
        LlmRequest::new().user("are returns free?").context(Part::retrieved(page.clone(), Source::new("c"))),
    ];
    for request in tasks {
        let answer = Offline::new().complete(request).await.unwrap();
        assert!(!answer.text.trim().is_empty() && answer.text.len() < 6 * page.len());
    }
}
