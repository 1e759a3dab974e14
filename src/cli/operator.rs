//! `herald sendto` and `herald status`: what the running server does, asked through its operator's API.

use super::print;
use crate::config::Config;
use crate::serve::{ADDRESSES, TOKEN};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// How long an answer may take.
const ANSWER_SECS: u64 = 30;

/// A running server's operator's API.
pub struct Operator {
    address: SocketAddr,
    token: String,
}

impl Operator {
    /// The server that runs on this configuration's data folder, if there is one that answers.
    pub fn find(config: &Config) -> Option<Operator> {
        let operator = Operator::reach(config).ok()?;
        std::net::TcpStream::connect_timeout(&operator.address, Duration::from_secs(ANSWER_SECS)).ok()?;
        Some(operator)
    }

    /// Where the server should be; the error says why there can be none.
    fn reach(config: &Config) -> Result<Operator> {
        if config.listen.admin.is_none() {
            bail!("the operator's API is switched off (`listen.admin` is \"\")");
        }
        let file = config.data_dir.join(ADDRESSES);
        let text = std::fs::read_to_string(&file)
            .map_err(|e| anyhow!("no server is running here ({}: {e})", file.display()))?;
        let addresses: HashMap<String, SocketAddr> =
            serde_json::from_str(&text).with_context(|| format!("{}: cannot be read", file.display()))?;
        let address = *addresses.get("admin").context("the running server's operator's API is switched off")?;
        let file = config.data_dir.join(TOKEN);
        let token = std::fs::read_to_string(&file).with_context(|| format!("{}: cannot be read", file.display()))?;
        Ok(Operator { address, token: token.trim().to_owned() })
    }

    /// Asks, and returns the answer's JSON. A refusal is an error with its words.
    pub fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(ANSWER_SECS)))
            .build()
            .into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("authorization", format!("Bearer {}", self.token));
        let answer = match body {
            Some(body) => agent.run(request.header("content-type", "application/json").body(body.to_string())?),
            None => agent.run(request.body(())?),
        };
        let mut answer = answer.map_err(|e| anyhow!("no server answers on {}: {e}", self.address))?;
        let status = answer.status();
        let text = answer.body_mut().read_to_string().context("the server's answer")?;
        let json: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if !status.is_success() {
            let words = json["detail"].as_str().or(json["title"].as_str()).unwrap_or("no reason given");
            bail!("the server refused ({}): {words}", status.as_u16());
        }
        Ok(json)
    }
}

/// Sends a message; fails when nobody got it and it was not stored.
pub fn sendto(config: &Config, uid: &str, text: &str, kind: &str) -> Result<()> {
    let body = json!({ "to": uid, "body": text, "type": kind });
    let answer = Operator::reach(config)?.call("POST", "/api/v1/sendto", Some(body))?;
    let result = &answer["results"][0];
    match (result["state"].as_str(), result["sessions"].as_u64(), result["id"].as_u64()) {
        (Some("delivered"), Some(1), _) => print("delivered to 1 session\n"),
        (Some("delivered"), Some(n), _) => print(&format!("delivered to {n} sessions\n")),
        (Some("stored"), _, Some(id)) => print(&format!("stored as message {id}\n")),
        (Some("stored"), ..) => print("stored\n"),
        (Some("no_such_user"), ..) => bail!("{uid} has no account"),
        (Some(other), ..) => bail!("not sent to {uid}: {other}"),
        _ => bail!("the server's answer makes no sense: {answer}"),
    }
}

/// Shows how the server is.
pub fn status(config: &Config, as_json: bool) -> Result<()> {
    let operator = Operator::reach(config)?;
    let said = operator.call("GET", "/api/v1/status", None)?;
    if as_json {
        return print(&format!("{said:#}\n"));
    }
    let text = |key: &str| said[key].as_str().unwrap_or("?").to_owned();
    let number = |key: &str| said[key].as_u64().unwrap_or_default();
    let mut out = format!(
        "Herald {} is {} on {}, up {}\n",
        text("version"),
        text("state"),
        text("domain"),
        duration(number("uptime_secs"))
    );
    let sessions = said["sessions"].as_object();
    let by_transport: Vec<String> = sessions.into_iter().flatten().map(|(k, v)| format!("{v} {k}")).collect();
    let _ = writeln!(out, "  sessions  {}", by_transport.join(", "));
    let _ = writeln!(out, "  resumable {}", number("resumable"));
    let _ = writeln!(out, "  actors    {}", number("actors"));
    let _ = writeln!(out, "  accounts  {}", number("accounts"));
    let _ = writeln!(out, "  memory    {:.1} MiB", number("memory_bytes") as f64 / 1_048_576.0);
    for (name, address) in said["addresses"].as_object().into_iter().flatten() {
        let _ = writeln!(out, "  {name:<8}  {}", address.as_str().unwrap_or("?"));
    }
    print(&out)
}

/// One segment of a path: all but unreserved characters as %XX (RFC 3986 section 2.1).
pub fn escaped(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

fn duration(secs: u64) -> String {
    match (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60, secs % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}
