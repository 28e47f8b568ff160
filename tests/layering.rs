//! Arrows point down only: what `cargo tree` shows of each crate, and what must be absent from it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;

/// Names of everything a package pulls in for its normal build, itself included.
fn graph(package: &str, features: &[&str]) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "tree",
        "--package",
        package,
        "--no-default-features",
    ]);
    command.args(["--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    let output = command.output().expect("cargo starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree of {package} failed: {errors}");
    let text = String::from_utf8(output.stdout).expect("cargo tree prints UTF-8");
    let names: BTreeSet<String> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    // Without this an empty answer would pass every test below.
    assert!(names.contains(package), "{package} is missing from its own graph: {names:?}");
    names
}

fn assert_absent(package: &str, features: &[&str], refused: &[&str]) {
    let names = graph(package, features);
    let found: Vec<&&str> = refused.iter().filter(|name| names.contains(**name)).collect();
    assert!(found.is_empty(), "{package} with features {features:?} pulls in {found:?}");
}

/// HTTP clients, databases and binding libraries: each sits behind a feature.
const HEAVY: [&str; 15] = [
    "reqwest",
    "hyper",
    "ureq",
    "rusqlite",
    "libsqlite3-sys",
    "sled",
    "tokio-postgres",
    "sqlx",
    "tantivy",
    "hnsw_rs",
    "lettre",
    "lopdf",
    "pyo3",
    "napi",
    "uniffi",
];

const FAMILY: [&str; 5] = ["neonhub", "neonhub-core", "neonhub-rag", "neonhub-connectors", "neonhub-agents"];

/// The family without the named crates.
fn family_but(allowed: &[&str]) -> Vec<&'static str> {
    FAMILY.into_iter().filter(|name| !allowed.contains(name)).collect()
}

#[test]
fn core_without_features_pulls_in_nothing_heavy() {
    assert_absent("neonhub-core", &[], &HEAVY);
    assert_absent("neonhub-core", &["testing"], &HEAVY);
}

#[test]
fn core_stands_on_no_other_crate_of_the_family() {
    assert_absent("neonhub-core", &["sqlite", "testing"], &family_but(&["neonhub-core"]));
}

#[test]
fn knowledge_stands_on_core_alone() {
    assert_absent("neonhub-rag", &["extract", "local"], &family_but(&["neonhub-rag", "neonhub-core"]));
    assert_absent("neonhub-rag", &["extract", "local"], &["tokio-postgres"]);
    // A model comes from a folder: nothing in it can fetch one.
    assert_absent("neonhub-rag", &["local"], &["hf-hub", "reqwest", "ureq", "hyper", "onig_sys"]);
}

#[test]
fn connectors_stand_on_core_alone() {
    assert_absent("neonhub-connectors", &["smtp"], &family_but(&["neonhub-connectors", "neonhub-core"]));
}

#[test]
fn agents_never_see_the_facade() {
    assert_absent("neonhub-agents", &[], &["neonhub", "neonhub-ffi"]);
}

#[test]
fn facade_without_features_has_no_database_no_mail_client_no_extraction_and_no_model() {
    assert_absent("neonhub", &[], &["rusqlite", "libsqlite3-sys", "lettre", "lopdf", "scraper", "zip"]);
    assert_absent("neonhub", &["sqlite", "extract", "smtp"], &["candle-core", "tokenizers", "gemm"]);
}

#[test]
fn no_library_crate_links_a_binding_runtime() {
    assert_absent("neonhub", &["sqlite", "extract", "smtp"], &["pyo3", "napi", "uniffi", "neonhub-ffi"]);
}

#[test]
fn features_bring_what_they_name() {
    // The other half of the tests above: the names looked for are the ones that cargo prints.
    assert!(graph("neonhub-core", &["sqlite"]).contains("rusqlite"));
    assert!(graph("neonhub-connectors", &["smtp"]).contains("lettre"));
    assert!(graph("neonhub-rag", &["extract"]).contains("lopdf"));
    assert!(graph("neonhub-rag", &["postgres"]).contains("tokio-postgres"));
    assert!(graph("neonhub", &["local"]).contains("candle-core"));
    assert!(graph("neonhub-rag", &[]).contains("tantivy"));
    assert!(graph("neonhub", &[]).contains("neonhub-agents"));
}
