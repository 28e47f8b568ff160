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

/// No feature, then each that selects something in its own crate. One that only passes its name on to one crate below
/// is proven there. Optional dependencies are not features of their own here.
fn shapes(package: &Package) -> Vec<Option<&str>> {
    let own =
        package.features.iter().filter(|(name, selects)| *name != "default" && !passes_on(name, selects));
    std::iter::once(None).chain(own.map(|(name, _)| Some(name.as_str()))).collect()
}

fn passes_on(name: &str, selects: &[String]) -> bool {
    matches!(selects, [only] if only.split_once('/').is_some_and(|(_, below)| below == name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_only_passes_on_is_no_shape() {
        let features: [(&str, &[&str]); 4] = [
            ("default", &["smtp"]),
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
        assert_eq!(shapes(&package), [None, Some("smtp"), Some("testing")]);
    }
}
