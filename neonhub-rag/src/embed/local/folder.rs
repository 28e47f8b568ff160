//! The folder of a sentence encoder, as the sentence-transformers library saves it, and what its files say.
//!
//! ```text
//! modules.json                        the steps, in order (optional)
//! config.json                         the shape of the encoder
//! model.safetensors                   its weights
//! tokenizer.json                      how a text becomes tokens
//! sentence_bert_config.json           the most tokens of a text (optional)
//! config_sentence_transformers.json   what stands before a question or a passage (optional)
//! 1_Pooling/config.json               how the rows of the tokens become one vector
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use neonhub_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::OPEN;

/// The file of the weights.
pub(super) const WEIGHTS: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";
const SHAPE: &str = "config.json";
const POOLING: &str = "config.json";
/// Where saved models keep the settings of pooling, when no list of modules says otherwise.
const POOLING_FOLDER: &str = "1_Pooling";

/// The shape of the encoder: `config.json`.
#[derive(Debug, Deserialize)]
pub(super) struct Shape {
    model_type: String,
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) intermediate_size: usize,
    pub(super) max_position_embeddings: usize,
    pub(super) vocab_size: usize,
    #[serde(default = "two")]
    pub(super) type_vocab_size: usize,
    // The defaults of the library that writes these files (BertConfig of transformers).
    #[serde(default = "epsilon")]
    pub(super) layer_norm_eps: f32,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default)]
    position_embedding_type: Option<String>,
    #[serde(default)]
    pad_token_id: Option<u32>,
}

fn two() -> usize {
    2
}

fn epsilon() -> f32 {
    1e-12
}

fn gelu() -> String {
    "gelu".to_owned()
}

impl Shape {
    fn is_roberta(&self) -> bool {
        matches!(self.model_type.as_str(), "roberta" | "xlm-roberta")
    }

    /// Number of the first position: RoBERTa counts from behind the number of its padding token, BERT from 0.
    pub(super) fn first_position(&self) -> u32 {
        if self.is_roberta() { self.pad_token_id.unwrap_or(1).saturating_add(1) } else { 0 }
    }

    /// Most tokens that have a position.
    fn max_tokens(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.first_position() as usize)
    }

    fn check(&self, file: &Path) -> Result<()> {
        let refuse = |what: String| Err(unsupported(file, what));
        if self.model_type != "bert" && !self.is_roberta() {
            return refuse(format!(
                "the architecture {} is not taken: choose a sentence encoder of the type bert, roberta or xlm-roberta",
                self.model_type
            ));
        }
        if self.hidden_act != "gelu" {
            return refuse(format!(
                "the activation {} is not taken: choose a model with gelu",
                self.hidden_act
            ));
        }
        if self.position_embedding_type.as_deref().is_some_and(|kind| kind != "absolute") {
            return refuse("relative positions are not taken: choose a model with absolute ones".to_owned());
        }
        let sizes =
            [self.hidden_size, self.num_attention_heads, self.num_hidden_layers, self.type_vocab_size];
        if sizes.contains(&0) || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return refuse("the sizes in config.json fit no encoder: take the file of the model".to_owned());
        }
        Ok(())
    }
}

/// How the rows of the tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// The mean over all tokens.
    Mean,
    /// The row of the first token.
    First,
}

/// `1_Pooling/config.json`, in the spelling of either generation of the library.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PoolingFile {
    pooling_mode: Option<String>,
    include_prompt: Option<bool>,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

