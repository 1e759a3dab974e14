//! Values that choose events and say where they go: lists of words, web addresses.

use super::read::nearest;
use super::schema::Bounds;
use super::value::Value;
use crate::events::{Kind, Kinds};
use toml::de::DeValue;

impl Value for Kinds {
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<Kinds, String> {
        let words = strings(value).ok_or_else(|| format!("it must be {}", Kinds::kind(bounds)))?;
        let mut set = Kinds::NONE;
        for word in &words {
            let Some(named) = Kinds::named(word) else {
                let all = Kinds::words();
                let hint = match nearest(word, all.iter().copied()) {
                    Some(like) => format!("did you mean {like:?}?"),
                    None => format!("there are {}", all.join(", ")),
                };
                return Err(format!("{word:?} is no type of event; {hint}"));
            };
            set = set.with(named);
        }
        Ok(if words.is_empty() { Kinds::ALL } else { set })
    }
    fn show(&self) -> String {
        if *self == Kinds::ALL {
            return "[]".into();
        }
        list(Kind::ALL.iter().filter(|kind| self.has(**kind)).map(|kind| kind.as_str()))
    }
    fn kind(_: &Bounds) -> String {
        "a list of types of events, or of families of them, such as [\"user\", \"message.stored\"]; [] for all".into()
    }
}

/// Some uids, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uids(pub Vec<String>);

impl Value for Uids {
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<Uids, String> {
        let words = strings(value).filter(|words| words.iter().all(|word| !word.is_empty()));
        words.map(Uids).ok_or_else(|| format!("it must be {}", Uids::kind(bounds)))
    }
    fn show(&self) -> String {
        list(self.0.iter().map(String::as_str))
    }
    fn kind(_: &Bounds) -> String {
        "a list of uids such as [\"alice\", \"bob\"]; [] for all".into()
    }
}

/// `http://..` or `https://..`, without a user, a password or a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebAddress(String);

impl WebAddress {
    /// The whole of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Option<WebAddress> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let clean = text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains('#');
        let whole = text.parse::<hyper::Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
        (clean && whole && !host.contains('@')).then(|| WebAddress(text.into()))
    }
}

impl Value for Option<WebAddress> {
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<Self, String> {
        let must = || format!("it must be {}", Self::kind(bounds));
        let text = value.as_str().ok_or_else(|| format!("it is no string; {}", must()))?;
        if text.is_empty() {
            return Err(format!("it is empty; {}", must()));
        }
        // One with a password in it is refused here: that is not repeated.
        let shown = if text.contains('@') { "it".to_owned() } else { format!("{text:?}") };
        WebAddress::parse(text).map(Some).ok_or_else(|| format!("{shown} is no such address; {}", must()))
    }
    fn show(&self) -> String {
        toml::Value::String(self.as_ref().map(|a| a.0.clone()).unwrap_or_default()).to_string()
    }
    fn kind(_: &Bounds) -> String {
        "an address such as \"https://crm.example/herald\", without a password in it".into()
    }
}

fn strings(value: &DeValue<'_>) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|word| word.get_ref().as_str().map(str::to_owned)).collect()
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| toml::Value::String(word.into()).to_string()).collect();
    format!("[{}]", words.join(", "))
}
