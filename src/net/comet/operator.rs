//! The operator's calls: what a backend written for iComet asks.

use super::channel::Channel;
use super::log::Kind;
use super::params::{Params, Refused};
use super::text::{escape, unescape};
use super::{Comet, RESOURCE, UNKNOWN_PAUSE, UNKNOWN_TRIES, Unable, said};
use crate::config::CometStore;
use crate::net::http::Via;
use herald_session::{Keep, Push, SendtoState, Terms, WhenFull};
use herald_storage::ask;
use herald_xmpp::{BareJid, Resource};
use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

/// What backends that look for it know.
const ICOMET_VERSION: &str = "0.2.5";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // iComet's names
pub enum Call {
    Push,
    Pub,
    Broadcast,
    Sign,
    Close,
    Clear,
    Info,
    Check,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each line says it all
pub struct Said {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Cow<'static, str>,
}

impl Call {
    /// What is at this path.
    pub fn at(path: &str) -> Option<Call> {
        Some(match path {
            "/push" => Call::Push,
            "/pub" => Call::Pub,
            "/broadcast" => Call::Broadcast,
            "/sign" => Call::Sign,
            "/close" => Call::Close,
            "/clear" => Call::Clear,
            "/info" => Call::Info,
            "/check" => Call::Check,
            _ => return None,
        })
    }
}

impl Comet {
    /// Does what is asked. `query` and `body` bring the parameters: a form, or a JSON object.
    pub async fn call(self: &Arc<Comet>, call: Call, query: &str, body: &[u8], peer: IpAddr) -> Said {
        let mut params = Params::default();
        let read = params.add(query).and_then(|()| {
            let body = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8")?.trim_end_matches(['\r', '\n']);
            if body.trim_start().starts_with('{') { params.add_json(body) } else { params.add(body) }
        });
        match read {
            Ok(()) => self.answer(call, &params, peer).await.unwrap_or_else(refused),
            Err(why) => refused(why),
        }
    }

    async fn answer(self: &Arc<Comet>, call: Call, params: &Params<'_>, peer: IpAddr) -> Result<Said, Refused> {
        let cb = params.callback()?;
        match call {
            Call::Broadcast => return Ok(self.broadcast(params.first("content")).await),
            Call::Info if params.first("cname").is_empty() => return Ok(self.info()),
            _ => {}
        }
        let cname = params.first("cname");
        let user = self.user(cname).ok_or("cname is no name of a user")?;
        Ok(match call {
            Call::Push => self.push(&user, Kind::Data, params.first("content"), cb, peer).await,
            Call::Pub => {
                let inside = params.first("content");
                let content = unescape(inside).ok_or("content is not the inside of a JSON string")?;
                self.push(&user, Kind::Data, &content, cb, peer).await
            }
            Call::Sign => self.sign(&user, cname, params.first("expires"), cb).await,
            Call::Close => self.close(&user, cname).await,
            Call::Clear => self.clear(&user, cname).await,
            Call::Check => self.check(&user, cname).await,
            Call::Info | Call::Broadcast => {
                let subscribers = self.find(&user).map_or(0, |channel| channel.subscribers());
                json(format!("{{\"cname\": \"{}\", \"subscribers\": {subscribers}}}\n", escape(cname)))
            }
        })
    }

    async fn push(
        self: &Arc<Comet>,
        user: &BareJid,
        kind: Kind,
        content: &str,
        cb: Option<&str>,
        peer: IpAddr,
    ) -> Said {
        let pushed = match self.config.store {
            CometStore::Never => self.push_live(user, kind, content, peer).await,
            CometStore::IfOffline => self.push_kept(vec![user.clone()], kind, content, Keep::IfOffline).await,
            CometStore::Always => self.push_kept(vec![user.clone()], kind, content, Keep::Always).await,
        };
        match (pushed, cb) {
            (Ok(()), None) => Said { status: 200, content_type: SCRIPT, body: "{\"type\":\"ok\"}\n".into() },
            (Ok(()), Some(cb)) => {
                Said { status: 200, content_type: SCRIPT, body: format!("{cb}({{\"type\":\"ok\"}});\n").into() }
            }
            (Err(unable), _) => unable.said(),
        }
    }

    /// Nothing of it is kept. Other resources of the user get it by way of the actor.
    async fn push_live(
        self: &Arc<Comet>,
        user: &BareJid,
        kind: Kind,
        content: &str,
        peer: IpAddr,
    ) -> Result<(), Unable> {
        let channel = match self.find(user) {
            Some(channel) => channel,
            // Nobody is there. What is pushed just before a page subscribes is held for it.
            None => self.open(user, Via { secure: false, peer }, false).await?,
        };
        channel.say(kind, escape(content).into());
        if !channel.is_alone() {
            let terms = Terms { exclude: Resource::new(RESOURCE).ok(), ..Terms::keep(Keep::Never) };
            let push = Push { stanza: said::stanza(kind, content), terms };
            self.sessions.sendto(vec![user.as_str().into()], push).await;
        }
        Ok(())
    }

