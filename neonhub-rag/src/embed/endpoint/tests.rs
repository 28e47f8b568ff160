//! Spaces embedded by an endpoint, against the provider on loopback.

use std::sync::Arc;

use neonhub_core::llm::{EmbeddingConfig, Provider};
use neonhub_core::testing::provider::{ProviderMock, RetryForm, WireFault};
use neonhub_core::{ErrorKind, Hub, Scope};

use super::EndpointModel;
use crate::embed::{EmbedKind, Embedder, embed_all};
use crate::space::{CreateDataset, CreateSpace, SearchKnowledge, SearchMode, UploadDocument};
use crate::{Knowledge, install_with};

mod moves;

const DIMS: u32 = 64;

fn endpoint(mock: &ProviderMock, provider: &str, max_batch: u32) -> EndpointModel {
    let provider = Provider::builder(provider).base_url(mock.base_url(provider)).build().unwrap();
    let config = serde_json::json!({ "model": "test-model", "dims": DIMS, "max_batch": max_batch });
    let config: EmbeddingConfig = serde_json::from_value(config).unwrap();
    EndpointModel::new(provider.embedding_model(config).unwrap())
}

async fn ready(model: EndpointModel) -> Scope {
    let knowledge = Knowledge::new().embedder_added(Arc::new(model));
    let hub = install_with(Hub::builder().seed(1), knowledge).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let space = CreateSpace { name: "far".into(), embedder: Some("test-model".into()), ..Default::default() };
    assert_eq!(cx.call(space).await.unwrap().dims, DIMS);
    cx.call(CreateDataset { space: "far".into(), name: "d".into(), ..Default::default() }).await.unwrap();
    cx
}

async fn upload(cx: &Scope, name: &str, text: &str) -> neonhub_core::Result<()> {
    cx.call(UploadDocument::of("d", name, text.as_bytes())).await.map(|_| ())
}

#[tokio::test]
async fn documents_and_questions_are_embedded_by_the_endpoint() {
    for provider in ["openai", "local", "ollama"] {
        let mock = ProviderMock::start().await.unwrap();
        let cx = ready(endpoint(&mock, provider, 8)).await;
        for (name, text) in [
            ("tea.md", "Green tea from the hills of Uji."),
            ("box.md", "Every gift box is packed by hand."),
            ("day.md", "We deliver within two days."),
        ] {
            upload(&cx, name, text).await.unwrap();
        }
        let asked = mock.seen().len();
        assert_eq!(asked, 3, "{provider}");
        // The same bytes again cost nothing.
        upload(&cx, "tea.md", "Green tea from the hills of Uji.").await.unwrap();
        assert_eq!(mock.seen().len(), asked, "{provider}");
        let search = SearchKnowledge { mode: SearchMode::Vector, ..SearchKnowledge::of("gift box by hand") };
        let hits = cx.call(search).await.unwrap().hits;
        assert!(hits[0].text.contains("gift box"), "{provider} {hits:?}");
        assert_eq!(mock.mismatches(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_question_is_sent_nowhere_when_nothing_can_be_found() {
    let mock = ProviderMock::start().await.unwrap();
    let cx = ready(endpoint(&mock, "openai", 8)).await;
    assert!(cx.call(SearchKnowledge::of("gift box")).await.unwrap().hits.is_empty());
    assert!(mock.seen().is_empty(), "the space is empty");
    upload(&cx, "box.md", "A gift box.").await.unwrap();
    let asked = mock.seen().len();
    let mut other = SearchKnowledge::of("gift box");
    other.filters.tags = vec!["summer".into()];
    assert!(cx.call(other).await.unwrap().hits.is_empty());
    assert_eq!(mock.seen().len(), asked, "no document has the tag");
}

#[tokio::test]
async fn a_batch_is_what_single_calls_answer_and_blanks_are_not_sent() {
    let mock = ProviderMock::start().await.unwrap();
    let model = endpoint(&mock, "openai", 2).prefixes("query: ", "passage: ");
    let texts = ["one tea", "", "two teas", "three", " \n"];
    let all = embed_all(&model, &texts, EmbedKind::Passage).await.unwrap();
    let sent: Vec<String> = mock
        .seen()
        .iter()
        .flat_map(|seen| seen.body["input"].as_array().unwrap().clone())
        .map(|t| t.to_string())
        .collect();
    assert_eq!(sent, ["\"passage: one tea\"", "\"passage: two teas\"", "\"passage: three\""]);
    for (text, vector) in texts.iter().zip(&all) {
        let single = model.embed(&[text], EmbedKind::Passage).await.unwrap().remove(0);
        assert_eq!(*vector, single);
        let length = vector.iter().map(|x| x * x).sum::<f32>();
        assert!((length - if text.trim().is_empty() { 0.0 } else { 1.0 }).abs() < 1e-5, "{text:?} {length}");
    }
    let plain = endpoint(&mock, "openai", 2);
    assert_eq!(plain.id(), "openai/test-model/64");
    assert_ne!(model.id(), plain.id(), "other words before a text make other vectors");
    assert_eq!(plain.clone().named("near").name(), "near");
}

#[tokio::test]
async fn a_passing_fault_is_waited_out_and_a_lasting_one_stores_nothing() {
    let mock = ProviderMock::start().await.unwrap();
    let cx = ready(endpoint(&mock, "openai", 8)).await;
    mock.fault(WireFault::RateLimited(RetryForm::Millis(20)));
    mock.fault(WireFault::Status(503));
    upload(&cx, "tea.md", "Green tea.").await.unwrap();
    assert_eq!(mock.seen().len(), 3);

    mock.fault(WireFault::OutOfMoney);
    let error = upload(&cx, "box.md", "A gift box.").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded, "{error:?}");
    assert_eq!(mock.seen().len(), 4, "spent money is not asked again");
    let found = cx.call(SearchKnowledge::of("gift box")).await.unwrap_err();
    // The breaker of this model is open now: nothing is sent.
    assert_eq!((found.kind(), mock.seen().len()), (ErrorKind::Unavailable, 4), "{found:?}");
    let text = SearchKnowledge { mode: SearchMode::Text, ..SearchKnowledge::of("gift box") };
    assert!(cx.call(text).await.unwrap().hits.is_empty(), "a document without vectors is not there");
}

#[test]
fn a_price_comes_from_the_model_table() {
    let provider = Provider::builder("openai").api_key(neonhub_core::Secret::new("k")).build().unwrap();
    let model = |name: &str| {
        let config = serde_json::json!({ "model": name, "dims": 256, "shorten": true });
        let config: EmbeddingConfig = serde_json::from_value(config).unwrap();
        EndpointModel::new(provider.embedding_model(config).unwrap())
    };
    // 0.02 USD per million tokens: the row of the table.
    let cost = model("text-embedding-3-small").cost(2_500_000).unwrap();
    assert_eq!((cost.currency.as_str(), cost.micros), ("USD", 50_000));
    assert_eq!(model("of-tomorrow").cost(1), None, "unknown is not free");
    assert_eq!(crate::OfflineHash::new().cost(1_000).unwrap().micros, 0);
}
