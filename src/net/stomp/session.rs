//! One client of STOMP, without I/O: frames and deliveries go in, frames and things to be waited for come out. The next
//! frame is taken when what the last one asked for is done, so everything is in the client's order.

mod say;

use super::codec::{Frame, Version};
use super::letters::{self, Letter, Refused, invalid};
use super::subscription::{Ack, Source, Subscription};
use crate::config::Config;
use herald_session::{Delivery, Receipt, SendtoResult};
use herald_storage::{Page, Slice};
use herald_xmpp::stanza::Condition;
use herald_xmpp::{FullJid, IqType, Kind, PresenceType, Resource, Stanza, StanzaError, ns};
use std::net::IpAddr;
use std::sync::Arc;

/// Subscriptions of one connection.
const SUBSCRIPTIONS_MAX: usize = 16;
/// Messages sent and not acknowledged, when the client does not say how many it wants, and at most.
const WINDOW: usize = 256;
const WINDOW_MAX: usize = 1_000;
/// A page of the log.
const PAGE_MESSAGES: u32 = 200;
const PAGE_BYTES: usize = 65_536;
/// A subscription's id, bytes.
const ID_BYTES_MAX: usize = 128;

/// What all share.
pub(crate) struct Settings {
    domain: Box<str>,
    epoch: Box<str>,
    /// One body, bytes.
    bytes_max: usize,
    heart_beat_ms: u32,
}

impl Settings {
    pub(crate) fn new(config: &Config, epoch: &str) -> Settings {
        Settings {
            domain: config.domain.to_string().into(),
            epoch: epoch.into(),
            bytes_max: config.limits.stanza_bytes_max,
            heart_beat_ms: config.stomp.heart_beat_secs * 1_000,
        }
    }
}

/// See the module page.
pub(super) struct Session {
    settings: Arc<Settings>,
    version: Version,
    me: Option<FullJid>,
    entering: bool,
    subscriptions: Vec<Subscription>,
    numbers: u32,
    /// Messages without a number, counted for their `message-id`.
    unnumbered: u64,
    told_read_to: u64,
    /// What the user is seen as: with this priority, or not.
    seen: Option<i8>,
    /// Signs of life, as agreed: ours, and the client's. 0: none.
    pub beats_ms: (u32, u32),
    /// WebSocket messages to be written.
    pub out: Vec<u8>,
    /// Nothing comes behind this: the code of our close frame.
    pub end: Option<u16>,
}

/// What is to be waited for.
pub(super) enum Up {
    Enter(Box<Login>),
    Subscribe(Box<Subscribing>),
    Send(Box<Letter>, Option<String>),
    /// In this order.
    Stanzas(Vec<Stanza>),
}

/// Who wants to come in.
pub(super) struct Login {
    pub uid: Option<String>,
    pub passcode: String,
    pub resource: Option<Resource>,
}

/// Who wants to hear something.
pub(super) struct Subscribing {
    pub subscription: Subscription,
    pub last_id: Option<u64>,
    pub epoch: Option<String>,
    pub receipt: Option<String>,
}

impl Session {
    pub(super) fn new(settings: Arc<Settings>) -> Session {
        Session {
            settings,
            version: Version::default(),
            me: None,
            entering: false,
            subscriptions: Vec::new(),
            numbers: 0,
            unnumbered: 0,
            told_read_to: 0,
            seen: None,
            beats_ms: (0, 0),
            out: Vec::new(),
            end: None,
        }
    }

    pub(super) fn is_in(&self) -> bool {
        self.me.is_some()
    }

    pub(super) fn version(&self) -> Version {
        // Before it is agreed on, only CONNECT is understood, which has no escapes.
        self.version
    }

    /// A frame came.
    pub(super) fn frame(&mut self, frame: Frame) -> Option<Up> {
        if self.end.is_some() {
            return None;
        }
        match self.carry_out(&frame) {
            Ok(up) => up,
            Err(refused) => {
                self.refuse(refused, frame.header("receipt"));
                None
            }
        }
    }