impl PoolingFile {
    fn pooling(&self, file: &Path) -> Result<Pooling> {
        let switches = self.rest.iter().filter(|(_, value)| value.as_bool() == Some(true));
        let mut modes: Vec<&str> =
            switches.filter_map(|(name, _)| name.strip_prefix("pooling_mode_")).collect();
        modes.extend(self.pooling_mode.as_deref());
        if self.include_prompt == Some(false) {
            let message = "pooling without the prompt is not taken: choose a model that pools all tokens";
            return Err(unsupported(file, message.to_owned()));
        }
        match modes.as_slice() {
            ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
            ["cls_token" | "cls"] => Ok(Pooling::First),
            _ => Err(unsupported(
                file,
                format!("the pooling {} is not taken: choose a model with mean or cls", modes.join(" + ")),
            )),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Limits {
    max_seq_length: Option<usize>,
    do_lower_case: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Prompts {
    prompts: BTreeMap<String, Option<String>>,
}

/// What the files of a folder say.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) shape: Shape,
    pub(super) pooling: Pooling,
    /// Most tokens of a text, the marks at both ends among them; what is longer is cut.
    pub(super) max_tokens: usize,
    pub(super) lowers: bool,
    /// What stands before a question.
    pub(super) query_prompt: String,
    /// What stands before a passage.
    pub(super) passage_prompt: String,
    pub(super) weights: PathBuf,
    pub(super) tokenizer: PathBuf,
}

impl Folder {
    /// Reads everything but the weights and the tokens.
    ///
    /// # Errors
    /// `Config` for a folder that lacks a file, `Unsupported` for a model that we do not compute; both name the file
    /// and the cure.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            let message =
                "there is no such folder: name the folder that holds config.json and model.safetensors";
            return Err(config(folder, message.to_owned()));
        }
        let (encoder, pooling) = modules(folder)?;
        let shape: Shape = need(&encoder.join(SHAPE))?;
        shape.check(&encoder.join(SHAPE))?;
        let pooling_file = pooling.join(POOLING);
        let pooling = need::<PoolingFile>(&pooling_file)?.pooling(&pooling_file)?;
        for file in [TOKENIZER, WEIGHTS] {
            present(&encoder.join(file))?;
        }
        let limits_file = encoder.join("sentence_bert_config.json");
        let limits: Limits = read(&limits_file)?.unwrap_or_default();
        let most = shape.max_tokens();
        let max_tokens = limits.max_seq_length.unwrap_or(most).min(most);
        if max_tokens < 8 {
            let message = format!("a text may have {max_tokens} tokens: set max_seq_length to 8 or more");
            return Err(config(&limits_file, message));
        }
        let prompts: Prompts = read(&folder.join("config_sentence_transformers.json"))?.unwrap_or_default();
        let prompt = |names: &[&str]| {
            names.iter().find_map(|name| prompts.prompts.get(*name).cloned().flatten()).unwrap_or_default()
        };
        Ok(Self {
            pooling,
            max_tokens,
            lowers: limits.do_lower_case,
            query_prompt: prompt(&["query"]),
            passage_prompt: prompt(&["passage", "document"]),
            weights: encoder.join(WEIGHTS),
            tokenizer: encoder.join(TOKENIZER),
            shape,
        })
    }
}

/// The folders of the encoder and of its pooling.
fn modules(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let file = folder.join("modules.json");
    let (mut encoder, mut pooling) = (folder.to_owned(), folder.join(POOLING_FOLDER));
    for module in read::<Vec<Module>>(&file)?.unwrap_or_default() {
        // The last word of the name of a class; the path before it moved with the versions of the library.
        match module.kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => encoder = folder.join(&module.path),
            "Pooling" => pooling = folder.join(&module.path),
            // Our vectors have length 1 in any case.
            "Normalize" => {}
            other => {
                let message =
                    format!("the step {other} is not taken: choose a model of encoder and pooling alone");
                return Err(unsupported(&file, message));
            }
        }
    }
    Ok((encoder, pooling))
}

/// A file that must be there.
fn need<T: DeserializeOwned>(file: &Path) -> Result<T> {
    present(file)?;
    read(file)?.ok_or_else(|| missing(file))
}

fn present(file: &Path) -> Result<()> {
    if file.is_file() { Ok(()) } else { Err(missing(file)) }
}

/// A file that may be there.
fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(unreadable(file, cause)),
    };
    match serde_json::from_slice(&bytes) {
        Ok(settings) => Ok(Some(settings)),
        Err(cause) => {
            let message = "the file is not what its name says: copy it again from where the model came from";
            Err(config(file, message.to_owned()).with_source(cause))
        }
    }
}

fn missing(file: &Path) -> Error {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = |other: &str| file.with_file_name(other).is_file();
    let cure = match name.as_str() {
        WEIGHTS if beside("model.safetensors.index.json") => {
            "its weights are split over several files, save them as one"
        }
        WEIGHTS if beside("pytorch_model.bin") => {
            "pytorch_model.bin is not taken, save the model again with safe_serialization=True"
        }
        TOKENIZER => {
            "save it with a fast tokenizer of the transformers library, or copy it from the model's source"
        }
        _ => "copy it from where the model came from, or save the model with SentenceTransformer.save",
    };
    config(file, format!("the model folder has no {name}: {cure}"))
}

pub(super) fn unreadable(file: &Path, cause: std::io::Error) -> Error {
    config(file, "the file cannot be read: check the rights of this process".to_owned()).with_source(cause)
}

fn config(file: &Path, message: String) -> Error {
    Error::new(ErrorKind::Config, OPEN, message).with_context("file", file.display())
}

fn unsupported(file: &Path, message: String) -> Error {
    Error::new(ErrorKind::Unsupported, OPEN, message).with_context("file", file.display())
}
