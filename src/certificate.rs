//! The server's certificate: the configured one, or one for development that is made on first start.

use crate::config::{Domain, Tls};
use crate::files::{write_private, write_whole};
use anyhow::{Context, Result, bail};
use parking_lot::RwLock;
use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The development certificate, within the data folder.
pub const DEV_CERTIFICATE: &str = "dev-cert.pem";
/// Its private key, within the data folder; mode 0600.
pub const DEV_KEY: &str = "dev-key.pem";
/// Days for which a development certificate holds; an older one is made anew.
const DEV_DAYS: i64 = 365 * 5;

/// TLS as the listeners use it: 1.2 and 1.3, session tickets, one certificate.
pub struct Certificate {
    /// Without ALPN: that is each listener's own.
    pub tls: Arc<rustls::ServerConfig>,
    /// The file of the development certificate, when it is one.
    pub development: Option<PathBuf>,
    served: Arc<Served>,
    chain: PathBuf,
    key: PathBuf,
}

/// The certificate that handshakes get from now on; connections that are there keep theirs.
#[derive(Debug)]
struct Served(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

impl Certificate {
    /// Loads the configured certificate, or the development one, which it makes when there is none
    /// for this domain yet. The error names the file.
    pub fn load(tls: &Tls, domain: &Domain, data_dir: &Path) -> Result<Certificate> {
        let (certificate, key, development) = match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone(), None),
            _ => {
                let (certificate, key) = (data_dir.join(DEV_CERTIFICATE), data_dir.join(DEV_KEY));
                if !usable(&certificate, &key, domain) {
                    make(domain, &certificate, &key)?;
                    tracing::warn!(
                        certificate = %certificate.display(),
                        "no certificate is configured: made one for development, which clients do not trust"
                    );
                }
                (certificate.clone(), key, Some(certificate))
            }
        };
        let served = Arc::new(Served(RwLock::new(Arc::new(read_pair(&certificate, &key)?))));
        let tls = Arc::new(configure(served.clone())?);
        Ok(Certificate { tls, development, served, chain: certificate, key })
    }

    /// Reads the files again, for the handshakes to come. After an error, which names the file, all is
    /// as it was.
    pub fn reload(&self) -> Result<()> {
        let pair = read_pair(&self.chain, &self.key)?;
        *self.served.0.write() = Arc::new(pair);
        Ok(())
    }
}

/// Can the configured certificate be used? Makes nothing.
pub fn check(tls: &Tls) -> Result<()> {
    if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
        read_pair(certificate, key)?;
    }
    Ok(())
}

fn read_pair(certificate: &Path, key: &Path) -> Result<CertifiedKey> {
    let (chain, key) = (read_chain(certificate)?, read_key(key)?);
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .with_context(|| format!("{}: the certificate and its key cannot be used", certificate.display()))
}

fn configure(served: Arc<Served>) -> Result<rustls::ServerConfig> {
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(served);
    config.ticketer = ring::Ticketer::new().context("no randomness for session tickets")?;
    Ok(config)
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = || -> Result<Vec<_>, rustls_pki_types::pem::Error> { CertificateDer::pem_file_iter(file)?.collect() };
    let chain = read().with_context(|| format!("{}: no certificate can be read", file.display()))?;
    if chain.is_empty() {
        bail!("{}: there is no certificate in it", file.display());
    }
    Ok(chain)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file).with_context(|| format!("{}: no private key can be read", file.display()))
}

/// Can the development certificate serve on: readable, with its key, and for this domain?
fn usable(certificate: &Path, key: &Path, domain: &Domain) -> bool {
    let fresh = || -> Result<bool> {
        // The file's age stands for the certificate's: it is written once.
        let age = std::fs::metadata(certificate)?.modified()?.elapsed().unwrap_or_default();
        let (chain, key) = (read_chain(certificate)?, read_key(key)?);
        let name = ServerName::try_from(domain.as_str())?;
        verify_server_name(&ParsedCertificate::try_from(&chain[0])?, &name)?;
        CertifiedKey::from_der(chain, key, &ring::default_provider())?.keys_match()?;
        Ok(age.as_secs() < (DEV_DAYS as u64 - 30) * 86_400)
    };
    fresh().unwrap_or(false)
}