    /// It is kept before it is answered. When as many are pending as may be, it is found in the log.
    async fn push_kept(&self, to: Vec<BareJid>, kind: Kind, content: &str, keep: Keep) -> Result<(), Unable> {
        let shared = (to.len() > 1).then(random).flatten();
        let terms = Terms { when_full: WhenFull::LogOnly, shared, ..Terms::keep(keep) };
        let push = Push { stanza: said::stanza(kind, content), terms };
        let mut to = to;
        for attempt in 0..UNKNOWN_TRIES {
            let uids = to.iter().map(|user| user.as_str().into()).collect();
            let results = self.sessions.sendto(uids, push.clone()).await;
            let failed = |state| matches!(state, SendtoState::Failed | SendtoState::Full | SendtoState::Invalid);
            if results.iter().any(|result| failed(result.state)) {
                return Err(Unable::Failed);
            }
            let mut unknown = results.iter().map(|result| result.state == SendtoState::NoSuchUser);
            to.retain(|_| unknown.next().unwrap_or(false));
            if to.is_empty() {
                return Ok(());
            }
            for user in &to {
                self.ensure_account(user).await?;
            }
            if attempt > 0 {
                tokio::time::sleep(UNKNOWN_PAUSE).await;
            }
        }
        Err(Unable::NoUser)
    }

    /// To every channel there is now.
    async fn broadcast(self: &Arc<Comet>, content: &str) -> Said {
        let channels: Vec<Arc<Channel>> = self.table.iter().map(|entry| entry.key().0.clone()).collect();
        if self.config.store == CometStore::Always {
            const AT_A_TIME: usize = 1_000;
            for some in channels.chunks(AT_A_TIME) {
                let users = some.iter().map(|channel| channel.user().clone()).collect();
                if let Err(unable) = self.push_kept(users, Kind::Broadcast, content, Keep::Always).await {
                    return unable.said();
                }
            }
        } else {
            let content: Arc<str> = escape(content).into();
            channels.iter().for_each(|channel| channel.say(Kind::Broadcast, content.clone()));
        }
        Said { status: 200, content_type: TEXT, body: "ok\n".into() }
    }

    async fn sign(self: &Arc<Comet>, user: &BareJid, cname: &str, expires: &str, cb: Option<&str>) -> Said {
        if let Err(unable) = self.ensure_account(user).await {
            return unable.said();
        }
        let (next, acked) = match self.find(user) {
            Some(channel) => (channel.next(), channel.acked()),
            None => match self.last(user).await {
                Ok(last) => (last + 1, 0),
                Err(_) => return Unable::Failed.said(),
            },
        };
        let seq = self.oldest(user, acked).await.ok().flatten().unwrap_or(next);
        let expires = expires.parse::<u32>().ok().filter(|secs| *secs > 0).unwrap_or(self.config.channel_timeout_secs);
        let signed = format!(
            "{{\"type\":\"sign\",\"cname\":\"{}\",\"seq\":{seq},\"token\":\"{}\",\"expires\":{expires},\"sub_timeout\":{}}}",
            escape(cname),
            self.token(user),
            self.config.polling_timeout_secs
        );
        match cb {
            None => json(signed + "\n"),
            Some(cb) => Said { status: 200, content_type: SCRIPT, body: format!("{cb}({signed});\n").into() },
        }
    }

    /// Subscribers are told and go; what was said is given to nobody. The numbers go on all the same.
    async fn close(&self, user: &BareJid, cname: &str) -> Said {
        let Some(channel) = self.find(user) else { return not_connected(cname) };
        channel.end(false);
        let next = channel.clear();
        match ask(|then| self.store.delivered_to(user, next - 1, then)).await {
            Ok(_) => text(format!("ok {next}\n")),
            Err(_) => Unable::Failed.said(),
        }
    }

    async fn clear(&self, user: &BareJid, cname: &str) -> Said {
        let channel = self.find(user);
        if channel.is_none() && !self.has_account(user).await.unwrap_or(false) {
            return not_connected(cname);
        }
        let next = match channel {
            Some(channel) => channel.clear(),
            None => self.last(user).await.map_or(1, |last| last + 1),
        };
        match ask(|then| self.store.delivered_to(user, next - 1, then)).await {
            Ok(_) => text(format!("ok {next}\n")),
            Err(_) => Unable::Failed.said(),
        }
    }

    /// Is the user there, by whatever transport?
    async fn check(&self, user: &BareJid, cname: &str) -> Said {
        let there = self.sessions.presence(&[user.as_str().into()]).await;
        if there.iter().any(|info| info.online()) {
            return json(format!("{{\"{}\": 1}}\n", escape(cname)));
        }
        json("{}\n".into())
    }

    fn info(&self) -> Said {
        let subscribers: usize = self.table.iter().map(|entry| entry.key().0.subscribers()).sum();
        let mut body = String::new();
        let channels = self.table.len();
        // Into a string, which cannot fail.
        let _ = writeln!(
            body,
            "{{\"version\": \"{ICOMET_VERSION}\", \"channels\": {channels}, \"subscribers\": {subscribers}}}"
        );
        json(body)
    }
}

impl Unable {
    fn said(self) -> Said {
        let (status, kind, why) = match self {
            Unable::NoUser => (404, "404", "No such user"),
            Unable::TooMany => (429, "429", "Too many channels"),
            Unable::TooManyResources => (429, "429", "Too many subscribers"),
            Unable::Failed => (503, "503", "Not now"),
        };
        word(status, kind, why)
    }
}

fn refused(why: Refused) -> Said {
    word(400, "400", why)
}

fn word(status: u16, kind: &str, why: &str) -> Said {
    let body = format!("{{\"type\":\"{kind}\",\"cname\":\"\",\"seq\":0,\"content\":\"{why}\"}}\n").into();
    Said { status, content_type: JSON, body }
}

fn json(body: String) -> Said {
    Said { status: 200, content_type: JSON, body: body.into() }
}

fn text(body: String) -> Said {
    Said { status: 200, content_type: TEXT, body: body.into() }
}

fn not_connected(cname: &str) -> Said {
    Said { status: 404, content_type: TEXT, body: format!("channel[{cname}] not connected\n").into() }
}

fn random() -> Option<u128> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok().map(|()| u128::from_ne_bytes(random))
}
