//! The WebSocket codec against the Autobahn test suite.
//!
//! The suite wants a server that echoes, and Herald speaks XMPP only: so a small server stands here that reads
//! and writes frames with Herald's own codec, over real sockets, and Autobahn's fuzzing client plays its cases
//! against it. The suite is Python 2; `cargo xtask test` installs it where there is one.

#[allow(dead_code)] // what only the server needs
#[path = "../src/net/frame.rs"]
mod frame;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use frame::{Inbox, Message};
use serde_json::Value;
use sha1::{Digest, Sha1};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The largest message of the cases that are played, and something more, bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// A case takes some seconds at most, and all of them take about half a minute.
const SUITE_TIME: Duration = Duration::from_secs(240);

/// Where xtask puts the suite, and its interpreter.
fn suite() -> Option<(PathBuf, PathBuf)> {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/autobahn/.packages");
    let python = std::fs::read_to_string(packages.join(".python")).ok()?;
    Some((PathBuf::from(python.trim()), packages))
}

#[test]
fn every_case_of_autobahn_passes() {
    let Some((python, packages)) = suite() else {
        // No failure under `cargo xtask test` either: where there is no Python 2, nobody can install it.
        let line = "skipped: Autobahn needs Python 2.7 with pip, and then cargo xtask test\n";
        let _ = std::io::stderr().write_all(line.as_bytes());
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // A peer that goes away in the middle is what many cases are about.
            thread::spawn(move || drop(echo(socket)));
        }
    });
    let dir = tempfile::tempdir().expect("a folder");
    let spec = serde_json::json!({
        "outdir": dir.path().join("reports"),
        "servers": [{ "agent": "herald", "url": format!("ws://127.0.0.1:{port}") }],
        "cases": ["*"],
        // 9: how fast large messages are, which says more of the suite than of us. 12, 13: permessage-deflate,
        // which we do not accept (RFC 7692 lets a server decline).
        "exclude-cases": ["9.*", "12.*", "13.*"],
    });
    let file = dir.path().join("spec.json");
    std::fs::write(&file, spec.to_string()).expect("the file is written");
    let mut suite = Command::new(python)
        .args([
            "-c",
            "import site, sys; site.addsitedir(sys.argv.pop(1)); import autobahntestsuite.wstest as w; w.run()",
        ])
        .arg(&packages)
        .args(["--mode", "fuzzingclient", "--spec"])
        .arg(&file)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("Python starts");
    let (tell, ended) = mpsc::channel();
    let pid = suite.id();
    thread::spawn(move || drop(tell.send(suite.wait().map(|status| status.success()))));
    match ended.recv_timeout(SUITE_TIME) {
        Ok(Ok(true)) => {}
        Ok(other) => panic!("the suite did not end well: {other:?}"),
        Err(_) => panic!("the suite (process {pid}) did not end in {SUITE_TIME:?}"),
    }
    judge(&dir.path().join("reports/index.json"));
}

fn judge(report: &Path) {
    let text = std::fs::read_to_string(report).expect("the suite has written its report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let cases = report["herald"].as_object().expect("the cases");
    let mut bad = Vec::new();
    let mut informational = 0;
    for (name, case) in cases {
        let verdict = |key: &str| case[key].as_str().unwrap_or("missing").to_owned();
        let (behavior, close) = (verdict("behavior"), verdict("behaviorClose"));
        informational += usize::from(behavior == "INFORMATIONAL");
        // NON-STRICT is a failure here too: the suite would accept a text that is refused late.
        if !matches!(behavior.as_str(), "OK" | "INFORMATIONAL") || !matches!(close.as_str(), "OK" | "INFORMATIONAL") {
            bad.push(format!("{name}: {behavior}, closing {close}"));
        }
    }
    assert!(bad.is_empty(), "{} of {} cases: {bad:#?}", bad.len(), cases.len());
    // Groups 1 to 7 and 10 have so many; fewer means that something was not played.
    assert!(cases.len() >= 240 && informational < 10, "{} cases, {informational} informational", cases.len());
}

/// One connection: the handshake, then every message back as it came.
fn echo(mut socket: TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut buf = [0; 4096];
    let mut head = Vec::new();
    let end = loop {
        let n = socket.read(&mut buf)?;
        head.extend_from_slice(&buf[..n]);
        if let Some(at) = head.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if n == 0 {
            return Ok(());
        }
    };
    let text = String::from_utf8_lossy(&head[..end]).into_owned();
    let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a WebSocket handshake");
    let accept = Sha1::new().chain_update(key.trim()).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let accept = BASE64_STANDARD.encode(accept);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    socket.write_all(answer.as_bytes())?;
    let mut inbox = Inbox::<true>::with(head.split_off(end));
    let mut n = 0;
    loop {
        let (mut out, mut over) = (Vec::new(), false);
        let taken = inbox.take(&buf[..n], MESSAGE_BYTES_MAX, |message| {
            match message {
                Message::Text(text) => send(0x81, text.as_bytes(), &mut out),
                Message::Binary(bytes) => send(0x82, &bytes, &mut out),
                Message::Ping(payload) => frame::pong(&payload, &mut out),
                Message::Pong => {}
                Message::Close(code) => {
                    frame::close(code.unwrap_or(1000), "", &mut out);
                    over = true;
                }
            }
            !over
        });
        if let Err(failure) = taken {
            frame::close(failure.0, failure.1, &mut out);
            over = true;
        }
        socket.write_all(&out)?;
        if over {
            socket.shutdown(std::net::Shutdown::Write)?;
            while socket.read(&mut buf)? > 0 {}
            return Ok(());
        }
        n = socket.read(&mut buf)?;
        if n == 0 {
            return Ok(());
        }
    }
}

fn send(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    let mark = frame::begin_text(out);
    out.extend_from_slice(payload);
    frame::end_text(mark, out);
    out[at] = first;
}
