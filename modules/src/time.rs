//! XEP-0202: entity time of the server, and XEP-0082's way to write a moment.

use crate::{Xep, request};
use herald_session::hooks::{At, Module, Points, Reply};
use herald_xmpp::ns;
use jiff::Timestamp;

/// What is here of it.
pub const XEP: Xep = Xep {
    number: 202,
    title: "Entity Time",
    version: "2.0",
    file: "time.rs",
    notes: "For the server, whose time zone is UTC.",
};

/// Says what time it is.
pub struct EntityTime;

impl Module for EntityTime {
    fn register(self, points: &mut Points) {
        points.feature(At::Server, ns::TIME);
        request::on_get(points, At::Server, "time", ns::TIME, |turn, _| {
            let utc = date_time(turn.now().unix_ms);
            Reply::Result(format!("<time xmlns='urn:xmpp:time'><tzo>Z</tzo><utc>{utc}</utc></time>").into())
        });
    }
}

/// A moment, in milliseconds since 1970 UTC, in the dateTime profile of XEP-0082 section 3.2:
/// `2002-09-10T23:08:25Z`, with a fraction when there is one. Past the year 9999 it stays there.
pub fn date_time(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::MAX).to_string()
}
