//! The report of file lengths: lines without tests, per crate, and the files where a second idea may live.

use std::collections::BTreeMap;

use crate::failure::Result;
use crate::sources::{self, Source};
use crate::workspace::Workspace;

/// Length at which a reader looks for a second idea in a file (lines without tests).
const LONG: usize = 400;

/// How many of the longest files are named.
const NAMED: usize = 12;

#[derive(Debug, Default)]
struct Size {
    files: usize,
    lines: usize,
    long: usize,
}

/// Prints the report. It fails nothing: length is a hint, not a rule.
pub(crate) fn report(workspace: &Workspace) -> Result<()> {
    let mut crates: BTreeMap<String, Size> = BTreeMap::new();
    let mut long: Vec<(usize, String)> = Vec::new();
    for source in sources::texts(&workspace.root)? {
        let Some(owner) = owner(workspace, &source) else { continue };
        let lines = lines_without_tests(&source.text);
        let size = crates.entry(owner).or_default();
        size.files += 1;
        size.lines += lines;
        if lines > LONG {
            size.long += 1;
            long.push((lines, source.path));
        }
    }
    println!("{:24}  {:>5}  {:>7}  {:>8}", "crate", "files", "lines", format!("over {LONG}"));
    for (name, size) in &crates {
        println!("{name:24}  {:>5}  {:>7}  {:>8}", size.files, size.lines, size.long);
    }
    long.sort_by(|a, b| b.cmp(a));
    for (lines, path) in long.iter().take(NAMED) {
        println!("  {lines} {path}");
    }
    Ok(())
}

/// The member whose `src` folder holds the file; test files belong to nobody.
pub(super) fn owner(workspace: &Workspace, source: &Source) -> Option<String> {
    let path = &source.path;
    let is_test = path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/tests/");
    if !path.ends_with(".rs") || is_test {
        return None;
    }
    let path = workspace.root.join(&source.path);
    let member = workspace.members().iter().find(|member| path.starts_with(member.folder().join("src")));
    member.map(|member| member.name.clone())
}

/// Lines outside `#[cfg(test)]` modules.
pub(super) fn lines_without_tests(text: &str) -> usize {
    let mut count = 0;
    let mut is_in_tests = false;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let opens_tests = line == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        is_in_tests |= opens_tests;
        if is_in_tests {
            is_in_tests = line != "}";
        } else {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_modules_do_not_count() {
        let text = "fn a() {\n}\n\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n";
        assert_eq!(lines_without_tests(text), 4);
    }

    #[test]
    fn test_module_in_a_file_of_its_own_counts_as_its_two_lines() {
        assert_eq!(lines_without_tests("fn a() {}\n#[cfg(test)]\nmod tests;\n"), 3);
    }
}
