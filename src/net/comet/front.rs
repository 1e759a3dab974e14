//! The calls of subscribers, on the public listener.

use super::channel::{Channel, NoPlace};
use super::params::{Ask, Params, Refused, Want};
use super::sub::{Begin, Piece, Sub, whole};
use super::text::{Form, Message, escape};
use super::{Call, Comet, Unable, token};
use crate::config::CometAuth;
use crate::net::World;
use crate::net::http::{Head, Method, Reply, Response, Via};
use crate::net::shape;
use herald_xmpp::BareJid;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The name that `/ping` calls when it is not told one.
const PING_CALLBACK: &str = "icomet_cb";

/// Browsers are not to guess what an answer is.
const NO_SNIFF: &str = "X-Content-Type-Options: nosniff\r\n";

/// Where subscribers come.
pub(crate) fn is_path(path: &str) -> bool {
    matches!(path, "/sub" | "/poll" | "/stream" | "/sse" | "/iframe" | "/ping")
}

/// An answer that is waited for, or goes on.
pub(crate) enum Waiting {
    /// A subscriber. Its connection has gone when this is dropped.
    Sub(Subscribed),
    /// All of it is there.
    #[allow(clippy::box_collection)] // one word instead of three, in each connection that waits
    Whole(Box<Vec<u8>>),
}

/// A subscriber that leaves its channels when it is dropped.
pub(crate) struct Subscribed(Arc<Sub>);

impl Waiting {
    /// Does it go on after an answer?
    pub(crate) fn streams(&self) -> bool {
        matches!(self, Waiting::Sub(sub) if sub.0.form.streams())
    }

    /// Is there something to be written, perhaps?
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Waiting::Sub(sub) => sub.0.poll_ready(cx),
            Waiting::Whole(_) => Poll::Ready(()),
        }
    }

    /// What is written next; `None`: it is still to be waited for.
    pub(crate) async fn piece(&mut self, comet: &Comet) -> Option<Piece> {
        match self {
            Waiting::Sub(sub) => sub.0.piece(comet).await,
            Waiting::Whole(bytes) => Some(Piece { bytes: std::mem::take(bytes), more: false }),
        }
    }

    /// Ready when its connection is to end though not all is written.
    pub(crate) fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Waiting::Sub(sub) if sub.0.form.streams() => sub.0.poll_cut(cx),
            _ => Poll::Pending,
        }
    }

    /// The piece was written.
    pub(crate) fn written(&self) {
        if let Waiting::Sub(sub) = self {
            sub.0.written();
        }
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Answers one of the calls.
pub(crate) async fn subscribe(world: &Arc<World>, via: Via, head: &Head, body: &[u8]) -> Reply {
    let now = |response| Reply::Now(Box::new(response));
    if !matches!(head.method, Method::Get | Method::Post) {
        return now(Response::not_allowed("Allow: GET, POST, OPTIONS\r\n"));
    }
    let Ok(body) = std::str::from_utf8(body) else { return now(bad("the body is not UTF-8")) };
    let mut params = Params::default();
    let read = params.add(&head.query).and_then(|()| match body.trim_start() {
        json if json.starts_with('{') => params.add_json(json),
        form => params.add(form.trim_end()),
    });
    let asked = read.and_then(|()| Asked::of(&head.path, &params));
    match asked {
        Err(why) => now(bad(why)),
        Ok(Asked::Ping(callback)) => now(world.comet.ping(callback)),
        Ok(Asked::Subscribe(form, mut ask)) => {
            if let Some(id) = head.last_event_id.as_deref().filter(|_| form == Form::Sse) {
                resume(&mut ask, id);
            }
            begin(world, via, form, ask, head.http_1_1).await
        }
    }
}

/// Answers one of the operator's calls, on the listener that is for nothing else.
pub(crate) async fn operate(world: &World, via: Via, head: &Head, body: &[u8]) -> Response {
    let comet = &world.comet;
    if !comet.config.operators.contains(via.peer) {
        return Response::text(403, "comet.operators does not name your address");
    }
    let Some(call) = Call::at(&head.path) else {
        return Response::text(404, "/push /pub /broadcast /sign /close /clear /info /check are here");
    };
    match head.method {
        Method::Get | Method::Post if world.draining() => unavailable(),
        Method::Get | Method::Post => {
            let said = comet.call(call, &head.query, body, via.peer).await;
            let body = match said.body {
                Cow::Borrowed(body) => body.into(),
                Cow::Owned(body) => bytes::Bytes::from(body),
            };
            Response { fields: NO_SNIFF, ..Response::new(said.status, said.content_type, body) }
        }
        _ => Response::not_allowed("Allow: GET, POST, OPTIONS\r\n"),
    }
}

/// One of the calls, read.
enum Asked<'p> {
    Ping(&'p str),
    Subscribe(Form, Ask),
}

impl Asked<'_> {
    fn of<'p>(path: &str, params: &'p Params<'_>) -> Result<Asked<'p>, Refused> {
        let form = match path {
            "/ping" => return Ok(Asked::Ping(params.callback()?.unwrap_or(PING_CALLBACK))),
            "/stream" => Form::Stream,
            "/sse" => Form::Sse,
            "/iframe" => Form::Iframe,
            _ => Form::Poll(params.callback()?.map(|cb| Box::new(cb.into()))),
        };
        Ok(Asked::Subscribe(form, Ask::of(params)?))
    }
}

