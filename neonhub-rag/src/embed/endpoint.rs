//! An embedding endpoint over HTTP, as an embedder of spaces.

use async_trait::async_trait;
use neonhub_core::llm::{EmbeddingModel, ModelCost};
use neonhub_core::{Result, Scope};

use super::{EmbedKind, Embedder};

/// A model at OpenAI, Ollama or a server that speaks like OpenAI. Texts leave the machine.
///
/// Its [`id`](Embedder::id) is provider, model and length: `openai/text-embedding-3-small/1536`. Vectors have length 1;
/// a blank text is not sent and gives zeros; a text longer than the model takes is refused, never cut. Operations call
/// it through [`resilience`](neonhub_core::resilience): request by request with retries, a breaker and a limit on calls
/// at a time, held against quotas and counted. [`embed`](Embedder::embed) itself tries once.
///
/// ```no_run
/// use std::sync::Arc;
/// use neonhub_core::llm::{EmbeddingConfig, Provider};
/// use neonhub_core::{Hub, Secret};
/// use neonhub_rag::{EndpointModel, Knowledge, install_with};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let openai = Provider::builder("openai").model("text-embedding-3-small").api_key(Secret::new("key")).build()?;
/// let model = EndpointModel::new(openai.embedding_model(EmbeddingConfig::default())?);
/// let hub = install_with(Hub::builder(), Knowledge::new().embedder_added(Arc::new(model))).build().await?;
/// # Ok::<(), neonhub_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct EndpointModel {
    id: String,
    name: String,
    model: EmbeddingModel,
    query_prefix: String,
    passage_prefix: String,
}

impl EndpointModel {
    /// An embedder of this model, named after it.
    #[must_use]
    pub fn new(model: EmbeddingModel) -> Self {
        let (query_prefix, passage_prefix) = (String::new(), String::new());
        let name = model.model().to_owned();
        EndpointModel { id: String::new(), name, model, query_prefix, passage_prefix }.identified()
    }

    /// Gives it another name for people; [`id`](Embedder::id) stays.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What the model wants before a question and before a passage, such as `query: ` and `passage: `. Both belong to
    /// the id, as other words make other vectors.
    #[must_use]
    pub fn prefixes(mut self, query: impl Into<String>, passage: impl Into<String>) -> Self {
        (self.query_prefix, self.passage_prefix) = (query.into(), passage.into());
        self.identified()
    }

    fn identified(mut self) -> Self {
        let model = &self.model;
        self.id = format!("{}/{}/{}", model.provider(), model.model(), model.dims());
        if !(self.query_prefix.is_empty() && self.passage_prefix.is_empty()) {
            let words = format!("{}\n{}", self.query_prefix, self.passage_prefix);
            self.id.push_str(&format!("@{:016x}", xxhash_rust::xxh3::xxh3_64(words.as_bytes())));
        }
        self
    }

    async fn vectors(&self, cx: Option<&Scope>, texts: &[&str], kind: EmbedKind) -> Result<Vec<Vec<f32>>> {
        let prefix = match kind {
            EmbedKind::Query => &self.query_prefix,
            EmbedKind::Passage => &self.passage_prefix,
        };
        let is_said = |text: &&&str| !text.trim().is_empty();
        let said: Vec<String> = texts.iter().filter(is_said).map(|text| format!("{prefix}{text}")).collect();
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        let mut made = Vec::with_capacity(said.len());
        for request in self.model.requests(&said) {
            let texts = said.get(request).unwrap_or_default();
            made.extend(match cx {
                Some(cx) => self.guarded(cx, texts).await?,
                None => self.model.embed(texts, None).await?.vectors,
            });
        }
        let mut made = made.into_iter();
        let zeros = || vec![0.0; self.dims()];
        let each = texts.iter().map(|text| {
            let is_blank = text.trim().is_empty();
            if is_blank { zeros() } else { made.next().unwrap_or_default() }
        });
        Ok(each.collect())
    }

    async fn guarded(&self, cx: &Scope, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let embedded = self.model.embed_in(cx, texts).await?;
        tracing::debug!(
            model = self.id,
            texts = texts.len(),
            tokens = embedded.input_tokens,
            is_exact = embedded.is_exact,
            "texts were embedded"
        );
        Ok(embedded.vectors)
    }
}

#[async_trait]
impl Embedder for EndpointModel {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn dims(&self) -> usize {
        self.model.dims() as usize
    }

    fn max_batch(&self) -> usize {
        self.model.max_batch()
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn cost(&self, tokens: u64) -> Option<ModelCost> {
        self.model.cost(tokens)
    }

    async fn check_budget(&self, cx: &Scope, tokens: u64) -> Result<()> {
        self.model.check_budget(cx, tokens).await
    }

    async fn embed(&self, texts: &[&str], kind: EmbedKind) -> Result<Vec<Vec<f32>>> {
        self.vectors(None, texts, kind).await
    }

    async fn embed_in(&self, cx: &Scope, texts: &[&str], kind: EmbedKind) -> Result<Vec<Vec<f32>>> {
        self.vectors(Some(cx), texts, kind).await
    }
}

#[cfg(test)]
mod tests;
