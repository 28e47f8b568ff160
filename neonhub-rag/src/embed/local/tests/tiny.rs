//! A tiny encoder with weights by chance, its folder, and the same computation written out in double precision.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use neonhub_core::Seed;
use serde_json::{Value, json};

pub(super) const HIDDEN: usize = 24;
const HEADS: usize = 3;
const INNER: usize = 40;
const LAYERS: usize = 2;
const POSITIONS: usize = 40;
pub(super) const MAX_TOKENS: usize = 20;
const WORDS: [&str; 12] =
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "tea", "is", "warm", "we", "ship", "it", "##s", "query"];

type Matrix = Vec<Vec<f64>>;

/// The model in both forms: the files of a folder, and its numbers.
pub(super) struct Tiny {
    weights: HashMap<String, Matrix>,
    /// `bert` or `roberta`.
    kind: &'static str,
}

impl Tiny {
    pub(super) fn new(kind: &'static str, seed: u64) -> Self {
        let mut rng = Seed::from_number(seed).rng();
        let mut weights = HashMap::new();
        let mut matrix = |name: String, rows: usize, columns: usize, spread: f64, middle: f64| {
            // Rounded to f32, as the file keeps them.
            let mut one = || (middle + spread * (rng.below(2_001) as f64 / 1_000.0 - 1.0)) as f32;
            let matrix = (0..rows).map(|_| (0..columns).map(|_| f64::from(one())).collect()).collect();
            weights.insert(name, matrix);
        };
        let types = if kind == "bert" { 2 } else { 1 };
        matrix("embeddings.word_embeddings.weight".into(), WORDS.len(), HIDDEN, 1.0, 0.0);
        matrix("embeddings.position_embeddings.weight".into(), POSITIONS, HIDDEN, 0.5, 0.0);
        matrix("embeddings.token_type_embeddings.weight".into(), types, HIDDEN, 0.5, 0.0);
        let mut norms = vec!["embeddings.LayerNorm".to_owned()];
        let mut linears = Vec::new();
        for n in 0..LAYERS {
            let name = |part: &str| format!("encoder.layer.{n}.{part}");
            norms.extend([name("attention.output.LayerNorm"), name("output.LayerNorm")]);
            for part in ["self.query", "self.key", "self.value", "output.dense"] {
                linears.push((name(&format!("attention.{part}")), HIDDEN, HIDDEN));
            }
            linears.push((name("intermediate.dense"), INNER, HIDDEN));
            linears.push((name("output.dense"), HIDDEN, INNER));
        }
        for name in norms {
            matrix(format!("{name}.weight"), 1, HIDDEN, 0.3, 1.0);
            matrix(format!("{name}.bias"), 1, HIDDEN, 0.3, 0.0);
        }
        for (name, outputs, inputs) in linears {
            matrix(format!("{name}.weight"), outputs, inputs, 0.6, 0.0);
            matrix(format!("{name}.bias"), 1, outputs, 0.3, 0.0);
        }
        Self { weights, kind }
    }

    /// Writes the folder of the model.
    pub(super) fn write(&self, folder: &Path) {
        let tensors: HashMap<String, Tensor> =
            self.weights.iter().map(|(name, matrix)| (name.clone(), tensor(name, matrix))).collect();
        candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
        write(folder, "config.json", &self.config());
        write(folder, "tokenizer.json", &tokenizer());
        write(folder, "sentence_bert_config.json", &json!({ "max_seq_length": MAX_TOKENS }));
        std::fs::create_dir_all(folder.join("1_Pooling")).unwrap();
        write(folder, "1_Pooling/config.json", &json!({ "pooling_mode_mean_tokens": true }));
        let module = |kind: &str, path: &str| json!({ "type": format!("x.{kind}"), "path": path });
        let modules =
            json!([module("Transformer", ""), module("Pooling", "1_Pooling"), module("Normalize", "2")]);
        write(folder, "modules.json", &modules);
    }

    pub(super) fn config(&self) -> Value {
        json!({
            "model_type": self.kind, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS, "intermediate_size": INNER, "max_position_embeddings": POSITIONS,
            "vocab_size": WORDS.len(), "type_vocab_size": if self.kind == "bert" { 2 } else { 1 },
            "layer_norm_eps": 1e-12, "hidden_act": "gelu", "pad_token_id": 0,
        })
    }

