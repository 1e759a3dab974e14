//! The command line: what can be asked of `herald`, and who does it.

mod import;
mod key;
mod operator;
mod user;

pub use operator::escaped;

use crate::config::{Config, commented};
use crate::serve;
use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// An XMPP and push server in which every user is an actor.
///
/// Without a command it serves. Every setting has a default: `herald check-config` shows what is in
/// force.
#[derive(Parser)]
#[command(name = "herald", version, max_term_width = 100)]
pub struct Cli {
    /// The configuration file [default: herald.toml, when it is there]
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C (what happens without a command, too)
    Serve,
    /// Make, change, remove, list and import accounts; works with and without a running server
    #[command(subcommand)]
    User(User),
    /// Make, list and remove keys for backends; works with and without a running server
    #[command(subcommand)]
    Key(Key),
    /// Send a message to a user, through the running server
    Sendto(Sendto),
    /// Show how the running server is
    Status {
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Show the configuration that is in force, or everything that is wrong with it
    CheckConfig {
        /// Show a file with every key, its default and what it is for
        #[arg(long)]
        defaults: bool,
    },
}

#[derive(Subcommand)]
enum User {
    /// Make an account; the password is the first line of standard input, or prompted for
    Add { uid: String },
    /// Give an account a new password, as with `add`, and end its sessions
    Passwd { uid: String },
    /// Remove an account, all that is kept for it, and its sessions
    Del { uid: String },
    /// Print every uid, one on each line
    List,
    /// Make many accounts from lines `uid,password`; one that is there gets the new password, its
    /// sessions go on
    Import {
        /// A CSV file, or - for standard input; a first line that reads `uid,password` is a heading
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum Key {
    /// Make a key, and print its secret: it is shown this once
    Add {
        /// Letters, digits, `-`, `_` and `.`
        name: String,
        /// What it is for; may be given several times
        #[arg(long = "scope", value_name = "SCOPE", required = true,
              value_parser = ["push", "presence:read", "history:read", "users", "events:read", "admin"])]
        scopes: Vec<String>,
    },
    /// Print every key's name and scopes
    List,
    /// Remove a key: it opens nothing from then on
    Remove { name: String },
}

#[derive(Args)]
struct Sendto {
    /// Whom to
    uid: String,
    /// What to say
    text: String,
    /// The type of the message
    #[arg(long = "type", value_name = "TYPE", default_value = "chat", value_parser = ["chat", "normal", "headline"])]
    kind: String,
}

/// Does what was asked. An error is told in one line by the caller.
pub fn run(cli: Cli) -> Result<ExitCode> {
    if let Some(Command::CheckConfig { defaults }) = cli.command {
        return check_config(&cli, defaults);
    }
    let (config, file) = Config::load(cli.config.as_deref())?;
    match cli.command {
        None | Some(Command::Serve) => serve::serve(config, file)?,
        Some(Command::User(what)) => return user_command(&config, what),
        Some(Command::Key(what)) => key_command(&config, what)?,
        Some(Command::Sendto(s)) => operator::sendto(&config, &s.uid, &s.text, &s.kind)?,
        Some(Command::Status { json }) => operator::status(&config, json)?,
        Some(Command::CheckConfig { .. }) => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn user_command(config: &Config, what: User) -> Result<ExitCode> {
    match what {
        User::Add { uid } => user::add(config, &uid)?,
        User::Passwd { uid } => user::passwd(config, &uid)?,
        User::Del { uid } => user::del(config, &uid)?,
        User::List => user::list(config)?,
        User::Import { file } => return import::import(config, &file),
    }
    Ok(ExitCode::SUCCESS)
}

fn key_command(config: &Config, what: Key) -> Result<()> {
    match what {
        Key::Add { name, scopes } => key::add(config, &name, &scopes),
        Key::List => key::list(config),
        Key::Remove { name } => key::remove(config, &name),
    }
}

fn check_config(cli: &Cli, defaults: bool) -> Result<ExitCode> {
    if defaults {
        print(&commented(&Config::default(), true))?;
        return Ok(ExitCode::SUCCESS);
    }
    match Config::load(cli.config.as_deref()) {
        Ok((config, file)) => {
            crate::certificate::check(&config.tls)?;
            crate::jwt::check(&config.jwt)?;
            crate::ingest::check(&config)?;
            let file = file.map_or("the defaults".into(), |f| f.display().to_string());
            print(&format!("# in force: {file}\n{}", commented(&config, false)))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(e) => {
            for line in e.lines() {
                eprintln!("{line}");
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Prints to standard output; a reader that has gone away (`herald user list | head`) is no failure.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => bail!("standard output: {e}"),
        _ => Ok(()),
    }
}
