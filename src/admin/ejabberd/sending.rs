//! Commands that send.

use super::answer::{Answer, Refused};
use super::arguments::Arguments;
use crate::admin::problem::Problem;
use crate::admin::status::State;
use crate::payload;
use herald_session::{Push, SendtoState, Terms};
use herald_xmpp::xml::{self, Scope};
use herald_xmpp::{Jid, Kind, MessageType, Stanza};

pub async fn send_message(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    let kind = match with.text("type") {
        "chat" => MessageType::Chat,
        "headline" => MessageType::Headline,
        "groupchat" => MessageType::Groupchat,
        "error" => MessageType::Error,
        _ => MessageType::Normal, // RFC 6121 section 5.2.2: also what is not known
    };
    let mut stanza = Stanza::new(Kind::Message(kind));
    stanza.id = Some(id()?.into());
    stanza.from = Some(attribute("from", with)?);
    let to = attribute("to", with)?;
    let mut payload = String::new();
    for name in ["subject", "body"] {
        let text = with.text(name);
        if payload::forbidden(text).is_some() {
            return Err(Refused::words(
                400,
                format!("Bad value of cdata in tag <{name}/> qualified by namespace 'jabber:client'"),
            ));
        }
        if !text.is_empty() {
            payload.push_str(&format!("<{name}>{}</{name}>", xml::escape_text(text)));
        }
    }
    stanza.payload = payload.into();
    send(state, to, stanza).await
}

pub async fn send_stanza(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    let raw = with.text("stanza").trim();
    let limits = crate::serve::xml_limits(&state.config.limits);
    xml::check(raw, &Scope::CLIENT, &limits).map_err(|e| Refused::words(400, e.to_string()))?;
    let malformed = |_| Refused::words(400, "JID malformed");
    let from = with.text("from").parse::<Jid>().map_err(malformed)?;
    let to = with.text("to").parse::<Jid>().map_err(malformed)?;
    let mut stanza = Stanza::parse(raw, &Scope::CLIENT).map_err(|_| Refused::words(400, "unknown_stanza"))?;
    stanza.from = Some(from);
    send(state, to, stanza).await
}

/// 0 when somebody got it or it is kept.
async fn send(state: &State, to: Jid, mut stanza: Stanza) -> Result<Answer, Refused> {
    if to.domain() != state.config.domain.as_str() || to.local().is_none() {
        return Ok(Answer::Code(false)); // nobody there whom we could reach
    }
    if !matches!(stanza.kind, Kind::Message(_)) || stanza.is_error() {
        stanza.to = Some(to);
        return Ok(Answer::Code(state.sessions.route(stanza)));
    }
    if matches!(stanza.kind, Kind::Message(MessageType::Groupchat)) {
        return Ok(Answer::Code(false)); // there are no rooms
    }
    let push = Push { stanza, terms: Terms::default() };
    let results = state.sessions.sendto(vec![to.as_str().into()], push).await;
    let went_well = |state| matches!(state, SendtoState::Delivered | SendtoState::Stored | SendtoState::Dropped);
    Ok(Answer::Code(results.iter().all(|r| went_well(r.state))))
}

fn attribute(name: &str, with: &Arguments) -> Result<Jid, Refused> {
    with.text(name).parse().map_err(|_| {
        let words = "in tag <message/> qualified by namespace 'jabber:client'";
        Refused::words(400, format!("Bad value of attribute '{name}' {words}"))
    })
}

fn id() -> Result<String, Problem> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|e| Problem::new(crate::admin::problem::Code::StoreFailed, format!("no randomness for an id: {e}")))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(random)))
}
