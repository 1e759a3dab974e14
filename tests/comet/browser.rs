//! Browsers: iComet's client with EventSource and with JSONP, a plain EventSource, a forever-iframe.
//!
//! iComet's own `icomet.js` is on no registry; `icomet.js` beside this file does the same over the wire. With
//! `HERALD_ICOMET_JS` set to a list of scripts (`jquery-1.9.1.js:icomet.js` of iComet's source) those are played.

use crate::support::{Herald, PATIENCE, skip};
use crate::{ask, push, subscribed};
use serde_json::{Value, json};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

/// Chromium with the scripts of a page.
struct Browser {
    child: Child,
    commands: Option<ChildStdin>,
    told: Receiver<Value>,
}

impl Browser {
    /// None, and one line that says so, when something is missing.
    fn start() -> Option<Browser> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let found = |program: &str| {
            env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|file| file.exists())
        };
        let chromium = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(found);
        let (Some(node), Some(chromium)) = (found("node"), chromium) else {
            skip("no Node.js or no chromium");
            return None;
        };
        if !here.join("e2e/node_modules/playwright-core").exists() {
            skip("no tests/e2e/node_modules; run cargo xtask install");
            return None;
        }
        let theirs = env::var_os("HERALD_ICOMET_JS").map(|list| env::split_paths(&list).collect());
        let scripts: Vec<PathBuf> = theirs.unwrap_or_else(|| vec![here.join("comet/icomet.js")]);
        let mut command = Command::new(node);
        command.arg(here.join("comet/browser.mjs")).arg(chromium).args(scripts);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).unwrap_or(json!({"event": "fault", "text": line})));
            }
        });
        let commands = child.stdin.take();
        let browser = Browser { child, commands, told };
        assert_eq!(browser.next()["event"], "ready");
        Some(browser)
    }

    fn does(&mut self, command: Value) {
        writeln!(self.commands.as_mut().expect("it runs"), "{command}").expect("it reads");
        assert_eq!(self.next()["event"], "open");
    }

    fn next(&self) -> Value {
        self.told.recv_timeout(PATIENCE).expect("the browser tells something")
    }

    /// The contents of the next messages.
    fn contents(&self, count: usize) -> Vec<String> {
        let content = |e: Value| e["content"].as_str().unwrap_or_else(|| panic!("no message: {e}")).to_owned();
        (0..count).map(|_| content(self.next())).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.commands.take());
        while self.told.recv_timeout(PATIENCE).is_ok() {}
        let _ = self.child.kill(); // it has ended, unless it hangs
        let _ = self.child.wait();
    }
}

fn open(more: &str) -> Herald {
    Herald::start_with(&format!("[comet]\noperators = [\"127.0.0.1\"]\npolling_timeout_secs = 2\n{more}"))
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// What iComet's client gets, with tokens: in order, once, over silence and in bursts.
fn plays(event_source: bool) {
    let Some(mut browser) = Browser::start() else { return };
    let herald = open("");
    let (front, admin) = (herald.address("http"), herald.address("admin"));
    // Kept before the page is there: it comes too, though the client begins with 0.
    push(&herald, "ann", "0");
    browser.does(json!({
        "do": "open", "channel": "ann", "eventSource": event_source,
        "sub": format!("http://{front}/sub"), "sign": format!("http://{admin}/sign"),
    }));
    assert_eq!(browser.contents(1), ["0"]);
    for n in 1..30 {
        push(&herald, "ann", &n.to_string());
    }
    assert_eq!(browser.contents(29), numbers(1..30));
    // A broadcast, and one by one.
    ask(&herald, "/broadcast?content=30");
    assert_eq!(browser.contents(1), ["30"]);
    for n in 31..35 {
        push(&herald, "ann", &n.to_string());
        assert_eq!(browser.contents(1), [n.to_string()]);
    }
}

#[test]
fn icomets_client_with_event_source() {
    plays(true);
}

#[test]
fn icomets_client_with_jsonp() {
    plays(false);
}

#[test]
fn an_event_source_goes_on_over_a_restart() {
    let Some(mut browser) = Browser::start() else { return };
    // The address must stay the same: one that is free now.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let config = format!("[listen]\nhttp = \"{free}\"\n[comet]\nauth = \"none\"\noperators = [\"127.0.0.1\"]\n");
    let mut herald = Herald::start_with(&config);
    browser.does(json!({"do": "events", "url": format!("http://{free}/sse?cname=ann&seq=1")}));
    subscribed(&herald, "ann", 1);
    for n in 1..4 {
        push(&herald, "ann", &n.to_string());
    }
    assert_eq!(browser.contents(3), numbers(1..4));
    herald.kill();
    herald.restart();
    for n in 4..7 {
        push(&herald, "ann", &n.to_string());
    }
    // By itself, with Last-Event-ID: nothing twice, nothing lost.
    let heard: Vec<Value> = (0..3).map(|_| browser.next()).collect();
    let pairs: Vec<_> = heard.iter().map(|e| (e["id"].clone(), e["content"].clone())).collect();
    let wanted: Vec<_> = (4..7).map(|n| (json!(n.to_string()), json!(n.to_string()))).collect();
    assert_eq!(pairs, wanted);
}

#[test]
fn a_forever_iframe() {
    let Some(mut browser) = Browser::start() else { return };
    let herald = Herald::start_with(crate::OPEN);
    let front = herald.address("http");
    browser.does(json!({"do": "iframe", "url": format!("http://localhost:{}/iframe?cname=ann&seq=1", front.port())}));
    subscribed(&herald, "ann", 1);
    push(&herald, "ann", "%3C/script%3E");
    push(&herald, "ann", "two");
    assert_eq!(browser.contents(2), ["</script>", "two"]);
}
