//! The example run twice with the same seed and the same moment: both output folders must be equal byte for byte,
//! apart from the store, whose pages hold keys of its own, and from measured times.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Doing, Failure, Result};
use crate::process::Process;
use crate::sources;
use crate::workspace::Workspace;

/// The moment of all runs: a Monday morning in New York behind the start of the bundled brief, so that neither the
/// start nor a quiet hour puts every send off.
pub(crate) const NOW: &str = "2026-11-23T15:00:00Z";

/// The seed of all runs.
pub(crate) const SEED: &str = "7";

/// Field of the report that holds measured times.
const TIMINGS: &str = "timings_ms";

/// Begin and end of the list of measured times in the HTML report.
const HTML_TIMINGS: (&str, &str) = ("id=\"timings\"", "</ul>");

/// Runs the example twice and compares; then a third time on the first store, which must send nothing again.
pub(crate) fn is_reproducible(workspace: &Workspace) -> Result<()> {
    let (first, second) = (fresh(workspace, "example-1")?, fresh(workspace, "example-2")?);
    for out in [&first, &second] {
        run(workspace, out)?;
    }
    let differences = differences(&first, &second)?;
    if differences.is_empty() {
        return sends_nothing_twice(workspace, &first);
    }
    differences.iter().for_each(|difference| println!("  {difference}"));
    Err(Failure::new("two runs with the same seed and the same moment differ"))
}

/// Runs the example once more over the store of a finished run.
fn sends_nothing_twice(workspace: &Workspace, out: &Path) -> Result<()> {
    let before = sources::below(&out.join("outbox"))?;
    run(workspace, out)?;
    let report = std::fs::read(out.join("report.json")).doing("read report.json")?;
    let report: Value = serde_json::from_slice(&report)?;
    let sent_now = report.pointer("/sends/sent_now").and_then(Value::as_u64);
    if sent_now == Some(0) && sources::below(&out.join("outbox"))? == before {
        return Ok(());
    }
    Err(Failure::new(format!("a second run on the same store sent something again (sent_now: {sent_now:?})")))
}

/// An output folder that is not there yet.
fn fresh(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let out = workspace.target.join(name);
    if out.exists() {
        std::fs::remove_dir_all(&out).doing(format!("empty {}", out.display()))?;
    }
    Ok(out)
}

fn run(workspace: &Workspace, out: &Path) -> Result<()> {
    Process::new(workspace.program("examples/campaign"), &workspace.root)
        .args(["--seed", SEED, "--now", NOW, "--out"])
        .arg(out)
        .run()
}

fn differences(first: &Path, second: &Path) -> Result<Vec<String>> {
    let files = |folder: &Path| -> Result<Vec<PathBuf>> {
        Ok(sources::below(folder)?.into_iter().filter(|path| !is_store(path)).collect())
    };
    let (names, other_names) = (files(first)?, files(second)?);
    println!("{} files compared", names.len());
    if names.is_empty() {
        return Ok(vec!["the first run wrote nothing".to_owned()]);
    }
    let only_here = names.iter().filter(|name| !other_names.contains(name));
    let only_there = other_names.iter().filter(|name| !names.contains(name));
    let mut found: Vec<String> =
        only_here.chain(only_there).map(|name| format!("only in one run: {}", name.display())).collect();
    for name in names.iter().filter(|name| other_names.contains(name)) {
        let read = |folder: &Path| {
            let bytes = std::fs::read(folder.join(name)).doing(format!("read {}", name.display()))?;
            without_timings(name, bytes)
        };
        if read(first)? != read(second)? {
            found.push(format!("differs: {}", name.display()));
        }
    }
    Ok(found)
}

/// The store and its companions (`campaign.neon`, `campaign.neon-wal`, `campaign.neon.key`, ...).
fn is_store(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().contains(".neon"))
}

fn without_timings(name: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
    if name == Path::new("report.json") {
        let mut report: Value = serde_json::from_slice(&bytes)?;
        let removed = report.as_object_mut().and_then(|fields| fields.remove(TIMINGS));
        removed.ok_or_else(|| Failure::new(format!("report.json has no `{TIMINGS}`")))?;
        return Ok(serde_json::to_vec(&report)?);
    }
    if name == Path::new("report.html") {
        let text = String::from_utf8(bytes).doing("read report.html as UTF-8")?;
        return Ok(cut(&text, HTML_TIMINGS).into_bytes());
    }
    Ok(bytes)
}

/// The text without what stands between each pair of marks.
fn cut(text: &str, (open, close): (&str, &str)) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        kept.push_str(before);
        rest = after.split_once(close).map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_times_are_cut_and_nothing_else() {
        let html = "<p>a</p><div id=\"timings\"><ul><li>12 ms</li></ul></div><ul>b</ul>";
        assert_eq!(cut(html, HTML_TIMINGS), "<p>a</p><div </div><ul>b</ul>");
        assert_eq!(cut("plain", HTML_TIMINGS), "plain");
        let report = br#"{"timings_ms":{"a":1},"sends":2}"#.to_vec();
        assert_eq!(without_timings(Path::new("report.json"), report).unwrap(), br#"{"sends":2}"#);
    }

    #[test]
    fn a_byte_and_a_file_that_differ_are_found() {
        let root = std::env::temp_dir().join(format!("xtask-example-{}", std::process::id()));
        for (name, mail) in [("one", "a"), ("two", "b")] {
            std::fs::create_dir_all(root.join(name)).unwrap();
            std::fs::write(root.join(name).join("mail.eml"), mail).unwrap();
            std::fs::write(root.join(name).join("campaign.neon"), name).unwrap();
        }
        std::fs::write(root.join("two/extra.json"), "{}").unwrap();
        let found = differences(&root.join("one"), &root.join("two")).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, ["only in one run: extra.json", "differs: mail.eml"]);
    }
}
