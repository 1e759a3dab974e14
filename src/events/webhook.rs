//! Webhooks: events posted to an address, signed.
//!
//! The body is `{"webhook":NAME,"events":[..]}`. `Herald-Signature: t=SECONDS,v1=HEX` has the HMAC-SHA256, under
//! the webhook's secret, of the seconds, a dot and the body; with two secrets there are two `v1`. docs/events.md
//! shows how it is checked.

use super::lanes::{Out, Verdict};
use super::sink::Emitter;
use crate::config::Webhook as Config;
use crate::files::write_private;
use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ring::hmac;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Random bytes in a secret that we make; it has twice as many characters.
const SECRET_BYTES: usize = 32;
/// Characters in a secret of an operator's own making.
const SECRET_LENGTH_MIN: usize = 32;
/// Secrets that may be in the file.
const SECRETS_MAX: usize = 2;
/// Of an answer's body so much is read, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 65_536;

/// A webhook.
pub struct Webhook {
    name: String,
    url: Uri,
    secrets: Secrets,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

impl Webhook {
    /// Reads its files. `data_dir` is where its secret is made when none is named.
    pub fn new(name: &str, config: &Config, data_dir: &Path) -> Result<Webhook> {
        let url = config.url.as_ref().ok_or_else(|| anyhow!("webhook.{name} has no url"))?.as_str();
        let timeout = Duration::from_secs(config.timeout_secs.into());
        let file = config.secret_file.clone();
        let secrets = Secrets::load(file.unwrap_or_else(|| data_dir.join(format!("webhook-{name}.secret"))))?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        // So that a receiver that is not there is told from one that does not answer.
        http.set_connect_timeout(Some(timeout.mul_f32(0.75)));
        let tls = tls(url.starts_with("https:"), config.ca_file.as_deref())?;
        let https =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(https);
        Ok(Webhook { name: name.to_owned(), url: url.parse()?, secrets, client, timeout })
    }

    async fn post(&mut self, body: Bytes) -> Verdict {
        let seconds = jiff::Timestamp::now().as_second();
        let request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("Herald/", env!("CARGO_PKG_VERSION")))
            .header("Herald-Signature", signature(self.secrets.now(), seconds, &body))
            .body(Full::new(body));
        let request = match request {
            Ok(request) => request,
            Err(e) => return Verdict::Refused(e.to_string()), // the address was checked: it cannot be
        };
        match self.client.request(request).await {
            Ok(answer) => judge(answer).await,
            Err(e) if e.is_connect() => Verdict::Unreachable(causes(&e), None),
            Err(e) => Verdict::Refused(causes(&e)),
        }
    }
}

impl Emitter for Webhook {
    async fn emit(&mut self, batch: &[Arc<Out>]) -> Verdict {
        let body = body(&self.name, batch);
        let timeout = self.timeout;
        match tokio::time::timeout(timeout, self.post(body)).await {
            Ok(verdict) => verdict,
            Err(_) => Verdict::Refused(format!("no answer within {} s", timeout.as_secs())),
        }
    }
}

fn body(name: &str, batch: &[Arc<Out>]) -> Bytes {
    let mut body = format!("{{\"webhook\":\"{name}\",\"events\":[").into_bytes();
    for (i, event) in batch.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&event.json);
    }
    body.extend_from_slice(b"]}");
    body.into()
}

async fn judge(answer: Response<hyper::body::Incoming>) -> Verdict {
    let status = answer.status();
    let wait = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
    let wait = wait.map(Duration::from_secs);
    // What it says does not matter; that it is read lets the connection go on.
    let _ = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let words = || format!("the answer was {status}");
    match status {
        status if status.is_success() => Verdict::Taken,
        StatusCode::GONE => Verdict::Gone(words()),
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Verdict::Unreachable(words(), wait),
        status if status.is_redirection() => {
            Verdict::Refused(format!("{}, a redirect, which is not followed", words()))
        }
        _ => Verdict::Refused(words()),
    }
}

/// The value of `Herald-Signature`.
fn signature(secrets: &[hmac::Key], seconds: i64, body: &[u8]) -> String {
    let mut value = format!("t={seconds}");
    for secret in secrets {
        let mut context = hmac::Context::with_key(secret);
        context.update(format!("{seconds}.").as_bytes());
        context.update(body);
        let _ = write!(value, ",v1=");
        for byte in context.sign().as_ref() {
            let _ = write!(value, "{byte:02x}");
        }
    }
    value
}

/// An error and what it comes from, in one line.
fn causes(e: &dyn std::error::Error) -> String {
    let mut words = e.to_string();
    let mut cause = e.source();
    while let Some(e) = cause {
        let _ = write!(words, ": {e}");
        cause = e.source();
    }
    words
}

