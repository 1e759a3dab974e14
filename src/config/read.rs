//! A file against the table of keys: all that is wrong with it, each with its place.

use super::keys::{Config, Jwt, SECTIONS};
use super::schema::{Key, Section};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// The longest name of a section that may be there several times. It stands in file names and metrics.
const NAME_BYTES_MAX: usize = 32;

/// Something that the file says and that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong and what would be right; one line.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

/// Reads a whole file; every problem of it, in its order.
pub fn read(text: &str) -> Result<Config, Vec<Problem>> {
    let mut reader =
        Reader { config: Config::default(), places: HashMap::new(), named: HashMap::new(), problems: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for e in errors {
        let what = e.message().lines().collect::<Vec<_>>().join("; ");
        reader.problem(e.span().unwrap_or(0..0), what);
    }
    if reader.problems.is_empty() {
        reader.table("", table.get_ref());
        reader.together();
    }
    if reader.problems.is_empty() {
        return Ok(reader.config);
    }
    reader.problems.sort_by_key(|(at, _)| *at);
    Err(reader.problems.into_iter().map(|(at, what)| placed(text, at, what)).collect())
}

/// The word that was most likely meant, if any is near.
pub fn nearest<'w>(word: &str, among: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let distance = |w: &str| strsim::damerau_levenshtein(&word.to_lowercase(), w);
    let near = |w: &&str| distance(w) <= 1 + word.chars().count() / 4 || strsim::jaro_winkler(word, w) > 0.9;
    among.filter(near).min_by_key(|w| distance(w))
}

struct Reader {
    config: Config,
    /// Where the file gives a key: (section, key).
    places: HashMap<(&'static str, &'static str), usize>,
    /// Where the file gives a key of a section that may be there several times: (section, name, key); with
    /// the key "", where it begins.
    named: HashMap<(&'static str, String, &'static str), usize>,
    problems: Vec<(usize, String)>,
}

/// Where a key stands: its section, and the name of that section if there are several.
#[derive(Clone, Copy)]
struct Place<'a> {
    section: &'static Section,
    of: &'a str,
}

impl Place<'_> {
    /// As in the file.
    fn path(self) -> String {
        if self.of.is_empty() { self.section.name.into() } else { format!("{}.{}", self.section.name, self.of) }
    }
}

