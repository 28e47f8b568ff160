//! Each library crate alone, without features and with each of them: a build of the whole workspace hides a missing
//! feature, because features unify over one command.

use crate::failure::Result;
use crate::workspace::{Package, Workspace};

/// Lints each library crate in every reduced shape, warnings denied.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    for package in workspace.libraries() {
        for feature in shapes(package) {
            let mut process = workspace.cargo("clippy").args(["-p", &package.name, "--no-default-features"]);
            if let Some(feature) = feature {
                process = process.args(["--features", feature]);
            }
            process.args(["--", "-D", "warnings"]).run()?;
        }
    }
    Ok(())
}

/// No feature, then each public one. Optional dependencies are not features of their own here.
fn shapes(package: &Package) -> Vec<Option<&str>> {
    let named = package.features.keys().map(String::as_str).filter(|name| *name != "default");
    std::iter::once(None).chain(named.map(Some)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_feature_but_the_default_is_a_shape() {
        let names = ["default", "smtp", "sqlite"];
        let package = Package {
            id: "p".to_owned(),
            name: "p".to_owned(),
            manifest_path: "p/Cargo.toml".into(),
            features: names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect::<BTreeMap<_, _>>(),
        };
        assert_eq!(shapes(&package), [None, Some("smtp"), Some("sqlite")]);
    }
}