/// The secrets of a webhook, read anew for each request.
struct Secrets {
    file: PathBuf,
    /// As they were read last.
    text: String,
    keys: Vec<hmac::Key>,
}

impl Secrets {
    /// Reads the file; makes it when it is not there.
    fn load(file: PathBuf) -> Result<Secrets> {
        let name = file.display().to_string();
        if matches!(std::fs::metadata(&file), Err(e) if e.kind() == ErrorKind::NotFound) {
            let mut secret = [0; SECRET_BYTES];
            getrandom::fill(&mut secret).map_err(|e| anyhow!("no randomness for a webhook's secret: {e}"))?;
            let text: String = secret.iter().map(|b| format!("{b:02x}")).collect();
            write_private(&file, format!("{text}\n").as_bytes())?;
        }
        let text = std::fs::read_to_string(&file).with_context(|| format!("{name}: cannot be read"))?;
        let keys = Secrets::parse(&text).with_context(|| name)?;
        Ok(Secrets { file, text, keys })
    }

    fn parse(text: &str) -> Result<Vec<hmac::Key>> {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        ensure!(
            (1..=SECRETS_MAX).contains(&lines.len()) && lines.iter().all(|line| line.len() >= SECRET_LENGTH_MIN),
            "a webhook's secret is one line of at least {SECRET_LENGTH_MIN} characters, or two while it is changed"
        );
        Ok(lines.iter().map(|line| hmac::Key::new(hmac::HMAC_SHA256, line.as_bytes())).collect())
    }

    fn now(&mut self) -> &[hmac::Key] {
        match std::fs::read_to_string(&self.file) {
            Ok(text) if text == self.text => {}
            Ok(text) => {
                match Secrets::parse(&text) {
                    Ok(keys) => self.keys = keys,
                    Err(e) => tracing::error!("{}: the secret stays as it was: {e}", self.file.display()),
                }
                self.text = text;
            }
            Err(e) => tracing::error!("{}: the secret stays as it was: {e}", self.file.display()),
        }
        &self.keys
    }
}

/// Trusts the system's certificates, if they are needed, and those of a file.
fn tls(needed: bool, ca_file: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if needed {
        let system = rustls_native_certs::load_native_certs();
        if let Some(e) = system.errors.first() {
            tracing::warn!("some of the system's certificates cannot be read: {e}");
        }
        roots.add_parsable_certificates(system.certs);
    }
    if let Some(file) = ca_file {
        let words = || format!("{}: certificates cannot be read from it", file.display());
        for certificate in CertificateDer::pem_file_iter(file).with_context(words)? {
            roots.add(certificate.with_context(words)?).with_context(words)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_page() {
        // Computed with: printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 00112233445566778899aabbccddeeff
        let keys = Secrets::parse("00112233445566778899aabbccddeeff\n").unwrap();
        assert_eq!(
            signature(&keys, 1_700_000_000, b"{\"a\":1}"),
            "t=1700000000,v1=adef8e69be427501d037b3e275487e50880b85ec0b94cfacc8ddeeb1700964b7"
        );
        let two = Secrets::parse("00112233445566778899aabbccddeeff\nffeeddccbbaa99887766554433221100\n").unwrap();
        let both = signature(&two, 1_700_000_000, b"{\"a\":1}");
        assert!(both.starts_with(&signature(&keys, 1_700_000_000, b"{\"a\":1}")), "{both}");
        assert_eq!(both.matches(",v1=").count(), 2);
    }

    #[test]
    fn a_secret_is_made_once_and_weak_ones_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("webhook-crm.secret");
        let first = Secrets::load(file.clone()).unwrap().text;
        assert_eq!(Secrets::load(file.clone()).unwrap().text, first);
        for weak in ["", "\n", "short\n", "00112233445566778899aabbccddeeff\nshort"] {
            std::fs::write(&file, weak).unwrap();
            assert!(Secrets::load(file.clone()).is_err(), "{weak:?}");
        }
    }

    #[test]
    fn a_secret_that_is_changed_is_read_again_and_a_broken_one_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let mut secrets = Secrets::load(file.clone()).unwrap();
        let sign = |secrets: &mut Secrets| signature(secrets.now(), 1, b"x");
        let first = sign(&mut secrets);
        std::fs::write(&file, "short").unwrap();
        assert_eq!(sign(&mut secrets), first);
        std::fs::write(&file, "00112233445566778899aabbccddeeff").unwrap();
        assert_ne!(sign(&mut secrets), first);
    }
}
