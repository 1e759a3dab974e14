//! nginx and HAProxy, started with the configuration that we ship in `etc/`. Only ports, names, and
//! paths are replaced in it.

use crate::needs::{Needs, root};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A running proxy, in a folder of its own; ended on drop.
pub struct Proxy {
    dir: TempDir,
    /// Where it speaks HTTPS.
    pub web: SocketAddr,
    /// Where it passes XMPP with STARTTLS through, and XMPP over TLS: HAProxy alone does.
    pub xmpp: Option<(SocketAddr, SocketAddr)>,
}

/// What is behind a proxy.
pub struct Behind<'a> {
    /// Herald's `http` listener.
    pub http: SocketAddr,
    /// Herald's `xmpp` and `xmpps` listeners.
    pub xmpp: (SocketAddr, SocketAddr),
    /// A certificate and its key, as PEM files.
    pub certificate: (&'a Path, &'a Path),
    /// A web server with the pages; nginx serves them itself, from the web chat's folder.
    pub pages: SocketAddr,
}

impl Proxy {
    /// nginx with etc/nginx.conf.
    pub fn nginx(needs: &Needs, behind: &Behind) -> Proxy {
        let (dir, web, plain) = (folder("nginx"), free(), free());
        let here = |name: &str| dir.path().join(name).display().to_string();
        let (certificate, key) = behind.certificate;
        let pages = root().join("examples/web-chat");
        let config = shipped(
            "nginx.conf",
            &[
                ("user www-data;", "user root;"), // the pages may lie where nobody else may look
                ("/run/nginx.pid", &here("pid")),
                ("/var/log/nginx/error.log", &here("log")),
                // What a request or response does not leave in memory: a folder that is built in otherwise.
                (
                    "http {",
                    &format!(
                        "http {{ client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0};\
                uwsgi_temp_path {0}; scgi_temp_path {0};",
                        here("temp")
                    ),
                ),
                ("/var/log/nginx/access.log", &here("access.log")),
                ("server 127.0.0.1:5280;", &format!("server {};", behind.http)),
                ("listen 80;", &format!("listen {plain};")),
                ("listen 443 ssl http2;", &format!("listen {web} ssl http2;")),
                ("listen [::]:80;", ""),
                ("listen [::]:443 ssl http2;", ""),
                ("chat.example.org", "localhost"),
                ("/etc/ssl/chat/fullchain.pem", &certificate.display().to_string()),
                ("/etc/ssl/chat/privkey.pem", &key.display().to_string()),
                ("/var/www/chat", &pages.display().to_string()),
            ],
        );
        let file = dir.path().join("nginx.conf");
        fs::write(&file, config).expect("the configuration is written");
        succeeds(Command::new(&needs.nginx).arg("-t").arg("-c").arg(&file));
        // It goes to the background once it listens.
        succeeds(Command::new(&needs.nginx).arg("-c").arg(&file));
        Proxy { dir, web, xmpp: None }
    }

    /// HAProxy with etc/haproxy.cfg.
    pub fn haproxy(needs: &Needs, behind: &Behind) -> Proxy {
        let (dir, web, plain, xmpp) = (folder("haproxy"), free(), free(), (free(), free()));
        let pem = dir.path().join("chat.pem");
        let (certificate, key) = behind.certificate;
        let read = |path: &Path| fs::read_to_string(path).expect("it is there");
        fs::write(&pem, read(certificate) + &read(key)).expect("the certificate is written");
        let config = shipped(
            "haproxy.cfg",
            &[
                ("/dev/log", "127.0.0.1:9"),
                ("maxconn 100000", "maxconn 1000"), // it insists on as many open files as it needs
                ("user haproxy\n", ""),
                ("group haproxy\n", ""),
                ("bind :80\n", &format!("bind {plain}\n")),
                ("bind :443 ", &format!("bind {web} ")),
                ("/etc/haproxy/chat.pem", &pem.display().to_string()),
                ("127.0.0.1:5280 ", &format!("{} ", behind.http)),
                ("127.0.0.1:8000 ", &format!("{} ", behind.pages)),
                ("bind :5222\n", &format!("bind {}\n", xmpp.0)),
                ("server herald 127.0.0.1:15222", &format!("server herald {}", behind.xmpp.0)),
                ("bind :5223\n", &format!("bind {}\n", xmpp.1)),
                ("server herald 127.0.0.1:15223", &format!("server herald {}", behind.xmpp.1)),
            ],
        );
        let file = dir.path().join("haproxy.cfg");
        fs::write(&file, config).expect("the configuration is written");
        succeeds(Command::new(&needs.haproxy).arg("-c").arg("-f").arg(&file));
        // It goes to the background once it listens.
        succeeds(Command::new(&needs.haproxy).args(["-D", "-p"]).arg(dir.path().join("pid")).arg("-f").arg(&file));
        Proxy { dir, web, xmpp: Some(xmpp) }
    }

    /// A page of the web chat's folder, through the proxy.
    pub fn page(&self) -> String {
        format!("https://localhost:{}/", self.web.port())
    }

    /// The BOSH URL.
    pub fn bosh(&self) -> String {
        format!("https://localhost:{}/http-bind", self.web.port())
    }

    /// The WebSocket URL.
    pub fn ws(&self) -> String {
        format!("wss://localhost:{}/ws", self.web.port())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let pids = fs::read_to_string(self.dir.path().join("pid")).unwrap_or_default();
        for pid in pids.lines().filter_map(|line| line.trim().parse().ok()) {
            // SAFETY: kill takes no pointer; the pid is that of a daemon that we started.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
        if std::thread::panicking() {
            eprintln!(
                "--- the proxy's log\n{}---",
                fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
            );
        }
    }
}

/// A file of `etc/` with these words replaced; each must stand there once.
fn shipped(name: &str, replaced: &[(&str, &str)]) -> String {
    let mut text = fs::read_to_string(root().join("etc").join(name)).expect("it is shipped");
    for (from, to) in replaced {
        assert_eq!(text.matches(from).count(), 1, "{name}: {from:?}");
        text = text.replacen(from, to, 1);
    }
    assert!(!text.contains("5281\n"), "{name} leads to the operator's port");
    text
}

fn folder(name: &str) -> TempDir {
    let dir = tempfile::Builder::new().prefix(&format!("herald-{name}-")).tempdir().expect("a temporary folder");
    fs::create_dir(dir.path().join("temp")).expect("a folder in it");
    dir
}

// A proxy cannot say which port it took of those that are free.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

fn succeeds(command: &mut Command) {
    let Output { status, stdout, stderr } = command.output().expect("the proxy starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {stdout}{stderr}");
}
