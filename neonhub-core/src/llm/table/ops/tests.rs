//! The table as a workspace has it.

use super::*;
use crate::llm::table::Prices;
use crate::llm::{GenerateText, LlmRequest, ProviderConfig};
use crate::testing::provider::ProviderMock;
use crate::{Hub, ManualClock, Timestamp};

async fn hub(router: Router) -> Hub {
    let clock = ManualClock::at(Timestamp::parse("now", "2026-11-21T09:00:00Z").unwrap());
    Hub::builder().clock(Arc::new(clock)).seed(1).service(Arc::new(router)).build().await.unwrap()
}

fn row() -> ModelRow {
    OverrideModel::examples().remove(0).row.unwrap()
}

fn own(row: ModelRow) -> OverrideModel {
    OverrideModel { provider: row.provider.clone(), model: row.model.clone(), row: Some(row) }
}

async fn near(mock: &ProviderMock) -> Router {
    let config = ProviderConfig {
        provider: "local".into(),
        base_url: Some(mock.base_url("local")),
        model: Some("house-8b".into()),
        ..ProviderConfig::default()
    };
    Router::from_configs(vec![config]).unwrap()
}

#[tokio::test]
async fn a_row_of_ones_own_holds_in_its_workspace_until_it_is_taken_away() {
    let mock = ProviderMock::start().await.unwrap();
    let hub = hub(near(&mock).await).await;
    let cx = hub.workspace("default").await.unwrap();
    let lint = cx.call(LintModels {}).await.unwrap();
    assert_eq!((lint.unknown, lint.unpriced), (vec!["local/house-8b".to_owned()], vec![]));
    cx.call(own(row())).await.unwrap();
    let lint = cx.call(LintModels {}).await.unwrap();
    assert_eq!((lint.unknown, lint.unpriced), (vec![], vec!["local/house-8b".to_owned()]));
    let listed = cx.call(ListModels { in_use: true, ..ListModels::default() }).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].is_own && listed[0].is_in_use && listed[0].row == row(), "{listed:?}");
    let taken = OverrideModel { row: None, ..own(row()) };
    assert_eq!(cx.call(taken).await.unwrap().row, None);
    assert!(cx.call(ListModels { in_use: true, ..ListModels::default() }).await.unwrap().is_empty());
}

#[tokio::test]
async fn routes_go_by_abilities_and_prices_of_the_own_row() {
    let mock = ProviderMock::start().await.unwrap();
    mock.reply_always("{\"n\": 4}");
    let cx = hub(near(&mock).await).await.workspace("default").await.unwrap();
    let schema = serde_json::json!({
        "type": "object", "required": ["n"], "additionalProperties": false,
        "properties": { "n": { "type": "integer" } },
    });
    let ask = || GenerateText {
        prompt: "How many?".into(),
        schema: Some(schema.clone()),
        facts: Some(serde_json::json!({ "n": 7 })),
        ..GenerateText::default()
    };
    // A model that nobody describes is trusted with text only: the offline model fills the schema from the facts.
    let offline = cx.call(ask()).await.unwrap();
    assert!(offline.is_offline && offline.cost.unwrap().micros == 0);
    let mut known = row();
    known.caps.json_schema = true;
    known.prices = Some(Prices {
        currency: "USD".into(),
        input: 1_000_000,
        output: 2_000_000,
        cached_read: None,
        cache_write_5m: None,
        cache_write_1h: None,
        image: None,
        batch_factor: None,
    });
    cx.call(own(known)).await.unwrap();
    let answer = cx.call(ask()).await.unwrap();
    assert_eq!((answer.provider.as_str(), answer.json), ("local", Some(serde_json::json!({ "n": 4 }))));
    let cost = answer.cost.unwrap();
    let tokens =
        answer.usage.input_uncached + 2 * (answer.usage.output_visible + answer.usage.output_reasoning);
    assert_eq!((cost.currency.as_str(), cost.micros), ("USD", tokens));
}

#[tokio::test]
async fn a_model_can_be_asked_by_its_name() {
    let mock = ProviderMock::start().await.unwrap();
    mock.reply("by name");
    let cx = hub(near(&mock).await).await.workspace("default").await.unwrap();
    let ask = |model: &str| GenerateText {
        prompt: "hi".into(),
        model: Some(model.to_owned()),
        ..GenerateText::default()
    };
    let answer = cx.call(ask("local/other")).await.unwrap();
    assert_eq!((answer.text.as_str(), mock.seen()[0].body["model"].as_str()), ("by name", Some("other")));
    assert_eq!(answer.cost, None, "an unknown price is not zero");
    assert_eq!(cx.call(ask("nowhere/other")).await.unwrap_err().kind(), ErrorKind::NotFound);
    let route = GenerateText { prompt: "hi".into(), route: Some("fast".into()), ..GenerateText::default() };
    assert_eq!(cx.call(route).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn wrong_rows_are_named_and_strangers_may_not_write_them() {
    let hub = hub(Router::new()).await;
    let cx = hub.workspace("default").await.unwrap();
    let other = OverrideModel { model: "another".into(), ..own(row()) };
    assert_eq!(cx.call(other).await.unwrap_err().field_faults()[0].field, "row");
    let kinds = ModelRow { kinds: vec!["poem".into()], ..row() };
    assert_eq!(cx.call(own(kinds)).await.unwrap_err().field_faults()[0].field, "row.kinds");
    let day = ModelRow { shutdown_on: Some("soon".into()), ..row() };
    assert_eq!(cx.call(own(day)).await.unwrap_err().field_faults()[0].field, "shutdown_on");
    let viewer = cx.with_role(crate::Role::Member);
    assert_eq!(viewer.call(own(row())).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn models_that_go_away_are_found_with_their_successors() {
    let table = ModelTable::shared();
    let soon =
        table.rows().find(|row| row.shutdown_on.as_deref() == Some("2026-12-11") && row.successor.is_some());
    let soon = soon.unwrap().clone();
    let route = crate::llm::Route::new("default").then(&soon.provider, &soon.model);
    let cx = hub(Router::new().route(route)).await.workspace("default").await.unwrap();
    let lint = cx.call(LintModels {}).await.unwrap();
    assert_eq!(lint.endings[0].successor, soon.successor);
    assert_eq!(LlmRequest::new().model, None);
}
