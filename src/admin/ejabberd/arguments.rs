//! What a request brings, checked as ejabberd checks it: by name, each once, nothing missing, nothing more.

use super::answer::Refused;
use super::commands::Command;
use actix_web::web;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// Names and values, in the order in which they came.
#[derive(Debug)]
pub struct Arguments(Vec<(String, Value)>);

impl Arguments {
    /// Of a body. An object; an empty array or a line end is none at all, as from a pipe.
    pub fn of_body(body: &[u8]) -> Result<Arguments, Refused> {
        if body.is_empty() {
            return Err(Refused::words(400, "Missing POST data"));
        }
        if body.trim_ascii().is_empty() {
            return Ok(Arguments(Vec::new()));
        }
        serde_json::from_slice(body).map_err(|_| Refused::words(400, "Invalid JSON input"))
    }

    /// Of a query string: all values are strings.
    pub fn of_query(query: &str) -> Result<Arguments, Refused> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(query);
        let pairs = pairs.map_err(|_| Refused::words(400, "400 Bad Request"))?.into_inner();
        Ok(Arguments(pairs.into_iter().map(|(name, value)| (name, value.into())).collect()))
    }

    /// Those that the command takes, or the first thing that is wrong, in ejabberd's order and words.
    pub fn checked(mut self, command: &Command) -> Result<Arguments, Refused> {
        if let Some((older, name)) = command.renamed
            && let Some((given, _)) = self.0.iter_mut().find(|(n, _)| n == older)
        {
            *given = name.to_owned();
        }
        for name in command.arguments {
            let mut values = self.0.iter().filter(|(n, _)| n == name);
            match (values.next(), values.next()) {
                (_, Some(_)) => {
                    return Err(Refused::words(400, format!("Request have duplicate argument: {name}")));
                }
                (None, _) => return Err(Refused::words(400, format!("Request have missing argument: {name}"))),
                (Some((_, Value::String(_))), None) => {}
                (Some((_, other)), None) => {
                    return Err(Refused::words(400, format!("Arg {other} is not in format binary")));
                }
            }
        }
        let unknown: Vec<&str> =
            self.0.iter().map(|(n, _)| n.as_str()).filter(|n| !command.arguments.contains(n)).collect();
        if !unknown.is_empty() {
            return Err(Refused::words(400, format!("Request have unknown arguments: [{}]", unknown.join(","))));
        }
        Ok(self)
    }

    /// The value of an argument that was checked.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

/// By hand, because a name that comes twice is refused.
impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Arguments, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Arguments;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Arguments, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Arguments(pairs))
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Arguments, S::Error> {
                match seq.next_element::<Value>()? {
                    None => Ok(Arguments(Vec::new())),
                    Some(_) => Err(serde::de::Error::custom("an array")),
                }
            }
        }
        from.deserialize_any(Pairs)
    }
}
