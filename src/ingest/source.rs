//! What a place that messages come from must be able to do.

use anyhow::Result;
use bytes::Bytes;
use std::future::Future;

/// A place that messages come from.
pub trait Source: Send + Sync + 'static {
    /// A connection to it.
    type Link: Link;
    /// Which of our counters is its.
    fn kind(&self) -> super::Kind;
    /// Where it is, for the log: no password in it.
    fn place(&self) -> String;
    /// Connects, and looks whether all is there that is needed. The error says what is not, and no secrets.
    fn open(&self) -> impl Future<Output = Result<Self::Link>> + Send;
}

/// A connection to a source. What it has handed out and not been told the fate of comes again from the next one.
pub trait Link: Send {
    /// What it knows a message by.
    type Ticket: Send + 'static;
    /// Waits for the next messages, at most `room` (from 1), in their order. The future may be dropped, and nothing
    /// is lost by that. An error: the connection is of no use any more.
    fn next(&mut self, room: usize) -> impl Future<Output = Result<Vec<Item<Self::Ticket>>>> + Send;
    /// These are finished: they must not come again. An error as with [`Link::next`].
    fn settle(&mut self, finished: Vec<(Self::Ticket, Fate)>) -> impl Future<Output = Result<()>> + Send;
    /// Takes its leave; what is not finished is for the next.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// A message that has come.
#[derive(Debug)]
pub struct Item<T> {
    /// For [`Link::settle`].
    pub ticket: T,
    /// Its name at its source, the same whenever it comes; none: it has no name, and may be kept twice.
    pub name: Option<String>,
    /// What it says, or why that cannot be.
    pub content: Result<Content, String>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The body of a `POST /api/v1/sendto`.
    Command(Bytes),
    /// A text for these users.
    Text(Vec<String>, Bytes),
    /// JSON for these users (XEP-0335).
    Json(Vec<String>, Bytes),
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is kept, or need not be.
    Done,
    /// It will never be, for this reason: to where such ones are looked at.
    Dead(String),
}
