//! The folders are the picture: a crate depends on lower floors only, and the pure ones on no socket.

use crate::tree::{self, root};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::path::Path;

/// Our crates and their floors; see ARCHITECTURE.md. A new crate gets its line here.
const FLOORS: [(&str, &str, u8); 10] = [
    ("herald", "Cargo.toml", 4),
    ("herald-modules", "modules/Cargo.toml", 3),
    ("herald-session", "session/Cargo.toml", 2),
    ("herald-bosh", "bosh/Cargo.toml", 1),
    ("herald-storage", "storage/Cargo.toml", 1),
    ("herald-xmpp", "xmpp/Cargo.toml", 0),
    ("herald-actor", "actor/Cargo.toml", 0),
    // Beside the house: they may use any floor, and nobody uses them.
    ("xtask", "xtask/Cargo.toml", 5),
    ("herald-load", "loadtest/Cargo.toml", 5),
    ("echo-bot", "examples/echo-bot/Cargo.toml", 5),
];
/// Folders whose sources open no socket.
const PURE: [&str; 5] = ["xmpp/src", "bosh/src", "actor/src", "session/src", "modules/src"];
/// Machines without I/O: they do without a runtime altogether.
const MACHINES: [&str; 2] = ["herald-xmpp", "herald-bosh"];
const RUNTIMES: [&str; 7] = ["tokio", "actix", "actix-web", "mio", "socket2", "futures-util", "rusqlite"];
const SOCKETS: [&str; 6] = ["tokio::net", "TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener"];

/// No arrow points up, no machine has a runtime, no pure crate opens a socket.
pub fn floors() -> Result<String> {
    let mut faults = String::new();
    for (name, manifest, floor) in FLOORS {
        let text = std::fs::read_to_string(root().join(manifest)).with_context(|| manifest.to_owned())?;
        let dependencies = dependencies(&text).with_context(|| manifest.to_owned())?;
        for fault in faults_of(name, floor, &dependencies) {
            let _ = writeln!(faults, "{manifest}: {fault}");
        }
    }
    for path in tree::files()? {
        if PURE.iter().any(|folder| path.starts_with(folder)) {
            let text = tree::text(&path)?.unwrap_or_default();
            for socket in SOCKETS.iter().filter(|socket| text.contains(*socket)) {
                let _ = writeln!(faults, "{}: {socket} in a crate that has no I/O", path.display());
            }
        }
    }
    let members = members()?;
    for member in members.iter().filter(|member| FLOORS.iter().all(|(_, manifest, _)| Path::new(manifest) != **member))
    {
        let _ = writeln!(faults, "{}: has no floor in xtask/src/floors.rs", member.display());
    }
    if faults.is_empty() { Ok(format!("{} crates", members.len())) } else { bail!("{faults}") }
}

fn faults_of(name: &str, floor: u8, dependencies: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    for dependency in dependencies {
        let below = FLOORS.iter().find(|(ours, ..)| ours == dependency);
        if below.is_some_and(|(_, _, theirs)| *theirs >= floor) {
            faults.push(format!("{name} (floor {floor}) depends on {dependency}, which is not below it"));
        }
        if MACHINES.contains(&name) && RUNTIMES.contains(&dependency.as_str()) {
            faults.push(format!("{name} is a machine without I/O, and depends on {dependency}"));
        }
    }
    faults
}

/// What a manifest depends on, also for some targets only, also to build; tests may look further.
fn dependencies(manifest: &str) -> Result<Vec<String>> {
    let manifest: toml::Table = manifest.parse()?;
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let tables = targets.filter_map(|(_, target)| target.as_table()).chain([&manifest]);
    let named = |table: &toml::Table, key: &str| -> Vec<String> {
        table.get(key).and_then(toml::Value::as_table).into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    Ok(tables.flat_map(|t| [named(t, "dependencies"), named(t, "build-dependencies")]).flatten().collect())
}

fn members() -> Result<Vec<std::path::PathBuf>> {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml"))?.parse()?;
    let members = manifest["workspace"]["members"].as_array().context("the workspace has members")?;
    Ok(members.iter().filter_map(toml::Value::as_str).map(|m| Path::new(m).join("Cargo.toml")).map(plain).collect())
}

fn plain(path: std::path::PathBuf) -> std::path::PathBuf {
    path.strip_prefix(".").map(Path::to_owned).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_has_no_arrow_that_points_up() {
        floors().unwrap_or_else(|e| panic!("{e}"));
    }

    #[test]
    fn an_arrow_up_is_found() {
        let up = dependencies("[target.'cfg(unix)'.dependencies]\nherald-session.workspace = true\n").expect("TOML");
        assert_eq!(faults_of("herald-bosh", 1, &up).len(), 1);
        assert_eq!(faults_of("herald-modules", 3, &up), [""; 0]);
    }

    #[test]
    fn an_arrow_to_the_same_floor_is_found() {
        let level = dependencies("[dependencies]\nherald-storage = { path = \"../storage\" }\n").expect("TOML");
        assert_eq!(faults_of("herald-bosh", 1, &level).len(), 1);
    }

    #[test]
    fn a_machine_with_a_runtime_is_found() {
        let runtime = dependencies("[dependencies]\ntokio.workspace = true\n").expect("TOML");
        assert_eq!(faults_of("herald-xmpp", 0, &runtime).len(), 1);
        assert_eq!(faults_of("herald-actor", 0, &runtime), [""; 0]);
    }
}
