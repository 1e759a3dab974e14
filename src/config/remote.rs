//! Where servers of others are: URLs as each of them writes them, and names of tables. What the client of such a
//! server would not understand is refused here, with its place in the file.

use super::schema::Bounds;
use super::value::{Value, quoted, string};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use toml::de::DeValue;

/// An URL that may hold a password: who prints it for the log sees none.
macro_rules! server_url {
    ($(#[doc = $doc:literal])* $name:ident, $parsed:ty, $schemes:literal, $example:literal, $parse:expr) => {
        $(#[doc = $doc])*
        #[derive(Clone)]
        pub struct $name {
            text: String,
            parsed: $parsed,
        }

        impl $name {
            /// As its client reads it.
            pub fn parsed(&self) -> $parsed {
                self.parsed.clone()
            }
            /// Is a password in it?
            pub fn has_password(&self) -> bool {
                has_password(&self.text)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &$name) -> bool {
                self.text == other.text
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl Value for Option<$name> {
            fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<Self, String> {
                let text = string(value, bounds, Self::kind)?;
                if text.is_empty() {
                    return Ok(None);
                }
                // What was written is not repeated: a password may be in it.
                let refuse = |why: String| format!("{why}; it must be {}", Self::kind(bounds));
                if !$schemes.split(' ').any(|scheme| text.starts_with(scheme)) {
                    return Err(refuse(format!("it does not begin with {}", $schemes.replace(' ', " or "))));
                }
                let parse: fn(&str) -> Result<$parsed, String> = $parse;
                let parsed = parse(text).map_err(|why| refuse(format!("it cannot be read ({why})")))?;
                Ok(Some($name { text: text.into(), parsed }))
            }
            fn show(&self) -> String {
                quoted(&self.as_ref().map_or_else(String::new, |url| without_password(&url.text)))
            }
            fn kind(_: &Bounds) -> String {
                concat!("an address such as \"", $example, "\", or \"\" for none").into()
            }
        }
    };
}

server_url! {
    /// An AMQP 0.9.1 broker.
    AmqpUrl, lapin::uri::AMQPUri, "amqp:// amqps://", "amqp://user@localhost:5672/%2f", |text| {
        let uri = lapin::uri::AMQPUri::from_str(text)?;
        if uri.authority.host.is_empty() { Err("it names no host".into()) } else { Ok(uri) }
    }
}
server_url! {
    /// A PostgreSQL database.
    PostgresUrl, tokio_postgres::Config, "postgres:// postgresql://", "postgres://user@localhost/database", |text| {
        let config = tokio_postgres::Config::from_str(text).map_err(|e| {
            let cause = std::error::Error::source(&e).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{e}{cause}")
        })?;
        if config.get_hosts().is_empty() {
            return Err("it names no host".into());
        }
        if config.get_password().is_some() && !has_password(text) {
            return Err("its password is not where RFC 3986 has it: USER:PASSWORD@, or in a file of its own".into());
        }
        if config.get_user().is_none() { Err("it names no user".into()) } else { Ok(config) }
    }
}
server_url! {
    /// A Redis or Valkey server.
    RedisUrl, redis::ConnectionInfo, "redis:// rediss://", "redis://localhost:6379/0", |text| {
        redis::IntoConnectionInfo::into_connection_info(text).map_err(|e| e.to_string())
    }
}

/// A name in PostgreSQL that needs no quotes, behind that of a schema or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName(String);

impl TableName {
    /// A name that is one.
    pub fn named(name: &str) -> TableName {
        TableName(name.into())
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for TableName {
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<TableName, String> {
        let text = string(value, bounds, TableName::kind)?;
        let byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let part = |part: &str| {
            (1..=63).contains(&part.len()) && part.bytes().all(byte) && !part.starts_with(|c: char| c.is_ascii_digit())
        };
        let parts = text.split('.').collect::<Vec<_>>();
        if parts.len() <= 2 && parts.iter().all(|p| part(p)) {
            Ok(TableName(text.into()))
        } else {
            Err(format!("{text:?} is no such name; it must be {}", TableName::kind(bounds)))
        }
    }
    fn show(&self) -> String {
        quoted(&self.0)
    }
    fn kind(_: &Bounds) -> String {
        "a name of small letters, digits and _, which may stand behind `schema.`".into()
    }
}

/// Has its authority a colon before the @ (RFC 3986 section 3.2.1)?
fn has_password(url: &str) -> bool {
    password(url).is_some()
}

/// What others may see of it.
fn without_password(url: &str) -> String {
    let mut shown = url.to_owned();
    if let Some(place) = password(url) {
        shown.replace_range(place, "***");
    }
    shown
}

/// Where its password is.
fn password(url: &str) -> Option<Range<usize>> {
    let from = url.find("://")? + 3;
    let authority = url[from..].split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (name, word) = user.split_once(':')?;
    let at = from + name.len() + 1;
    (!word.is_empty()).then(|| at..at + word.len())
}
