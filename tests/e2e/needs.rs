//! What the end-to-end tests need of the machine: a browser, Node.js, Python, nginx, HAProxy, and what
//! npm and pip install. `cargo xtask test` installs all of it; a plain `cargo test` goes without and says so.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};

const CHROMIUM_NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Where the pieces are.
pub struct Needs {
    /// Chromium, or a browser that is one inside.
    pub chromium: PathBuf,
    /// Node.js.
    pub node: PathBuf,
    /// Python with slixmpp.
    pub python: PathBuf,
    /// nginx.
    pub nginx: PathBuf,
    /// HAProxy.
    pub haproxy: PathBuf,
}

impl Needs {
    /// All the pieces; or `None`, after one line on standard error that names the missing one. Under
    /// `cargo xtask test` (`HERALD_TEST_ALL=1`) a missing piece is a failure.
    pub fn all() -> Option<Needs> {
        match Needs::look() {
            Ok(needs) => Some(needs),
            Err(missing) if env::var_os("HERALD_TEST_ALL").is_some() => panic!("no {missing}"),
            Err(missing) => {
                // Not eprintln: the harness would hide it, and a skipped test must not look like a passed one.
                let line = format!("skipped: no {missing}; run cargo xtask test\n");
                let _ = std::io::stderr().write_all(line.as_bytes()); // in one piece: tests run side by side
                None
            }
        }
    }

    fn look() -> Result<Needs, &'static str> {
        let root = root();
        let node = on_path("node").ok_or("Node.js")?;
        let chromium = CHROMIUM_NAMES.into_iter().find_map(on_path).ok_or("chromium")?;
        existing(root.join("tests/e2e/node_modules/playwright-core")).ok_or("tests/e2e/node_modules")?;
        existing(root.join("examples/web-chat/node_modules/strophe.js")).ok_or("examples/web-chat/node_modules")?;
        let venv = root.join("examples/echo-bot-python/.venv");
        let python = existing(venv.join("bin/python")).ok_or("examples/echo-bot-python/.venv")?;
        existing(root.join("tests/e2e/node_modules/converse.js")).ok_or("tests/e2e/node_modules/converse.js")?;
        let nginx = on_path("nginx").ok_or("nginx")?;
        let haproxy = on_path("haproxy").ok_or("haproxy")?;
        Ok(Needs { chromium, node, python, nginx, haproxy })
    }
}

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    // Debian keeps servers in /usr/sbin, which is not on everyone's path.
    let path = env::var_os("PATH")?;
    env::split_paths(&path).chain(["/usr/sbin".into()]).find_map(|folder| existing(folder.join(program)))
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}
