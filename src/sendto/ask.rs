//! The JSON of a request, read strictly.

use super::refusal::Refusal;
use super::stanza::{self, Type};
use super::{Sendto, UIDS_MAX};
use crate::payload;
use compact_str::CompactString;
use herald_session::{Keep, OnlyIf, Push, Terms, Uid};
use herald_xmpp::{Jid, Resource, xml};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest `ttl_secs`: ten years.
const TTL_SECS_MAX: u64 = 315_360_000;
/// The longest `id`, in bytes.
const ID_BYTES_MAX: usize = 1_023;
/// The longest `key` or `collapse_key`, in bytes.
pub const KEY_BYTES_MAX: usize = 255;

/// What may be asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    to: Option<Target>,
    body: Option<String>,
    stanza: Option<String>,
    json: Option<Box<RawValue>>,
    #[serde(rename = "type")]
    kind: Option<Type>,
    from: Option<String>,
    id: Option<String>,
    store: Option<Store>,
    ttl_secs: Option<u64>,
    collapse_key: Option<String>,
    exclude_resource: Option<String>,
    only_if: Option<When>,
    key: Option<String>,
}

/// Who gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One.
    User(Uid),
    /// These, 1 to [`UIDS_MAX`] different ones.
    Users(Vec<Uid>),
    /// The members of a group.
    Group(CompactString),
    /// Who has an available resource.
    Online,
    /// Who has an account.
    Accounts,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Store {
    Never,
    IfOffline,
    Always,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    Any,
    Online,
    Offline,
}

/// Reads a request. `limits` bound a `stanza`.
pub fn parse(json: &[u8], limits: &xml::Limits) -> Result<Sendto, Refusal> {
    let mut ask: Ask = serde_json::from_slice(json).map_err(|e| Refusal::of(&e))?;
    let missing = || Refusal { words: "missing field `to`".into(), ..Refusal::invalid("to", "") };
    let to = ask.to.take().ok_or_else(missing)?;
    if let Target::Users(uids) = &to {
        check_uids(uids)?;
    }
    let key = ask.key.take().map(|key| name("key", key)).transpose()?;
    let terms = terms(&mut ask)?;
    Ok(Sendto { to, push: Push { terms, stanza: message(ask, limits)? }, key })
}

fn check_uids(to: &[Uid]) -> Result<(), Refusal> {
    if to.is_empty() || to.len() > UIDS_MAX {
        return Err(Refusal::invalid("to", format!("it must name 1 to {UIDS_MAX} users, not {}", to.len())));
    }
    let mut seen = HashSet::with_capacity(to.len());
    match to.iter().find(|uid| !seen.insert(uid.as_str())) {
        Some(twice) => Err(Refusal::invalid("to", format!("{twice:?} is there twice"))),
        None => Ok(()),
    }
}

fn terms(ask: &mut Ask) -> Result<Terms, Refusal> {
    let never = ask.store == Some(Store::Never);
    if never && ask.ttl_secs.is_some() {
        return Err(Refusal::invalid("ttl_secs", "what is never stored has no such time"));
    }
    if never && ask.collapse_key.is_some() {
        return Err(Refusal::invalid("collapse_key", "it replaces what is stored, and this is never stored"));
    }
    let keep = match ask.store {
        Some(Store::Never) => Keep::Never,
        Some(Store::Always) => Keep::Always,
        Some(Store::IfOffline) => Keep::IfOffline,
        // Who says how long, or that newer ones replace it, wants it kept. XEP-0160 knows nothing of payloads.
        None if ask.ttl_secs.is_some() || ask.collapse_key.is_some() || ask.json.is_some() => Keep::IfOffline,
        None => Keep::Usual,
    };
    let exclude = ask.exclude_resource.take().map(|r| Resource::new(&r)).transpose();
    Ok(Terms {
        keep,
        expires_ms: ask.ttl_secs.map(expires_ms).transpose()?,
        collapse: ask.collapse_key.take().map(|key| name("collapse_key", key)).transpose()?,
        exclude: exclude.map_err(|e| Refusal::invalid("exclude_resource", e))?,
        only_if: match ask.only_if {
            None | Some(When::Any) => OnlyIf::Any,
            Some(When::Online) => OnlyIf::Online,
            Some(When::Offline) => OnlyIf::Offline,
        },
        ..Terms::default()
    })
}

