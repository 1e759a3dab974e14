//! `GET /api/v1/events`: what happens, as it happens, as server-sent events.
//!
//! Every event is one `data:` line of JSON with a `type`; none has an `event:` line, so that one `onmessage` hears
//! all. A reader is told first who is online (`snapshot`), then what changes. It comes back with `Last-Event-ID`
//! and goes on where it was; if that cannot be, it is told so (`gap`), and who is online now.

use super::input::{once, query, user};
use super::presence;
use super::problem::{Code, Problem};
use super::status::State;
use crate::events::{Filter, Found, Kinds, Reader, Resumed};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use herald_session::Uid;
use herald_xmpp::FullJid;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;

/// The most uids that a reader may name.
const UIDS_MAX: usize = 1_000;
/// What is written at a time, about.
const CHUNK_BYTES: usize = 65_536;
/// Sessions looked at for one page of a snapshot.
const SNAPSHOT_SESSIONS: u32 = 500;
/// After how many milliseconds an EventSource comes back.
const RETRY_MS: u32 = 2_000;

/// Streams until the reader goes or the server does.
pub async fn events(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let pairs = query(&request, &["after", "type", "uid"])?;
    let filter = filter(&pairs, &state)?;
    let header = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    // What a reader heard last counts for more than what its address says, which an EventSource never changes.
    let after = header.or(once(&pairs, "after")?);
    let (reader, resumed) = state
        .events
        .hub()
        .reader(filter, after)
        .map_err(|e| Problem::new(Code::Busy, format!("{} read the events already (`events.readers_max`)", e.0)))?;
    let feed = Feed {
        reader,
        resumed,
        at: At::Hello,
        said: String::new(),
        heartbeat: Duration::from_secs(state.config.events.heartbeat_secs.into()),
        state,
    };
    let chunks = stream::unfold(feed, |mut feed| async move {
        let chunk = feed.next().await?;
        Some((Ok::<Bytes, Infallible>(chunk), feed))
    });
    let mut response = HttpResponse::Ok();
    response.content_type("text/event-stream").insert_header(("cache-control", "no-store"));
    // nginx would gather them otherwise.
    response.insert_header(("x-accel-buffering", "no"));
    Ok(response.streaming(Box::pin(chunks)))
}

fn filter(pairs: &[(String, String)], state: &State) -> Result<Filter, Problem> {
    let given = |name| pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str());
    let mut kinds = Kinds::NONE;
    for word in given("type").flat_map(|words| words.split(',')) {
        let Some(named) = Kinds::named(word) else {
            let words = format!("{word:?} is no type of event; there are {}", Kinds::words().join(", "));
            return Err(Problem::invalid("type", words));
        };
        kinds = kinds.with(named);
    }
    let kinds = if kinds == Kinds::NONE { Kinds::ALL } else { kinds };
    let uids = given("uid").map(|uid| Ok(user(uid, state)?.local().unwrap_or_default().to_owned()));
    let uids = uids.collect::<Result<Vec<String>, Problem>>()?;
    if uids.len() > UIDS_MAX {
        return Err(Problem::invalid("uid", format!("it may be given {UIDS_MAX} times, not {}", uids.len())));
    }
    Ok(Filter::new(kinds, uids))
}

/// One reader's stream. It holds a place in the ring and at most one chunk.
struct Feed {
    reader: Reader,
    resumed: Resumed,
    at: At,
    /// The id that the reader was told last.
    said: String,
    heartbeat: Duration,
    state: web::Data<State>,
}

enum At {
    Hello,
    /// Behind this session, if any.
    Snapshot(Option<FullJid>),
    Live,
}

impl Feed {
    /// The next chunk, when there is one; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        match &mut self.at {
            At::Hello => Some(self.hello()),
            At::Snapshot(after) => {
                let after = after.take();
                Some(self.snapshot(after).await)
            }
            At::Live => self.live().await,
        }
    }

    fn hello(&mut self) -> Bytes {
        let mut out = BytesMut::from(format!("retry: {RETRY_MS}\n\n").as_bytes());
        self.at = At::Snapshot(None);
        match self.resumed {
            Resumed::Fresh => {}
            Resumed::There => self.at = At::Live,
            Resumed::TooOld => gap(&mut out, "too_old"),
            Resumed::AnotherRun => gap(&mut out, "restarted"),
        }
        self.without_snapshot(&mut out);
        out.freeze()
    }

    /// A reader that wants to hear of messages only is not told who is online.
    fn without_snapshot(&mut self, out: &mut BytesMut) {
        if matches!(self.at, At::Snapshot(_)) && !self.reader.filter().of_presence() {
            self.at = At::Live;
            self.tell_id(out);
        }
    }

    /// An id without data: an EventSource takes it for its last, and nobody hears anything.
    fn tell_id(&mut self, out: &mut BytesMut) {
        let id = self.reader.id();
        if id != self.said {
            out.extend_from_slice(format!("id: {id}\n\n").as_bytes());
            self.said = id;
        }
    }

    /// A page of those who are there. What happens meanwhile is told behind it, so nothing is missed; only the last
    /// page has an id, so whoever does not get that far begins anew.
    async fn snapshot(&mut self, after: Option<FullJid>) -> Bytes {
        let sessions = &self.state.sessions;
        let (uids, next) = match self.reader.filter().uids() {
            Some(uids) => (uids.map(Uid::from).collect(), None),
            None => {
                let page = sessions.sessions(after, SNAPSHOT_SESSIONS).await;
                let next = page.last().filter(|_| page.len() == SNAPSHOT_SESSIONS as usize).map(|s| s.jid.clone());
                let mut uids: Vec<Uid> = page.iter().filter_map(|s| s.jid.local()).map(Uid::from).collect();
                uids.dedup();
                (uids, next)
            }
        };
        let users = sessions.presence(&uids).await;
        let users: Vec<Value> = users.iter().filter(|u| !u.resources.is_empty()).map(presence::shown).collect();
        let mut event = json!({ "type": "snapshot", "users": users, "more": next.is_some() });
        let mut out = BytesMut::new();
        match next {
            Some(next) => self.at = At::Snapshot(Some(next)),
            None => {
                self.at = At::Live;
                self.said = self.reader.id();
                event["epoch"] = self.state.store.epoch().into();
                out.extend_from_slice(format!("id: {}\n", self.said).as_bytes());
            }
        }
        data(&mut out, event.to_string().as_bytes());
        out.freeze()
    }

    async fn live(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        loop {
            match self.reader.read(CHUNK_BYTES) {
                Found::End => return None,
                Found::Gap => {
                    gap(&mut out, "too_slow");
                    self.at = At::Snapshot(None);
                    self.without_snapshot(&mut out);
                    return Some(out.freeze());
                }
                Found::Events(events) if !events.is_empty() => {
                    for event in events {
                        self.said = format!("{}-{}", self.state.events.hub().run(), event.n);
                        out.extend_from_slice(format!("id: {}\n", self.said).as_bytes());
                        data(&mut out, &event.json);
                    }
                    return Some(out.freeze());
                }
                Found::Events(_) => {}
            }
            if tokio::time::timeout(self.heartbeat, self.reader.news()).await.is_err() {
                out.extend_from_slice(b":\n\n");
                self.tell_id(&mut out);
                return Some(out.freeze());
            }
        }
    }
}

fn gap(out: &mut BytesMut, reason: &str) {
    data(out, json!({ "type": "gap", "reason": reason }).to_string().as_bytes());
}

fn data(out: &mut BytesMut, json: &[u8]) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(json);
    out.extend_from_slice(b"\n\n");
}
