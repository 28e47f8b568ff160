//! Each library crate alone, without features and with each of them: a build of the whole workspace hides a missing
//! feature, because features unify over one command.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::failure::{Failure, Result};
use crate::workspace::{Package, Workspace};

/// A library crate in a reduced shape.
type Shape<'a> = (&'a str, Option<&'a str>);

/// Checks each library crate in every reduced shape.
pub(crate) fn alone(workspace: &Workspace) -> Result<()> {
    check(workspace, |package| shapes(package).collect())
}

/// Checks each library crate without any feature.
pub(crate) fn none(workspace: &Workspace) -> Result<()> {
    check(workspace, |_| vec![None])
}

/// Warnings are denied. Two shapes at a time, because the compiler checks a crate on one core. Each of the two has a target
/// folder of its own, or cargo would let one wait for the other.
fn check<'a>(workspace: &'a Workspace, shapes: impl Fn(&'a Package) -> Vec<Option<&'a str>>) -> Result<()> {
    let each = workspace.libraries().map(|package| (package, shapes(package)));
    let all: Vec<Shape<'_>> = each
        .flat_map(|(package, features)| features.into_iter().map(|feature| (&*package.name, feature)))
        .collect();
    let queue = Mutex::new(all.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = |target: PathBuf| -> Result<()> {
        while let Some(shape) = next() {
            if let Err(failure) = check_one(workspace, shape, &target) {
                // The other has nothing to take up after this.
                while next().is_some() {}
                return Err(failure);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(|| work(workspace.target.join("features")));
        let first = work(workspace.target.clone());
        let second =
            second.join().unwrap_or_else(|_| Err(Failure::new("the check of the features panicked")));
        first.and(second)
    })
}

fn check_one(workspace: &Workspace, (package, feature): Shape<'_>, target: &Path) -> Result<()> {
    let mut process = workspace.cargo("rustc").args(["-p", package, "--lib", "--no-default-features"]);
    if let Some(feature) = feature {
        process = process.args(["--features", feature]);
    }
    process.args(["--profile", "check", "--target-dir"]).arg(target).args(["--", "-D", "warnings"]).run()
}

/// No feature, then each that selects something in its own crate. One that only passes its name on to crates below, or
/// takes another feature along, is proven there. Optional dependencies are not features of their own here.
fn shapes(package: &Package) -> impl Iterator<Item = Option<&str>> {
    let is_own = |name: &String, selects: &[String]| name != "default" && !passes_on(package, name, selects);
    let own = package.features.iter().filter(move |(name, selects)| is_own(name, selects));
    std::iter::once(None).chain(own.map(|(name, _)| Some(name.as_str())))
}

fn passes_on(package: &Package, name: &str, selects: &[String]) -> bool {
    let is_elsewhere = |selected: &String| {
        selected.split_once('/').is_some_and(|(_, below)| below == name)
            || package.features.contains_key(selected)
    };
    !selects.is_empty() && selects.iter().all(is_elsewhere)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_only_passes_on_is_no_shape() {
        let features: [(&str, &[&str]); 6] = [
            ("default", &["smtp"]),
            ("http", &["core/http", "rag/http"]),
            ("marker", &[]),
            ("smtp", &["dep:lettre"]),
            ("sqlite", &["core/sqlite"]),
            ("testing", &["smtp", "core/testing"]),
        ];
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let package = Package {
            id: "p".to_owned(),
            name: "p".to_owned(),
            manifest_path: "p/Cargo.toml".into(),
            features: features
                .iter()
                .map(|(name, selects)| ((*name).to_owned(), text(selects)))
                .collect::<BTreeMap<_, _>>(),
        };
        assert_eq!(shapes(&package).collect::<Vec<_>>(), [None, Some("marker"), Some("smtp")]);
    }
}
