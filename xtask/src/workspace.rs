//! What the workspace holds, as cargo tells it, and the one package selection that every build shares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::{Failure, Result};
use crate::process::Process;

/// Members beside the default ones that build without a foreign runtime. The native modules of Python and Node are not
/// here: features unify over one command, and they would link their hosts into everything.
const PLAIN_MEMBERS: [&str; 4] = ["neonhub-ffi", "neonhub-mobile", "neonhub-bench", "xtask"];

/// Members that need a foreign runtime, built one by one.
pub(crate) const BINDINGS: [&str; 2] = ["neonhub-node", "neonhub-python"];

/// The cargo profile of what is shipped to other languages.
pub(crate) const SHIPPED: &str = "ship";

/// Prefix of scratch members that a checkout may hold and the repository does not.
pub(crate) const SCRATCH: &str = "wip-";

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_default_members: Vec<String>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

/// One workspace member.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

impl Package {
    /// Folder of the package.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("."))
    }
}

/// The workspace: where it is, where it builds to, and its members.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    members: Vec<Package>,
    libraries: BTreeSet<String>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn load() -> Result<Self> {
        let here = std::env::current_dir().map_err(|e| Failure::new(format!("no current folder: {e}")))?;
        let text =
            Process::new(cargo(), &here).args(["metadata", "--format-version=1", "--no-deps"]).read()?;
        let metadata: Metadata = serde_json::from_str(&text)?;
        let defaults: BTreeSet<&String> = metadata.workspace_default_members.iter().collect();
        let mut members: Vec<Package> =
            metadata.packages.into_iter().filter(|package| !package.name.starts_with(SCRATCH)).collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let libraries = members
            .iter()
            .filter(|package| defaults.contains(&package.id))
            .map(|package| package.name.clone());
        let libraries = libraries.collect();
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory, members, libraries })
    }

    /// All members, sorted by name.
    pub(crate) fn members(&self) -> &[Package] {
        &self.members
    }

    /// The default members: the facade and its library crates.
    pub(crate) fn libraries(&self) -> impl Iterator<Item = &Package> {
        self.members.iter().filter(|package| self.libraries.contains(&package.name))
    }

    /// A cargo command in the workspace root.
    pub(crate) fn cargo(&self, command: &str) -> Process {
        Process::new(cargo(), &self.root).arg(command)
    }

    /// A cargo command over the shared selection: every plain member with all features. All builds use it, so that
    /// cargo resolves one feature set and compiles each dependency once.
    pub(crate) fn cargo_shared(&self, command: &str) -> Process {
        let mut process = self.cargo(command).arg("--all-features");
        for package in self.shared() {
            process = process.args(["-p", &package.name]);
        }
        process
    }

    /// Builds every program and example of the shared selection. Examples pull in development dependencies, which
    /// makes the feature set the one of `cargo test`; libraries are named so that the one for Kotlin is put in place.
    pub(crate) fn build_programs(&self) -> Result<()> {
        self.cargo_shared("build").args(["--lib", "--bins", "--examples"]).run()
    }

    /// The native library of the mobile binding, as [`Self::build_programs`] made it.
    pub(crate) fn mobile_library(&self, profile: &str) -> PathBuf {
        let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        self.target.join(profile).join(format!("{prefix}neonhub_mobile{suffix}"))
    }

    /// Path of a program that [`Self::build_programs`] made.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    fn shared(&self) -> impl Iterator<Item = &Package> {
        self.members.iter().filter(|package| {
            self.libraries.contains(&package.name) || PLAIN_MEMBERS.contains(&package.name.as_str())
        })
    }
}

/// The cargo that started this tool, or the one on the path.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
