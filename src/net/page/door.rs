//! Coming in: who says hello is checked, bound to a resource, and told where it stands in the log.

use super::live::Live;
use super::session::{Code, End, Entered, Entering};
use crate::accounts;
use crate::config::PlainWithoutTls;
use crate::net::login::{Answered, Door, Question};
use herald_session::{Link, Seat};
use herald_storage::{Slice, StoreError, ask};
use herald_xmpp::sasl::Password;
use herald_xmpp::stanza::Condition;
use herald_xmpp::stream::c2s;
use herald_xmpp::{BareJid, StanzaError};
use std::sync::Arc;

/// Lets somebody in, or says why not.
pub(super) async fn enter(live: &Arc<Live>, entering: Entering) -> Result<(Entered, Seat), End> {
    let world = &live.world;
    let Entering { uid, token, resource, since, epoch } = entering;
    if world.config.herald.https_only && !live.via.secure {
        return Err(End::new(Code::TlsRequired, "this server wants to be reached over https and wss"));
    }
    let user = uid.map(|uid| accounts::user(&uid, &world.config.domain)).transpose();
    let user = user.map_err(|e| End::new(Code::Unauthorized, e.to_string()))?;
    let plain = world.config.auth.plain_without_tls == PlainWithoutTls::Loopback && live.via.peer.is_loopback();
    let passwords = live.via.secure || plain;
    let link: Arc<dyn Link> = live.clone();
    let user = match world.logins.enter(user, Password::new(token), passwords, live.via.peer).await {
        Ok(user) => user,
        Err(Door::Barred) => return Err(End::new(Code::TooFast, "too many logins from your address have failed")),
        Err(Door::Failed) => return Err(End::new(Code::Internal, "the login cannot be checked now")),
        Err(Door::Wrong) if passwords => return Err(End::new(Code::Unauthorized, "the token is wrong or used up")),
        Err(Door::Wrong) => {
            let detail = "the token is wrong or used up (a password is taken over TLS only)";
            return Err(End::new(Code::Unauthorized, detail));
        }
    };
    let Answered { input, seat } = world.logins.answer(Question::Bind(user.clone(), resource), link).await;
    let Some(seat) = seat else {
        return Err(match input {
            c2s::Input::Bound(Err(e)) => refused(&e),
            _ => End::new(Code::Internal, "the resource could not be bound"),
        });
    };
    // Bound first: what is kept from now on is handed over, and what was kept before is in what is read now.
    let stands = async {
        let (last, since, lost) = stand(live, &user, since, epoch).await?;
        let (ticket, ticket_expires_ms) = world.logins.ticket(&user).await?;
        Ok::<_, StoreError>(Entered { jid: seat.jid().clone(), last, since, lost, ticket, ticket_expires_ms })
    };
    match stands.await {
        Ok(entered) => Ok((entered, seat)),
        Err(e) => {
            tracing::warn!("hello of {user}: {e}");
            Err(End::new(Code::Internal, "the log cannot be read now"))
        }
    }
}

/// The newest number, where the client goes on, and what it believed to have when that means nothing here.
///
/// Who does not say where it was begins with what nobody has had yet.
async fn stand(
    live: &Live,
    user: &BareJid,
    since: Option<u64>,
    epoch: Option<String>,
) -> Result<(u64, u64, Option<u64>), StoreError> {
    let store = live.world.sessions.store();
    let beyond = i64::MAX as u64; // nothing has such a number: only how far it goes is asked for
    let nothing = Slice { since: beyond, before: None, limit: 1, bytes_max: 1, newest_first: false };
    let last = ask(|then| store.history(user, nothing, then)).await?.last;
    let same = epoch.is_none_or(|epoch| epoch == store.epoch());
    Ok(match since {
        Some(since) if same && since <= last => (last, since, None),
        Some(since) => (last, 0, Some(since)),
        None => {
            let pending = ask(|then| store.pending(user, 0, 1, 1, then)).await?;
            let since = pending.first().map_or(last, |first| first.id.saturating_sub(1).min(last));
            (last, since, None)
        }
    })
}

/// A bind that went wrong.
fn refused(e: &StanzaError) -> End {
    match e.condition {
        Condition::ResourceConstraint => End::new(Code::TooManyResources, "the user has as many as one may have"),
        Condition::NotAuthorized => End::new(Code::Unauthorized, "the account is gone"),
        Condition::ServiceUnavailable => End::new(Code::Shutdown, "the server goes down"),
        _ => End::new(Code::Internal, "the resource could not be bound"),
    }
}
