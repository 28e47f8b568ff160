//! How much of the bindings is written by hand, beside the library they bind.

use crate::failure::Result;
use crate::generate;
use crate::sources::{self, Source};
use crate::workspace::Workspace;

/// Most lines written by hand, as a share of the lines of the library crates.
const LIMIT_PERCENT: f64 = 2.0;

/// Languages of the bindings.
const CODE: [&str; 10] = ["rs", "py", "pyi", "js", "mjs", "cjs", "ts", "kt", "swift", "java"];

/// Parts of a path that are no binding code: they prove it or show it.
const BESIDE: [&str; 7] = ["tests", "test", "bench", "benches", "examples", "testing", "Tests"];

/// Prints the figure. It fails nothing: a missed limit stays in sight as missed.
pub(crate) fn report(workspace: &Workspace) -> Result<()> {
    let (mut by_hand, mut library) = (0, 0);
    let mut folders: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for source in sources::texts(&workspace.root)? {
        if is_by_hand(&source) {
            let lines = super::lengths::lines_without_tests(&source.text);
            by_hand += lines;
            let folder: Vec<&str> = source.path.split('/').take(2).collect();
            *folders.entry(folder.join("/")).or_default() += lines;
        } else if super::lengths::owner(workspace, &source)
            .is_some_and(|owner| workspace.libraries().any(|package| package.name == owner))
        {
            library += super::lengths::lines_without_tests(&source.text);
        }
    }
    let percent = if library == 0 { 0.0 } else { by_hand as f64 * 100.0 / library as f64 };
    for (folder, lines) in &folders {
        println!("{folder:24}  {lines:>7}");
    }
    let verdict = if percent <= LIMIT_PERCENT { "holds" } else { "MISSED" };
    println!(
        "hand-written binding code: {by_hand} lines, {percent:.1} % of the {library} of the library crates (limit {LIMIT_PERCENT} %: {verdict})"
    );
    Ok(())
}

fn is_by_hand(source: &Source) -> bool {
    let path = &source.path;
    let extension = path.rsplit('.').next().unwrap_or_default();
    path.starts_with("bindings/")
        && CODE.contains(&extension)
        && !path.ends_with("tests.rs")
        && !path.split('/').any(|part| BESIDE.contains(&part))
        && !generate::is_generated(&source.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_benches_and_generated_files_do_not_count() {
        let is = |path: &str, text: &str| is_by_hand(&Source { path: path.into(), text: text.into() });
        assert!(is("bindings/ffi/src/hub.rs", "fn a() {}"));
        assert!(!is("bindings/python/tests/test_a.py", "a"));
        assert!(!is("bindings/python/bench/hop.py", "a"));
        assert!(!is("neonhub-core/src/lib.rs", "a"));
        let mark = concat!("# @gener", "ated by `cargo xtask generate`; do not edit.");
        assert!(!is("bindings/python/python/neonhub/_generated/models.py", mark));
    }
}
