//! The Kotlin side: the artifact with the native library inside, its suite, and a fresh project that depends on it.

use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure, Result};
use crate::process::Process;
use crate::sources;
use crate::workspace::{SHIPPED, Workspace};

/// Folder of the Kotlin artifact.
const BINDING: &str = "bindings/mobile/kotlin";

/// Runs the main class of a project.
const RUN: &str = "org.codehaus.mojo:exec-maven-plugin:3.5.1:java";

/// Maven, and room for the compiler inside it.
const MAVEN_OPTS: &str = "-Xmx1g";

/// The build of the artifact: everything it writes is in the target folder.
#[derive(Debug)]
pub(crate) struct Kotlin<'a> {
    workspace: &'a Workspace,
    /// Holds the native library without its debug information.
    library: PathBuf,
    build: PathBuf,
    repository: PathBuf,
}

impl<'a> Kotlin<'a> {
    /// Takes the native library of the development build and strips a copy of it.
    pub(crate) fn prepare(workspace: &'a Workspace) -> Result<Self> {
        Self::of(workspace, "debug", "")
    }

    /// The same with the native library as it is shipped, beside the other.
    pub(crate) fn prepare_shipped(workspace: &'a Workspace) -> Result<Self> {
        Self::of(workspace, SHIPPED, "-shipped")
    }

    fn of(workspace: &'a Workspace, profile: &str, suffix: &str) -> Result<Self> {
        let library = workspace.target.join(format!("mobile{suffix}"));
        std::fs::create_dir_all(&library).doing(format!("make {}", library.display()))?;
        let built = workspace.mobile_library(profile);
        let copy = library.join(built.file_name().unwrap_or_default());
        std::fs::copy(&built, &copy).doing(format!("copy {}", built.display()))?;
        Process::new("strip", &workspace.root).arg("-S").arg(&copy).run()?;
        let build = workspace.target.join(format!("kotlin{suffix}"));
        let repository = workspace.target.join("maven");
        Ok(Self { workspace, library, build, repository })
    }

    /// Compiles and packs the artifact, and writes the options with which `java` runs the bench: they end with its own
    /// `--jar JAR`, and take more.
    pub(crate) fn bench(&self) -> Result<PathBuf> {
        let classpath = format!("-Dmdep.outputFile={}", self.classpath().display());
        self.maven(&self.binding(), &self.build)?
            .args(["package", "-DskipTests", "dependency:build-classpath"])
            .arg(classpath)
            .run()?;
        let jar = self.build.join(format!("neonhub-{}.jar", env!("CARGO_PKG_VERSION")));
        let command = self.java("ai.neonhub.Bench")?.arg("--jar").arg(jar).into_command();
        let quoted = command.get_args().map(|part| format!("{:?}\n", part.to_string_lossy()));
        let options = self.build.join("bench.options");
        std::fs::write(&options, quoted.collect::<String>()).doing("write the options of the bench")?;
        Ok(options)
    }

    /// Compiles, tests and packs the artifact, and puts it into the local repository of this build.
    pub(crate) fn install(&self) -> Result<()> {
        self.maven(&self.binding(), &self.build)?
            .arg("install")
            .arg("dependency:build-classpath")
            .arg(format!("-Dmdep.outputFile={}", self.classpath().display()))
            .run()?;
        println!("{} tests ran", self.tests_run()?);
        Ok(())
    }

    /// How many tests the suite ran, as its reports say; none is a failure.
    fn tests_run(&self) -> Result<usize> {
        let folder = self.build.join("surefire-reports");
        let mut count = 0;
        for path in
            sources::below(&folder)?.iter().filter(|path| path.extension().is_some_and(|e| e == "xml"))
        {
            let report = std::fs::read_to_string(folder.join(path)).doing("read a test report")?;
            count += report.matches("<testcase ").count();
        }
        if count == 0 { Err(Failure::new("the Kotlin suite ran no test")) } else { Ok(count) }
    }

    /// Runs the Kotlin example into a fresh folder, with its bundled data.
    pub(crate) fn example(&self) -> Result<()> {
        let out = self.workspace.target.join("example-kotlin");
        if out.exists() {
            std::fs::remove_dir_all(&out).doing(format!("empty {}", out.display()))?;
        }
        self.java("campaign.CampaignKt")?.arg("--out").arg(&out).run()
    }

