//! What the end-to-end tests need, installed where it is missing: from Debian's packages, from npm
//! as the lock files say, from PyPI as requirements.txt says.

use crate::step::Steps;
use crate::tree::root;
use anyhow::{Context, Result};
use std::env;
use std::path::Path;
use std::process::Command;

/// A program and the Debian packages that bring it. Chromium without a font draws boxes.
const PROGRAMS: [(&str, &[&str]); 5] = [
    ("chromium", &["chromium", "fonts-dejavu-core"]),
    ("node", &["nodejs"]),
    ("npm", &["npm"]),
    ("python3", &["python3"]),
    ("curl", &["curl"]),
];
/// Folders with a package-lock.json.
const NPM_FOLDERS: [&str; 2] = ["examples/web-chat", "tests/e2e"];
const PYTHON_FOLDER: &str = "examples/echo-bot-python";

/// Installs what is missing, each with a step of its own; with everything there it does nothing.
pub fn all(steps: &mut Steps) {
    let mut packages: Vec<_> = PROGRAMS.iter().filter(|(program, _)| !on_path(program)).flat_map(|p| p.1).collect();
    // Debian's Python comes without what makes a virtual environment.
    if on_path("python3") && !succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]))
        || !on_path("python3")
    {
        packages.push(&"python3-venv");
    }
    if !packages.is_empty() {
        steps.run("apt update", apt(&["update"]));
        let install = ["install", "--yes", "--no-install-recommends"].into_iter();
        steps.run("apt install", apt(&install.chain(packages.into_iter().copied()).collect::<Vec<_>>()));
    }
    for folder in NPM_FOLDERS {
        let folder = root().join(folder);
        let (wanted, had) = (folder.join("package-lock.json"), folder.join("node_modules/.installed-lock.json"));
        if !same(&wanted, &had) {
            let npm = command("npm", &["ci", "--no-audit", "--no-fund"], &folder);
            steps.run_then("npm ci", [npm], || note(&wanted, &had));
        }
    }
    let folder = root().join(PYTHON_FOLDER);
    let (wanted, had) = (folder.join("requirements.txt"), folder.join(".venv/.installed-requirements.txt"));
    if !same(&wanted, &had) {
        let venv = command("python3", &["-m", "venv", "--clear", ".venv"], &folder);
        let pip = [".venv/bin/pip", "install", "--disable-pip-version-check", "--requirement", "requirements.txt"];
        let pip = command("env", &pip, &folder);
        steps.run_then("pip install", [venv, pip], || note(&wanted, &had));
    }
}

fn command(program: &str, arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command
}

fn apt(arguments: &[&str]) -> Command {
    let root_user = succeeds(Command::new("test").args(["-w", "/var/lib/dpkg"]));
    let mut command = Command::new(if root_user { "apt-get" } else { "sudo" });
    if !root_user {
        command.args(["--non-interactive", "apt-get"]);
    }
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
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
