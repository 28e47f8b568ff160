//! A sentence encoder from a folder, computed in this process: near vectors mean shared meaning.

mod bert;
mod folder;
mod rows;

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use neonhub_core::llm::ModelCost;
use neonhub_core::{Error, ErrorKind, Result};
use rayon::ThreadPool;
use rayon::prelude::*;
use tokenizers::Tokenizer;
use xxhash_rust::xxh3::Xxh3;

use self::bert::Bert;
use self::folder::{Folder, Pooling, unreadable};
use super::{EmbedKind, Embedder, nothing};

const OPEN: &str = "embed.open_local";
const EMBED: &str = "embed.local";

/// Texts per call: enough to give every core full batches, few enough that a call of long texts stays below 10 s.
const MAX_BATCH: usize = 256;
/// Tokens of one batch. From about 256 rows on a matrix product is no faster per row; below, a core's work is too
/// small to be worth handing out. The upper bound keeps what one core holds near 30 MB for a model of 384 numbers.
const BATCH_TOKENS: std::ops::RangeInclusive<usize> = 256..=1_024;

/// A sentence encoder of the BERT family, loaded from a folder in the layout that sentence-transformers saves:
/// `config.json`, `model.safetensors`, `tokenizer.json` and `1_Pooling/config.json`.
///
/// Nothing is ever downloaded. Vectors have length 1, and a blank text gives zeros. A text longer than the model reads
/// at once ([`max_tokens`](Self::max_tokens)) is read in windows, and its vector is their mean by tokens, at length 1.
/// A call uses every core, on threads of the model's own. Spaces of the model count its tokens.
///
/// Its [`id`](Embedder::id) is the name, `@` and a hash of weights, tokens and settings, so that vectors of two models
/// never meet, whatever the folders are called. `spaces.create` takes the name alone as well.
///
/// ```no_run
/// use std::sync::Arc;
/// use neonhub_core::Hub;
/// use neonhub_rag::{CreateSpace, Knowledge, LocalModel, install_with};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let model = LocalModel::open("models/all-MiniLM-L6-v2")?.named("minilm");
/// let knowledge = Knowledge::new().embedder_added(Arc::new(model));
/// let hub = install_with(Hub::builder(), knowledge).build().await?;
/// let ws = hub.workspace("default").await?;
/// let (name, embedder) = ("brand-voice".into(), Some("minilm".into()));
/// ws.call(CreateSpace { name, embedder, ..Default::default() }).await?;
/// # Ok::<(), neonhub_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct LocalModel {
    name: String,
    id: String,
    hash: u64,
    inner: Arc<Inner>,
}

struct Inner {
    bert: Bert,
    tokenizer: Tokenizer,
    /// What stands before and behind the tokens of a text.
    marks: (Vec<u32>, Vec<u32>),
    folder: Folder,
    pool: ThreadPool,
}

impl fmt::Debug for LocalModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalModel").field("id", &self.id).field("dims", &self.dims()).finish_non_exhaustive()
    }
}

impl LocalModel {
    /// Loads the model of a folder, named after the folder. Reads the whole of its weights (0.2 s for 90 MB): in
    /// async code call it where blocking is allowed.
    ///
    /// # Errors
    /// `Config` when a file is missing, broken or of another model; `Unsupported` for an architecture, pooling or
    /// further step that is not computed here. Both name the file and the cure.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let path = folder.as_ref();
        let folder = Folder::read(path)?;
        let weights = std::fs::read(&folder.weights).map_err(|cause| unreadable(&folder.weights, cause))?;
        let bert = Bert::new(&weights, &folder.weights, &folder.shape)?;
        let tokens =
            std::fs::read(&folder.tokenizer).map_err(|cause| unreadable(&folder.tokenizer, cause))?;
        let tokenizer = tokenizer(&tokens, &folder)?;
        let mut hash = Xxh3::new();
        hash.update(&weights);
        hash.update(&tokens);
        let prompts = (&folder.query_prompt, &folder.passage_prompt);
        hash.update(
            format!("{:?} {} {} {prompts:?} windows", folder.pooling, folder.max_tokens, folder.lowers)
                .as_bytes(),
        );
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|number| format!("neonhub-embed-{number}"))
            .build()
            .map_err(|cause| Error::internal(OPEN, cause))?;
        let marks = marks(&tokenizer, &folder)?;
        let inner = Arc::new(Inner { bert, tokenizer, marks, folder, pool });
        let name =
            path.file_name().map_or_else(|| "local".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self { name: String::new(), id: String::new(), hash: hash.digest(), inner }.named(name))
    }

    /// Gives the model another name than that of its folder.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self.id = format!("{}@{:016x}", self.name, self.hash);
        self
    }

    /// Most tokens that the model reads at once, the marks at both ends among them: a longer text is read in windows.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.inner.folder.max_tokens
    }
}

