//! What the leading process and its workers say to each other: JSON, one object on a line.

use crate::chat::{Count, Plan};
use crate::sasl::Mechanism;
use crate::tally::Histogram;
use crate::target::{Target, Transport};
use crate::tls::Trust;
use crate::users::Users;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The first line that a worker is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Where the server is.
    pub target: Target,
    /// The address of it.
    pub address: SocketAddr,
    /// Over what.
    pub transport: Transport,
    /// The server's domain.
    pub domain: String,
    /// Who.
    pub users: Users,
    /// The first of them that is this worker's.
    pub first: u32,
    /// How many are.
    pub sessions: u32,
    /// The resource that they bind.
    pub resource: String,
    /// How they log in; without one the strongest way offered.
    pub mechanism: Option<Mechanism>,
    /// Logins begun in a second; 0 for as many as go.
    pub rate: f64,
    /// Logins under way at a time.
    pub in_flight: u32,
    /// How long one may take.
    pub login_secs: u64,
    /// How long a BOSH request may be held.
    pub wait_secs: u32,
    /// Whom to trust.
    pub trust: Trust,
    /// Addresses to connect from, in turn; empty for what the system chooses.
    pub from: Vec<IpAddr>,
    /// The name of the server in certificates.
    pub tls_name: String,
    /// What to do when all are logged in.
    pub chat: Option<Plan>,
    /// Tell of each message that comes.
    pub tell_messages: bool,
}

/// What a worker is told later. The end of its input ends it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Say how it stands, now.
    Tell,
    /// Begin to exchange messages.
    Chat,
    /// Stop, and say what became of them when all have come.
    Stop,
    /// Log out and end.
    Leave,
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// How it stands, about once a second.
    Status(Box<Status>),
    /// A message came.
    Message(Message),
    /// What became of the chat.
    Ended(Count),
    /// It cannot go on.
    Broken(String),
}

/// How a worker stands; counts are since its start, latencies since the last status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// It was asked for.
    pub asked: bool,
    /// Sessions that are up.
    pub ready: u32,
    /// Logins under way.
    pub under_way: u32,
    /// Logins that failed.
    pub failed: u32,
    /// Sessions that were up and are not any more.
    pub lost: u32,
    /// Requests that had to be made again, because the connection ended.
    pub repeated: u64,
    /// Why logins failed and sessions were lost, with how often.
    pub reasons: BTreeMap<String, u64>,
    /// How long logins took.
    pub logins: Histogram,
    /// What became of messages.
    pub count: Count,
    /// How long messages took.
    pub latencies: Histogram,
}

/// A message that came, for `--events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The number of the user who got it.
    pub user: u32,
    /// When, by CLOCK_MONOTONIC, which all processes of a machine share.
    pub at_ns: u64,
    /// Its body.
    pub body: String,
}
