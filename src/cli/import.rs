//! `herald user import`: many accounts from lines `uid,password`, hashed on all cores. A running server ends the
//! sessions of those who have a new password now.

use super::operator::Operator;
use crate::accounts;
use crate::config::Config;
use crate::serve::open_store;
use anyhow::{Context, Result, anyhow};
use csv::{ByteRecord, ReaderBuilder};
use herald_storage::{Store, StoreError};
use herald_xmpp::BareJid;
use herald_xmpp::sasl::Credentials;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Instant;

/// Rows that are hashed together and written in one commit.
const BATCH_ROWS: usize = 1_000;
/// Without a terminal, one line is printed for so many rows.
const ROWS_PER_LINE: u64 = 10_000;
/// Bad lines that are told one by one; the others are counted.
const BAD_LINES_TOLD_MAX: u64 = 100;

/// Imports a file, or standard input for `-`. Fails at the end when a line was bad; the others are in.
pub fn import(config: &Config, file: &Path) -> Result<ExitCode> {
    let (input, bytes): (Box<dyn Read>, Option<u64>) = if file == Path::new("-") {
        (Box::new(std::io::stdin()), None)
    } else {
        let open = std::fs::File::open(file).with_context(|| file.display().to_string())?;
        let bytes = open.metadata().ok().map(|m| m.len());
        (Box::new(open), bytes)
    };
    let store = open_store(config)?;
    let mut import = Import {
        config,
        file: file.display().to_string(),
        cores: thread::available_parallelism().map_or(1, |n| n.get()),
        rows: Vec::with_capacity(BATCH_ROWS),
        writing: None,
        written: 0,
        created: 0,
        imported: Operator::find(config).map(|operator| (operator, HashSet::new())),
        bad: 0,
        started: Instant::now(),
        bar: bar(bytes),
    };
    import.read(input, &*store)?;
    import.report();
    store.close()?;
    import.end_sessions()?;
    Ok(if import.bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Row {
    line: u64,
    user: BareJid,
    password: String,
}

struct Import<'c> {
    config: &'c Config,
    file: String,
    cores: usize,
    /// The batch that is being read.
    rows: Vec<Row>,
    /// The batch before it, on its way to the disk: how many, and the store's answer.
    writing: Option<(u64, Receiver<Result<u64, StoreError>>)>,
    written: u64,
    created: u64,
    /// The running server, and whom it has to know of: eight bytes each, for there may be millions.
    imported: Option<(Operator, HashSet<u64>)>,
    bad: u64,
    started: Instant,
    bar: ProgressBar,
}

impl Import<'_> {
    fn read(&mut self, input: Box<dyn Read>, store: &dyn Store) -> Result<()> {
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
        let mut record = ByteRecord::new();
        let mut first = true;
        while reader.read_byte_record(&mut record).with_context(|| self.file.clone())? {
            let heading = std::mem::take(&mut first) && record == vec!["uid", "password"];
            if !heading {
                self.row(&record);
            }
            if self.rows.len() == BATCH_ROWS {
                self.write(store)?;
                self.bar.set_position(reader.position().byte());
            }
        }
        self.write(store)?;
        self.wait_for_writing()
    }

    fn row(&mut self, record: &ByteRecord) {
        let line = record.position().map_or(0, |p| p.line());
        match parse(record, &self.config.domain) {
            Ok((user, password)) => self.rows.push(Row { line, user, password }),
            Err(why) => self.bad_line(line, &why.to_string()),
        }
    }

    /// Hashes what was read, on all cores, while the batch before goes to the disk.
    fn write(&mut self, store: &dyn Store) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let iterations = self.config.auth.scram_iterations;
        let share = rows.len().div_ceil(self.cores).max(1);
        let hashed: Vec<(Row, Result<Credentials>)> = thread::scope(|scope| {
            let mut rows = rows.into_iter();
            let mut hands = Vec::new();
            loop {
                let share: Vec<Row> = rows.by_ref().take(share).collect();
                if share.is_empty() {
                    break;
                }
                let hash = move |row: Row| {
                    let keys = accounts::keys(&row.password, iterations);
                    (row, keys)
                };
                hands.push(scope.spawn(move || share.into_iter().map(hash).collect::<Vec<_>>()));
            }
            let each = hands.into_iter().map(|hand| hand.join().map_err(|_| anyhow!("a hashing thread broke")));
            each.collect::<Result<Vec<_>>>().map(|all| all.into_iter().flatten().collect())
        })?;
        let mut accounts = Vec::with_capacity(hashed.len());
        for (row, keys) in hashed {
            match keys {
                Ok(keys) => accounts.push((row.user, keys)),
                Err(why) => self.bad_line(row.line, &format!("{why:#}")),
            }
        }
        self.wait_for_writing()?;
        if let Some((_, imported)) = &mut self.imported {
            imported.extend(accounts.iter().map(|(user, _)| mark(user.as_str())));
        }
        if !accounts.is_empty() {
            let (tell, answer) = sync_channel(1);
            let count = accounts.len() as u64;
            store.import(accounts, Box::new(move |said| drop(tell.send(said))));
            self.writing = Some((count, answer));
        }
        Ok(())
    }

    fn wait_for_writing(&mut self) -> Result<()> {
        let Some((count, answer)) = self.writing.take() else { return Ok(()) };
        self.created += answer.recv().unwrap_or(Err(StoreError::Closed))?;
        let lines_before = self.written / ROWS_PER_LINE;
        self.written += count;
        self.bar.set_message(format!("{} accounts, {} a second", HumanCount(self.written), self.rate()));
        if self.bar.is_hidden() && self.written / ROWS_PER_LINE > lines_before {
            eprintln!("{} accounts, {} a second", self.written, self.rate());
        }
        Ok(())
    }

    /// Who is online got in with the password from before, or is new and comes again.
    fn end_sessions(&mut self) -> Result<()> {
        let Some((operator, imported)) = self.imported.take() else { return Ok(()) };
        let words = "the accounts are imported, but the running server did not end the sessions of their users";
        let mut after = String::new();
        let mut ended = HashSet::new();
        loop {
            let page = operator.call("GET", &format!("/api/v1/sessions?limit=1000{after}"), None).context(words)?;
            for session in page["sessions"].as_array().into_iter().flatten() {
                let jid = session["jid"].as_str().unwrap_or_default();
                let user = jid.split_once('/').map_or(jid, |(user, _)| user);
                if imported.contains(&mark(user)) && ended.insert(user.to_owned()) {
                    let why = json!({ "uid": user, "reason": "The password was changed" });
                    operator.call("POST", "/api/v1/kick", Some(why)).context(words)?;
                }
            }
            let Some(next) = page["next"].as_str() else { return Ok(()) };
            after = format!("&after={}", super::operator::escaped(next));
        }
    }

    fn bad_line(&mut self, line: u64, why: &str) {
        self.bad += 1;
        if self.bad <= BAD_LINES_TOLD_MAX {
            self.bar.suspend(|| eprintln!("{}:{line}: {why}", self.file));
        }
    }

    fn report(&self) {
        self.bar.finish_and_clear();
        let untold = self.bad.saturating_sub(BAD_LINES_TOLD_MAX);
        if untold > 0 {
            eprintln!("{}: {untold} more bad lines", self.file);
        }
        let secs = self.started.elapsed().as_secs_f64();
        println!(
            "{} accounts imported in {secs:.1} s ({} a second): {} new, {} with a new password; {} bad lines",
            self.written,
            self.rate(),
            self.created,
            self.written - self.created,
            self.bad
        );
    }

    fn rate(&self) -> u64 {
        (self.written as f64 / self.started.elapsed().as_secs_f64().max(0.001)) as u64
    }
}

/// Two users have the same one but by a rare chance, and then one of them logs in once more.
fn mark(user: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    user.hash(&mut hasher);
    hasher.finish()
}

fn parse(record: &ByteRecord, domain: &str) -> Result<(BareJid, String)> {
    let text = |i| record.get(i).map(std::str::from_utf8).transpose().map_err(|_| anyhow!("it is not UTF-8"));
    match (record.len(), text(0)?, text(1)?) {
        (2, Some(uid), Some(password)) => Ok((accounts::user(uid.trim(), domain)?, password.into())),
        (n, ..) => Err(anyhow!("it must be `uid,password`, and it has {n} fields (quote what has a comma in it)")),
    }
}

/// By bytes where the length is known: rows can only be counted by reading them.
fn bar(bytes: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{wide_bar} {percent}%  {msg}  {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
