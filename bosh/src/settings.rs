//! What a listener allows its sessions.

/// The bounds of every session, shared by all sessions of a listener.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The longest a request is held, in seconds. A client that asks for more gets this.
    pub wait_max_secs: u32,
    /// The most requests held at a time. A client that asks for more gets this; one that asks for 0 polls.
    pub hold_max: u8,
    /// With nothing held for this many seconds the session ends, unannounced. Doubled for a client that polls.
    pub inactivity_secs: u32,
    /// The shortest time between two empty requests of a client that polls, in seconds.
    pub polling_secs: u32,
    /// The longest pause a client may ask for, in seconds; asking for more ends the session with `policy-violation`.
    pub maxpause_secs: u32,
    /// The largest request body, in bytes; a larger one ends its session with `policy-violation`. So do
    /// requests that wait for their elders and are larger together.
    pub body_bytes_max: usize,
    /// The most bytes queued for a client that fetches nothing. What comes on top is handed back to the sender.
    pub queue_bytes_max: usize,
    /// A response is closed once it has grown to this many bytes; the rest goes into the next.
    pub response_bytes_soft: usize,
    /// What is kept of unacknowledged responses of a client that uses acknowledgements, in bytes. The
    /// last `requests` responses are always kept; older ones are forgotten first.
    pub replay_bytes_max: usize,
    /// How often one request may be repeated; more ends the session with `policy-violation`.
    pub repeats_max: u16,
    /// How long the answers to a request that asks for one (an iq, SASL) are waited for
    /// before the rules of hold answer anything with an empty body, in milliseconds.
    pub settle_ms: u16,
    /// How long the creation's answer waits for the stream features, in milliseconds. Then it goes without.
    pub features_ms: u16,
    /// The content codings in which the driver takes requests, comma-separated; empty for none. Said at
    /// creation (XEP-0124 section 7.2).
    pub accept: &'static str,
    /// Whether too many empty requests end the session (XEP-0124 sections 11 and 12).
    pub overactivity: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            wait_max_secs: 55,
            hold_max: 1,
            inactivity_secs: 90,
            polling_secs: 2,
            maxpause_secs: 120,
            body_bytes_max: 262_144,
            queue_bytes_max: 1_048_576,
            response_bytes_soft: 65_536,
            replay_bytes_max: 262_144,
            repeats_max: 30,
            settle_ms: 5,
            features_ms: 2_000,
            accept: "",
            overactivity: true,
        }
    }
}
