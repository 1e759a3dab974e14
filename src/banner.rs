//! What a ready server says on standard output: where it is, and what to type next.

use crate::certificate::Certificate;
use crate::config::{Config, Demo};
use crate::serve::TOKEN;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The first line starts with `Herald ` and holds ` is ready`: scripts may wait for it.
pub fn banner(
    config: &Config,
    file: Option<&Path>,
    addresses: &BTreeMap<&'static str, SocketAddr>,
    certificate: &Certificate,
    took: Duration,
) -> String {
    let mut out = String::new();
    let from = file.map_or("defaults, no file".into(), |f| f.display().to_string());
    let _ = writeln!(
        out,
        "Herald {} is ready for {} ({} ms; configuration: {from}; data: {})",
        env!("CARGO_PKG_VERSION"),
        config.domain,
        took.as_millis(),
        config.data_dir.display()
    );
    let lines: [(&str, &str, &str, &str); 5] = [
        ("xmpp", "XMPP", "", "  (STARTTLS)"),
        ("xmpps", "XMPP over TLS", "", ""),
        ("http", "browsers", "http://", "  (herald.js, BOSH, WebSocket, STOMP, comet)"),
        ("https", "  over TLS", "https://", ""),
        ("admin", "operator's API", "http://", "/api/v1"),
    ];
    out.push('\n');
    for (key, name, scheme, rest) in lines {
        if let Some(address) = addresses.get(key) {
            let _ = writeln!(out, "  {name:<20}{scheme}{address}{rest}");
        }
    }
    if addresses.contains_key("admin") {
        let _ = writeln!(out, "  {:<20}{}", "  its token", config.data_dir.join(TOKEN).display());
    }
    if let Some(made) = &certificate.development {
        let _ = writeln!(out, "  {:<20}{} (for development)", "certificate", made.display());
    }
    if let Some(http) = addresses.get("http").filter(|_| config.http.demo == Demo::Loopback) {
        let _ = writeln!(
            out,
            "\nOpen http://localhost:{}/ on this machine: two people, and a backend that is you.",
            http.port()
        );
    }
    let herald = command(file);
    let _ = write!(
        out,
        "\nNext, in another terminal:\n  \
         1. add a user         echo secret | {herald} user add alice\n  \
         2. log in as alice    with any XMPP client, or: cd examples/web-chat && npm ci && npm start\n  \
         3. send something     {herald} sendto alice 'Hello from the backend'\n  \
         4. do it from code    docs/push.md takes ten minutes\n\n"
    );
    out
}

/// How this program was started, to be typed again.
fn command(file: Option<&Path>) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "herald".into());
    match file {
        Some(file) if file != Path::new(crate::config::FILE_DEFAULT) => {
            format!("{program} --config {}", file.display())
        }
        _ => program,
    }
}
