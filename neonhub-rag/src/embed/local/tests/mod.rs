mod minilm;
mod space;
mod tiny;

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

pub(super) use self::tiny::erf;
use self::tiny::{HIDDEN, MAX_TOKENS, Tiny, write};
use super::*;
use crate::embed::embed_all;

fn folder_of(tiny: &Tiny) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    tiny.write(folder.path());
    folder
}

fn tiny() -> (Tiny, TempDir) {
    let tiny = Tiny::new("bert", 7);
    let folder = folder_of(&tiny);
    (tiny, folder)
}

async fn vectors(model: &LocalModel, texts: &[&str]) -> Vec<Vec<f32>> {
    embed_all(model, texts, EmbedKind::Passage).await.unwrap()
}

fn assert_near(ours: &[f32], reference: &[f64]) {
    assert_eq!(ours.len(), reference.len());
    let far = ours.iter().zip(reference).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(far < 1e-5, "{far}: {ours:?} {reference:?}");
}

#[tokio::test]
async fn vectors_are_those_of_a_computation_written_out() {
    let (tiny, folder) = tiny();
    let model = LocalModel::open(folder.path()).unwrap();
    let texts = ["Tea is warm", "we ship it", "teas", "unknown tea"];
    let tokens: [&[&str]; 4] = [
        &["[CLS]", "tea", "is", "warm", "[SEP]"],
        &["[CLS]", "we", "ship", "it", "[SEP]"],
        &["[CLS]", "tea", "##s", "[SEP]"],
        &["[CLS]", "[UNK]", "tea", "[SEP]"],
    ];
    for (ours, tokens) in vectors(&model, &texts).await.iter().zip(tokens) {
        assert_near(ours, &tiny.vector(tokens, tokens.len()));
        // The reference pads and hides the padding; the vector is the same.
        assert_near(ours, &tiny.vector(tokens, 17));
    }
}

