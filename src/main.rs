//! Herald: an XMPP and push server in which every user is an actor.
//!
//! This crate is the only one that meets the world: sockets, TLS, HTTP, files, signals, the clock.
//!
//! | room | what is in it |
//! |---|---|
//! | `cli/` | the command line |
//! | `config/` | the configuration: every key, read once and strictly |
//! | `serve.rs` | the server, put together: start, ready, drain |
//! | `admin/` | the operator's API |
//! | `net/` | TCP, WebSocket, BOSH and TLS drivers |
//! | `accounts.rs` | from a uid and a password to what the store keeps |
//! | `banner.rs` | what a ready server says |
//! | `certificate.rs` | the certificate, or one for development |
//! | `events/` | what happens, told to operators: a live stream, webhooks |
//! | `files.rs` | files that are there whole or not at all |
//! | `heap.rs` | for `cargo xtask guard` only: an allocator that counts |
//! | `ingest/` | messages that come in by other ways than HTTP |
//! | `jwt/` | JWTs that let somebody in |
//! | `tokens.rs` | one-time login tokens |
//! | `log.rs`, `metrics.rs` | what an operator sees |

#![allow(clippy::disallowed_methods)] // the one crate that drives the others: it reads the clock

mod accounts;
mod admin;
mod banner;
mod certificate;
mod cli;
mod config;
mod events;
mod files;
#[cfg(any(feature = "guard", test))]
mod heap;
mod ingest;
mod jwt;
mod keys;
mod log;
mod metrics;
mod net;
mod payload;
mod sendto;
mod serve;
mod tickets;
mod tokens;

use clap::Parser;
use std::process::ExitCode;

#[cfg(not(feature = "guard"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
#[cfg(feature = "guard")]
#[global_allocator]
static ALLOCATOR: heap::Counted = heap::Counted;

/// What jemalloc is told: memory that is free goes back to the system within a second or two, so that
/// a parked connection costs what it holds and not what it once held; few arenas, for the same end.
const MALLOC_CONF: &[u8; 86] =
    b"narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:true,tcache_max:4096\0";

/// Where jemalloc looks for it when the process starts.
#[repr(transparent)]
pub struct MallocConf(*const u8);
// SAFETY: it points to a constant that nobody writes.
unsafe impl Sync for MallocConf {}
/// See [`MALLOC_CONF`].
#[unsafe(export_name = "malloc_conf")]
pub static MALLOC_CONF_SYMBOL: MallocConf = MallocConf(MALLOC_CONF.as_ptr());

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(e) => {
            // One line, whatever the causes said.
            eprintln!("herald: {}", format!("{e:#}").replace('\n', "; "));
            ExitCode::FAILURE
        }
    }
}