impl Reader {
    /// The table at this path, "" for the whole file.
    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        let own = SECTIONS.iter().find(|s| s.name == path && s.many.is_none());
        for (name, value) in table {
            let (at, name) = (name.span(), name.get_ref().as_ref());
            let child = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            if let Some((section, key)) = own.and_then(|s| Some((s, s.keys.iter().find(|k| k.name == name)?))) {
                self.value(Place { section, of: "" }, key, at, value);
            } else if SECTIONS.iter().any(|s| within(s.name, &child)) {
                match (value.get_ref(), SECTIONS.iter().find(|s| s.name == child && s.many.is_some())) {
                    (DeValue::Table(table), Some(section)) => self.several(section, table),
                    (DeValue::Table(table), None) => self.table(&child, table),
                    (other, _) => self.no_section(&child, other, value.span()),
                }
            } else {
                self.unknown(own, path, at, name);
            }
        }
    }

    /// The sections of one kind, each with a name.
    fn several(&mut self, section: &'static Section, table: &DeTable<'_>) {
        for (name, value) in table {
            let (at, of) = (name.span(), name.get_ref().as_ref());
            let DeValue::Table(keys) = value.get_ref() else {
                let what = format!(
                    "each [{0}] has a name: write [{0}.NAME] and `{of}` below it, with a name of your choice",
                    section.name
                );
                self.problem(at, what);
                continue;
            };
            if !is_name(of) {
                let what = format!(
                    "{of:?} is no name for a [{}]: it has 1 to {NAME_BYTES_MAX} of the characters a-z, 0-9, - and _",
                    section.name
                );
                self.problem(at, what);
                continue;
            }
            self.named.insert((section.name, of.to_owned(), ""), at.start);
            if let Some(many) = &section.many {
                (many.make)(&mut self.config, of);
            }
            for (name, value) in keys {
                match section.keys.iter().find(|k| k.name == name.get_ref().as_ref()) {
                    Some(key) => self.value(Place { section, of }, key, name.span(), value),
                    None => self.unknown(Some(section), &format!("{}.{of}", section.name), name.span(), name.get_ref()),
                }
            }
        }
    }

    fn no_section(&mut self, path: &str, other: &DeValue<'_>, at: Range<usize>) {
        let name = if SECTIONS.iter().any(|s| s.name == path && s.many.is_some()) { ".NAME" } else { "" };
        self.problem(
            at,
            format!("`{path}` is a section, not a {}: write [{path}{name}] and its keys below", other.type_str()),
        );
    }

    fn value(&mut self, place: Place<'_>, key: &'static Key, at: Range<usize>, value: &toml::Spanned<DeValue<'_>>) {
        if place.of.is_empty() {
            self.places.insert((place.section.name, key.name), at.start);
        } else {
            self.named.insert((place.section.name, place.of.to_owned(), key.name), at.start);
        }
        if let Err(what) = (key.set)(&mut self.config, place.of, value.get_ref()) {
            self.problem(value.span(), format!("`{}`: {what}", full_name(&place.path(), key.name)));
        }
    }

    /// `own` is the section that the path names, if it has keys of its own.
    fn unknown(&mut self, own: Option<&'static Section>, path: &str, at: Range<usize>, name: &str) {
        let mut here: Vec<&str> = own.iter().flat_map(|s| s.keys).map(|k| k.name).collect();
        if own.is_none_or(|s| s.many.is_none()) {
            here.extend(sections_in(path));
        }
        let elsewhere = SECTIONS.iter().find(|s| s.keys.iter().any(|k| k.name == name));
        let hint = if let Some(like) = nearest(name, here.iter().copied()) {
            format!("did you mean `{like}`?")
        } else if let Some(other) = elsewhere {
            match (other.name, &other.many) {
                ("", _) => format!("`{name}` belongs above all sections"),
                (other, None) => format!("`{name}` belongs in [{other}]"),
                (other, Some(_)) => format!("`{name}` belongs in [{other}.NAME]"),
            }
        } else {
            "nothing has a name like it".into()
        };
        let place = if path.is_empty() { "at the top".into() } else { format!("in [{path}]") };
        let what = format!("unknown key `{name}` {place}: {hint} (valid here: {})", here.join(", "));
        self.problem(at, what);
    }

    /// What no key can tell alone.
    fn together(&mut self) {
        let c = &self.config;
        let mut wrong = Vec::new();
        match (&c.tls.certificate, &c.tls.key) {
            (Some(_), None) => wrong.push(("tls", "certificate", "`tls.certificate` needs `tls.key` beside it".into())),
            (None, Some(_)) => wrong.push(("tls", "key", "`tls.key` needs `tls.certificate` beside it".into())),
            _ => {}
        }
        let l = &c.listen;
        for (section, https_only) in [("websocket", c.websocket.https_only), ("bosh", c.bosh.https_only)] {
            if https_only && l.https.is_none() && c.http.public_https.is_none() {
                let what = "needs `listen.https`, or `http.public_https` to send clients to";
                wrong.push((section, "https_only", format!("`{section}.https_only` {what}")));
            }
        }
        let listeners =
            [("xmpp", l.xmpp), ("xmpps", l.xmpps), ("http", l.http), ("https", l.https), ("admin", l.admin)];
        for (i, (name, address)) in listeners.iter().enumerate() {
            let same = listeners[..i].iter().find(|(_, a)| a.is_some() && a == address);
            if let (Some((other, Some(taken))), true) = (same, address.is_some_and(|a| a.port() != 0)) {
                let what = format!("`listen.{name}` and `listen.{other}` are both {taken}");
                // Either may be the one that the file gives; the other is then a default.
                let key = if self.places.contains_key(&("listen", *name)) { *name } else { *other };
                wrong.push(("listen", key, what));
            }
        }
        if c.bosh.prebind_ttl_secs > c.bosh.prebind_ttl_max_secs {
            let what = "`bosh.prebind_ttl_secs` is above `bosh.prebind_ttl_max_secs`".into();
            let key = if self.places.contains_key(&("bosh", "prebind_ttl_secs")) {
                "prebind_ttl_secs"
            } else {
                "prebind_ttl_max_secs"
            };
            wrong.push(("bosh", key, what));
        }
        let (jwt, usual) = (&c.jwt, Jwt::default());
        match (&jwt.jwks_file, &jwt.secret_file) {
            (Some(_), Some(_)) => {
                wrong.push((
                    "jwt",
                    "secret_file",
                    "`jwt.secret_file` does not go with `jwt.jwks_file`: keep one".into(),
                ));
            }
            (None, None) if *jwt != usual => {
                let mut given = self.places.iter().filter(|((section, _), _)| *section == "jwt");
                let key = given.by_ref().map(|((_, key), _)| *key).min().unwrap_or("jwks_file");
                wrong.push(("jwt", key, format!("`jwt.{key}` needs `jwt.jwks_file` or `jwt.secret_file` beside it")));
            }
            _ => {}
        }
        if jwt.uid_claim.is_empty() {
            wrong.push(("jwt", "uid_claim", "`jwt.uid_claim` is empty; did you mean \"sub\"?".into()));
        }
        for (section, has_password, file) in [
            ("events.amqp", c.events_amqp.url.as_ref().is_some_and(|u| u.has_password()), &c.events_amqp.password_file),
            ("ingest.amqp", c.ingest_amqp.url.as_ref().is_some_and(|u| u.has_password()), &c.ingest_amqp.password_file),
            (
                "ingest.postgres",
                c.ingest_postgres.url.as_ref().is_some_and(|u| u.has_password()),
                &c.ingest_postgres.password_file,
            ),
            (
                "ingest.redis",
                c.ingest_redis.url.as_ref().is_some_and(|u| u.has_password()),
                &c.ingest_redis.password_file,
            ),
        ] {
            if has_password && file.is_some() {
                let what =
                    format!("`{section}.password_file` does not go with a password in `{section}.url`: keep one");
                wrong.push((section, "password_file", what));
            }
        }
        for (section, key, value) in [
            ("ingest.amqp", "queue", &c.ingest_amqp.queue),
            ("ingest.redis", "stream", &c.ingest_redis.stream),
            ("ingest.redis", "group", &c.ingest_redis.group),
            ("ingest.redis", "consumer", &c.ingest_redis.consumer),
            ("ingest.redis", "dead_stream", &c.ingest_redis.dead_stream),
        ] {
            if value.is_empty() {
                wrong.push((section, key, format!("`{section}.{key}` is empty")));
            }
        }
        let mut below = Vec::new();
        for (name, webhook) in &c.webhook {
            // One that is given and wrong is told already.
            if webhook.url.is_none() && !self.named.contains_key(&("webhook", name.clone(), "url")) {
                below.push((("webhook", name.clone(), ""), format!("`webhook.{name}` needs a `url`")));
            }
        }
        for (place, what) in below {
            let at = self.named.get(&place).copied().unwrap_or_default();
            self.problem(at..at, what);
        }
        for (section, key, what) in wrong {
            let at = self.places.get(&(section, key)).copied().unwrap_or_default();
            self.problem(at..at, what);
        }
    }

    fn problem(&mut self, at: Range<usize>, what: String) {
        self.problems.push((at.start, what));
    }
}

fn full_name(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}

/// Is this the section at the path, or one below it?
fn within(section: &str, path: &str) -> bool {
    section.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The names of the sections that may stand in the one at the path, each once.
pub fn sections_in(path: &str) -> Vec<&'static str> {
    let below = SECTIONS.iter().filter_map(|s| match path {
        "" => Some(s.name),
        path => s.name.strip_prefix(path)?.strip_prefix('.'),
    });
    let mut names: Vec<&str> = below.filter_map(|name| name.split('.').next()).filter(|n| !n.is_empty()).collect();
    names.dedup();
    names
}

fn is_name(name: &str) -> bool {
    let byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(byte)
}

fn placed(text: &str, at: usize, what: String) -> Problem {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    Problem { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1, what }
}
