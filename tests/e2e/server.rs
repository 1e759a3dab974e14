//! The server that the clients meet: where it is, and what only its operator may do.

use crate::clients::PATIENCE;
use crate::support::{Herald, Home};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

/// What the clients need to know of a running server.
pub struct Server {
    /// STARTTLS.
    pub xmpp: SocketAddr,
    /// TLS from the first byte.
    pub xmpps: SocketAddr,
    /// BOSH and WebSocket.
    pub http: SocketAddr,
    /// The operator's API.
    pub admin: SocketAddr,
    /// The operator's token.
    pub token: String,
    /// The certificate that clients are told to trust.
    pub ca: PathBuf,
}

/// Everyone's password.
pub const PASSWORD: &str = "correct horse";

/// A server with these users. Its BOSH sessions end soon after their browser has gone, and the
/// clients' kinds of TLS are the only way to say a password.
pub fn herald(users: &[&str]) -> (Herald, Server) {
    herald_with("[bosh]\ninactivity_secs = 10\n", users)
}

/// A server with these users, and `toml` laid over its configuration.
pub fn herald_with(toml: &str, users: &[&str]) -> (Herald, Server) {
    let home = Home::new(&format!("{toml}[auth]\nplain_without_tls = \"never\"\n"));
    for uid in users {
        home.user(uid, PASSWORD);
    }
    let herald = home.start();
    let server = Server {
        xmpp: herald.address("xmpp"),
        xmpps: herald.address("xmpps"),
        http: herald.address("http"),
        admin: herald.address("admin"),
        token: herald.token(),
        ca: herald.data_dir().join("dev-cert.pem"),
    };
    (herald, server)
}

impl Server {
    /// Sends a message as a backend does; the API's result for this user.
    pub fn sendto(&self, uid: &str, body: &str) -> Value {
        let answer = self.api("/api/v1/sendto", &json!({"to": uid, "body": body, "type": "chat"}));
        let result = &answer["results"][0];
        assert_eq!(result["uid"], uid, "{answer}");
        result.clone()
    }

    /// Posts to the operator's API as a backend does, with curl; its answer, which must be a good one.
    pub fn api(&self, path: &str, request: &Value) -> Value {
        let out = Command::new("curl")
            .args(["--silent", "--show-error", "--fail-with-body", "--max-time", &PATIENCE.as_secs().to_string()])
            .args(["--header", &format!("Authorization: Bearer {}", self.token)])
            .args(["--json", &request.to_string()])
            .arg(self.api_url(path))
            .output()
            .expect("curl starts");
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "curl: {}{said}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
    }

    /// Where the operator's API is.
    pub fn api_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }
}
