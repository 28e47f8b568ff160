//! Answers of models as values of a Rust type.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{GenerateText, GeneratedText};
use crate::op::Operation;
use crate::tool::schema_of;
use crate::{Error, ErrorKind, Result, Scope};

/// The name of a value that is no object: models answer objects.
const WRAPPED: &str = "value";

impl From<&str> for GenerateText {
    fn from(prompt: &str) -> Self {
        GenerateText { prompt: prompt.into(), ..GenerateText::default() }
    }
}

impl From<String> for GenerateText {
    fn from(prompt: String) -> Self {
        GenerateText { prompt, ..GenerateText::default() }
    }
}

impl Scope {
    /// Asks the model of the hub for a value of a type: [`GenerateText`] with the schema of the type. `facts` are an object,
    /// or the value itself where the type is no struct. An answer that does not fit the schema is given back to the model
    /// once.
    ///
    /// ```
    /// use neonhub_core::Hub;
    /// use neonhub_core::llm::GenerateText;
    ///
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Teaser {
    ///     /// At most six words.
    ///     title: String,
    ///     tags: Vec<String>,
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let hub = Hub::builder().build().await?;
    /// let cx = hub.workspace("default").await?;
    /// let facts = serde_json::json!({ "title": "Fresh for spring", "tags": ["tea"] });
    /// let ask = GenerateText { facts: Some(facts), ..GenerateText::from("A teaser for the spring sale.") };
    /// let teaser: Teaser = cx.generate(ask).await?;
    /// assert_eq!((teaser.title.as_str(), teaser.tags.len()), ("Fresh for spring", 1));
    /// # hub.close().await?;
    /// # Ok::<(), neonhub_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of `ai.generate_text`; `Corrupted` (code `invalid_output`) that names the field when the type itself refuses what
    /// fits its schema; `Unsupported` (code `needs_input`) for what the facts do not say: the offline model makes nothing up;
    /// `InvalidInput` when `schema` is set, which is the type's to say.
    pub async fn generate<T>(&self, ask: impl Into<GenerateText>) -> Result<T>
    where
        T: DeserializeOwned + JsonSchema,
    {
        let mut ask = ask.into();
        if ask.schema.is_some() {
            return Err(Error::invalid(
                GenerateText::NAME,
                "schema",
                "expected none: the type is the schema",
            ));
        }
        let schema = schema_of::<T>();
        let is_wrapped =
            schema.get("type").and_then(Value::as_str) != Some("object") && schema.get("$ref").is_none();
        if is_wrapped {
            ask.facts = ask.facts.map(|facts| json!({ WRAPPED: facts }));
        }
        ask.schema = Some(if is_wrapped { wrap(schema) } else { schema });
        decoded(self.call(ask).await?, is_wrapped)
    }
}

fn decoded<T: DeserializeOwned>(answer: GeneratedText, is_wrapped: bool) -> Result<T> {
    if let Some(lacking) = answer.warnings.iter().find(|warning| warning.code == "needs_input") {
        let said =
            format!("the offline model makes no value up: {}: give facts, or add a model", lacking.message);
        return Err(Error::new(ErrorKind::Unsupported, GenerateText::NAME, said).with_code("needs_input"));
    }
    let mut value = answer.json.unwrap_or_default();
    if is_wrapped {
        value = value.get_mut(WRAPPED).map(Value::take).unwrap_or_default();
    }
    serde_path_to_error::deserialize(value).map_err(|cause| {
        let said = format!("the answer does not fit the type: {}: {}", cause.path(), cause.inner());
        Error::new(ErrorKind::Corrupted, GenerateText::NAME, said)
            .with_code("invalid_output")
            .with_context("field", cause.path())
    })
}

fn wrap(mut schema: Value) -> Value {
    let defs = schema.as_object_mut().and_then(|map| map.remove("$defs"));
    let mut root = json!({ "type": "object", "required": [WRAPPED], "additionalProperties": false });
    if let Some(map) = root.as_object_mut() {
        map.insert("properties".into(), json!({ WRAPPED: moved(schema) }));
        map.extend(defs.map(|defs| ("$defs".to_owned(), moved(defs))));
    }
    root
}

/// The schema with references to its root led to where it stands now.
fn moved(schema: Value) -> Value {
    match schema {
        Value::Array(items) => items.into_iter().map(moved).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| match (key.as_str(), value.as_str()) {
                ("$ref", Some("#")) => (key, json!(format!("#/properties/{WRAPPED}"))),
                _ => (key, moved(value)),
            })
            .collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde::Deserialize;

    use super::*;
    use crate::Hub;
    use crate::llm::Scripted;

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Step {
        Mail { to: String },
        Many { steps: Vec<Step> },
    }

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(try_from = "u32")]
    struct Percent(u32);

    impl TryFrom<u32> for Percent {
        type Error = String;
        fn try_from(n: u32) -> std::result::Result<Self, String> {
            if n <= 100 { Ok(Percent(n)) } else { Err("expected 0 to 100".into()) }
        }
    }

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Offer {
        title: String,
        off: Option<Percent>,
    }

    async fn scope(model: Option<Arc<Scripted>>) -> Scope {
        let builder = Hub::builder().seed(1);
        let builder = match model {
            Some(model) => builder.model(model),
            None => builder,
        };
        builder.build().await.unwrap().workspace("default").await.unwrap()
    }

    #[tokio::test]
    async fn structs_lists_and_recursive_enums_come_back_typed() {
        let steps = json!({ "value": [{ "kind": "many", "steps": [{ "kind": "mail", "to": "ada" }] }] });
        let tree = json!({ "value": { "kind": "many", "steps": [] } });
        let model = Scripted::new()
            .reply("{\"title\": \"Spring\"}")
            .reply(&*steps.to_string())
            .reply(&*tree.to_string());
        let model = Arc::new(model);
        let cx = scope(Some(Arc::clone(&model))).await;
        let offer: Offer = cx.generate("An offer.").await.unwrap();
        assert_eq!(offer, Offer { title: "Spring".into(), off: None });
        let steps: Vec<Step> = cx.generate("Plan.".to_owned()).await.unwrap();
        assert_eq!(steps, [Step::Many { steps: vec![Step::Mail { to: "ada".into() }] }]);
        assert_eq!(cx.generate::<Step>("One.").await.unwrap(), Step::Many { steps: vec![] });
        model.finish();
    }

    #[tokio::test]
    async fn what_the_type_itself_refuses_is_named_by_field() {
        let cx = scope(Some(Arc::new(Scripted::new().reply("{\"title\": \"Spring\", \"off\": 120}")))).await;
        let error = cx.generate::<Offer>("An offer.").await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupted, "invalid_output"));
        assert!(error.message().contains("off: expected 0 to 100"), "{error}");
    }

    #[tokio::test]
    async fn offline_the_facts_fill_the_type_and_nothing_is_made_up() {
        let cx = scope(None).await;
        let ask = |facts| GenerateText { facts: Some(facts), ..GenerateText::from("How many?") };
        assert_eq!(cx.generate::<u8>(ask(json!("4"))).await.unwrap(), 4);
        #[derive(Debug, Deserialize, JsonSchema)]
        #[allow(dead_code, reason = "only its schema matters")]
        struct Size {
            name: String,
            width: u32,
        }
        let error = cx.generate::<Size>(ask(json!({ "name": "A4" }))).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unsupported, "needs_input"));
        assert!(error.message().contains("no fact for width"), "{error}");
        let both = GenerateText { schema: Some(json!({})), ..GenerateText::default() };
        assert_eq!(cx.generate::<Size>(both).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
