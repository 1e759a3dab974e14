//! A file against the table of keys: all that is wrong with it, each with its place.

use super::keys::{Config, Jwt, SECTIONS};
use super::schema::{Key, Section};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

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
    let mut reader = Reader { config: Config::default(), places: HashMap::new(), problems: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for e in errors {
        let what = e.message().lines().collect::<Vec<_>>().join("; ");
        reader.problem(e.span().unwrap_or(0..0), what);
    }
    if reader.problems.is_empty() {
        reader.top(table.get_ref());
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
    problems: Vec<(usize, String)>,
}

impl Reader {
    fn top(&mut self, table: &DeTable<'_>) {
        let Some((above, sections)) = SECTIONS.split_first() else {
            return;
        };
        for (name, value) in table {
            let (at, name) = (name.span(), name.get_ref().as_ref());
            if let Some(key) = above.keys.iter().find(|k| k.name == name) {
                self.value(above, key, at, value);
            } else if let Some(section) = sections.iter().find(|s| s.name == name) {
                match value.get_ref() {
                    DeValue::Table(table) => self.section(section, table),
                    other => self.problem(
                        value.span(),
                        format!("`{name}` is a section, not a {}: write [{name}] and its keys below", other.type_str()),
                    ),
                }
            } else {
                self.unknown(above, at, name);
            }
        }
    }

    fn section(&mut self, section: &'static Section, table: &DeTable<'_>) {
        for (name, value) in table {
            match section.keys.iter().find(|k| k.name == name.get_ref().as_ref()) {
                Some(key) => self.value(section, key, name.span(), value),
                None => self.unknown(section, name.span(), name.get_ref()),
            }
        }
    }

    fn value(
        &mut self,
        section: &'static Section,
        key: &'static Key,
        at: Range<usize>,
        value: &toml::Spanned<DeValue<'_>>,
    ) {
        self.places.insert((section.name, key.name), at.start);
        if let Err(what) = (key.set)(&mut self.config, value.get_ref()) {
            self.problem(value.span(), format!("`{}`: {what}", full_name(section, key.name)));
        }
    }

    fn unknown(&mut self, section: &Section, at: Range<usize>, name: &str) {
        let mut here: Vec<&str> = section.keys.iter().map(|k| k.name).collect();
        if section.name.is_empty() {
            here.extend(SECTIONS.iter().skip(1).map(|s| s.name));
        }
        let elsewhere = SECTIONS.iter().find(|s| s.keys.iter().any(|k| k.name == name));
        let hint = if let Some(like) = nearest(name, here.iter().copied()) {
            format!("did you mean `{like}`?")
        } else if let Some(other) = elsewhere {
            match other.name {
                "" => format!("`{name}` belongs above all sections"),
                other => format!("`{name}` belongs in [{other}]"),
            }
        } else {
            "nothing has a name like it".into()
        };
        let place = match section.name {
            "" => "at the top".into(),
            name => format!("in [{name}]"),
        };
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
        for (section, key, what) in wrong {
            let at = self.places.get(&(section, key)).copied().unwrap_or_default();
            self.problem(at..at, what);
        }
    }

    fn problem(&mut self, at: Range<usize>, what: String) {
        self.problems.push((at.start, what));
    }
}

fn full_name(section: &Section, key: &str) -> String {
    match section.name {
        "" => key.into(),
        section => format!("{section}.{key}"),
    }
}

fn placed(text: &str, at: usize, what: String) -> Problem {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    Problem { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1, what }
}
