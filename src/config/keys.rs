//! Every key of the configuration: its name, type, default, bounds and what it is for.
//!
//! The comments are shown to operators (in `etc/herald.toml` and `docs/config.md`) as they stand.

use super::network::Networks;
use super::remote::{AmqpUrl, PostgresUrl, RedisUrl, TableName};
use super::schema::{bounds, key, section_many, section_name, section_type, set, settings, show};
use super::value::{CometAuth, CometStore, Demo, Domain, HttpsAddress, Level, LogFormat, PlainWithoutTls};
use super::words::{Uids, WebAddress};
use crate::events::Kinds;
use std::net::SocketAddr;
use std::path::PathBuf;

settings! {
    {
        /// The domain of the users: `alice` is `alice@DOMAIN`.
        domain: Domain = Domain::localhost();
        /// The folder that holds all that lasts: the database, the operator's token, the
        /// development certificate. A relative path begins where the server is started.
        data_dir: PathBuf = PathBuf::from("data");
        /// How long clients get to take their leave when the server is told to stop; then their
        /// connections are cut. The process is gone within 10 seconds.
        drain_secs: u32 = 8, 0..8 "seconds";
    }

    /// Where the server listens. "" switches a listener off; port 0 takes any free port
    /// (`addresses.json` in the data folder says which).
    listen Listen {
        /// XMPP over TCP (RFC 6120), with STARTTLS.
        xmpp: Option<SocketAddr> = Some(loopback(5222));
        /// XMPP over TCP, TLS from the first byte (XEP-0368).
        xmpps: Option<SocketAddr> = Some(loopback(5223));
        /// Connections to `xmpp` and `xmpps` from `shaping.trusted_proxies` begin with a header of the
        /// PROXY protocol (version 1 or 2) that names the client; one without it is closed.
        proxy_protocol: bool = false;
        /// HTTP: BOSH at `/http-bind`, WebSocket at `/ws`, `/.well-known/host-meta`.
        http: Option<SocketAddr> = Some(loopback(5280));
        /// The same over TLS.
        https: Option<SocketAddr> = Some(loopback(5443));
        /// The operator's API, in the clear: keep it on loopback or behind a proxy.
        admin: Option<SocketAddr> = Some(loopback(5281));
        /// iComet's operator's calls but `/psub` once more, for backends that push a lot: in the clear, without keys,
        /// for the addresses of `comet.operators` alone.
        push: Option<SocketAddr> = None;
    }

    /// The certificate. With none named, one for development is made in the data folder. After a
    /// renewal SIGHUP has the server read it again; connections that are there are not touched.
    tls Tls {
        /// A PEM file with the certificate chain, the server's own certificate first.
        certificate: Option<PathBuf> = None;
        /// A PEM file with its private key (PKCS#8, PKCS#1 or SEC1).
        key: Option<PathBuf> = None;
    }

    /// Logging in.
    auth Auth {
        /// May a password come in the clear (SASL PLAIN without TLS)? "never", or "loopback": to
        /// 127.0.0.0/8 only.
        plain_without_tls: PlainWithoutTls = PlainWithoutTls::Never;
        /// Rounds of PBKDF2 for a new password (RFC 7677 asks for 4096 at least). More make stolen
        /// keys dearer to try, and PLAIN logins and `user import` slower.
        scram_iterations: u32 = 4096, 4096..1_000_000 "rounds";
        /// How long a connection may take from its first byte to a bound resource; then it is closed.
        login_secs: u32 = 30, 1..600 "seconds";
        /// Failed tries on one connection; then it is closed.
        tries_max: u32 = 5, 1..100 "tries";
        /// How long a one-time login token holds when whoever asks for it does not say (a request may
        /// say up to a day).
        token_ttl_secs: u32 = 60, 1..86_400 "seconds";
        /// How long a page that has logged in may come back with the ticket it was given then, without its
        /// password or another token; each login gives a new one. Another password voids them.
        ticket_ttl_secs: u32 = 86_400, 60..31_536_000 "seconds";
        /// One-time login tokens that are not used up and have not run out; one more is refused with
        /// `too_many_tokens`. Each takes less than a kilobyte.
        tokens_max: usize = 100_000, 1..10_000_000 "tokens";
    }

    /// JWTs as passwords (RFC 7519): over SASL OAUTHBEARER and PLAIN, signed with HS256, RS256 or EdDSA
    /// (Ed25519), whichever the key is for. Keys make it work; SIGHUP has the server read their file again. A
    /// token must say when it ends (`exp`); a session that was begun in time goes on beyond that.
    jwt Jwt {
        /// A JWKS file (RFC 7517) with the keys of whoever signs the tokens.
        jwks_file: Option<PathBuf> = None;
        /// Instead of it, a file with one secret for HS256: 32 bytes at least, the last line end does
        /// not count.
        secret_file: Option<PathBuf> = None;
        /// What `iss` must be; with "" it may be anything.
        issuer: String = String::new();
        /// What `aud` must be, or name among others; with "" a token that names any is refused.
        audience: String = String::new();
        /// The claim that names the user: a uid, or a whole bare JID of our domain.
        uid_claim: String = "sub".into();
        /// How far the clocks may be apart, for `exp` and `nbf`.
        leeway_secs: u32 = 30, 0..600 "seconds";
        /// May a user without an account come in? Then an account without a password is made.
        create_users: bool = false;
        /// What a client is told of the scope when its token is refused (RFC 7628 section 3.2.2).
        scope: String = String::new();
        /// And of the place of the OpenID configuration: a URL.
        openid_configuration: String = String::new();
    }

    /// What one client may use, and all of them together.
    limits Limits {
        /// Open connections on all client listeners; one more is closed at once.
        connections_max: u32 = 1_000_000, 1..100_000_000 "connections";
        /// Connections that have not logged in; when there are more, the one that has waited
        /// longest is closed.
        unauthenticated_max: u32 = 20_000, 1..100_000_000 "connections";
        /// One stanza, or any other top-level element of a stream; a larger one ends the stream
        /// with `policy-violation`.
        stanza_bytes_max: usize = 262_144, 10_000..16_777_216 "bytes";
        /// How deep elements may be nested; the stream ends with `policy-violation`.
        depth_max: u32 = 64, 8..1_000 "levels";
        /// Attributes of one element; the stream ends with `policy-violation`.
        attributes_max: u32 = 128, 8..10_000 "attributes";
        /// Elements in one stanza; the stream ends with `policy-violation`.
        elements_max: u32 = 8_192, 64..1_000_000 "elements";
        /// The head of one HTTP request; a larger one is answered with 431.
        http_head_bytes_max: usize = 8_192, 1_024..65_536 "bytes";
        /// How long one HTTP request (or a TLS handshake) may take to come in; then the connection
        /// is closed.
        head_secs: u32 = 10, 1..600 "seconds";
        /// What waits to be written to one connection. Beyond it the connection is behind: messages
        /// are kept for it and given page by page when it has room, headlines are dropped; when the
        /// user has another resource that takes messages, the connection is closed instead.
        outbox_bytes_max: usize = 1_048_576, 65_536..268_435_456 "bytes";
        /// How long a connection that is behind may take nothing at all; then it is closed with
        /// `policy-violation`, and what it had not taken is kept. 0: it is closed as soon as it is behind.
        behind_secs: u32 = 120, 0..3_600 "seconds";
        /// Resources of one user at a time; one more is refused with `resource-constraint`.
        resources_max: u32 = 32, 1..1_000 "resources";
        /// Contacts in one roster; one more is refused with `resource-constraint`.
        roster_max: u32 = 1_000, 1..100_000 "contacts";
        /// A user's actor without connections ends after this time; the next message starts it again.
        idle_secs: u32 = 30, 1..86_400 "seconds";
    }

    /// HTTP, which carries BOSH and WebSocket.
    http Http {
        /// Where clients reach this server over TLS when something stands in front of it, such as
        /// `https://chat.example`. host-meta says so, and redirects lead there. "" for
        /// https://DOMAIN and the port of `listen.https`.
        public_https: Option<HttpsAddress> = None;
        /// The demo at `/`: "loopback", for whoever sits at this machine, with accounts of its own that are
        /// removed after a day, or "off".
        demo: Demo = Demo::Loopback;
    }

    /// WebSocket (RFC 7395).
    websocket Websocket {
        /// Serve WebSockets over TLS only: a client that comes in the clear is sent to
        /// `http.public_https` (`see-other-uri`).
        https_only: bool = false;
    }

    /// STOMP over WebSocket.
    stomp Stomp {
        /// The signs of life that are given and wanted (the `heart-beat` of CONNECTED). A client that has promised
        /// them is gone when nothing came for twice as long.
        heart_beat_secs: u32 = 10, 1..3_600 "seconds";
    }

    /// How fast clients may be, by token buckets: each fills at its rate and holds at most its burst.
    /// 0 as a rate means no limit. A connection (of BOSH, a session) that is too fast is read more
    /// slowly, and never closed for it. What one address may do in all, its clients are refused
    /// beyond; of IPv6, a /64 is one address.
    shaping Shaping {
        /// What one connection may send. Beyond it, it is read as fast as this.
        bytes_per_sec: u32 = 2_097_152, 0..4_294_967_295 "bytes";
        /// What it may send at once after a rest.
        bytes_burst: u32 = 4_194_304, 1_024..4_294_967_295 "bytes";
        /// Stanzas that one connection may send. Beyond it, it is read as fast as this.
        stanzas_per_sec: u32 = 4_000, 0..4_294_967_295 "stanzas";
        /// How many it may send at once after a rest.
        stanzas_burst: u32 = 8_000, 1..4_294_967_295 "stanzas";
        /// New connections of one address; one more is closed without a word.
        ip_connections_per_sec: u32 = 100, 0..4_294_967_295 "connections";
        /// How many it may make at once after a rest.
        ip_connections_burst: u32 = 2_000, 1..4_294_967_295 "connections";
        /// New streams and BOSH sessions of one address; one more ends with `policy-violation`, and
        /// a WebSocket handshake with 429.
        ip_sessions_per_sec: u32 = 50, 0..4_294_967_295 "sessions";
        /// How many it may begin at once after a rest.
        ip_sessions_burst: u32 = 1_000, 1..4_294_967_295 "sessions";
        /// Logins of one address that fail; then the next is refused with `temporary-auth-failure`,
        /// whether it would be right or not, and its stream ends.
        ip_failed_logins_per_min: u32 = 20, 0..4_294_967_295 "logins";
        /// How many may fail at once after a rest.
        ip_failed_logins_burst: u32 = 60, 1..4_294_967_295 "logins";
        /// What all clients of one address may send together. Beyond it, they are read as fast as this.
        ip_bytes_per_sec: u32 = 16_777_216, 0..4_294_967_295 "bytes";
        /// What they may send at once after a rest.
        ip_bytes_burst: u32 = 67_108_864, 1_024..4_294_967_295 "bytes";
        /// Addresses that the rules for addresses (`ip_..`) do not apply to.
        exempt: Networks = Networks::loopback();
        /// Proxies: connections from here may name their client with X-Forwarded-For (or Forwarded),
        /// and say with X-Forwarded-Proto that it came over TLS. They must set these fields, not
        /// hand on what a client wrote.
        trusted_proxies: Networks = Networks::loopback();
    }

    /// BOSH (XEP-0124), the sessions of browsers behind HTTP.
    bosh Bosh {
        /// Make sessions over TLS only: a client that asks for one in the clear is sent to
        /// `http.public_https` (`see-other-uri`). What a proxy ends TLS for came over TLS, if the proxy
        /// says so (`shaping.trusted_proxies`).
        https_only: bool = false;
        /// How long an empty request may be held; what a client asks beyond it is cut to it.
        wait_max_secs: u32 = 55, 1..600 "seconds";
        /// Requests held at a time for one session.
        hold_max: u32 = 1, 1..10 "requests";
        /// A session without a request for this long has ended.
        inactivity_secs: u32 = 90, 1..3_600 "seconds";
        /// The shortest time between the empty requests of a client that does not let them be held.
        polling_secs: u32 = 2, 1..60 "seconds";
        /// Does a client's session end when its empty requests come too soon after each other
        /// (XEP-0124 sections 11 and 12)? If not, it is not told of `polling_secs` either.
        overactivity: bool = true;
        /// The longest pause that a client may ask for.
        maxpause_secs: u32 = 120, 1..3_600 "seconds";
        /// The body of one request, also of one that comes packed; a larger one ends its session with
        /// `policy-violation`.
        body_bytes_max: usize = 262_144, 10_000..16_777_216 "bytes";
        /// What waits for one session's next request; beyond it the session is behind, as a
        /// connection is with `limits.outbox_bytes_max`.
        queue_bytes_max: usize = 1_048_576, 65_536..268_435_456 "bytes";
        /// How long a session made by `POST /api/v1/prebind` waits for its first request when whoever
        /// asks for it does not say; then it is freed.
        prebind_ttl_secs: u32 = 120, 1..86_400 "seconds";
        /// The longest such time that may be asked for.
        prebind_ttl_max_secs: u32 = 3_600, 1..86_400 "seconds";
    }

    /// herald.v1, the protocol of `herald.js`, over WebSocket and requests at `/herald`.
    herald Herald {
        /// Serve it over TLS only. What a proxy ends TLS for came over TLS, if the proxy says so
        /// (`shaping.trusted_proxies`).
        https_only: bool = false;
        /// A session over requests that has none for this long has ended.
        inactivity_secs: u32 = 60, 2..3_600 "seconds";
        /// How long a request may be held; what a client asks beyond it is cut to it.
        wait_max_secs: u32 = 55, 1..600 "seconds";
        /// How often a client over WebSocket that hears nothing is to ask whether the server is there.
        ping_secs: u32 = 25, 1..3_600 "seconds";
        /// One frame; a larger one ends the session with `too_large`.
        frame_bytes_max: usize = 131_072, 4_096..16_777_216 "bytes";
        /// Messages of the log that wait for one client; more are read when it has taken these.
        page_bytes: usize = 131_072, 4_096..16_777_216 "bytes";
    }

    /// iComet's calls: `/sub`, `/poll`, `/stream`, `/sse`, `/iframe`, `/ping` where HTTP is, and `/push`, `/pub`,
    /// `/broadcast`, `/sign`, `/close`, `/clear`, `/info`, `/check`, `/psub` on the operator's API. A channel is a uid.
    comet Comet {
        /// Who may subscribe: "token", whoever has one from `/sign`; "none", everybody to everything; "off",
        /// nobody: these calls are not there.
        auth: CometAuth = CometAuth::Token;
        /// Addresses that may ask the operator's calls without a key. Everybody else brings one (`docs/icomet.md`
        /// says with which scope), or the operator's token.
        operators: Networks = Networks::none();
        /// A subscriber to whom nothing was said for so long gets a `noop`, which for a poll is the answer.
        polling_timeout_secs: u32 = 30, 1..3_600 "seconds";
        /// So long after its last subscriber has gone a channel ends, and its user is away.
        channel_timeout_secs: u32 = 30, 1..3_600 "seconds";
        /// Channels with subscribers, or that had one a moment ago; one more is answered with 429.
        channels_max: u32 = 100_000, 1..100_000_000 "channels";
        /// Subscribers of one channel; one more is answered with 429.
        subscribers_max: u32 = 16, 1..1_000_000 "subscribers";
        /// The newest messages of a channel that stay in memory, for who asks once more.
        buffer_messages: u32 = 10, 0..10_000 "messages";
        /// Is what is pushed kept? "always": before it is answered, and it can be asked for later; "if_offline":
        /// when nobody takes it; "never": who is not there does not get it.
        store: CometStore = CometStore::Always;
        /// Is an account made for a uid that is pushed to or signed (with `auth = "none"`, subscribed) and has
        /// none? It has no password.
        create_users: bool = true;
        /// A token holds for so long at least, and twice as long at most.
        token_ttl_secs: u32 = 86_400, 60..31_536_000 "seconds";
    }

    /// Stream management (XEP-0198), for clients over TCP and WebSocket that ask for it.
    stream_management StreamManagement {
        /// How long a stream whose connection died can be resumed; so long its user stays online. A client
        /// may ask for less. 0: streams cannot be resumed.
        resume_secs: u32 = 300, 0..86_400 "seconds";
        /// What was sent to one client and not acknowledged by it; beyond it the client is sent nothing more
        /// until it acknowledges. The same for what waits for a stream to be resumed.
        unacked_bytes_max: usize = 1_048_576, 65_536..268_435_456 "bytes";
    }

    /// Clients over TCP and WebSocket that say nothing.
    ping Ping {
        /// A client that has said nothing for this long is asked whether it is there. 0: nobody is.
        after_secs: u32 = 60, 0..86_400 "seconds";
        /// One that is asked and says nothing for so much longer is gone: its connection is closed.
        timeout_secs: u32 = 30, 1..3_600 "seconds";
    }

    /// Messages kept for users who are away (XEP-0160).
    offline Offline {
        /// Kept for one user; one more goes back to its sender with `service-unavailable` (to a
        /// backend: `full`).
        messages_max: u32 = 1_000, 0..1_000_000 "messages";
        /// Given to a client at a time; the next page follows when it has acknowledged this one.
        page_messages: u32 = 100, 1..10_000 "messages";
        /// A page ends with the message that brings it to this.
        page_bytes: usize = 262_144, 1_024..16_777_216 "bytes";
    }

    /// The history: kept messages that were delivered, for pages that resume and for
    /// `GET /api/v1/history`. What is not delivered yet stays however old it is, until it expires.
    history History {
        /// Removed when they are older than this. 0: there is no history, a message is removed when
        /// it is delivered.
        days: u32 = 30, 0..36_500 "days";
        /// Messages of one user; the oldest are removed, some at a time. 0: there is no history.
        messages_max: u32 = 10_000, 0..10_000_000 "messages";
    }

    /// The operator's API.
    admin Admin {
        /// The body of one request; a larger one is answered with 413.
        body_bytes_max: usize = 1_048_576, 4_096..67_108_864 "bytes";
        /// Requests in work at a time; one more is answered with 429.
        requests_max: u32 = 256, 1..10_000 "requests";
        /// Whose shapes the calls of ejabberd (`/api/<command>`) have, by the version of its API: 0 is ejabberd up
        /// to 23.10 (`{"stat": 6}`), 1 from 24.02 on (`6`), 2 from 24.06 on. `/api/<command>/v2` asks for one.
        ejabberd_version: u32 = 0, 0..2 "";
    }

    /// What happens, told as it happens: `GET /api/v1/events`, and the ways out below (docs/events.md).
    events Events {
        /// The newest events, kept in memory so that a reader of `/api/v1/events` who comes back goes on
        /// where it was. Who was away for longer is told so, and who is online now.
        ring_bytes: usize = 8_388_608, 16_384..1_073_741_824 "bytes";
        /// How long they are kept once nobody reads.
        remember_secs: u32 = 600, 0..86_400 "seconds";
        /// Readers of `/api/v1/events` at a time; one more is answered with 429.
        readers_max: u32 = 64, 1..1_000 "readers";
        /// A reader hears at least so often that the connection is alive.
        heartbeat_secs: u32 = 15, 1..600 "seconds";
        /// Events that wait for the database, of one way out; beyond it they are lost, logged and counted.
        intake_bytes_max: usize = 67_108_864, 65_536..1_073_741_824 "bytes";
        /// The file of events that one way out could not deliver; beyond it, it is begun anew, and one older
        /// file is kept.
        dead_letter_bytes_max: usize = 67_108_864, 4_096..1_073_741_824 "bytes";
    }

    /// Messages from a queue of RabbitMQ, or another broker that speaks AMQP 0.9.1: see docs/ingest.md.
    ["ingest.amqp"] ingest_amqp IngestAmqp {
        /// The broker. Its password may be here, in `password_file`, or in the environment variable
        /// HERALD_AMQP_PASSWORD. `amqps://` is over TLS. "": nothing is taken from anywhere.
        url: Option<AmqpUrl> = None;
        /// A file with the password. It is read anew for every connection.
        password_file: Option<PathBuf> = None;
        /// The queue. When it is made here, one server at a time is given its messages.
        queue: String = "herald".into();
        /// A topic exchange that leads to the queue what has a routing key with `routing_prefix`. "" for none.
        exchange: String = "herald.push".into();
        /// What a routing key begins with when the uid follows: the message is a payload then.
        routing_prefix: String = "push.".into();
        /// Where messages go that cannot be carried out, with the reason. With "" they are rejected, and the queue
        /// itself says what becomes of them.
        dead_letter_exchange: String = "herald.dead".into();
        /// Make the queue, the exchanges, and a queue behind the dead-letter exchange when they are not there.
        declare: bool = true;
        /// Messages taken and not acknowledged at a time (the prefetch); the others wait at the broker.
        in_flight_max: u32 = 256, 1..10_000 "messages";
        /// How often a message is tried, ever more slowly, for a user whose messages are full (`offline`); then
        /// it cannot be carried out.
        tries_max: u32 = 20, 1..1_000 "tries";
    }

    /// Messages from a table in PostgreSQL: see docs/ingest.md.
    ["ingest.postgres"] ingest_postgres IngestPostgres {
        /// The database. Its password may be here, in `password_file`, or in the environment variable
        /// HERALD_POSTGRES_PASSWORD. With `?sslmode=require` it is over TLS. "": nothing is taken from anywhere.
        url: Option<PostgresUrl> = None;
        /// A file with the password. It is read anew for every connection.
        password_file: Option<PathBuf> = None;
        /// The table that the rows are taken from, `name` or `schema.name`.
        table: TableName = TableName::named("herald_outbox");
        /// The table that rows move to that cannot be carried out, with the reason.
        dead_table: TableName = TableName::named("herald_outbox_dead");
        /// The channel on which NOTIFY tells of new rows.
        channel: TableName = TableName::named("herald_outbox");
        /// How often it is looked for new rows when nothing tells of them.
        poll_secs: u32 = 5, 1..3_600 "seconds";
        /// Rows taken and not deleted at a time.
        in_flight_max: u32 = 256, 1..10_000 "rows";
        /// How often a row is tried, ever more slowly, for a user whose messages are full (`offline`); then it
        /// cannot be carried out.
        tries_max: u32 = 20, 1..1_000 "tries";
    }

    /// Messages from a stream of Redis, or Valkey: see docs/ingest.md.
    ["ingest.redis"] ingest_redis IngestRedis {
        /// The server. Its password may be here, in `password_file`, or in the environment variable
        /// HERALD_REDIS_PASSWORD. `rediss://` is over TLS. "": nothing is taken from anywhere.
        url: Option<RedisUrl> = None;
        /// A file with the password. It is read anew for every connection.
        password_file: Option<PathBuf> = None;
        /// The stream.
        stream: String = "herald".into();
        /// The consumer group; it is made at the beginning of the stream when it is not there.
        group: String = "herald".into();
        /// The name of this server within the group. After a restart it goes on with what it had.
        consumer: String = "herald".into();
        /// The stream that entries are added to that cannot be carried out, with the reason.
        dead_stream: String = "herald.dead".into();
        /// Remove entries that are finished from the stream. Not if another group reads it, too.
        delete: bool = false;
        /// Entries taken and not acknowledged at a time.
        in_flight_max: u32 = 256, 1..10_000 "entries";
        /// How often an entry is tried, ever more slowly, for a user whose messages are full (`offline`); then
        /// it cannot be carried out.
        tries_max: u32 = 20, 1..1_000 "tries";
    }

    /// Events to RabbitMQ, or another broker that speaks AMQP 0.9.1: to a topic exchange, with the routing key
    /// `UID.TYPE`, in order, at least once (docs/events.md).
    ["events.amqp"] events_amqp EventsAmqp {
        /// The broker. Its password may be here, in `password_file`, or in the environment variable
        /// HERALD_EVENTS_AMQP_PASSWORD. `amqps://` is over TLS. "": nothing is sent anywhere.
        url: Option<AmqpUrl> = None;
        /// A file with the password. It is read anew for every connection.
        password_file: Option<PathBuf> = None;
        /// The exchange.
        exchange: String = "herald.events".into();
        /// Make the exchange, durable, when it is not there.
        declare: bool = true;
        /// Which events.
        types: Kinds = Kinds::ALL;
        /// Of whom.
        uids: Uids = Uids::default();
        /// Events that are sent at a time and then confirmed.
        batch_events: u32 = 256, 1..10_000 "events";
        /// How long that may take.
        timeout_secs: u32 = 10, 1..300 "seconds";
        /// The longest wait between two tries; it grows from half a second, and is random below that.
        backoff_max_secs: u32 = 30, 1..3_600 "seconds";
        /// How long an event is tried for in all; then it goes to the dead letters.
        keep_secs: u32 = 259_200, 1..2_592_000 "seconds";
    }

    /// A webhook: events are posted to it, signed, in batches, in order for each user, at least once.
    [many] webhook Webhook {
        /// Where to. A redirect is not followed.
        url: Option<WebAddress> = None;
        /// A file with the secret of the signatures: 32 characters at least. While the secret is being
        /// changed it may have two, one on each line: both sign. "": `webhook-NAME.secret` in the data folder,
        /// which is made on the first start. It is read again for each request.
        secret_file: Option<PathBuf> = None;
        /// A PEM file with certificates that are trusted beside those of the system.
        ca_file: Option<PathBuf> = None;
        /// Which events.
        types: Kinds = Kinds::ALL;
        /// Of whom.
        uids: Uids = Uids::default();
        /// Events in one request.
        batch_events: u32 = 100, 1..1_000 "events";
        /// A request ends with the event that brings it to this.
        batch_bytes: usize = 262_144, 1_024..16_777_216 "bytes";
        /// How long an answer may take.
        timeout_secs: u32 = 10, 1..300 "seconds";
        /// So often an event may be refused, or left without an answer; then it goes to the dead letters.
        /// Tries that do not reach the receiver do not count.
        tries_max: u32 = 16, 1..1_000 "tries";
        /// The longest wait between two tries; it grows from half a second, and is random below that.
        backoff_max_secs: u32 = 300, 1..3_600 "seconds";
        /// How long an event is tried for in all; then it goes to the dead letters.
        keep_secs: u32 = 259_200, 1..2_592_000 "seconds";
    }

    /// The log, on standard error. The environment variable RUST_LOG, when set, rules the level
    /// (`RUST_LOG=info,herald=debug`).
    log Log {
        /// "error", "warn", "info", "debug" or "trace".
        level: Level = Level::Info;
        /// "text" for people, "json" for machines: one object on each line.
        format: LogFormat = LogFormat::Text;
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
