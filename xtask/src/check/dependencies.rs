//! Licences, sources and refused crates of everything we depend on, read from `deny.toml`.
//!
//! The file is the one that `cargo deny check bans licenses sources` reads. The tool itself is not used because it
//! would be compiled from source on each fresh machine, which takes longer than our tests; its advisory check needs
//! a database that is fetched over the network, and belongs on a developer's desk.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::failure::{Doing, Failure, Result};
use crate::workspace::{SCRATCH, Workspace};

#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
    /// Crates that may depend on it all the same.
    #[serde(default)]
    wrappers: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Crate>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

/// One package with what it is built with.
#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Crate {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// Checks every package of the lock file against the rules and lists all faults at once.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let text = std::fs::read_to_string(workspace.root.join("deny.toml")).doing("read deny.toml")?;
    let rules: Rules = toml::from_str(&text).doing("understand deny.toml")?;
    let metadata =
        workspace.cargo("metadata").args(["--format-version=1", "--locked", "--all-features"]).read()?;
    let metadata: Metadata = serde_json::from_str(&metadata)?;
    let packages = metadata.packages.iter().filter(|package| !package.name.starts_with(SCRATCH));
    let users = users(&metadata);
    let none = BTreeSet::new();
    let faults: Vec<String> = packages
        .flat_map(|package| faults_of(package, users.get(package.id.as_str()).unwrap_or(&none), &rules))
        .collect();
    if faults.is_empty() {
        println!("{} packages read", metadata.packages.len());
        return Ok(());
    }
    for fault in &faults {
        println!("{fault}");
    }
    Err(Failure::new(format!("{} dependencies break a rule of deny.toml", faults.len())))
}

/// Names of the packages that depend on each package directly.
fn users(metadata: &Metadata) -> BTreeMap<&str, BTreeSet<&str>> {
    let names: BTreeMap<&str, &str> =
        metadata.packages.iter().map(|p| (p.id.as_str(), p.name.as_str())).collect();
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in &metadata.resolve.nodes {
        let Some(user) = names.get(node.id.as_str()) else { continue };
        for used in &node.dependencies {
            users.entry(used).or_default().insert(user);
        }
    }
    users
}

fn faults_of(package: &Crate, users: &BTreeSet<&str>, rules: &Rules) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |what: String| faults.push(format!("{} {}: {what}", package.name, package.version));
    let is_wrapped =
        |ban: &Ban| !ban.wrappers.is_empty() && users.iter().all(|user| ban.wrappers.contains(*user));
    if let Some(ban) = rules.bans.deny.iter().find(|ban| ban.name == package.name && !is_wrapped(ban)) {
        fault(format!("refused: {}", ban.reason));
    }
    match package.source.as_deref() {
        // A path source: one of our own members.
        None => {}
        Some(source) => {
            let index = source.strip_prefix("registry+").unwrap_or(source);
            if !rules.sources.allow_registry.contains(index) {
                fault(format!("comes from {source}, which deny.toml does not allow"));
            }
        }
    }
    let exception = rules.licenses.exceptions.iter().find(|exception| exception.name == package.name);
    match &package.license {
        None => fault("states no licence".to_owned()),
        Some(licence) => {
            let is_allowed = |id: &str| {
                rules.licenses.allow.contains(id)
                    || exception.is_some_and(|exception| exception.allow.contains(id))
            };
            if !is_satisfied(licence, &is_allowed) {
                fault(format!("licence `{licence}` is not allowed"));
            }
        }
    }
    faults
}

/// Whether an SPDX expression can be met with allowed licences: `OR` needs one side, `AND` both. A `WITH` exception
/// is part of the licence's name. The old `/` stands for `OR`.
fn is_satisfied(expression: &str, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let mut reader = Reader { words: words.into_iter().peekable(), is_allowed };
    reader.any()
}

struct Reader<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<&'a str>>,
    is_allowed: &'a dyn Fn(&str) -> bool,
}

impl Reader<'_> {
    fn any(&mut self) -> bool {
        let mut met = self.all();
        while self.words.next_if_eq(&"OR").is_some() {
            met |= self.all();
        }
        met
    }

    fn all(&mut self) -> bool {
        let mut met = self.one();
        while self.words.next_if_eq(&"AND").is_some() {
            met &= self.one();
        }
        met
    }

    fn one(&mut self) -> bool {
        match self.words.next() {
            Some("(") => {
                let met = self.any();
                self.words.next_if_eq(&")").is_some() && met
            }
            Some(id) if self.words.next_if_eq(&"WITH").is_some() => {
                let exception = self.words.next().unwrap_or_default();
                (self.is_allowed)(&format!("{id} WITH {exception}")) || (self.is_allowed)(id)
            }
            Some(id) => (self.is_allowed)(id),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(expression: &str) -> bool {
        is_satisfied(expression, &|id| matches!(id, "MIT" | "Apache-2.0" | "Unicode-3.0"))
    }

    #[test]
    fn licence_expressions_are_read() {
        assert!(met("MIT") && met("MIT OR GPL-3.0") && met("MIT/Apache-2.0") && met("GPL-2.0/MIT"));
        assert!(met("(MIT OR GPL-3.0) AND Unicode-3.0") && met("Apache-2.0 WITH LLVM-exception OR GPL-3.0"));
        assert!(!met("GPL-3.0") && !met("MIT AND GPL-3.0") && !met("(MIT OR Apache-2.0) AND GPL-3.0"));
        assert!(!met("(MIT") && !met(""));
    }

    #[test]
    fn refused_crate_foreign_source_and_licence_are_three_faults() {
        let rules: Rules = toml::from_str(
            "[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ crate = \"bad\", reason = \"unsound\", wrappers = [\"careful\"] }]\n\
             [sources]\nallow-registry = [\"https://registry.example/index\"]\n",
        )
        .unwrap();
        let package = |name: &str, license: &str, source: &str| Crate {
            id: name.to_owned(),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: Some(license.to_owned()),
            source: Some(source.to_owned()),
        };
        let good = package("good", "MIT", "registry+https://registry.example/index");
        let bad = package("bad", "GPL-3.0", "git+https://code.example/bad");
        let users = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<&str>>();
        assert_eq!(faults_of(&good, &users(&["any"]), &rules), Vec::<String>::new());
        assert_eq!(faults_of(&bad, &users(&["careful", "any"]), &rules).len(), 3);
        assert_eq!(faults_of(&bad, &users(&["careful"]), &rules).len(), 2, "what wraps it may have it");
    }
}
