//! XEP-0092: software version of the server.

use crate::{Xep, request};
use herald_session::hooks::{At, Module, Points, Reply};
use herald_xmpp::ns;
use herald_xmpp::xml::escape_text;

/// What is here of it.
pub const XEP: Xep = Xep {
    number: 92,
    title: "Software Version",
    version: "1.1",
    file: "version.rs",
    notes: "For the server. The operating system is never told (section 5).",
};

/// Says which software this is.
pub struct Version {
    version: &'static str,
}

impl Version {
    /// Herald, in that version.
    pub fn of(version: &'static str) -> Version {
        Version { version }
    }
}

impl Module for Version {
    fn register(self, points: &mut Points) {
        let version = escape_text(self.version);
        let answer =
            format!("<query xmlns='jabber:iq:version'><name>Herald</name><version>{version}</version></query>");
        points.feature(At::Server, ns::VERSION);
        request::on_get(points, At::Server, "query", ns::VERSION, move |_, _| Reply::Result(answer.clone().into()));
    }
}