/// A browser comes again by itself with the old address, and with the id of the last event it has.
fn resume(ask: &mut Ask, id: &str) {
    if let ([want], Ok(has)) = (ask.wants.as_mut_slice(), id.parse::<i64>()) {
        want.seq = has.saturating_add(1);
        return;
    }
    let mut parts = id.split(':');
    while let (Some(uid), Some(has)) = (parts.next(), parts.next()) {
        let want = ask.wants.iter_mut().find(|want| *want.cname == *uid);
        if let (Some(want), Ok(has)) = (want, has.parse::<i64>())
            && has > 0
        {
            want.seq = has.saturating_add(1);
        }
    }
}

/// A subscriber comes.
async fn begin(world: &Arc<World>, via: Via, form: Form, ask: Ask, chunked: bool) -> Reply {
    let comet = &world.comet;
    let refuse = |kind: &str, want: &Want, why: &str| {
        let cname = escape(&want.cname);
        let message = Message { kind, cname: &cname, seq: 0, content: why };
        Reply::Comet(Waiting::Whole(Box::new(whole(&form, chunked, &[message], false))))
    };
    let mut channels = SmallVec::new();
    for want in &ask.wants {
        let Some(user) = comet.user(&want.cname) else {
            return Reply::Now(Box::new(bad("cname is no name of a user")));
        };
        if comet.config.auth == CometAuth::Token && !may(world, via, &user, &want.token) {
            return refuse("401", want, "Token error");
        }
        if world.draining() {
            return Reply::Now(Box::new(unavailable()));
        }
        let is_new = comet.find(&user).is_none();
        if is_new && world.shaper.admit(shape::Begin::Session, via.peer, Instant::now()).is_err() {
            return Reply::Now(Box::new(Response::too_many()));
        }
        match comet.open(&user, via, true).await {
            Ok(channel) => channels.push(channel),
            Err(Unable::NoUser) => return refuse("401", want, "Token error"),
            Err(Unable::TooMany) => return refuse("429", want, "Too many channels"),
            Err(Unable::TooManyResources) => return refuse("429", want, "Too many subscribers"),
            Err(Unable::Failed) => return Reply::Now(Box::new(unavailable())),
        }
    }
    let names = ask.wants.iter().map(|want| escape(&want.cname)).collect();
    let sub = Sub::new(Begin { form: form.clone(), chunked, names, channels, noop: ask.noop, due: comet.due() });
    let sub = Subscribed(sub);
    for (place, want) in ask.wants.iter().enumerate() {
        match comet.attach(&sub.0.channels[place], &sub.0, want.seq).await {
            Ok(next) => sub.0.has(place, next.saturating_sub(1)),
            Err(NoPlace::Full) => return refuse("429", want, "Too many subscribers"),
            // It ended just now; the client comes again.
            Err(NoPlace::Gone) => return Reply::Now(Box::new(unavailable())),
        }
    }
    sub.0.settled();
    Reply::Comet(Waiting::Sub(sub))
}

impl Comet {
    /// Takes a place in a channel; the number that is given next.
    async fn attach(&self, channel: &Arc<Channel>, sub: &Arc<Sub>, seq: i64) -> Result<u64, NoPlace> {
        let oldest = if seq == 0 && channel.may_have_unread() {
            // When the store cannot say, the client begins with what comes next.
            self.oldest(channel.user(), channel.acked()).await.unwrap_or_default()
        } else {
            None
        };
        channel.attach(sub, seq, oldest)
    }

    fn ping(&self, callback: &str) -> Response {
        let body = format!("{callback}({{\"type\":\"ping\",\"sub_timeout\":{}}});\n", self.config.polling_timeout_secs);
        Response { fields: NO_SNIFF, ..Response::new(200, "text/javascript; charset=utf-8", body) }
    }

    /// The token of a user, as `/sign` gives it.
    pub(super) fn token(&self, user: &BareJid) -> String {
        let uid = user.local().unwrap_or_default();
        token::token(&self.secret, uid, unix_secs(), self.config.token_ttl_secs.into())
    }

    fn holds(&self, user: &BareJid, token: &str) -> bool {
        let uid = user.local().unwrap_or_default();
        token::holds(&self.secret, uid, token, unix_secs(), self.config.token_ttl_secs.into())
    }
}

/// Does the token let somebody in? Wrong ones are remembered of an address, as failed logins are.
fn may(world: &World, via: Via, user: &BareJid, token: &str) -> bool {
    let now = Instant::now();
    if !world.shaper.may_log_in(via.peer, now) {
        return false;
    }
    let holds = world.comet.holds(user, token);
    if !holds && !token.is_empty() {
        world.shaper.login_failed(via.peer, now);
    }
    holds
}

fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A request that cannot be answered.
fn bad(why: &str) -> Response {
    let body = format!("{{\"type\":\"400\",\"cname\":\"\",\"seq\":0,\"content\":\"{}\"}}\n", escape(why));
    Response::new(400, "application/json; charset=utf-8", body)
}

fn unavailable() -> Response {
    Response { fields: "Retry-After: 1\r\n", ..Response::text(503, "not now: come again") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_browser_goes_on() {
        let resumed = |query: &str, id: &str| {
            let mut params = Params::default();
            params.add(query).unwrap();
            let mut ask = Ask::of(&params).unwrap();
            resume(&mut ask, id);
            ask.wants.iter().map(|want| want.seq).collect::<Vec<_>>()
        };
        assert_eq!(resumed("cname=a&seq=0", "7"), [8]);
        assert_eq!(resumed("cname=a&seq=3", ""), [3]);
        assert_eq!(resumed("cname=a&cname=b&seq=3&seq=4", "b:9:a:0"), [3, 10]);
        assert_eq!(resumed("cname=a&cname=b&seq=3&seq=4", "nonsense"), [3, 4]);
    }
}
