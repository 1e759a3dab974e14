//! How one value is read from TOML and shown as TOML.

use super::schema::Bounds;
use herald_xmpp::BareJid;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::de::DeValue;

/// A type that a key may have.
pub trait Value: Sized {
    /// Reads it; the error says what it must be, without naming the key.
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<Self, String>;
    /// As TOML.
    fn show(&self) -> String;
    /// What it may be, in words.
    fn kind(bounds: &Bounds) -> String;
}

/// The domain of the users, prepared as an address has it (RFC 7622 section 3.2). 1 to 1023 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Domain(String);

impl Domain {
    /// The domain of a server that nobody has configured.
    pub fn localhost() -> Domain {
        Domain("localhost".into())
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Domain {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value for Domain {
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<Domain, String> {
        let text = string(value, bounds, Domain::kind)?;
        match BareJid::new(None, text) {
            Ok(jid) => Ok(Domain(jid.domain().to_owned())),
            Err(e) => Err(format!("{text:?} is no domain ({e}); it must be {}", Domain::kind(bounds))),
        }
    }
    fn show(&self) -> String {
        quoted(&self.0)
    }
    fn kind(_: &Bounds) -> String {
        "a domain such as \"example.com\"".into()
    }
}

/// `https://HOST` or `https://HOST:PORT`, and nothing behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpsAddress(String);

impl HttpsAddress {
    /// Host and port, as in an URI.
    pub fn authority(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Option<HttpsAddress> {
        let authority = text.strip_prefix("https://")?.trim_end_matches('/');
        let host_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'[' | b']');
        (!authority.is_empty() && authority.bytes().all(host_byte)).then(|| HttpsAddress(authority.into()))
    }
}

impl Value for Option<HttpsAddress> {
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<Self, String> {
        match string(value, bounds, Self::kind)? {
            "" => Ok(None),
            text => match HttpsAddress::parse(text) {
                Some(address) => Ok(Some(address)),
                None => Err(format!("{text:?} is no such address; it must be {}", Self::kind(bounds))),
            },
        }
    }
    fn show(&self) -> String {
        quoted(&self.as_ref().map(|a| format!("https://{}", a.0)).unwrap_or_default())
    }
    fn kind(_: &Bounds) -> String {
        "an address such as \"https://chat.example\", or \"\" for none".into()
    }
}

/// A value that is one of a few words.
macro_rules! choice {
    ($(#[doc = $doc:literal])* $name:ident { $( $(#[doc = $vdoc:literal])* $variant:ident = $word:literal, )+ }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[doc = $vdoc])* $variant, )+ }

        impl $name {
            const WORDS: &'static [&'static str] = &[$($word),+];
            /// The word that stands for it in the file.
            pub fn as_str(self) -> &'static str {
                match self { $( $name::$variant => $word, )+ }
            }
        }
        impl Value for $name {
            fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<$name, String> {
                match string(value, bounds, $name::kind)? {
                    $( $word => Ok($name::$variant), )+
                    other => {
                        let like = super::read::nearest(other, $name::WORDS.iter().copied());
                        let hint = like.map(|w| format!("; did you mean {w:?}?")).unwrap_or_default();
                        Err(format!("{other:?} is not one of {}{hint}", one_of($name::WORDS)))
                    }
                }
            }
            fn show(&self) -> String {
                quoted(self.as_str())
            }
            fn kind(_: &Bounds) -> String {
                one_of($name::WORDS)
            }
        }
    };
}

choice! {
    /// Who may send a password in the clear.
    PlainWithoutTls {
        /// Nobody.
        Never = "never",
        /// Connections from 127.0.0.0/8.
        Loopback = "loopback",
    }
}
choice! {
    /// Who may subscribe to a channel.
    CometAuth {
        /// Who has a token of it.
        Token = "token",
        /// Everybody.
        None = "none",
        /// Nobody.
        Off = "off",
    }
}
choice! {
    /// Who may use the demo page.
    Demo {
        /// Whoever sits at this machine.
        Loopback = "loopback",
        /// Nobody: it is not there.
        Off = "off",
    }
}
choice! {
    /// Is what is pushed kept?
    CometStore {
        /// Before it is answered.
        Always = "always",
        /// When nobody takes it.
        IfOffline = "if_offline",
        /// Never.
        Never = "never",
    }
}
choice! {
    /// The least grave line that the log shows.
    Level {
        /// What an operator must repair.
        Error = "error",
        /// What an operator should look at.
        Warn = "warn",
        /// Start, stop, and what changed.
        Info = "info",
        /// Each connection.
        Debug = "debug",
        /// Each stanza.
        Trace = "trace",
    }
}
choice! {
    /// What a line of the log looks like.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object.
        Json = "json",
    }
}

impl Value for PathBuf {
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<PathBuf, String> {
        match string(value, bounds, PathBuf::kind)? {
            "" => Err(format!("it is empty; it must be {}", PathBuf::kind(bounds))),
            text => Ok(PathBuf::from(text)),
        }
    }
    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
    fn kind(_: &Bounds) -> String {
        "a path".into()
    }
}

impl Value for Option<PathBuf> {
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<Option<PathBuf>, String> {
        let text = string(value, bounds, <Option<PathBuf>>::kind)?;
        Ok((!text.is_empty()).then(|| PathBuf::from(text)))
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), PathBuf::show)
    }
    fn kind(_: &Bounds) -> String {
        "a path, or \"\" for none".into()
    }
}