    fn carry_out(&mut self, frame: &Frame) -> Result<Option<Up>, Refused> {
        match (&*frame.command, &self.me) {
            ("CONNECT" | "STOMP", None) if !self.entering => return self.connect(frame).map(Some),
            ("CONNECT" | "STOMP", _) => return Err(invalid("you are connected")),
            ("DISCONNECT", None) => {}
            (_, None) => return Err(Refused { code: "not_connected", detail: "CONNECT comes first".into() }),
            _ => {}
        }
        let receipt = frame.header("receipt").map(str::to_owned);
        let up = match &*frame.command {
            "SEND" => {
                transactionless(frame)?;
                let sender = self.me.as_ref().and_then(|me| me.local()).unwrap_or_default();
                let letter = letters::letter(frame, sender, self.settings.bytes_max)?;
                return Ok(Some(Up::Send(letter.into(), receipt)));
            }
            "SUBSCRIBE" => return self.subscribe(frame, receipt).map(Some),
            "UNSUBSCRIBE" => {
                let id = self.subscription_id(frame)?;
                self.subscriptions.retain(|known| known.id != id);
                self.presence()
            }
            "ACK" => self.ack(frame, true)?,
            "NACK" => self.ack(frame, false)?,
            "BEGIN" | "COMMIT" | "ABORT" => return Err(no_transactions()),
            "DISCONNECT" => {
                self.receipt(receipt.as_deref(), &[]);
                self.end = Some(1000);
                return Ok(None);
            }
            other => return Err(invalid(format!("{other:?} is no command of a client"))),
        };
        self.receipt(receipt.as_deref(), &[]);
        Ok(up)
    }