#[tokio::test]
async fn company_order_and_length_of_a_batch_do_not_matter() {
    let (_, folder) = tiny();
    let model = LocalModel::open(folder.path()).unwrap();
    let long = "we ship tea it is warm ".repeat(3);
    // More tokens than one batch takes, so that the texts are spread over several.
    let texts: Vec<String> = (0..600)
        .map(|n| match n % 4 {
            0 => long.clone(),
            1 => format!("tea is {}", "warm ".repeat(n % 7)),
            2 => "tea".to_owned(),
            _ => format!("we ship {}", "tea ".repeat(n % 11)),
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = vectors(&model, &texts).await;
    let backwards: Vec<&str> = texts.iter().rev().copied().collect();
    let backwards = vectors(&model, &backwards).await;
    for (n, (vector, other)) in together.iter().zip(backwards.iter().rev()).enumerate() {
        let other: Vec<f64> = other.iter().map(|v| f64::from(*v)).collect();
        assert_near(vector, &other);
        if n % 37 == 0 {
            let alone = vectors(&model, &[texts[n]]).await.remove(0);
            assert_near(vector, &alone.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
        }
        assert!((vector.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

#[tokio::test]
async fn a_long_text_is_read_in_windows_to_its_end() {
    let (tiny, folder) = tiny();
    let model = LocalModel::open(folder.path()).unwrap();
    assert_eq!(model.max_tokens(), MAX_TOKENS);
    let room = MAX_TOKENS - 2;
    let words: Vec<&str> = (0..2 * room + 5).map(|n| ["tea", "is", "warm"][n % 3]).collect();
    // Written out: each window with its marks, weighed by its tokens.
    let mut mean = vec![0.0; HIDDEN];
    for window in words.chunks(room) {
        let marked: Vec<&str> =
            std::iter::once("[CLS]").chain(window.iter().copied()).chain(std::iter::once("[SEP]")).collect();
        let vector = tiny.vector(&marked, marked.len());
        mean.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value * marked.len() as f64);
    }
    let length = mean.iter().map(|v| v * v).sum::<f64>().sqrt();
    mean.iter_mut().for_each(|v| *v /= length);
    let long = words.join(" ");
    let ours = vectors(&model, &["tea", &long, "", "we ship it"]).await;
    assert_near(&ours[1], &mean);
    assert_near(&ours[0], &tiny.vector(&["[CLS]", "tea", "[SEP]"], 3));
    assert_near(&ours[3], &tiny.vector(&["[CLS]", "we", "ship", "it", "[SEP]"], 5));
    // Its last words count, and one whole window is one window.
    let other = vectors(&model, &[&format!("{long} we ship it")]).await.remove(0);
    assert!(other.iter().zip(&ours[1]).any(|(a, b)| (a - b).abs() > 1e-3));
    assert_eq!(model.inner.windows(&words[..room].join(" ")).unwrap().len(), 1);
    // Without the setting the positions of the model are the bound.
    std::fs::remove_file(folder.path().join("sentence_bert_config.json")).unwrap();
    assert_eq!(LocalModel::open(folder.path()).unwrap().max_tokens(), 40);
}

#[test]
fn tokens_are_told_as_ranges_of_the_text_however_long_it_is() {
    let (_, folder) = tiny();
    let model = LocalModel::open(folder.path()).unwrap();
    let spans = model.token_spans("Teas, is\n\nwarm \u{fc}").unwrap().unwrap();
    assert_eq!(spans, [0..3, 3..4, 4..5, 6..8, 10..14, 15..17]);
    assert_eq!(model.token_spans(&"tea ".repeat(300)).unwrap().unwrap().len(), 300);
}

#[tokio::test]
async fn a_blank_text_gives_zeros_and_too_many_texts_are_refused() {
    let (_, folder) = tiny();
    let model = LocalModel::open(folder.path()).unwrap();
    let out = vectors(&model, &["", "tea", " \n "]).await;
    assert_eq!((&out[0], &out[2]), (&vec![0.0; HIDDEN], &vec![0.0; HIDDEN]));
    assert!(out[1].iter().any(|v| *v != 0.0));
    let error = model.embed(&vec!["tea"; MAX_BATCH + 1], EmbedKind::Passage).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn pooling_prompts_and_prefixed_names_are_followed() {
    let (tiny, folder) = tiny();
    write(folder.path(), "1_Pooling/config.json", &json!({ "pooling_mode": "cls" }));
    let prompts = json!({ "prompts": { "query": "query ", "document": "we " }, "default_prompt_name": null });
    write(folder.path(), "config_sentence_transformers.json", &prompts);
    let path = folder.path().join("model.safetensors");
    let tensors = candle_core::safetensors::load(&path, &candle_core::Device::Cpu).unwrap();
    let prefixed: std::collections::HashMap<String, _> =
        tensors.into_iter().map(|(name, tensor)| (format!("bert.{name}"), tensor)).collect();
    candle_core::safetensors::save(&prefixed, &path).unwrap();
    let model = LocalModel::open(folder.path()).unwrap();
    for (kind, first) in [(EmbedKind::Query, "query"), (EmbedKind::Passage, "we")] {
        let ours = model.embed(&["tea"], kind).await.unwrap().remove(0);
        assert_near(&ours, &tiny.first(&["[CLS]", first, "tea", "[SEP]"]));
    }
}

#[tokio::test]
async fn roberta_counts_positions_behind_its_padding() {
    let tiny = Tiny::new("roberta", 8);
    let folder = folder_of(&tiny);
    let ours = vectors(&LocalModel::open(folder.path()).unwrap(), &["tea is warm"]).await.remove(0);
    assert_near(&ours, &tiny.vector(&["[CLS]", "tea", "is", "warm", "[SEP]"], 5));
}

#[test]
fn the_id_tells_models_apart_whatever_they_are_called() {
    let (_, folder) = tiny();
    let (a, again) = (LocalModel::open(folder.path()).unwrap(), LocalModel::open(folder.path()).unwrap());
    assert_eq!((a.id(), a.dims()), (again.id(), HIDDEN));
    assert!(a.id().starts_with(a.name()) && a.id() != a.name());
    let other = folder_of(&Tiny::new("bert", 9));
    let (a, other) = (a.named("m"), LocalModel::open(other.path()).unwrap().named("m"));
    assert_eq!(a.name(), other.name());
    assert_ne!(a.id(), other.id());
    // Settings that change the vectors change the id.
    write(folder.path(), "sentence_bert_config.json", &json!({ "max_seq_length": 12 }));
    assert_ne!(LocalModel::open(folder.path()).unwrap().named("m").id(), a.id());
}

fn refused(change: impl FnOnce(&Tiny, &Path)) -> Error {
    let (tiny, folder) = tiny();
    change(&tiny, folder.path());
    LocalModel::open(folder.path()).unwrap_err()
}

#[test]
fn a_missing_file_is_named_with_its_cure() {
    let nowhere = LocalModel::open("/nowhere/at/all").unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::Config);
    assert!(nowhere.to_string().contains("/nowhere/at/all"), "{nowhere}");
    for file in ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"] {
        let error = refused(|_, folder| std::fs::remove_file(folder.join(file)).unwrap());
        assert_eq!(error.kind(), ErrorKind::Config);
        let (text, name) = (error.to_string(), file.rsplit('/').next().unwrap());
        assert!(text.contains(&format!("has no {name}: ")) && text.contains(file), "{text}");
    }
    let pickled = refused(|_, folder| {
        std::fs::rename(folder.join("model.safetensors"), folder.join("pytorch_model.bin")).unwrap();
    });
    assert!(pickled.to_string().contains("safe_serialization=True"), "{pickled}");
    let split = refused(|_, folder| {
        std::fs::rename(folder.join("model.safetensors"), folder.join("model.safetensors.index.json"))
            .unwrap();
    });
    assert!(split.to_string().contains("save them as one"), "{split}");
}

#[test]
fn a_model_that_is_not_computed_here_is_refused() {
    let with = |key: &str, value: serde_json::Value| {
        refused(|tiny, folder| {
            let mut config = tiny.config();
            config[key] = value;
            write(folder, "config.json", &config);
        })
    };
    for (error, word) in [
        (with("model_type", json!("mpnet")), "mpnet"),
        (with("hidden_act", json!("gelu_new")), "gelu_new"),
        (with("position_embedding_type", json!("relative_key")), "relative"),
        (with("num_attention_heads", json!(5)), "sizes"),
        (
            refused(|_, f| write(f, "1_Pooling/config.json", &json!({ "pooling_mode_max_tokens": true }))),
            "max",
        ),
        (refused(|_, f| write(f, "1_Pooling/config.json", &json!({}))), "pooling"),
        (
            refused(|_, f| write(f, "modules.json", &json!([{ "type": "a.Dense", "path": "2_Dense" }]))),
            "Dense",
        ),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(word) && error.to_string().contains(".json"), "{error}");
    }
}

#[test]
fn files_of_two_models_and_broken_files_are_refused() {
    let config = |key: &str, value: usize| {
        refused(|tiny, folder| {
            let mut config = tiny.config();
            config[key] = value.into();
            write(folder, "config.json", &config);
        })
    };
    let cut = refused(|_, folder| {
        let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
        std::fs::write(folder.join("model.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    });
    for (error, word) in [
        (config("hidden_size", 48), "shape"),
        (config("num_hidden_layers", 3), "has no tensor encoder.layer.2"),
        (config("vocab_size", 11), "shape"),
        (cut, "cut short"),
        (refused(|_, f| std::fs::write(f.join("config.json"), "{").unwrap()), "copy it again"),
        (refused(|_, f| std::fs::write(f.join("tokenizer.json"), "{}").unwrap()), "tokenizer.json"),
        (
            refused(|_, f| write(f, "sentence_bert_config.json", &json!({ "max_seq_length": 2 }))),
            "max_seq_length",
        ),
    ] {
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn batches_hold_every_text_once_and_stay_within_their_size() {
    let tokens: Vec<Vec<u32>> = (0..400).map(|n| vec![1; n * 7 % 256]).collect();
    for threads in [1, 2, 64] {
        let batches = batches(&tokens, threads);
        let mut all: Vec<usize> = batches.iter().flatten().copied().collect();
        all.sort_unstable();
        let with_tokens: Vec<usize> = (0..400).filter(|n| !tokens[*n].is_empty()).collect();
        assert_eq!(all, with_tokens);
        for batch in &batches {
            assert!(batch.iter().map(|n| tokens[*n].len()).sum::<usize>() <= *BATCH_TOKENS.end());
        }
    }
    // Little work is still shared out.
    assert_eq!(super::batches(&vec![vec![1; 256]; 4], 2).len(), 2);
}
