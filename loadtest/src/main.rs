//! Holds sessions on an XMPP server, or has pairs of users write to each other over it, and reports what that
//! cost: memory for a session, logins and messages a second, latencies. Any server will do that speaks XMPP over
//! TCP, WebSocket (RFC 7395) or BOSH (XEP-0124), with SASL PLAIN or SCRAM.
//!
//! ```sh
//! herald-load hold --transport bosh --to 127.0.0.1:5280 --domain localhost --sessions 10000 --pid $(pidof herald)
//! herald-load chat --transport ws --to 127.0.0.1:5280 --domain localhost --pairs 200 --html report.html
//! ```
//!
//! Users are `u0`, `u1` and so on (`--users`, `--password`, `--first`). The exit status is 1 when a login failed, a
//! session was lost, or a message did not come exactly once and in order.
//!
//! One process leads; workers, each one epoll loop, hold the sessions. There are as many as the limit of
//! open files asks for. What a session does is decided by machines without I/O:
//!
//! | file | what is in it |
//! |---|---|
//! | `xml.rs`, `http.rs`, `frame.rs` | what stands next in bytes that are still coming |
//! | `login.rs`, `sasl.rs` | from the first features to a session |
//! | `chat.rs`, `tally.rs` | the messages and the check that each came once; latencies |
//! | `users.rs`, `target.rs`, `tls.rs` | who, where to, trusting whom |
//! | `worker/` | the loop: sockets, sessions, BOSH's requests |
//! | `lead/` | the processes, their limits, what the server's processes take |
//! | `report/` | the table, JSON, a page with plots |
//! | `talk.rs` | what the leading process and its workers say to each other |

mod chat;
mod clock;
mod frame;
mod http;
mod lead;
mod login;
mod options;
mod report;
mod sasl;
mod talk;
mod tally;
mod target;
mod tls;
mod users;
mod worker;
mod xml;

use clap::Parser;
use options::{Command, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    let ran = match Options::parse().command {
        Command::Worker => worker::main().map(|()| true),
        Command::Hold(hold) => lead::run(&hold.run, lead::Plan::hold(&hold)),
        Command::Chat(chat) => lead::run(&chat.run, lead::Plan::chat(&chat)),
    };
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("herald-load: {e:#}");
            ExitCode::from(2)
        }
    }
}
