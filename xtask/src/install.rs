//! What the end-to-end tests need, installed where it is missing: from Debian's packages, from npm
//! as the lock files say, from PyPI as requirements.txt says.

use crate::step::Steps;
use crate::tree::root;
use anyhow::{Context, Result};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program and the Debian packages that bring it. Chromium without a font draws boxes.
const PROGRAMS: [(&str, &[&str]); 12] = [
    ("chromium", &["chromium", "fonts-dejavu-core"]),
    ("node", &["nodejs"]),
    ("npm", &["npm"]),
    ("python3", &["python3"]),
    ("curl", &["curl"]),
    ("nginx", &["nginx"]),
    ("haproxy", &["haproxy"]),
    ("redis-server", &["redis-server"]),
    ("postgres", &["postgresql"]),
    ("rabbitmq-server", &["rabbitmq-server"]),
    ("ejabberdctl", &["ejabberd"]),
    ("valgrind", &["valgrind"]),
];
/// Packages that bring a service. The tests start the program themselves, with ports of their own:
/// the service is not started, now or when the machine is.
const SERVICES: [&str; 6] = ["nginx", "haproxy", "redis-server", "postgresql", "rabbitmq-server", "ejabberd"];
/// What Debian's packages ask before they start a service; 101 is "no". Containers often have one.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Folders with a package-lock.json.
const NPM_FOLDERS: [&str; 4] = ["examples/web-chat", "tests/e2e", "client", "tests/stomp"];
/// Folders with a requirements.txt.
const PYTHON_FOLDERS: [&str; 2] = ["examples/echo-bot-python", "tests/schemathesis"];
/// The WebSocket test suite; it was written for Python 2 and never ported.
const AUTOBAHN_FOLDER: &str = "tests/autobahn";

/// Installs what is missing, each with a step of its own; with everything there it does nothing.
pub fn all(steps: &mut Steps) {
    let mut packages = packages_of(|_| true);
    // Debian's Python comes without what makes a virtual environment.
    if on_path("python3") && !succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]))
        || !on_path("python3")
    {
        packages.push("python3-venv");
    }
    install(steps, &packages);
    for folder in NPM_FOLDERS {
        let folder = root().join(folder);
        let (wanted, had) = (folder.join("package-lock.json"), folder.join("node_modules/.installed-lock.json"));
        if !same(&wanted, &had) {
            let npm = command("npm", &["ci", "--no-audit", "--no-fund"], &folder);
            steps.run_then("npm ci", [npm], || note(&wanted, &had));
        }
    }
    for folder in PYTHON_FOLDERS {
        let folder = root().join(folder);
        let (wanted, had) = (folder.join("requirements.txt"), folder.join(".venv/.installed-requirements.txt"));
        if !same(&wanted, &had) {
            let venv = command("python3", &["-m", "venv", "--clear", ".venv"], &folder);
            let pip = [".venv/bin/pip", "install", "--disable-pip-version-check", "--requirement", "requirements.txt"];
            let pip = command("env", &pip, &folder);
            steps.run_then("pip install", [venv, pip], || note(&wanted, &had));
        }
    }
    autobahn(steps);
}

/// Installs one program when it is missing.
pub fn program(steps: &mut Steps, program: &str) {
    install(steps, &packages_of(|name| name == program));
}

/// Packages of the programs that are wanted and missing.
fn packages_of(wanted: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let missing = PROGRAMS.iter().filter(|(program, _)| wanted(program) && !on_path(program));
    missing.flat_map(|(_, packages)| packages.iter().copied()).collect()
}

/// Distributions have no Python 2 any more: without one the suite is left out, and the test says so.
fn autobahn(steps: &mut Steps) {
    let folder = root().join(AUTOBAHN_FOLDER);
    let (wanted, had) = (folder.join("requirements.txt"), folder.join(".packages/.installed-requirements.txt"));
    let Some(python) = python2().filter(|_| !same(&wanted, &had)) else { return };
    // Python 2 came without virtual environments; a folder of packages does.
    let pip =
        ["-m", "pip", "install", "--no-deps", "--disable-pip-version-check", "--upgrade", "--target", ".packages"];
    let mut pip = command(&python.to_string_lossy(), &pip, &folder);
    pip.args(["--requirement", "requirements.txt"]);
    steps.run_then("pip install (Python 2)", [pip], || {
        std::fs::write(folder.join(".packages/.python"), python.to_string_lossy().as_bytes())?;
        note(&wanted, &had)
    });
}

/// A Python 2.7 with pip: on the path, or kept by pyenv.
fn python2() -> Option<PathBuf> {
    let pyenv = env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".pyenv")));
    let kept = pyenv.and_then(|pyenv| std::fs::read_dir(pyenv.join("versions")).ok());
    let kept = kept.into_iter().flatten().flatten().map(|version| version.path().join("bin/python2.7"));
    let named = ["python2.7", "python2"].into_iter().map(PathBuf::from);
    named
        .chain(kept)
        .find(|python| succeeds(Command::new(python).args(["-c", "import pip, sys; assert sys.version_info[0] == 2"])))
}

/// Installs Debian packages, and starts nothing.
fn install(steps: &mut Steps, packages: &[&str]) {
    if packages.is_empty() {
        return;
    }
    steps.run("apt update", as_root("apt-get", &["update"]));
    let apt = ["install", "--yes", "--no-install-recommends"].iter().chain(packages).copied().collect::<Vec<_>>();
    let services: Vec<_> = SERVICES.into_iter().filter(|service| packages.contains(service)).collect();
    let guard = !services.is_empty() && !Path::new(POLICY).exists();
    if guard {
        let write = format!("printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 755 {POLICY}");
        steps.run("no services", as_root("sh", &["-c", &write]));
    }
    steps.run("apt install", as_root("apt-get", &apt));
    for service in services {
        steps.run("no service", as_root("update-rc.d", &[service, "disable"]));
    }
    if guard {
        steps.run("services", as_root("rm", &[POLICY]));
    }
}

fn command(program: &str, arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command
}

fn as_root(program: &str, arguments: &[&str]) -> Command {
    let mut command = if succeeds(Command::new("test").args(["-w", "/var/lib/dpkg"])) {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["--non-interactive", "env", "DEBIAN_FRONTEND=noninteractive", program]);
        sudo
    };
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in /usr/sbin, which is not on everyone's path, and PostgreSQL in a folder of each version.
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let elsewhere = versions.map(|version| version.path().join("bin")).chain(["/usr/sbin".into()]);
    env::split_paths(&path).chain(elsewhere).any(|folder| folder.join(program).is_file())
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|out| out.status.success())
}

fn same(wanted: &Path, had: &Path) -> bool {
    matches!((std::fs::read(wanted), std::fs::read(had)), (Ok(wanted), Ok(had)) if wanted == had)
}

// Keeps what was installed beside it, so that the next run knows.
fn note(wanted: &Path, had: &Path) -> Result<String> {
    std::fs::copy(wanted, had).with_context(|| format!("nothing was installed beside {}", had.display()))?;
    Ok(String::new())
}
