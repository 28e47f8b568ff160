//! The glue that UniFFI writes for Kotlin and Swift, from the metadata inside the native library.

use std::path::Path;

use super::GeneratedFile;
use crate::failure::{Doing, Failure, Result};
use crate::process::Process;
use crate::sources;
use crate::workspace::Workspace;

/// UniFFI's generator, a program of the binding itself so that both have one version.
const PROGRAM: &str = "uniffi-bindgen";

/// Where each file belongs, by its name.
const PLACES: [(&str, &str); 4] = [
    ("neonhub_mobile.kt", "bindings/mobile/kotlin/src/main/generated/ai/neonhub/ffi/neonhub_mobile.kt"),
    ("NeonHubNative.swift", "bindings/mobile/swift/Sources/NeonHubNative/NeonHubNative.swift"),
    ("NeonHubFFI.h", "bindings/mobile/swift/Sources/NeonHubFFI/NeonHubFFI.h"),
    ("NeonHubFFI.modulemap", "bindings/mobile/swift/Sources/NeonHubFFI/module.modulemap"),
];

/// Runs the generator and takes what it wrote.
pub(crate) fn files(workspace: &Workspace) -> Result<Vec<GeneratedFile>> {
    let out = workspace.target.join("uniffi");
    if out.exists() {
        std::fs::remove_dir_all(&out).doing(format!("empty {}", out.display()))?;
    }
    Process::new(workspace.program(PROGRAM), &workspace.root)
        .arg("generate")
        .arg(workspace.mobile_library("debug"))
        .args(["--language", "kotlin", "--language", "swift", "--no-format", "--out-dir"])
        .arg(&out)
        .read()?;
    sources::below(&out)?.iter().map(|path| file(&out, path)).collect()
}

fn file(out: &Path, path: &Path) -> Result<GeneratedFile> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let place = PLACES.iter().find(|(known, _)| *known == name);
    let (_, place) = place.ok_or_else(|| Failure::new(format!("UniFFI wrote the unknown file {name}")))?;
    let text = std::fs::read_to_string(out.join(path)).doing(format!("read {name}"))?;
    // Blank ends of lines come from its templates.
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    Ok(GeneratedFile::new(*place, "//", &(lines.join("\n") + "\n")))
}
