//! The way in: TCP, STARTTLS, SASL PLAIN inside TLS, a resource (RFC 6120 sections 5 to 7).

use crate::stream::Stream;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use herald_xmpp::{BareJid, ns};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A stream on which stanzas may flow, and the full JID that the server gave.
pub async fn login(
    jid: &BareJid,
    password: &str,
    server: &str,
    ca: &Path,
) -> Result<(Stream<TlsStream<TcpStream>>, String)> {
    let tcp = TcpStream::connect(server).await.with_context(|| format!("cannot reach {server}"))?;
    let tls = secure(tcp, jid, ca).await?;
    let tls = authenticate(tls, jid, password).await?;
    bind(tls, jid).await
}

/// STARTTLS: asks, and turns to TLS. The certificate must be the account's domain's.
async fn secure(tcp: TcpStream, jid: &BareJid, ca: &Path) -> Result<TlsStream<TcpStream>> {
    let (mut stream, features) = Stream::open(tcp, jid).await?;
    let offered = stream.read(&features)?.child("starttls", ns::TLS).is_some();
    ensure!(offered, "the server offers no TLS");
    stream.write(&format!("<starttls xmlns='{}'/>", ns::TLS)).await?;
    let answer = stream.next().await?.context("the server closed the stream at STARTTLS")?;
    ensure!(stream.read(&answer)?.is("proceed", ns::TLS), "the server refuses TLS: {answer}");

    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).with_context(|| format!("cannot read {}", ca.display()))? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(jid.domain().to_owned())?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, stream.into_inner()?);
    tls.await.context("TLS failed; is the server's certificate one that --ca trusts?")
}

/// SASL PLAIN (RFC 4616). TLS keeps the password from others.
async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(io: S, jid: &BareJid, password: &str) -> Result<S> {
    let (mut stream, features) = Stream::open(io, jid).await?;
    let mechanisms = stream.read(&features)?.child("mechanisms", ns::SASL);
    let offered = mechanisms.is_some_and(|m| m.children().any(|m| m.text() == "PLAIN"));
    ensure!(offered, "the server does not take PLAIN");
    let message = BASE64.encode(format!("\0{}\0{password}", jid.local().unwrap_or_default()));
    stream.write(&format!("<auth xmlns='{}' mechanism='PLAIN'>{message}</auth>", ns::SASL)).await?;
    let answer = stream.next().await?.context("the server closed the stream at the login")?;
    if !stream.read(&answer)?.is("success", ns::SASL) {
        bail!("the server refuses this name and password");
    }
    stream.into_inner()
}

/// Binds a resource that the server chooses.
async fn bind<S: AsyncRead + AsyncWrite + Unpin>(io: S, jid: &BareJid) -> Result<(Stream<S>, String)> {
    let (mut stream, _) = Stream::open(io, jid).await?;
    stream.write(&format!("<iq type='set' id='bind'><bind xmlns='{}'/></iq>", ns::BIND)).await?;
    let answer = stream.next().await?.context("the server closed the stream at the binding")?;
    let bound = stream.read(&answer)?.child("bind", ns::BIND).and_then(|b| b.child("jid", ns::BIND));
    let me = bound.with_context(|| format!("the server binds no resource: {answer}"))?.text().into_owned();
    Ok((stream, me))
}