    /// The rows of the last layer for a text that is padded to `length` tokens, the rows of padding left out.
    fn rows(&self, words: &[&str], length: usize) -> Matrix {
        let own: Vec<usize> =
            words.iter().map(|word| WORDS.iter().position(|known| known == word).unwrap()).collect();
        let ids: Vec<usize> = own.iter().copied().chain(std::iter::repeat(0)).take(length).collect();
        let first = if self.kind == "bert" { 0 } else { 1 };
        let add = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
        let table = |name: &str, row: usize| {
            self.weights[&format!("embeddings.{name}_embeddings.weight")][row].clone()
        };
        let embedded = ids.iter().enumerate().map(|(n, id)| {
            add(&add(&table("word", *id), &table("position", n + first)), &table("token_type", 0))
        });
        let mut x: Matrix = embedded.map(|row| self.norm("embeddings.LayerNorm", &row)).collect();
        for n in 0..LAYERS {
            let layer = format!("encoder.layer.{n}");
            let part = |name: &str| self.linear(&format!("{layer}.attention.self.{name}"), &x);
            let (query, key, value) = (part("query"), part("key"), part("value"));
            let size = HIDDEN / HEADS;
            let mut mixed = vec![vec![0.0; HIDDEN]; length];
            for head in 0..HEADS {
                let span = head * size..(head + 1) * size;
                for (row, mixed) in mixed.iter_mut().enumerate() {
                    let score = |other: usize| -> f64 {
                        // Padding is hidden, as libraries that pad do it.
                        let mask = if other < own.len() { 0.0 } else { f64::NEG_INFINITY };
                        span.clone().map(|i| query[row][i] * key[other][i]).sum::<f64>()
                            / (size as f64).sqrt()
                            + mask
                    };
                    let scores: Vec<f64> = (0..length).map(score).map(f64::exp).collect();
                    let total: f64 = scores.iter().sum();
                    for i in span.clone() {
                        mixed[i] = (0..length).map(|other| scores[other] / total * value[other][i]).sum();
                    }
                }
            }
            let mixed = self.linear(&format!("{layer}.attention.output.dense"), &mixed);
            let join = |a: &Matrix, b: &Matrix, name: &str| -> Matrix {
                a.iter().zip(b).map(|(a, b)| self.norm(&format!("{layer}.{name}"), &add(a, b))).collect()
            };
            let middle = join(&mixed, &x, "attention.output.LayerNorm");
            let mut inner = self.linear(&format!("{layer}.intermediate.dense"), &middle);
            inner.iter_mut().flatten().for_each(|v| *v *= 0.5 * (1.0 + erf(*v / 2.0_f64.sqrt())));
            x = join(&self.linear(&format!("{layer}.output.dense"), &inner), &middle, "output.LayerNorm");
        }
        x.truncate(own.len());
        x
    }

    /// The vector of a text of known tokens, computed in a batch that is padded to `length`.
    pub(super) fn vector(&self, words: &[&str], length: usize) -> Vec<f64> {
        let rows = self.rows(words, length);
        unit((0..HIDDEN).map(|i| rows.iter().map(|row| row[i]).sum::<f64>()).collect())
    }

    /// The vector by the first token.
    pub(super) fn first(&self, words: &[&str]) -> Vec<f64> {
        unit(self.rows(words, words.len()).swap_remove(0))
    }

    fn norm(&self, name: &str, row: &[f64]) -> Vec<f64> {
        let (weight, bias) =
            (&self.weights[&format!("{name}.weight")][0], &self.weights[&format!("{name}.bias")][0]);
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / row.len() as f64;
        let scale = (variance + 1e-12).sqrt();
        row.iter().enumerate().map(|(i, v)| (v - mean) / scale * weight[i] + bias[i]).collect()
    }

    fn linear(&self, name: &str, x: &Matrix) -> Matrix {
        let (weight, bias) =
            (&self.weights[&format!("{name}.weight")], &self.weights[&format!("{name}.bias")][0]);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        x.iter().map(|row| weight.iter().zip(bias).map(|(w, b)| dot(row, w) + b).collect()).collect()
    }
}

fn unit(vector: Vec<f64>) -> Vec<f64> {
    let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
    vector.into_iter().map(|v| v / length).collect()
}

/// The error function by its series, `2 / sqrt(pi)` times the sum of `(-1)^n x^(2n+1) / (n! (2n+1))`.
pub(in crate::embed::local) fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn tensor(name: &str, matrix: &Matrix) -> Tensor {
    let numbers: Vec<f32> = matrix.iter().flatten().map(|v| *v as f32).collect();
    let is_vector = name.ends_with(".bias") || name.contains("LayerNorm");
    match is_vector {
        true => Tensor::from_vec(numbers, matrix[0].len(), &Device::Cpu).unwrap(),
        false => Tensor::from_vec(numbers, (matrix.len(), matrix[0].len()), &Device::Cpu).unwrap(),
    }
}

fn tokenizer() -> Value {
    let vocabulary: HashMap<&str, usize> = WORDS.iter().enumerate().map(|(n, word)| (*word, n)).collect();
    let mark = |name: &str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    let special = |name: &str, id: usize| json!({ "id": name, "ids": [id], "tokens": [name] });
    let added = |name: &str, id: usize| {
        json!({
            "id": id, "content": name, "special": true,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        })
    };
    json!({
        "version": "1.0",
        // Settings of a training that must not reach us.
        "truncation": { "max_length": 4, "strategy": "LongestFirst", "stride": 0 },
        "padding": { "strategy": { "Fixed": 30 }, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]" },
        "added_tokens": [added("[PAD]", 0), added("[UNK]", 1), added("[CLS]", 2), added("[SEP]", 3)],
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [mark("[CLS]"), { "Sequence": { "id": "A", "type_id": 0 } }, mark("[SEP]")],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }],
            "special_tokens": { "[CLS]": special("[CLS]", 2), "[SEP]": special("[SEP]", 3) },
        },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        },
    })
}

pub(super) fn write(folder: &Path, file: &str, content: &Value) {
    std::fs::write(folder.join(file), content.to_string()).unwrap();
}
