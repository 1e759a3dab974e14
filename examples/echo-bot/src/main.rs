//! An echo bot: logs in over TCP with TLS and answers every message with its own text.
//!
//! ```sh
//! XMPP_PASSWORD=secret echo-bot echo@localhost --server 127.0.0.1:5222 --ca data/dev-cert.pem
//! ```
//!
//! `main.rs` is the bot, `login.rs` the way in, `stream.rs` an XMPP stream over any bytes.

mod login;
mod stream;

use anyhow::{Context, Result};
use clap::Parser;
use herald_xmpp::stanza::{Condition, IqType, Kind, MessageType, PresenceType, Stanza, StanzaError};
use herald_xmpp::{BareJid, ns};
use std::env;
use std::path::PathBuf;
use stream::Stream;
use tokio::io::{AsyncRead, AsyncWrite};

/// Answers every message with its own text.
#[derive(Parser)]
struct Options {
    /// The bot's account, such as echo@localhost.
    jid: BareJid,
    /// Where to connect, HOST:PORT; without it the JID's domain, port 5222.
    #[arg(long)]
    server: Option<String>,
    /// The certificates to trust, a PEM file; for Herald's own development certificate data/dev-cert.pem.
    #[arg(long, default_value = "/etc/ssl/certs/ca-certificates.crt")]
    ca: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Options { jid, server, ca } = Options::parse();
    let password = match env::var("XMPP_PASSWORD") {
        Ok(password) => password,
        Err(_) => rpassword::prompt_password("Password: ").context("no password")?,
    };
    let server = server.unwrap_or_else(|| format!("{}:5222", jid.domain()));
    let (mut stream, me) = login::login(&jid, &password, &server, &ca).await?;
    println!("online as {me}");
    run(&mut stream).await
}

/// Says that the bot is there, then answers what comes until the server closes the stream.
async fn run<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut Stream<S>) -> Result<()> {
    stream.send(&Stanza::new(Kind::Presence(PresenceType::Available))).await?;
    while let Some(xml) = stream.next().await? {
        // What is no stanza (or a bad one) is not for a bot to judge.
        let Ok(stanza) = Stanza::parse(&xml, stream.scope()) else { continue };
        for reply in replies(&stanza) {
            stream.send(&reply).await?;
        }
    }
    Ok(())
}

/// What the bot has to say to a stanza.
fn replies(stanza: &Stanza) -> Vec<Stanza> {
    let Some(from) = &stanza.from else { return Vec::new() };
    match stanza.kind {
        Kind::Message(kind @ (MessageType::Chat | MessageType::Normal)) => {
            // Without a body it is someone typing, or a receipt: nothing to echo.
            let Some(body) = stanza.child("body", ns::CLIENT) else { return Vec::new() };
            let body = format!("<body>{}</body>", body.inner());
            vec![Stanza::new(Kind::Message(kind)).to(from.clone()).payload(body)]
        }
        // Whoever wants to see the bot may, and the bot would like to see them.
        Kind::Presence(PresenceType::Subscribe) => [PresenceType::Subscribed, PresenceType::Subscribe]
            .map(|kind| Stanza::new(Kind::Presence(kind)).to(from.to_bare()))
            .into(),
        // Every request has an answer (RFC 6120 section 8.2.3); the bot knows how to be pinged.
        Kind::Iq(IqType::Get) if stanza.child("ping", ns::PING).is_some() => vec![stanza.result("")],
        Kind::Iq(IqType::Get | IqType::Set) => {
            stanza.error(StanzaError::new(Condition::ServiceUnavailable)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_xmpp::xml::Scope;

    fn check(came: &str, said: &[&str]) {
        let stanza = Stanza::parse(came, &Scope::CLIENT).expect("a stanza");
        let replies: Vec<_> = replies(&stanza).iter().map(|r| r.to_bytes(false)).collect();
        assert_eq!(replies, said, "{came}");
    }

    #[test]
    fn a_message_is_echoed() {
        check(
            "<message from='a@b/c' type='chat'><body>1 &lt; 2</body></message>",
            &["<message to='a@b/c' type='chat'><body>1 &lt; 2</body></message>"],
        );
    }

    #[test]
    fn errors_and_empty_messages_are_not_answered() {
        check("<message from='a@b/c' type='error'><body>x</body></message>", &[]);
        check(
            "<message from='a@b/c' type='chat'><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
            &[],
        );
        check("<iq from='b' type='result' id='1'/>", &[]);
    }

    #[test]
    fn a_subscription_goes_both_ways() {
        check(
            "<presence from='a@b' type='subscribe'/>",
            &["<presence to='a@b' type='subscribed'/>", "<presence to='a@b' type='subscribe'/>"],
        );
    }

    #[test]
    fn a_ping_is_answered() {
        check(
            "<iq from='a@b/c' to='e@b/f' type='get' id='p1'><ping xmlns='urn:xmpp:ping'/></iq>",
            &["<iq from='e@b/f' to='a@b/c' id='p1' type='result'/>"],
        );
    }
}
