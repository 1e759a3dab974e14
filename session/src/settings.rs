//! Every bound of the user actor, with what happens there.

use compact_str::CompactString;

/// What the sessions need to know. All users share one copy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The domain we serve, prepared as a JID's domainpart. Any other is `remote-server-not-found`:
    /// there are no links to other servers.
    pub domain: CompactString,
    /// Resources one user may have bound. One more is refused with `resource-constraint`.
    pub resources_max: u32,
    /// Contacts in one roster, pending requests included. One more is refused with
    /// `resource-constraint`; a request from a stranger is dropped then.
    pub roster_max: u32,
    /// Length of a contact's name and of a group's, in bytes. Longer is refused with `not-acceptable`
    /// (RFC 6121 section 2.3.3).
    pub roster_name_bytes_max: u32,
    /// Groups of one contact. More are refused with `not-acceptable`.
    pub roster_groups_max: u32,
    /// Entities one resource may have sent directed presence to. One more is refused with
    /// `resource-constraint`.
    pub directed_max: u32,
    /// Messages kept for one user. One more goes back to its sender with `service-unavailable` (XEP-0160
    /// section 2). What a connection gives back is kept all the same.
    pub offline_max: u32,
    /// Kept messages handed to a resource before it must have acknowledged them.
    pub offline_page: u32,
    /// The same in bytes: a page ends with the message that brings it there.
    pub offline_page_bytes: usize,
    /// How long a connection that is full may take nothing, in seconds; then it is closed. 0: it is closed
    /// as soon as it is full.
    pub behind_secs: u32,
    /// Messages held back while a connection that was told to end gives back what it had not
    /// delivered. One more goes back to its sender with `resource-constraint`.
    pub held_max: u32,
    /// How long such a connection is waited for, in seconds.
    pub leaving_secs: u32,
    /// A user without a resource and without mail leaves memory after so many seconds.
    pub idle_secs: u32,
}

impl Settings {
    /// The usual bounds, for this domain.
    pub fn new(domain: &str) -> Settings {
        Settings {
            domain: CompactString::from(domain),
            resources_max: 32,
            roster_max: 1_000,
            roster_name_bytes_max: 1_023,
            roster_groups_max: 64,
            directed_max: 256,
            offline_max: 1_000,
            offline_page: 100,
            offline_page_bytes: 262_144,
            behind_secs: 120,
            held_max: 256,
            leaving_secs: 5,
            idle_secs: 30,
        }
    }
}
