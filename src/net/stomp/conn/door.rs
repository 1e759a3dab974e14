//! Coming in, and finding the place in the log: what CONNECT and SUBSCRIBE have to wait for.

use super::Conn;
use crate::accounts;
use crate::config::PlainWithoutTls;
use crate::net::login::{Answered, Door, Question};
use crate::net::stomp::session::{Login, Subscribing, Up};
use crate::net::stomp::subscription::Source;
use herald_session::Link;
use herald_storage::{Slice, StoreError, ask};
use herald_xmpp::BareJid;
use herald_xmpp::sasl::Password;
use herald_xmpp::stanza::Condition;
use herald_xmpp::stream::c2s;
use std::sync::Arc;

impl Conn {
    pub(super) async fn enter(&mut self, login: Login) {
        let refused = match self.let_in(login).await {
            Ok(()) => return,
            Err(refused) => refused,
        };
        let (code, detail, number) = refused;
        self.session.error(code, detail, None, number);
    }

    async fn let_in(&mut self, login: Login) -> Result<(), (&'static str, &'static str, u16)> {
        let world = self.world.clone();
        let Login { uid, passcode, resource } = login;
        const WRONG: &str = "the login or the passcode is wrong";
        if world.config.websocket.https_only && !self.via.secure {
            return Err(("tls_required", "this server wants to be reached over wss", 4012));
        }
        let user = uid.map(|uid| accounts::user(&uid, &world.config.domain)).transpose();
        let user = user.map_err(|_| ("unauthorized", WRONG, 4001))?;
        let plain = world.config.auth.plain_without_tls == PlainWithoutTls::Loopback && self.via.peer.is_loopback();
        let passwords = self.via.secure || plain;
        let entered = world.logins.enter(user, Password::new(passcode), passwords, self.via.peer).await;
        let user = entered.map_err(|door| match door {
            Door::Barred => ("too_fast", "too many logins from your address have failed", 4004),
            Door::Failed => ("internal", "the login cannot be checked now", 1011),
            Door::Wrong if passwords => ("unauthorized", WRONG, 4001),
            Door::Wrong => {
                ("unauthorized", "the login or the passcode is wrong (a password is taken over TLS only)", 4001)
            }
        })?;
        let link: Arc<dyn Link> = self.mailbox.clone();
        let Answered { input, seat } = world.logins.answer(Question::Bind(user.clone(), resource), link).await;
        let Some(seat) = seat else {
            let c2s::Input::Bound(Err(e)) = input else {
                return Err(("internal", "the resource could not be bound", 1011));
            };
            return Err(match e.condition {
                Condition::ResourceConstraint => ("too_many_resources", "the user has as many as one may have", 4011),
                Condition::NotAuthorized => ("unauthorized", "the account is gone", 4001),
                Condition::ServiceUnavailable => ("shutdown", "the server goes down", 1012),
                _ => ("internal", "the resource could not be bound", 1011),
            });
        };
        let last = self.last(&user).await.map_err(|e| {
            tracing::warn!("the log of {user}: {e}");
            ("internal", "the log cannot be read now", 1011)
        })?;
        self.session.entered(seat.jid().clone(), last);
        self.seat = Some(seat);
        self.guest = None;
        Ok(())
    }

    /// The newest number that the user's log has given out.
    async fn last(&self, user: &BareJid) -> Result<u64, StoreError> {
        let nothing = Slice::after(i64::MAX as u64, 0, 0); // nothing has such a number
        Ok(ask(|then| self.world.sessions.store().history(user, nothing, then)).await?.last)
    }

    /// Where a subscription begins. Who does not say where it was begins with what nobody has had yet.
    pub(super) async fn subscribe(&mut self, asked: Subscribing) -> Option<Up> {
        let user = self.seat.as_ref()?.jid().to_bare();
        if asked.subscription.source != Source::Push {
            return self.session.subscribed(asked, 0, 0, None);
        }
        if let (Some(presence), Some(seat)) = (self.session.show_up(), &self.seat) {
            let _ = seat.send(presence.from(seat.jid().clone())).await; // when the user is gone, we are told so
            self.world.sessions.sessions_of(&user).await; // it is answered behind the presence
        }
        let store = self.world.sessions.store().clone();
        let stands = async {
            // The resource takes messages: what is kept from now on is handed over, and what was kept before is read.
            let last = self.last(&user).await?;
            let same = asked.epoch.as_deref().is_none_or(|epoch| epoch == store.epoch());
            Ok::<_, StoreError>(match asked.last_id {
                Some(since) if same && since <= last => (since, last, None),
                Some(since) => (0, last, Some(since)),
                None => {
                    let pending = ask(|then| store.pending(&user, 0, 1, 1, then)).await?;
                    (pending.first().map_or(last, |first| first.id.saturating_sub(1).min(last)), last, None)
                }
            })
        };
        match stands.await {
            Ok((since, last, lost)) => self.session.subscribed(asked, since, last, lost),
            Err(e) => {
                tracing::warn!("the log of {user}: {e}");
                self.session.error("internal", "the log cannot be read now", asked.receipt.as_deref(), 1011);
                None
            }
        }
    }
}
