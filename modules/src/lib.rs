//! One file for each XEP.
//!
//! | file | XEP |
//! |---|---|
//! | `delay.rs` | 0203, delayed delivery |
//! | `offline.rs` | 0160, offline messages |
//! | `disco.rs` | 0030, service discovery |
//! | `ping.rs` | 0199, ping |
//! | `version.rs` | 0092, software version |
//! | `time.rs` | 0202, entity time |
//! | `private.rs` | 0049, private XML storage |
//! | `vcard.rs` | 0054, vcard-temp |
//! | `hints.rs` | 0334, message processing hints |
//! | `stanza_id.rs` | 0359, stanza ids |
//!
//! `request.rs` holds what several of them ask of an iq.

pub mod delay;
pub mod disco;
pub mod hints;
pub mod offline;
pub mod ping;
pub mod private;
mod request;
pub mod stanza_id;
pub mod time;
pub mod vcard;
pub mod version;

use herald_session::Modules;

/// A XEP as it stands here. All of them make up `docs/xeps.md`.
#[derive(Clone, Copy, Debug)]
pub struct Xep {
    /// Its number.
    pub number: u16,
    /// Its title.
    pub title: &'static str,
    /// The version of the text that the code was written to.
    pub version: &'static str,
    /// The file in `modules/src/`.
    pub file: &'static str,
    /// What was chosen where the text leaves a choice, and what is left out.
    pub notes: &'static str,
}

/// What is supported here, by number.
pub const XEPS: &[Xep] = &[
    disco::XEP,
    private::XEP,
    vcard::XEP,
    version::XEP,
    offline::XEP,
    ping::XEP,
    time::XEP,
    delay::XEP,
    hints::XEP,
    stanza_id::XEP,
];

/// Every module, in the order in which their hooks run.
pub fn standard() -> Modules {
    Modules::builder()
        .add(delay::Delay)
        .add(stanza_id::StanzaId)
        .add(hints::Hints)
        .add(offline::OfflineMessages)
        .add(disco::Disco)
        .add(ping::Ping)
        .add(version::Version::of(env!("CARGO_PKG_VERSION")))
        .add(time::EntityTime)
        .add(private::PrivateXml)
        .add(vcard::VcardTemp)
        .build()
}
