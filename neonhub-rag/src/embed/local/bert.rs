//! The encoder itself: token numbers in, one row of numbers per token out.
//!
//! The tokens of all texts of a batch stand below each other in one matrix, without padding; only attention looks at
//! one text at a time. So no vector can hang on what else is in the batch.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use neonhub_core::{Error, ErrorKind, Result};

use super::folder::{Shape, WEIGHTS};
use super::rows::{add, each_row, gelu, normalise, shares};

/// The weights of a sentence encoder.
#[derive(Debug)]
pub(super) struct Bert {
    words: Tensor,
    /// Position and token type in one: a single text has one type throughout.
    positions: Tensor,
    first_position: u32,
    norm: Norm,
    layers: Vec<Layer>,
    heads: usize,
}

#[derive(Debug)]
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

/// A linear map: `x W + b`.
#[derive(Debug)]
struct Linear {
    /// Inputs by outputs.
    weight: Tensor,
    bias: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    /// Query, key and value side by side, so that one product makes the three.
    attend: Linear,
    attended: Linear,
    attended_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

impl Bert {
    /// The encoder with the given weights.
    ///
    /// # Errors
    /// `Config` naming a tensor that is missing, or has another shape than the settings say.
    pub(super) fn new(weights: &[u8], file: &Path, shape: &Shape) -> Result<Self> {
        let mut source = Source::read(weights, file)?;
        let (hidden, inner) = (shape.hidden_size, shape.intermediate_size);
        let positions =
            source.matrix("embeddings.position_embeddings", shape.max_position_embeddings, hidden)?;
        let types = source.matrix("embeddings.token_type_embeddings", shape.type_vocab_size, hidden)?;
        let first_type = types.narrow(0, 0, 1).map_err(failed)?;
        let mut layers = Vec::with_capacity(shape.num_hidden_layers);
        for number in 0..shape.num_hidden_layers {
            let name = |part: &str| format!("encoder.layer.{number}.{part}");
            let parts = ["query", "key", "value"]
                .map(|part| source.linear(&name(&format!("attention.self.{part}")), hidden, hidden));
            let [query, key, value] = parts;
            layers.push(Layer {
                attend: side_by_side(query?, key?, value?).map_err(failed)?,
                attended: source.linear(&name("attention.output.dense"), hidden, hidden)?,
                attended_norm: source.norm(&name("attention.output.LayerNorm"), shape)?,
                up: source.linear(&name("intermediate.dense"), hidden, inner)?,
                down: source.linear(&name("output.dense"), inner, hidden)?,
                norm: source.norm(&name("output.LayerNorm"), shape)?,
            });
        }
        Ok(Self {
            words: source.matrix("embeddings.word_embeddings", shape.vocab_size, hidden)?,
            positions: positions.broadcast_add(&first_type).map_err(failed)?,
            first_position: shape.first_position(),
            norm: source.norm("embeddings.LayerNorm", shape)?,
            layers,
            heads: shape.num_attention_heads,
        })
    }

