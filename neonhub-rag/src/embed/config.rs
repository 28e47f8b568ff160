//! Embedders as settings, as a file or a binding has them.

use std::path::PathBuf;
use std::sync::Arc;

use neonhub_core::llm::{EmbeddingConfig, ProviderBuilder, ProviderConfig};
use neonhub_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{Embedder, EndpointModel};

const OPEN: &str = "embed.open";

/// Settings of an embedder: a model from a folder, or an endpoint.
///
/// ```
/// use neonhub_rag::EmbedderConfig;
/// let config: EmbedderConfig = serde_json::from_str(
///     r#"{"name": "near", "endpoint": {"provider": "ollama", "model": "some-model"}, "dims": 768}"#,
/// )?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EmbedderConfig {
    /// What spaces call it. Default: the folder's or the model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A sentence encoder of the BERT family in the layout of sentence-transformers (feature `local`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// A provider over HTTP, with the embedding model as its `model` (feature `http`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<ProviderConfig>,
    /// Of an endpoint: numbers of a vector. Needed for a model that the model table does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dims: Option<u32>,
    /// Of an endpoint: asks the provider to cut vectors to `dims`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shorten: bool,
    /// Of an endpoint: most texts of one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch: Option<u32>,
    /// Of an endpoint: what the model wants before a question, such as `query: `.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub query_prefix: String,
    /// Of an endpoint: what the model wants before a passage, such as `passage: `.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub passage_prefix: String,
}

impl EmbedderConfig {
    /// Opens the embedder. A folder is read as a whole (0.2 s for 90 MB): in async code call it where blocking is allowed.
    ///
    /// # Errors
    /// `InvalidInput` when not exactly one of `folder` and `endpoint` is set, or a setting is wrong; `Config` when this
    /// build lacks a feature, naming it, and for a folder that holds no model.
    pub fn open(self) -> Result<Arc<dyn Embedder>> {
        match (self.folder.clone(), self.endpoint.clone()) {
            (Some(folder), None) => {
                if self.is_of_endpoint() {
                    let expected = "expected no settings of an endpoint: a folder says them itself";
                    return Err(Error::invalid(OPEN, "folder", expected));
                }
                self.local(&folder)
            }
            (None, Some(endpoint)) => self.remote(endpoint),
            _ => Err(Error::invalid(OPEN, "folder", "expected either `folder` or `endpoint`")),
        }
    }

    fn is_of_endpoint(&self) -> bool {
        let has_words = !(self.query_prefix.is_empty() && self.passage_prefix.is_empty());
        self.dims.is_some() || self.shorten || self.max_batch.is_some() || has_words
    }

    #[cfg(feature = "local")]
    fn local(self, folder: &std::path::Path) -> Result<Arc<dyn Embedder>> {
        let model = super::LocalModel::open(folder)?;
        Ok(Arc::new(match self.name {
            Some(name) => model.named(name),
            None => model,
        }))
    }

    #[cfg(not(feature = "local"))]
    fn local(self, _: &std::path::Path) -> Result<Arc<dyn Embedder>> {
        let message =
            "this build computes no model from a folder: turn on the feature `local`, or use an endpoint";
        Err(Error::new(neonhub_core::ErrorKind::Config, OPEN, message).with_code("no_local"))
    }

    fn remote(self, endpoint: ProviderConfig) -> Result<Arc<dyn Embedder>> {
        let mut wanted = EmbeddingConfig::default();
        (wanted.dims, wanted.shorten, wanted.max_batch) = (self.dims, self.shorten, self.max_batch);
        let model = ProviderBuilder::from_config(endpoint).build()?.embedding_model(wanted)?;
        let mut model = EndpointModel::new(model).prefixes(self.query_prefix, self.passage_prefix);
        if let Some(name) = self.name {
            model = model.named(name);
        }
        Ok(Arc::new(model))
    }
}

#[cfg(test)]
mod tests {
    use neonhub_core::ErrorKind;
    use serde_json::{Value, json};

    use super::*;

    fn open(config: Value) -> Result<Arc<dyn Embedder>> {
        serde_json::from_value::<EmbedderConfig>(config).unwrap().open()
    }

    #[test]
    fn an_endpoint_is_named_and_measured_by_its_settings() {
        let endpoint = json!({ "provider": "local", "base_url": "http://near.test/v1", "model": "m" });
        let model = open(json!({ "endpoint": endpoint, "dims": 8, "name": "near" })).unwrap();
        assert_eq!((model.id(), model.name(), model.dims()), ("local/m/8", "near", 8));
        let error = open(json!({ "endpoint": endpoint })).unwrap_err();
        assert_eq!(error.field_faults()[0].field, "dims");
    }

    #[test]
    fn one_of_both_is_needed_and_a_folder_must_hold_a_model() {
        for wrong in [json!({}), json!({ "folder": "/nowhere", "dims": 8 })] {
            assert_eq!(open(wrong).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(open(json!({ "folder": "/nowhere" })).unwrap_err().kind(), ErrorKind::Config);
        assert!(serde_json::from_value::<EmbedderConfig>(json!({ "path": "x" })).is_err());
    }
}