#[async_trait]
impl Embedder for LocalModel {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn dims(&self) -> usize {
        self.inner.folder.shape.hidden_size
    }

    fn max_batch(&self) -> usize {
        MAX_BATCH
    }

    fn cost(&self, _tokens: u64) -> Option<ModelCost> {
        Some(nothing())
    }

    fn token_spans(&self, text: &str) -> Result<Option<Vec<Range<usize>>>> {
        self.inner.spans(text).map(Some)
    }

    async fn embed(&self, texts: &[&str], kind: EmbedKind) -> Result<Vec<Vec<f32>>> {
        if texts.len() > MAX_BATCH {
            let message = format!("expected at most {MAX_BATCH} texts");
            return Err(Error::invalid(EMBED, "texts", message));
        }
        let texts: Vec<String> = texts.iter().map(|text| self.inner.prepared(text, kind)).collect();
        let inner = Arc::clone(&self.inner);
        // Seconds of work on every core: neither a thread of the runtime nor one of the host's may wait inside it.
        tokio::task::spawn_blocking(move || inner.pool.install(|| inner.embed(&texts)))
            .await
            .map_err(|cause| Error::internal(EMBED, cause))?
    }
}

impl Inner {
    /// The text as the model wants it; empty for a blank one.
    fn prepared(&self, text: &str, kind: EmbedKind) -> String {
        if text.trim().is_empty() {
            return String::new();
        }
        let prompt = match kind {
            EmbedKind::Query => &self.folder.query_prompt,
            EmbedKind::Passage => &self.folder.passage_prompt,
        };
        let text = format!("{prompt}{text}");
        if self.folder.lowers { text.to_lowercase() } else { text }
    }

    fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let windows: Vec<Vec<Vec<u32>>> =
            texts.par_iter().map(|text| self.windows(text)).collect::<Result<_>>()?;
        let counts: Vec<usize> = windows.iter().map(Vec::len).collect();
        let windows: Vec<Vec<u32>> = windows.into_iter().flatten().collect();
        let width = self.folder.shape.hidden_size;
        let batches = batches(&windows, self.pool.current_num_threads());
        let made: Vec<Vec<Vec<f32>>> = batches
            .par_iter()
            .map(|batch| {
                let own: Vec<&[u32]> =
                    batch.iter().filter_map(|n| windows.get(*n)).map(Vec::as_slice).collect();
                let texts = self.bert.encode(&own).map_err(|cause| Error::internal(EMBED, cause))?;
                texts.iter().map(|text| pooled(text, width, self.folder.pooling)).collect()
            })
            .collect::<Result<_>>()?;
        let mut vectors: Vec<Vec<f32>> = vec![Vec::new(); windows.len()];
        for (number, vector) in batches.into_iter().flatten().zip(made.into_iter().flatten()) {
            if let Some(slot) = vectors.get_mut(number) {
                *slot = vector;
            }
        }
        let mut read = vectors.into_iter().zip(windows.iter().map(Vec::len));
        counts.into_iter().map(|count| joined(read.by_ref().take(count).collect(), width)).collect()
    }

    /// The tokens of a text, in as many pieces as the model reads it in, each with the marks at both ends.
    fn windows(&self, text: &str) -> Result<Vec<Vec<u32>>> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let encoding =
            self.tokenizer.encode_fast(text, false).map_err(|cause| Error::internal(EMBED, cause))?;
        let (first, last) = &self.marks;
        let room = self.folder.max_tokens.saturating_sub(first.len() + last.len()).max(1);
        let marked = |tokens: &[u32]| [first.as_slice(), tokens, last.as_slice()].concat();
        match encoding.get_ids() {
            [] => Ok(vec![marked(&[])]),
            ids => Ok(ids.chunks(room).map(marked).collect()),
        }
    }

    /// The tokens of a text without marks, as ranges of its bytes.
    fn spans(&self, text: &str) -> Result<Vec<Range<usize>>> {
        let mut out = Vec::new();
        let mut start = 0;
        // Line by line: what the tokenizer keeps of each token is many times its text.
        for line in text.split_inclusive('\n') {
            let lowered = if self.folder.lowers { line.to_lowercase() } else { String::new() };
            // Ranges hold for the text itself where small letters are as long as large ones.
            let read = if lowered.len() == line.len() { lowered.as_str() } else { line };
            let encoded =
                self.tokenizer.encode(read, false).map_err(|cause| Error::internal(EMBED, cause))?;
            out.extend(encoded.get_offsets().iter().map(|(from, to)| start + from..start + to));
            start += line.len();
        }
        Ok(out)
    }
}

