use std::sync::Arc;

use futures_util::FutureExt as _;
use neonhub_core::ErrorKind;
use serde_json::json;

use super::*;
use crate::host::{HOST_ERROR, raised};

fn settings() -> ModelSettings {
    serde_json::from_value(json!({ "provider": "house", "tools": true, "json_schema": true })).unwrap()
}

fn model(answer: impl Fn(Value) -> Result<Value> + Send + Sync + 'static) -> HostModel {
    HostModel::new(settings(), Arc::new(move |request| std::future::ready(answer(request)).boxed())).unwrap()
}

mod suite {
    use super::*;

    /// A host function that plays what the suite asks for.
    async fn open(_case: &str) -> Result<Arc<dyn Llm>> {
        Ok(Arc::new(model(|request| {
            let text = request["messages"].to_string();
            if request.get("output_schema").is_some() {
                return Ok(json!({ "json": { "product": "Sencha", "price": 12 } }));
            }
            Ok(match (request.get("tools").is_some(), text.contains("sunny")) {
                (true, false) => {
                    json!({ "tool_calls": [{ "id": "w1", "name": "weather.get", "args": { "city": "Vienna" } }] })
                }
                (true, true) => json!("it is sunny in Vienna"),
                _ => json!("hello from the host"),
            })
        })))
    }
    neonhub_core::llm_conformance!(open);
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_corrupted() {
    for garbage in [json!(7), json!(null), json!(["x"]), json!({ "words": "x" })] {
        let model = model(move |_| Ok(garbage.clone()));
        let error = model.complete(LlmRequest::new().user("hi")).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupted, "host_answer"));
    }
}

#[tokio::test]
async fn an_error_of_the_host_keeps_its_kind() {
    let busy = model(|_| Err(Error::new(ErrorKind::RateLimited, "host", "later")));
    assert_eq!(busy.complete(LlmRequest::new().user("hi")).await.unwrap_err().kind(), ErrorKind::RateLimited);
    let broken = model(|_| Err(raised("ValueError", "secret words")));
    let error = broken.complete(LlmRequest::new().user("hi")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Internal, HOST_ERROR));
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn what_the_model_cannot_do_is_unsupported() {
    let plain: ModelSettings = serde_json::from_value(json!({ "provider": "house" })).unwrap();
    let model = HostModel::new(plain, Arc::new(|_| std::future::ready(Ok(json!("x"))).boxed())).unwrap();
    let error = model.complete(LlmRequest::new().user("x").output_schema(json!({}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn the_word_offline_is_taken() {
    let settings = serde_json::from_value(json!({ "provider": "offline" })).unwrap();
    let refused = HostModel::new(settings, Arc::new(|_| std::future::ready(Ok(json!("x"))).boxed()));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
}
