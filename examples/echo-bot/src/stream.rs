//! An XMPP stream over TCP (RFC 6120 section 4), the client's side: one element at a time.

use anyhow::{Context, Result, bail, ensure};
use herald_xmpp::stanza::Stanza;
use herald_xmpp::xml::{self, Element, Framer, Limits, PieceKind, Scope};
use herald_xmpp::{BareJid, ns};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const READ_BYTES: usize = 4096;

/// An open stream.
pub struct Stream<S> {
    io: S,
    framer: Framer,
    /// What was read and not framed yet.
    unread: Vec<u8>,
    /// The piece that has not wholly arrived.
    partial: Vec<u8>,
    scope: Scope,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// Opens a stream to the account's domain, and reads the server's header and its features.
    pub async fn open(io: S, jid: &BareJid) -> Result<(Stream<S>, String)> {
        let (framer, scope) = (Framer::stream(), Scope::NONE);
        let mut stream = Stream { io, framer, unread: Vec::new(), partial: Vec::new(), scope };
        let domain = xml::escape_attr(jid.domain());
        let (client, streams) = (ns::CLIENT, ns::STREAM);
        let header = format!("<stream:stream to='{domain}' version='1.0' xmlns='{client}' xmlns:stream='{streams}'>");
        stream.write(&header).await?;
        let features = stream.next().await?.context("the server closed the stream before it began")?;
        ensure!(stream.read(&features)?.is("features", ns::STREAM), "no stream features, but {features}");
        Ok((stream, features))
    }

    /// Sends one stanza.
    pub async fn send(&mut self, stanza: &Stanza) -> Result<()> {
        self.io.write_all(&stanza.to_bytes(false)).await?;
        Ok(self.io.flush().await?)
    }

    /// Sends XML as it is.
    pub async fn write(&mut self, xml: &str) -> Result<()> {
        self.io.write_all(xml.as_bytes()).await?;
        Ok(self.io.flush().await?)
    }

    /// The next element, checked; `None` once the server has closed the stream. A stream error is an `Err`.
    pub async fn next(&mut self) -> Result<Option<String>> {
        loop {
            let Some((kind, piece)) = self.piece().await? else { return Ok(None) };
            match kind {
                PieceKind::Space => {}
                PieceKind::Declaration => xml::check_declaration(&piece)?,
                PieceKind::Open => {
                    xml::check_start_tag(&piece, &Scope::NONE, &Limits::DEFAULT)?;
                    self.scope = Scope::NONE.of_start_tag(&piece)?;
                }
                PieceKind::Close => return Ok(None),
                PieceKind::Element => {
                    xml::check(&piece, &self.scope, &Limits::DEFAULT)?;
                    if self.read(&piece)?.is("error", ns::STREAM) {
                        bail!("the server ended the stream: {piece}");
                    }
                    return Ok(Some(piece));
                }
            }
        }
    }

    /// A view of an element that [`next`](Self::next) gave.
    pub fn read<'a>(&self, element: &'a str) -> Result<Element<'a>> {
        Ok(Element::parse(element, &self.scope)?)
    }

    /// The namespaces that the server's header declared.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The bytes below, for TLS or for a new stream on the same connection. Nothing may wait unread:
    /// whoever slipped it in before TLS must not be believed (RFC 6120 section 5.3.3).
    pub fn into_inner(self) -> Result<S> {
        ensure!(self.unread.is_empty() && self.partial.is_empty(), "the server spoke out of turn");
        Ok(self.io)
    }

    async fn piece(&mut self) -> Result<Option<(PieceKind, String)>> {
        loop {
            if !self.unread.is_empty() {
                let Some(piece) = self.framer.scan(&self.unread, &Limits::DEFAULT)? else {
                    self.partial.append(&mut self.unread);
                    continue;
                };
                let rest = self.unread.split_off(piece.end);
                self.partial.append(&mut self.unread);
                self.unread = rest;
                return Ok(Some((piece.kind, String::from_utf8(std::mem::take(&mut self.partial))?)));
            }
            self.unread.reserve(READ_BYTES);
            if self.io.read_buf(&mut self.unread).await? == 0 {
                return Ok(None);
            }
        }
    }
}