    fn connect(&mut self, frame: &Frame) -> Result<Up, Refused> {
        let version = match frame.header("accept-version") {
            None => Version::V10,
            Some(accepted) => Version::newest(accepted).ok_or_else(|| Refused {
                code: "version",
                detail: format!("{accepted:?}: versions 1.0, 1.1 and 1.2 are spoken here"),
            })?,
        };
        // The machine's own name or address is what a client says that knows of no virtual hosts.
        let is_ours = |host: &str| {
            matches!(host, "" | "/" | "localhost") || *host == *self.settings.domain || host.parse::<IpAddr>().is_ok()
        };
        if let Some(host) = frame.header("host").filter(|host| !is_ours(host)) {
            return Err(Refused { code: "no_such_host", detail: format!("{host:?} is not served here") });
        }
        let resource = frame.header("resource").map(Resource::new).transpose();
        let resource = resource.map_err(|e| invalid(format!("`resource` is none: {e}")))?;
        let beats = frame.header("heart-beat").unwrap_or("0,0").split_once(',');
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| invalid("heart-beat must be two numbers"));
        let (theirs, wanted) = beats.ok_or_else(|| invalid("heart-beat must be two numbers"))?;
        let (theirs, wanted) = (number(theirs)?, number(wanted)?);
        let beat = |can: u32, wants: u32| if can == 0 || wants == 0 { 0 } else { can.max(wants) };
        if version > Version::V10 {
            self.beats_ms = (beat(self.settings.heart_beat_ms, wanted), beat(theirs, self.settings.heart_beat_ms));
        }
        self.version = version;
        self.entering = true;
        let uid = frame.header("login").filter(|login| !login.is_empty()).map(str::to_owned);
        let passcode = frame.header("passcode").unwrap_or_default().to_owned();
        Ok(Up::Enter(Login { uid, passcode, resource }.into()))
    }

    /// The client has come in.
    pub(super) fn entered(&mut self, jid: FullJid, last: u64) {
        let beats = match self.version {
            Version::V10 => String::new(),
            _ => format!("{0},{0}", self.settings.heart_beat_ms),
        };
        let last = last.to_string();
        let mut headers =
            vec![("version", self.version.as_str()), ("server", concat!("herald/", env!("CARGO_PKG_VERSION")))];
        headers.extend((!beats.is_empty()).then_some(("heart-beat", &*beats)));
        headers.extend([("session", jid.resource()), ("user-name", jid.local().unwrap_or_default())]);
        let settings = self.settings.clone();
        headers.extend([("epoch", &*settings.epoch), ("last-id", &last)]);
        self.write("CONNECTED", &headers, "");
        self.me = Some(jid);
    }

    fn subscription_id<'a>(&self, frame: &'a Frame) -> Result<&'a str, Refused> {
        // In 1.0 the destination alone may name it.
        let id = frame.header("id").or_else(|| frame.header("destination").filter(|_| self.version == Version::V10));
        match id.filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX) {
            Some(id) => Ok(id),
            None => Err(invalid(format!("an id of 1 to {ID_BYTES_MAX} bytes is needed"))),
        }
    }

    fn subscribe(&mut self, frame: &Frame, receipt: Option<String>) -> Result<Up, Refused> {
        let id = self.subscription_id(frame)?.to_owned();
        let destination = frame.header("destination").unwrap_or_default();
        let Some(source) = Source::at(destination) else {
            let known = Source::ALL.map(Source::destination).join(", ");
            let detail = format!("{destination:?} cannot be subscribed to; there are {known}");
            return Err(Refused { code: "no_such_destination", detail });
        };
        if self.subscriptions.iter().any(|known| known.id == id) {
            return Err(invalid(format!("there is a subscription {id:?} already")));
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(invalid(format!("{SUBSCRIPTIONS_MAX} subscriptions are the most")));
        }
        let ack = Ack::of(frame.header("ack"));
        let ack = ack.ok_or_else(|| invalid("ack must be auto, client or client-individual"))?;
        let number = |name: &str| match frame.header(name).map(|value| value.trim().parse::<u64>()) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(invalid(format!("{name} must be a number"))),
        };
        let window = number("prefetch-count")?.map_or(WINDOW, |n| usize::try_from(n).unwrap_or(WINDOW_MAX));
        let subscription =
            Subscription::new(id, self.numbers, source, ack, if window == 0 { WINDOW } else { window.min(WINDOW_MAX) });
        self.numbers += 1;
        let (last_id, epoch) = (number("last-id")?, frame.header("epoch").map(str::to_owned));
        Ok(Up::Subscribe(Subscribing { subscription, last_id, epoch, receipt }.into()))
    }

    /// It begins behind `since`, where `last` is the newest number given out. `lost`: the client believed to have all
    /// up to that number, of another log.
    pub(super) fn subscribed(&mut self, asked: Subscribing, since: u64, last: u64, lost: Option<u64>) -> Option<Up> {
        let Subscribing { mut subscription, receipt, .. } = asked;
        self.receipt(receipt.as_deref(), &[]);
        if subscription.source == Source::Push {
            subscription.begin(since, last);
        }
        if let Some(lost) = lost {
            self.gap(&subscription.id, lost, 1);
        }
        self.subscriptions.push(subscription);
        self.presence()
    }

    /// Somebody wants messages where only presence was wanted: from now on the resource takes them.
    pub(super) fn show_up(&mut self) -> Option<Stanza> {
        let was_only_seen = self.seen.is_some_and(|priority| priority < 0);
        was_only_seen.then(|| {
            self.seen = Some(0);
            Stanza::new(Kind::Presence(PresenceType::Available))
        })
    }

    /// The user is seen while somebody listens here; with a negative priority when nobody takes messages.
    fn presence(&mut self) -> Option<Up> {
        let has = |source| self.subscriptions.iter().any(|known| known.source == source);
        let seen = if has(Source::Push) { Some(0) } else { has(Source::Presence).then_some(-1) };
        if seen == std::mem::replace(&mut self.seen, seen) {
            return None;
        }
        let stanza = match seen {
            Some(0) => Stanza::new(Kind::Presence(PresenceType::Available)),
            Some(priority) => {
                Stanza::new(Kind::Presence(PresenceType::Available)).payload(format!("<priority>{priority}</priority>"))
            }
            None => Stanza::new(Kind::Presence(PresenceType::Unavailable)),
        };
        Some(Up::Stanzas(vec![stanza]))
    }

    fn ack(&mut self, frame: &Frame, taken: bool) -> Result<Option<Up>, Refused> {
        transactionless(frame)?;
        if !taken && self.version == Version::V10 {
            return Err(invalid("NACK came with STOMP 1.1"));
        }
        let of_12 = frame.header("id").filter(|_| self.version == Version::V12);
        let (subscription, id) = match (of_12, frame.header("message-id")) {
            (Some(id), _) => {
                let (number, id) = id.split_once('/').ok_or_else(|| invalid("this is no id that an ack header had"))?;
                (self.subscriptions.iter_mut().find(|known| known.number.to_string() == number), id)
            }
            (None, Some(id)) if self.version != Version::V12 => {
                let named = frame.header("subscription");
                let is_it = |known: &&mut Subscription| named.is_none_or(|id| known.id == id);
                (self.subscriptions.iter_mut().filter(|s| s.source == Source::Push).find(is_it), id)
            }
            _ if self.version == Version::V12 => return Err(invalid("the id of the ack header is needed")),
            _ => return Err(invalid("message-id is needed")),
        };
        // What has no number needs no acknowledgement, and a subscription may have ended meanwhile.
        if let (Some(subscription), Ok(id)) = (subscription, id.parse()) {
            subscription.acked(id, taken);
        }
        Ok(None)
    }

    /// What became of a message.
    pub(super) fn sent(&mut self, results: &[SendtoResult], receipt: Option<&str>) {
        if let Err(refused) = letters::outcome(results) {
            return self.refuse(refused, receipt);
        }
        match results {
            [one] => {
                let id = one.id.map(|id| id.to_string());
                let mut headers = vec![("state", one.state.as_str())];
                headers.extend(id.as_deref().map(|id| ("stored-id", id)));
                headers.extend(one.repeated.then_some(("repeated", "true")));
                self.receipt(receipt, &headers);
            }
            _ => self.receipt(receipt, &[]),
        }
    }

    /// The user's actor has handed this over; what is to be answered.
    pub(super) fn deliver(&mut self, delivery: &Delivery, now_ms: i64) -> Option<Stanza> {
        let stanza = &delivery.stanza;
        match stanza.kind {
            Kind::Message(_) => {
                let mut subscriptions = std::mem::take(&mut self.subscriptions);
                for subscription in subscriptions.iter_mut().filter(|s| s.source == Source::Push) {
                    if let Some(item) = subscription.live(delivery) {
                        self.item(subscription, &item, now_ms);
                    }
                }
                self.subscriptions = subscriptions;
                None
            }
            Kind::Presence(_) => {
                let shown = letters::presence(stanza, &self.settings.domain)?;
                let ours = stanza.from.as_ref() == self.me.as_ref().map(|me| me.as_jid());
                if !ours {
                    self.tell(Source::Presence, &shown);
                }
                None
            }
            Kind::Iq(IqType::Get) if stanza.child("ping", ns::PING).is_some() => Some(stanza.result("")),
            Kind::Iq(IqType::Get | IqType::Set) => stanza.error(StanzaError::new(Condition::ServiceUnavailable)),
            Kind::Iq(_) => None,
        }
    }

    /// One with this number was handed over, and there was no room for it.
    pub(super) fn missed(&mut self, Receipt(id): Receipt) {
        self.subscriptions.iter_mut().for_each(|subscription| subscription.missed(id));
    }

    /// What is to be read from the log, for which subscription.
    pub(super) fn wants(&mut self) -> Option<(u32, Slice)> {
        if self.end.is_some() {
            return None;
        }
        self.subscriptions.iter_mut().find_map(|s| Some((s.number, s.wants(PAGE_MESSAGES, PAGE_BYTES)?)))
    }

    /// It was read, or could not be.
    pub(super) fn page(&mut self, number: u32, page: Option<Page>) {
        let resource = self.me.as_ref().and_then(|me| Resource::new(me.resource()).ok());
        let mut subscriptions = std::mem::take(&mut self.subscriptions);
        if let Some(subscription) = subscriptions.iter_mut().find(|s| s.number == number) {
            match page {
                Some(page) => {
                    for item in subscription.page(resource.as_ref(), page) {
                        self.item(subscription, &item, 0);
                    }
                }
                None => subscription.page_failed(),
            }
        }
        self.subscriptions = subscriptions;
    }

    /// All up to this number is the client's, when that is news. What is sent counts, so it is asked when it is written.
    pub(super) fn read_to(&mut self) -> Option<u64> {
        let read_to = self.subscriptions.iter().filter_map(Subscription::read_to).min()?;
        let news = read_to > self.told_read_to;
        self.told_read_to = self.told_read_to.max(read_to);
        news.then_some(read_to)
    }

    /// The last that [`Session::read_to`] said; 0: nothing.
    pub(super) fn received(&self) -> u64 {
        self.told_read_to
    }
}

fn transactionless(frame: &Frame) -> Result<(), Refused> {
    frame.header("transaction").map_or(Ok(()), |_| Err(no_transactions()))
}

fn no_transactions() -> Refused {
    invalid("there are no transactions here: every frame is carried out for itself")
}
