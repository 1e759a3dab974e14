//! Why a request cannot be carried out as it is: told to whoever made it, with the field it is about.

use std::fmt;

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of fault.
    pub why: Why,
    /// The field, where it is about one.
    pub field: Option<String>,
    /// For people.
    pub words: String,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is no JSON.
    Malformed,
    /// A field that is not known.
    UnknownField,
    /// A field is missing, of the wrong type, out of range, or does not go with the others.
    Invalid,
    /// The stanza is no message that can be sent.
    InvalidStanza,
}

impl Refusal {
    /// A field that is wrong.
    pub fn invalid(field: &str, words: impl fmt::Display) -> Refusal {
        Refusal { why: Why::Invalid, field: Some(field.into()), words: format!("`{field}`: {words}") }
    }

    /// A stanza that is none.
    pub fn stanza(words: impl Into<String>) -> Refusal {
        Refusal { why: Why::InvalidStanza, field: Some("stanza".into()), words: words.into() }
    }

    /// From what serde says. A field that is not known comes with the known one that it looks like.
    pub fn of(e: &serde_json::Error) -> Refusal {
        let mut words = e.to_string();
        // serde names the field between backquotes, and puts it first.
        let field = || words.split('`').nth(1).map(str::to_owned);
        let (why, field) = match e.classify() {
            serde_json::error::Category::Data if words.starts_with("unknown field") => (Why::UnknownField, field()),
            serde_json::error::Category::Data if words.starts_with("missing field") => (Why::Invalid, field()),
            serde_json::error::Category::Data => (Why::Invalid, None),
            _ => (Why::Malformed, None),
        };
        if why == Why::Malformed {
            words = format!("it is no JSON: {words}");
        }
        if why == Why::UnknownField
            && let Some(near) = nearest(&words)
        {
            words = format!("{words}; did you mean `{near}`?");
        }
        Refusal { why, field, words }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// Of all names between backquotes, the one that looks most like the first.
fn nearest(words: &str) -> Option<String> {
    let mut names = words.split('`').skip(1).step_by(2);
    let wrong = names.next()?.to_lowercase();
    let distance = |name: &&str| strsim::damerau_levenshtein(&wrong, name);
    let near = |name: &&str| distance(name) <= 1 + wrong.chars().count() / 4;
    names.filter(near).min_by_key(distance).map(str::to_owned)
}
