//! Rules that no compiler knows: no trace of one machine, no registry host, no test skipped without a reason.

use std::path::Path;

use crate::failure::{Failure, Result};
use crate::sources::{self, Source};

/// Top folders that exist on one machine only. Written apart so that this file passes its own check.
const MACHINE_FOLDERS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/fa", "rm/"), concat!("/Us", "ers/")];

/// Hosts of package registries: clients are set up by whoever runs them.
const REGISTRY_HOSTS: [&str; 7] = [
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("static.crates", ".io"),
    concat!("index.crates", ".io"),
    concat!("registry.npmjs", ".org"),
    concat!("repo.maven.apache", ".org"),
    concat!("deb.debian", ".org"),
];

/// Files that a tool writes and that may hold what this check refuses.
const WRITTEN_BY_TOOLS: [&str; 1] = ["Cargo.lock"];

/// Reads every file of the repository and lists all faults at once.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut faults = Vec::new();
    let sources = sources::texts(root)?;
    for source in &sources {
        if !WRITTEN_BY_TOOLS.contains(&source.path.as_str()) {
            faults.extend(faults_of(source));
        }
    }
    if faults.is_empty() {
        println!("{} files read", sources.len());
        return Ok(());
    }
    for fault in &faults {
        println!("{fault}");
    }
    Err(Failure::new(format!("{} lines break a rule of the repository", faults.len())))
}

fn faults_of(source: &Source) -> Vec<String> {
    let is_rust = source.path.ends_with(".rs");
    let is_python = source.path.ends_with(".py");
    let mut faults = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let mut fault = |what: &str| faults.push(format!("{}:{}: {what}", source.path, index + 1));
        if MACHINE_FOLDERS.iter().any(|folder| names_folder(line, folder)) {
            fault("path of one machine");
        }
        if let Some(host) = REGISTRY_HOSTS.iter().find(|host| line.contains(*host)) {
            fault(&format!("host of a package registry ({host})"));
        }
        if is_rust && line.trim() == concat!("#[ign", "ore]") {
            fault("ignored test without a reason: write `#[ignore = \"needs ...\"]`");
        }
        if is_python && skips_without_reason(line) {
            fault("skipped test without a reason: pass `reason=`");
        }
    }
    faults
}

/// Whether the line names a path below the folder: not the middle of a longer path or of a word.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + folder.len()..).and_then(|text| text.chars().next());
        let starts = before
            .is_none_or(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '}' | ')')));
        starts && after.is_some_and(|c| c.is_ascii_alphanumeric())
    })
}

fn skips_without_reason(line: &str) -> bool {
    let line = line.trim();
    let is_skip = line.starts_with("@pytest.mark.skip") || line.starts_with("@pytest.mark.xfail");
    is_skip && !line.contains("reason=") && !line.ends_with('(')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> usize {
        faults_of(&Source { path: path.to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn path_of_a_machine_is_found_and_a_longer_path_is_not() {
        let folder = MACHINE_FOLDERS[0];
        assert_eq!(faults("a.md", &format!("see {folder}main\n")), 1);
        assert_eq!(faults("a.md", &format!("see docs{folder}main and {folder}\n")), 0);
    }

    #[test]
    fn registry_host_is_found() {
        assert_eq!(faults("a.toml", &format!("url = \"https://{}/simple\"", REGISTRY_HOSTS[0])), 1);
    }

    #[test]
    fn ignored_test_needs_a_reason() {
        let bare = concat!("    #[ign", "ore]\n");
        assert_eq!(faults("a.rs", bare), 1);
        assert_eq!(faults("a.rs", "    #[ignore = \"needs a server\"]\n"), 0);
        assert_eq!(faults("a.md", bare), 0);
    }

    #[test]
    fn skipped_python_test_needs_a_reason() {
        assert_eq!(faults("a.py", "@pytest.mark.skip\n"), 1);
        assert_eq!(faults("a.py", "@pytest.mark.skipif(OLD, reason=\"needs 3.11\")\n"), 0);
    }
}