impl Value for Option<SocketAddr> {
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<Option<SocketAddr>, String> {
        match string(value, bounds, <Option<SocketAddr>>::kind)? {
            "" => Ok(None),
            text => match text.parse() {
                Ok(address) => Ok(Some(address)),
                Err(_) => Err(format!("{text:?} is no address; it must be {}", Self::kind(bounds))),
            },
        }
    }
    fn show(&self) -> String {
        quoted(&self.map(|a| a.to_string()).unwrap_or_default())
    }
    fn kind(_: &Bounds) -> String {
        "an IP address with a port such as \"127.0.0.1:5222\" or \"[::]:5222\", or \"\" for off".into()
    }
}

impl Value for String {
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<String, String> {
        string(value, bounds, String::kind).map(str::to_owned)
    }
    fn show(&self) -> String {
        quoted(self)
    }
    fn kind(_: &Bounds) -> String {
        "a text".into()
    }
}

impl Value for bool {
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<bool, String> {
        match value {
            DeValue::Boolean(yes) => Ok(*yes),
            other => Err(format!("it is {}; it must be {}", a(other.type_str()), bool::kind(bounds))),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
    fn kind(_: &Bounds) -> String {
        "true or false".into()
    }
}

macro_rules! whole_number {
    ($($t:ty),*) => {$(
        impl Value for $t {
            fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<$t, String> {
                let n = number(value, bounds)?;
                <$t>::try_from(n).map_err(|_| outside(n, bounds))
            }
            fn show(&self) -> String {
                grouped(*self as u64)
            }
            fn kind(bounds: &Bounds) -> String {
                number_kind(bounds)
            }
        }
    )*};
}
whole_number!(u32, usize);

fn number(value: &DeValue<'_>, bounds: &Bounds) -> Result<u64, String> {
    let DeValue::Integer(i) = value else {
        return Err(format!("it is {}; it must be {}", a(value.type_str()), number_kind(bounds)));
    };
    let n = i64::from_str_radix(&i.as_str().replace('_', ""), i.radix());
    match n {
        Ok(n) if u64::try_from(n).is_ok_and(|n| n >= bounds.min && n <= bounds.max) => Ok(n as u64),
        _ => Err(outside(i, bounds)),
    }
}

fn outside(n: impl fmt::Display, bounds: &Bounds) -> String {
    format!("{n} is out of range; it must be {}", number_kind(bounds))
}

fn number_kind(bounds: &Bounds) -> String {
    format!("a number of {}, {} to {}", bounds.unit, grouped(bounds.min), grouped(bounds.max))
}

pub(super) fn string<'v>(
    value: &'v DeValue<'_>,
    bounds: &Bounds,
    kind: fn(&Bounds) -> String,
) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("it is {}; it must be {}", a(value.type_str()), kind(bounds)))
}

fn a(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

/// `1048576` as `1_048_576`, which TOML reads too; four digits stay together.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('_');
        }
        out.push(digit);
    }
    out
}