fn make(domain: &Domain, certificate: &Path, key: &Path) -> Result<()> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
    if domain.as_str() != "localhost" {
        names.insert(0, domain.to_string());
    }
    let mut params = rcgen::CertificateParams::new(names)
        .with_context(|| format!("no certificate can be made for the domain {domain}"))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("Herald development ({domain})"));
    let today = jiff::Zoned::now().date();
    let day = |d: jiff::civil::Date| rcgen::date_time_ymd(d.year().into(), d.month() as u8, d.day() as u8);
    params.not_before = day(today.saturating_sub(jiff::Span::new().days(1)));
    params.not_after = day(today.saturating_add(jiff::Span::new().days(DEV_DAYS)));
    let pair = rcgen::KeyPair::generate().context("no key can be made")?;
    let made = params.self_signed(&pair).context("no certificate can be made")?;
    // The key first: a certificate without its key is made anew on the next start.
    write_private(key, pair.serialize_pem().as_bytes())?;
    write_whole(certificate, made.pem().as_bytes(), 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

    fn domain(text: &str) -> Domain {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("c.toml");
        std::fs::write(&file, format!("domain = '{text}'")).expect("written");
        crate::config::Config::load(Some(&file)).expect("a domain").0.domain
    }

    /// Does a client that trusts only this certificate get through a handshake for that name?
    fn shakes_hands(server: &Arc<rustls::ServerConfig>, trusted: &Path, name: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(read_chain(trusted).expect("a chain").remove(0)).expect("a root");
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut client = ClientConnection::new(Arc::new(client), name).expect("a client");
        let mut server = ServerConnection::new(server.clone()).expect("a server");
        while client.is_handshaking() || server.is_handshaking() {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).expect("memory");
            }
            let mut from_client = &bytes[..];
            while !from_client.is_empty() {
                server.read_tls(&mut from_client).expect("memory");
            }
            if server.process_new_packets().is_err() {
                return false;
            }
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).expect("memory");
            }
            let mut from_server = &bytes[..];
            while !from_server.is_empty() {
                client.read_tls(&mut from_server).expect("memory");
            }
            if client.process_new_packets().is_err() {
                return false;
            }
        }
        true
    }

    #[test]
    fn the_development_certificate_is_for_the_domain_and_this_machine() {
        let dir = tempfile::tempdir().expect("a folder");
        let made = Certificate::load(&Tls::default(), &domain("chat.example"), dir.path()).expect("made");
        let file = made.development.expect("it is one");
        for name in ["chat.example", "localhost", "127.0.0.1", "::1"] {
            assert!(shakes_hands(&made.tls, &file, name), "{name}");
        }
        assert!(!shakes_hands(&made.tls, &file, "other.example"));
    }

    #[test]
    fn it_is_used_again_until_it_does_not_fit() {
        let dir = tempfile::tempdir().expect("a folder");
        let load = |name: &str| {
            Certificate::load(&Tls::default(), &domain(name), dir.path()).expect("loaded");
            std::fs::read(dir.path().join(DEV_CERTIFICATE)).expect("there")
        };
        let first = load("one.example");
        assert_eq!(load("one.example"), first);
        let second = load("two.example");
        assert_ne!(second, first, "it is not for the new domain");
        std::fs::write(dir.path().join(DEV_KEY), "damaged").expect("written");
        assert_ne!(load("two.example"), second, "its key cannot be read");
    }

    #[test]
    fn files_that_were_replaced_are_served_after_a_reload_and_bad_ones_are_not() {
        let (dir, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let name = domain("one.example");
        let served = Certificate::load(&Tls::default(), &name, dir.path()).expect("made");
        Certificate::load(&Tls::default(), &name, other.path()).expect("made");
        let (ours, renewed) = (dir.path().join(DEV_CERTIFICATE), other.path().join(DEV_CERTIFICATE));
        let (old, new) = (dir.path().join("old.pem"), renewed.clone());
        std::fs::copy(&ours, &old).expect("copied");
        std::fs::copy(&renewed, &ours).expect("copied");
        let why = served.reload().expect_err("the key is still the old one");
        assert!(format!("{why:#}").contains("cannot be used"), "{why:#}");
        assert!(shakes_hands(&served.tls, &old, "one.example"), "nothing has changed");
        std::fs::copy(other.path().join(DEV_KEY), dir.path().join(DEV_KEY)).expect("copied");
        served.reload().expect("a pair");
        assert!(shakes_hands(&served.tls, &new, "one.example"));
        assert!(!shakes_hands(&served.tls, &old, "one.example"));
    }

    #[test]
    fn a_configured_pair_that_does_not_match_is_refused() {
        let (a, b) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        for dir in [&a, &b] {
            Certificate::load(&Tls::default(), &domain("one.example"), dir.path()).expect("made");
        }
        let pair = |cert: &Path, key: &Path| Tls {
            certificate: Some(cert.join(DEV_CERTIFICATE)),
            key: Some(key.join(DEV_KEY)),
        };
        let load = |tls: Tls| Certificate::load(&tls, &domain("one.example"), a.path());
        assert!(load(pair(a.path(), a.path())).expect("it matches").development.is_none());
        let why = load(pair(a.path(), b.path())).err().map(|e| format!("{e:#}")).unwrap_or_default();
        assert!(why.contains("the certificate and its key cannot be used"), "{why}");
    }
}