    /// The rows of the last layer, text by text, each row by row.
    pub(super) fn encode(&self, texts: &[&[u32]]) -> candle_core::Result<Vec<Vec<f32>>> {
        let ids: Vec<u32> = texts.concat();
        let positions: Vec<u32> =
            texts.iter().flat_map(|ids| (self.first_position..).take(ids.len())).collect();
        let tensor = |numbers: Vec<u32>| {
            let count = numbers.len();
            Tensor::from_vec(numbers, count, &Device::Cpu)
        };
        let words = self.words.index_select(&tensor(ids)?, 0)?;
        let mut x = (words + self.positions.index_select(&tensor(positions)?, 0)?)?;
        each_row(&x, |row| self.norm.apply(row))?;
        let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        for layer in &self.layers {
            x = layer.apply(&x, &lengths, self.heads)?;
        }
        let numbers = x.flatten_all()?.to_vec1::<f32>()?;
        let width = numbers.len() / lengths.iter().sum::<usize>().max(1);
        let mut rest = numbers.as_slice();
        let mut out = Vec::with_capacity(lengths.len());
        for length in lengths {
            let (own, after) = rest.split_at(rest.len().min(length * width));
            out.push(own.to_vec());
            rest = after;
        }
        Ok(out)
    }
}

impl Layer {
    fn apply(&self, x: &Tensor, lengths: &[usize], heads: usize) -> candle_core::Result<Tensor> {
        let attend = x.matmul(&self.attend.weight)?;
        each_row(&attend, |row| add(row, &self.attend.bias))?;
        let mut start = 0;
        let mut mixed = Vec::with_capacity(lengths.len());
        for length in lengths {
            mixed.push(attention(&attend.narrow(0, start, *length)?, heads)?);
            start += length;
        }
        let x = self.attended.with_rest(&Tensor::cat(&mixed, 0)?, x, &self.attended_norm)?;
        let inner = x.matmul(&self.up.weight)?;
        each_row(&inner, |row| {
            add(row, &self.up.bias);
            gelu(row);
        })?;
        self.down.with_rest(&inner, &x, &self.norm)
    }
}

impl Linear {
    /// `x W + b + rest`, normalised.
    fn with_rest(&self, x: &Tensor, rest: &Tensor, norm: &Norm) -> candle_core::Result<Tensor> {
        let out = (x.matmul(&self.weight)? + rest)?;
        each_row(&out, |row| {
            add(row, &self.bias);
            norm.apply(row);
        })?;
        Ok(out)
    }
}

impl Norm {
    fn apply(&self, row: &mut [f32]) {
        normalise(row, &self.weight, &self.bias, self.epsilon);
    }
}

/// Attention within one text: its queries, keys and values side by side in, its mixed values out.
fn attention(attend: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
    let (length, width) = attend.dims2()?;
    let size = width / 3 / heads;
    let parts = attend.reshape((length, 3, heads, size))?;
    // Heads by tokens by numbers: views, which the matrix product reads as they lie.
    let part = |n: usize| parts.narrow(1, n, 1)?.squeeze(1)?.transpose(0, 1);
    let scores = part(0)?.matmul(&part(1)?.transpose(1, 2)?)?;
    let scale = 1.0 / (size as f32).sqrt();
    each_row(&scores, |row| shares(row, scale))?;
    scores.matmul(&part(2)?)?.transpose(0, 1)?.reshape((length, width / 3))
}

fn side_by_side(query: Linear, key: Linear, value: Linear) -> candle_core::Result<Linear> {
    let weight = Tensor::cat(&[&query.weight, &key.weight, &value.weight], 1)?.contiguous()?;
    Ok(Linear { weight, bias: [query.bias, key.bias, value.bias].concat() })
}

/// The tensors of a file by their names without the name of the model in front.
struct Source<'a> {
    tensors: HashMap<String, Tensor>,
    file: &'a Path,
}

impl<'a> Source<'a> {
    fn read(weights: &[u8], file: &'a Path) -> Result<Self> {
        let tensors = candle_core::safetensors::load_buffer(weights, &Device::Cpu).map_err(|cause| {
            let message =
                format!("{WEIGHTS} cannot be read: it is cut short or of another format, copy it again");
            Error::new(ErrorKind::Config, super::OPEN, message)
                .with_context("file", file.display())
                .with_source(cause)
        })?;
        // A model with a head on top keeps its encoder under this name.
        let plain = |name: String| match name.split_once('.') {
            Some(("bert" | "roberta", rest)) => rest.to_owned(),
            _ => name,
        };
        let tensors = tensors.into_iter().map(|(name, tensor)| (plain(name), tensor)).collect();
        Ok(Self { tensors, file })
    }

    fn take(&mut self, name: &str, expected: &[usize]) -> Result<Tensor> {
        let fault = |message: String| {
            Error::new(ErrorKind::Config, super::OPEN, message).with_context("file", self.file.display())
        };
        let tensor = self.tensors.remove(name).ok_or_else(|| {
            fault(format!(
                "{WEIGHTS} has no tensor {name}: take the file that was saved with this config.json"
            ))
        })?;
        if tensor.dims() != expected {
            return Err(fault(format!(
                "the tensor {name} has the shape {:?}, config.json says {expected:?}: take files of one model",
                tensor.dims()
            )));
        }
        tensor.to_dtype(DType::F32).map_err(failed)
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Tensor> {
        self.take(&format!("{name}.weight"), &[rows, columns])
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        self.take(name, &[length])?.to_vec1().map_err(failed)
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        // Kept as inputs by outputs, row by row: the product then reads it in order.
        let weight = self.matrix(name, outputs, inputs)?.t().and_then(|t| t.contiguous()).map_err(failed)?;
        Ok(Linear { weight, bias: self.vector(&format!("{name}.bias"), outputs)? })
    }

    fn norm(&mut self, name: &str, shape: &Shape) -> Result<Norm> {
        Ok(Norm {
            weight: self.vector(&format!("{name}.weight"), shape.hidden_size)?,
            bias: self.vector(&format!("{name}.bias"), shape.hidden_size)?,
            epsilon: shape.layer_norm_eps,
        })
    }
}

fn failed(cause: candle_core::Error) -> Error {
    Error::internal(super::OPEN, cause)
}