    /// A new project that knows nothing but the artifact runs the hello of the README.
    pub(crate) fn fresh_project(&self) -> Result<()> {
        let folder = self.workspace.target.join("kotlin-fresh");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).doing(format!("empty {}", folder.display()))?;
        }
        let sources = folder.join("src/main/kotlin");
        std::fs::create_dir_all(&sources).doing(format!("make {}", sources.display()))?;
        let readme = self.binding().join("README.md");
        let readme = std::fs::read_to_string(&readme).doing(format!("read {}", readme.display()))?;
        let hello = code(&readme, "kotlin").ok_or_else(|| Failure::new("no Kotlin in the README"))?;
        std::fs::write(sources.join("Hello.kt"), hello).doing("write Hello.kt")?;
        let pom = include_str!("kotlin/fresh.xml").replace("KOTLIN", &self.version()?);
        std::fs::write(folder.join("pom.xml"), pom).doing("write pom.xml")?;
        self.maven(&folder, &folder.join("target"))?.args(["compile", RUN]).run()?;
        // The last of the poms: from here on nothing is missing.
        self.note_resolved()
    }

    /// A program of the artifact's test sources: the example, the writer of a shared store, the bench.
    pub(crate) fn java(&self, class: &str) -> Result<Process> {
        let rest = std::fs::read_to_string(self.classpath()).doing("read the class path")?;
        let own = [self.build.join("classes"), self.build.join("test-classes")];
        let parts = own.into_iter().chain(std::env::split_paths(rest.trim()));
        let path = std::env::join_paths(parts).doing("join the class path")?;
        let library = format!("-Djna.library.path={}", self.library.display());
        Ok(Process::new("java", &self.workspace.root).arg(library).arg("-cp").arg(path).arg(class))
    }

    fn binding(&self) -> PathBuf {
        self.workspace.root.join(BINDING)
    }

    fn classpath(&self) -> PathBuf {
        self.build.join("classpath.txt")
    }

    /// Maven with its repository in the target folder; without network once everything was fetched for these poms.
    fn maven(&self, folder: &Path, build: &Path) -> Result<Process> {
        let maven = Process::new("mvn", folder)
            .args(["--batch-mode", "--quiet", "--no-transfer-progress"])
            .arg(format!("-Dmaven.repo.local={}", self.repository.display()))
            .arg(format!("-Dneonhub.library={}", self.library.display()))
            .arg(format!("-Dneonhub.build={}", build.display()))
            .env("MAVEN_OPTS", MAVEN_OPTS);
        let is_resolved =
            std::fs::read_to_string(self.stamp()).is_ok_and(|poms| Some(poms) == self.poms().ok());
        Ok(if is_resolved { maven.arg("--offline") } else { maven })
    }

    fn stamp(&self) -> PathBuf {
        self.repository.join("poms.fetched")
    }

    fn poms(&self) -> Result<String> {
        let pom = std::fs::read_to_string(self.binding().join("pom.xml")).doing("read the pom")?;
        Ok(pom + include_str!("kotlin/fresh.xml"))
    }

    fn note_resolved(&self) -> Result<()> {
        std::fs::write(self.stamp(), self.poms()?).doing("note what was fetched")
    }

    fn version(&self) -> Result<String> {
        let poms = self.poms()?;
        let version = poms.split_once("<kotlin.version>").and_then(|(_, rest)| rest.split_once('<'));
        version
            .map(|(version, _)| version.to_owned())
            .ok_or_else(|| Failure::new("the pom names no Kotlin version"))
    }
}

/// The first block of code of a language in a Markdown text.
fn code<'t>(markdown: &'t str, language: &str) -> Option<&'t str> {
    let (_, rest) = markdown.split_once(&format!("```{language}\n"))?;
    rest.split_once("```").map(|(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_artifact_has_the_version_of_the_library() {
        let version = format!("<version>{}</version>", env!("CARGO_PKG_VERSION"));
        for pom in [include_str!("../../bindings/mobile/kotlin/pom.xml"), include_str!("kotlin/fresh.xml")] {
            assert!(pom.contains(&version));
        }
    }

    #[test]
    fn the_first_block_of_a_language_is_found() {
        let text = "a\n```xml\n<x/>\n```\n```kotlin\nfun a()\n```\n```kotlin\nb\n```\n";
        assert_eq!(code(text, "kotlin"), Some("fun a()\n"));
        assert_eq!(code(text, "swift"), None);
    }
}
