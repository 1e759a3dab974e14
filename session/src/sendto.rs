//! Messages with an answer: what became of them, for each user they were for.

use crate::link::Parcel;
use crate::push::{Push, SendtoResult, SendtoState, Terms, Uid};
use crate::seat::Seat;
use crate::sessions::Sessions;
use crate::user::{Input, Outcome, Pushed};
use herald_actor::TrySendError;
use herald_xmpp::{BareJid, Jid, Kind, Stanza};
use std::sync::Arc;
use tokio::sync::oneshot;

impl Sessions {
    /// Sends a message to these users; the answers are in the order of the question. What an answer names a number
    /// of is durable when this returns.
    ///
    /// It goes to all available resources of a user whose priority is not negative. A uid may be a full JID: then it
    /// is for that resource, or for all when that is gone.
    pub async fn sendto(&self, to: Vec<Uid>, what: Push) -> Vec<SendtoResult> {
        let Push { mut stanza, terms } = what;
        if !is_sendable(&stanza) {
            return to.into_iter().map(|uid| result(uid, Outcome::only(SendtoState::Invalid))).collect();
        }
        if stanza.from.is_none() {
            stanza.from = BareJid::new(None, &self.world.shared.settings.domain).ok().map(Into::into);
        }
        stanza.to = None;
        let (stanza, terms) = (Arc::new(stanza), Arc::new(terms));
        let asked = to.into_iter().map(|uid| {
            let user = self.address_of(&uid).ok_or(SendtoState::NoSuchUser);
            let parcel = user.map(|user| Parcel { stanza: stanza.clone(), to: Some(user) });
            (uid, parcel)
        });
        self.push_all(asked.collect(), &terms).await
    }

    /// Sends a message of a user, and says what became of it as [`Sessions::sendto`] does. It is from the seat's
    /// resource, whatever it says, and passes what the user's own messages pass. A uid may be a full JID here: then it
    /// is for that resource, or for all when that is gone.
    ///
    /// Waits while the mailbox of the sender is full. Two calls of one seat keep their order when the second begins
    /// after the first has returned.
    pub async fn send_as(&self, seat: &Seat, to: Vec<Uid>, what: Push) -> Vec<SendtoResult> {
        let Push { mut stanza, terms } = what;
        let all = |to: Vec<Uid>, state| to.into_iter().map(|uid| result(uid, Outcome::only(state))).collect();
        if !is_sendable(&stanza) {
            return all(to, SendtoState::Invalid);
        }
        let Some(place) = &seat.place else { return all(to, SendtoState::Failed) };
        place.world().counters.sent.add(1);
        stanza.from = Some(seat.jid().clone().into());
        stanza.to = None;
        let stanza = Arc::new(stanza);
        let parcels = to.iter().map(|uid| {
            let user = self.address_of(uid).ok_or(SendtoState::NoSuchUser)?;
            Ok(Parcel { stanza: stanza.clone(), to: Some(user) })
        });
        let (answer, answered) = oneshot::channel();
        let screen = Input::Screen(place.binding(), Box::new((parcels.collect(), answer)));
        if place.addr.send(screen).await.is_err() {
            return all(to, SendtoState::Failed);
        }
        let Ok(parcels) = answered.await else { return all(to, SendtoState::Failed) };
        self.push_all(to.into_iter().zip(parcels).collect(), &Arc::new(terms)).await
    }

    /// Carries any stanza with a `from` to the local user it is for, as if it came from another one. Says whether
    /// it is on its way; nobody hears what becomes of it.
    pub fn route(&self, stanza: Stanza) -> bool {
        let parcel = Parcel { to: stanza.to.clone(), stanza: Arc::new(stanza) };
        parcel.to().is_some() && self.world.route(parcel).is_none()
    }

    /// Who has an actor now: who is connected, and who was a moment ago.
    pub fn running(&self) -> Vec<BareJid> {
        self.world.users().iter().map(|(user, _)| user).collect()
    }

    /// Puts each into the mailbox of whom it is for, then waits for what they say.
    async fn push_all(&self, to: Vec<(Uid, Screened)>, terms: &Arc<Terms>) -> Vec<SendtoResult> {
        let asked: Vec<_> =
            to.into_iter().map(|(uid, parcel)| (uid, parcel.and_then(|p| self.push(p, terms)))).collect();
        let mut results = Vec::with_capacity(asked.len());
        for (uid, asked) in asked {
            let outcome = match asked {
                Ok(answered) => answered.await.unwrap_or(Outcome::only(SendtoState::Failed)),
                Err(state) => Outcome::only(state),
            };
            results.push(result(uid, outcome));
        }
        results
    }

    fn push(&self, parcel: Parcel, terms: &Arc<Terms>) -> Result<oneshot::Receiver<Outcome>, SendtoState> {
        let user = parcel.to().map(Jid::to_bare).ok_or(SendtoState::NoSuchUser)?;
        let (answer, answered) = oneshot::channel();
        let pushed = Pushed { parcel, terms: terms.clone(), answer };
        self.try_tell(&user, Input::Push(Box::new(pushed)))?;
        Ok(answered)
    }

    /// Puts mail into the mailbox of a user, started when there is none; never waits.
    fn try_tell(&self, user: &BareJid, input: Input) -> Result<(), SendtoState> {
        let mut input = input;
        loop {
            match self.world.user(user).try_send(input) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(_)) => return Err(SendtoState::Full),
                Err(TrySendError::Closed(back)) => input = back,
            }
        }
    }

    /// The same as [`Sessions::jid_of`], but for a full JID too.
    fn address_of(&self, uid: &str) -> Option<Jid> {
        let full = || uid.parse::<Jid>().ok().filter(|jid| jid.domain() == self.world.shared.settings.domain);
        self.jid_of(uid).map(Jid::from).or_else(full).filter(|jid| jid.local().is_some())
    }
}

/// What the hooks of its sender let pass, or what it is answered with.
pub(crate) type Screened = Result<Parcel, SendtoState>;

fn is_sendable(stanza: &Stanza) -> bool {
    matches!(stanza.kind, Kind::Message(_)) && !stanza.is_error()
}

fn result(uid: Uid, outcome: Outcome) -> SendtoResult {
    let Outcome { state, sessions, id, repeated } = outcome;
    SendtoResult { uid, state, sessions, id, repeated }
}