fn expires_ms(secs: u64) -> Result<i64, Refusal> {
    if !(1..=TTL_SECS_MAX).contains(&secs) {
        return Err(Refusal::invalid("ttl_secs", format!("it must be from 1 to {TTL_SECS_MAX}")));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Ok(i64::try_from(now).unwrap_or(i64::MAX).saturating_add(secs as i64 * 1_000))
}

fn message(ask: Ask, limits: &xml::Limits) -> Result<herald_xmpp::Stanza, Refusal> {
    let json = ask.json.as_deref();
    let mut stanza = match (ask.body, json, ask.stanza) {
        (None, None, Some(raw)) if ask.kind.is_none() => stanza::of_xml(&raw, limits)?,
        (None, None, Some(_)) => return Err(Refusal::invalid("type", "a stanza says its type itself")),
        (None, None, None) => return Err(Refusal::invalid("body", "it is missing, and so are `json` and `stanza`")),
        (_, _, Some(_)) => {
            return Err(Refusal::invalid("stanza", "it does not go with `body` and `json`: send one of them"));
        }
        (body, json, None) => stanza::of_parts(body.as_deref(), json, ask.kind.unwrap_or_default())?,
    };
    stanza.to = None;
    if let Some(from) = ask.from {
        stanza.from = Some(from.parse::<Jid>().map_err(|e| Refusal::invalid("from", e))?);
    }
    if let Some(id) = ask.id {
        if id.is_empty()
            || id.len() > ID_BYTES_MAX
            || id.chars().any(char::is_control)
            || payload::forbidden(&id).is_some()
        {
            let words = format!("it must have 1 to {ID_BYTES_MAX} bytes and no control characters");
            return Err(Refusal::invalid("id", words));
        }
        stanza.id = Some(id.into());
    }
    Ok(stanza)
}

/// A word that names something.
fn name(field: &str, text: String) -> Result<CompactString, Refusal> {
    if text.is_empty() || text.len() > KEY_BYTES_MAX || text.chars().any(char::is_control) {
        let words = format!("it must have 1 to {KEY_BYTES_MAX} bytes and no control characters");
        return Err(Refusal::invalid(field, words));
    }
    Ok(text.into())
}

/// `"alice"`, `["alice", "bob"]`, `{"group": "team"}`, `{"all": "online"}` or `{"all": "accounts"}`.
impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Target, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Target;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a uid, an array of uids, {\"group\": NAME}, {\"all\": \"online\"} or {\"all\": \"accounts\"}",
                )
            }
            fn visit_str<E>(self, one: &str) -> Result<Target, E> {
                Ok(Target::User(one.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut many: A) -> Result<Target, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = many.next_element::<String>()? {
                    all.push(one.into());
                }
                Ok(Target::Users(all))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Target, A::Error> {
                const NAMES: &[&str] = &["group", "all"];
                const ALL: &[&str] = &["online", "accounts"];
                use serde::de::Error;
                let Some(name) = map.next_key::<String>()? else { return Err(A::Error::missing_field("group")) };
                let value = map.next_value::<String>()?;
                let target = match (name.as_str(), value.as_str()) {
                    ("group", _) => Target::Group(value.into()),
                    ("all", "online") => Target::Online,
                    ("all", "accounts") => Target::Accounts,
                    ("all", other) => return Err(A::Error::unknown_variant(other, ALL)),
                    (other, _) => return Err(A::Error::unknown_field(other, NAMES)),
                };
                match map.next_key::<String>()? {
                    Some(_) => Err(A::Error::custom("`to` names one group, or all, not both")),
                    None => Ok(target),
                }
            }
        }
        from.deserialize_any(Any)
    }
}
