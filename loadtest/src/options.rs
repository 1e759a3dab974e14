//! The command line.

use crate::sasl::Mechanism;
use crate::target::Transport;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Holds sessions on an XMPP server, or exchanges messages over it, and reports what that cost.
#[derive(Parser)]
#[command(version)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Log in so many sessions and hold them.
    Hold(Hold),
    /// Have pairs of users write to each other; fails unless each message came exactly once, in order.
    Chat(Chat),
    /// What the tool starts itself as.
    #[command(hide = true)]
    Worker,
}

/// `hold`
#[derive(Args)]
pub struct Hold {
    /// How and where to log in.
    #[command(flatten)]
    pub run: Run,
    /// How many sessions, each of another user.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub sessions: u32,
    /// How long to hold them when all are there.
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// For programs: JSON lines on standard output that tell how it stands and each message that comes, until the
    /// standard input ends.
    #[arg(long)]
    pub events: bool,
}

/// `chat`
#[derive(Args)]
pub struct Chat {
    /// How and where to log in.
    #[command(flatten)]
    pub run: Run,
    /// How many pairs of users.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..1_000_000_000))]
    pub pairs: u32,
    /// The length of a message's body.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub body_bytes: u32,
    /// Messages of each pair that are under way at a time: who gets one sends the next.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub outstanding: u32,
    /// How long to measure.
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// How long to exchange messages before that.
    #[arg(long, default_value_t = 3)]
    pub warm_up: u64,
    /// How long to wait for what is under way at the end; what has not come by then is lost.
    #[arg(long, default_value_t = 30)]
    pub drain: u64,
}

/// How and where to log in, and what to write.
#[derive(Args)]
pub struct Run {
    /// Over what.
    #[arg(long, value_enum)]
    pub transport: Transport,
    /// Where the server is: HOST:PORT, or a URL with the path of its WebSocket or BOSH. With several, each gets its
    /// share of the users, the first ones for the first.
    #[arg(long, required = true)]
    pub to: Vec<String>,
    /// The server's domain; without it the host of --to.
    #[arg(long)]
    pub domain: Option<String>,
    /// The users' names; {n} is a number.
    #[arg(long, default_value = "u{n}")]
    pub users: String,
    /// Their passwords.
    #[arg(long, default_value = "u{n}")]
    pub password: String,
    /// Instead of passwords: a file with the secret that signs a JWT (HS256) for each user, whose `sub` is the name.
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    pub jwt_secret: Option<PathBuf>,
    /// The number of the first user.
    #[arg(long, default_value_t = 0)]
    pub first: u32,
    /// The resource that they bind.
    #[arg(long, default_value = "load")]
    pub resource: String,
    /// How to log in; without it the strongest way that the server offers. PLAIN costs us no hashing.
    #[arg(long, value_enum)]
    pub sasl: Option<Mechanism>,
    /// Logins a second; 0 for as many as go.
    #[arg(long, default_value_t = 0.0)]
    pub rate: f64,
    /// Logins under way at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub in_flight: u32,
    /// How long a login may take.
    #[arg(long, default_value_t = 60)]
    pub login_secs: u64,
    /// How long the server may hold a BOSH request, in seconds.
    #[arg(long, default_value_t = 60)]
    pub wait: u32,
    /// A PEM file with the certificates to trust; without it the system's.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Trust whatever certificate the server has.
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
    /// Addresses to connect from, in turn: one has some 28,000 ports towards a server. A range is FIRST-LAST.
    #[arg(long, value_delimiter = ',')]
    pub from: Vec<String>,
    /// Worker processes; without it as many as the limit of open files asks for.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub workers: Option<u32>,
    /// The server's process: its memory and CPU, and those of its children, are measured. Several may be named.
    #[arg(long)]
    pub pid: Vec<u32>,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the results as a page with plots.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// What stands above the results.
    #[arg(long)]
    pub title: Option<String>,
}