/// The vector of a text from those of its windows and their tokens: zeros for none, the mean for several.
fn joined(windows: Vec<(Vec<f32>, usize)>, width: usize) -> Result<Vec<f32>> {
    let mut sum = vec![0.0; width];
    match <[_; 1]>::try_from(windows) {
        Ok([(only, _)]) => Ok(only),
        Err(none) if none.is_empty() => Ok(sum),
        Err(several) => {
            for (vector, tokens) in several {
                sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value * tokens as f32);
            }
            unit(&sum)
        }
    }
}

fn tokenizer(bytes: &[u8], folder: &Folder) -> Result<Tokenizer> {
    let fault = |message: String| {
        Error::new(ErrorKind::Config, OPEN, message).with_context("file", folder.tokenizer.display())
    };
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|cause| {
        fault("tokenizer.json cannot be read: copy it again from where the model came from".to_owned())
            .with_source(cause)
    })?;
    let (known, rows) = (tokenizer.get_vocab_size(true), folder.shape.vocab_size);
    if known > rows {
        return Err(fault(format!(
            "tokenizer.json knows {known} tokens, the model {rows}: take both files of one model"
        )));
    }
    // What the file says of cutting and padding was meant for its training.
    tokenizer.with_truncation(None).map_err(|cause| Error::internal(OPEN, cause))?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// What the model wants before and behind the tokens of a text, seen on a single letter.
fn marks(tokenizer: &Tokenizer, folder: &Folder) -> Result<(Vec<u32>, Vec<u32>)> {
    let letter = tokenizer.encode_fast("a", true).map_err(|cause| Error::internal(OPEN, cause))?;
    let (ids, mask) = (letter.get_ids(), letter.get_special_tokens_mask());
    let own = |is_own: &u32| *is_own == 0;
    let (Some(first), Some(last)) = (mask.iter().position(own), mask.iter().rposition(own)) else {
        let message =
            "tokenizer.json makes no token of a letter: copy it again from where the model came from";
        return Err(
            Error::new(ErrorKind::Config, OPEN, message).with_context("file", folder.tokenizer.display())
        );
    };
    let part = |range: Range<usize>| ids.get(range).unwrap_or_default().to_vec();
    Ok((part(0..first), part(last + 1..ids.len())))
}

/// Numbers of the texts that are computed together, longest first, so that what runs last is short. Texts without
/// tokens are in none.
fn batches(tokens: &[Vec<u32>], threads: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<(usize, usize)> =
        tokens.iter().enumerate().filter(|(_, t)| !t.is_empty()).map(|(n, t)| (t.len(), n)).collect();
    order.sort_unstable_by_key(|(length, number)| (std::cmp::Reverse(*length), *number));
    let total: usize = order.iter().map(|(length, _)| length).sum();
    let most = (total / threads.max(1)).clamp(*BATCH_TOKENS.start(), *BATCH_TOKENS.end());
    let mut out: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for (length, number) in order {
        match out.last_mut() {
            Some(batch) if length <= room => batch.push(number),
            _ => {
                out.push(vec![number]);
                room = most;
            }
        }
        room = room.saturating_sub(length);
    }
    out
}

/// The vector of a text, of length 1.
fn pooled(text: &[f32], width: usize, pooling: Pooling) -> Result<Vec<f32>> {
    let mut vector = vec![0.0_f32; width];
    let taken = match pooling {
        Pooling::Mean => usize::MAX,
        Pooling::First => 1,
    };
    for row in text.chunks_exact(width).take(taken) {
        rows::add(&mut vector, row);
    }
    // The mean is the sum but for its length, which becomes 1 here.
    unit(&vector)
}

fn unit(vector: &[f32]) -> Result<Vec<f32>> {
    let length = vector.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
    if !length.is_finite() || length <= f64::EPSILON {
        let message =
            "the model answered numbers that are no vector: its weights are damaged, copy them again";
        return Err(Error::new(ErrorKind::Corrupted, EMBED, message));
    }
    Ok(vector.iter().map(|v| (f64::from(*v) / length) as f32).collect())
}

#[cfg(test)]
mod tests;
