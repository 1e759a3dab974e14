//! What a request asks: parameters of the query string and of a form, names checked.
//!
//! iComet reads a parameter once and takes anything for a number. So do we, with two additions: `cname`, `seq` and
//! `token` may be repeated, the second of each belonging together and so on, for several channels on one
//! connection; and a name that would not be safe to write into a script or an address is refused.

use smallvec::SmallVec;
use std::borrow::Cow;

/// Channels of one connection; more are refused.
pub(crate) const CHANNELS_MAX: usize = 16;
/// The longest callback name, in bytes.
const CALLBACK_BYTES_MAX: usize = 128;

/// Names and values, decoded, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Params<'p>(Vec<(Cow<'p, str>, Cow<'p, str>)>);

/// What cannot be answered, in words.
pub(crate) type Refused = &'static str;

impl<'p> Params<'p> {
    /// Takes a query string or a form (`application/x-www-form-urlencoded`) apart, behind what is there already.
    pub(crate) fn add(&mut self, text: &'p str) -> Result<(), Refused> {
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.0.push((decode(name)?, decode(value)?));
        }
        Ok(())
    }

    /// Takes the strings and numbers of a JSON object.
    pub(crate) fn add_json(&mut self, text: &str) -> Result<(), Refused> {
        const NO_OBJECT: Refused = "the body is no JSON object";
        let value: serde_json::Value = serde_json::from_str(text).map_err(|_| NO_OBJECT)?;
        let serde_json::Value::Object(fields) = value else { return Err(NO_OBJECT) };
        for (name, value) in fields {
            let value = match value {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            self.0.push((name.into(), value.into()));
        }
        Ok(())
    }

    /// The first value of that name; "" when there is none.
    pub(crate) fn first<'a>(&'a self, name: &'a str) -> &'a str {
        self.all(name).next().unwrap_or_default()
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| &**value)
    }

    /// The function that JSONP calls, if any.
    pub(crate) fn callback(&self) -> Result<Option<&str>, Refused> {
        match self.first("cb") {
            "" => Ok(None),
            cb if is_callback(cb) => Ok(Some(cb)),
            _ => Err("cb is no name of a function"),
        }
    }
}

/// One channel as a subscriber asks for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub cname: Box<str>,
    /// The number of the next message wanted; 0: whatever comes next. Below 0: all there is.
    pub seq: i64,
    pub token: Box<str>,
}

/// What a subscriber asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub wants: SmallVec<[Want; 1]>,
    /// Is echoed in a noop.
    pub noop: i32,
}

impl Ask {
    /// Reads it. The n-th `seq` and the n-th `token` belong to the n-th `cname`.
    pub(crate) fn of(params: &Params<'_>) -> Result<Ask, Refused> {
        let (mut seqs, mut tokens) = (params.all("seq"), params.all("token"));
        let mut wants = SmallVec::new();
        for cname in params.all("cname") {
            if wants.len() == CHANNELS_MAX {
                return Err("too many channels on one connection");
            }
            let seq = seqs.next().map_or(0, number);
            let token = tokens.next().unwrap_or_default().into();
            wants.push(Want { cname: cname.into(), seq, token });
        }
        if wants.is_empty() {
            return Err("cname is missing");
        }
        Ok(Ask { wants, noop: number(params.first("noop")) as i32 })
    }
}

/// As C's `atoi`: what is no number is 0, and what follows one is passed over.
fn number(text: &str) -> i64 {
    let text = text.trim_start();
    let end = text.bytes().skip(1).position(|b| !b.is_ascii_digit()).map_or(text.len(), |at| at + 1);
    text.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// A path of identifiers, such as `a.b[0].c`: nothing that could be anything but the name of a function.
fn is_callback(name: &str) -> bool {
    let begins = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'$');
    let goes_on = |b: u8| begins(b) || b.is_ascii_digit() || matches!(b, b'.' | b'[' | b']');
    name.len() <= CALLBACK_BYTES_MAX && name.bytes().next().is_some_and(begins) && name.bytes().all(goes_on)
}

/// Undoes percent-encoding; a plus is a space.
fn decode(text: &str) -> Result<Cow<'_, str>, Refused> {
    if !text.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Ok(text.into());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return Err("a percent sign is not followed by two digits"),
                }
            }
            b => b,
        });
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| "a parameter is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str) -> Result<Ask, Refused> {
        let mut params = Params::default();
        params.add(query)?;
        Ask::of(&params)
    }

    #[test]
    fn numbers_as_icomet_reads_them() {
        for (text, number_of) in [
            ("", 0),
            ("7", 7),
            ("-5", -5),
            ("+3", 3),
            (" 4", 4),
            ("4x", 4),
            ("x", 0),
            ("-", 0),
            ("99999999999999999999", 0),
        ] {
            assert_eq!(number(text), number_of, "{text:?}");
        }
    }

    #[test]
    fn one_channel_and_several() {
        let want = |cname: &str, seq, token: &str| Want { cname: cname.into(), seq, token: token.into() };
        let one = ask("seq=5&noop=3&cname=a&_=17&token=t").unwrap();
        assert_eq!(one, Ask { wants: SmallVec::from_vec(vec![want("a", 5, "t")]), noop: 3 });
        let two = ask("cname=a&seq=5&token=t&cname=b&seq=0&token=u").unwrap().wants;
        assert_eq!(two.as_slice(), [want("a", 5, "t"), want("b", 0, "u")]);
        assert!(ask("seq=1").is_err());
        assert!(ask(&"cname=a&".repeat(CHANNELS_MAX + 1)).is_err());
    }

    #[test]
    fn what_is_encoded() {
        let mut params = Params::default();
        params.add("a=%E4%BD%A0+b&c%20d=%2B&e").unwrap();
        assert_eq!(
            (params.first("a"), params.first("c d"), params.first("e"), params.first("f")),
            ("你 b", "+", "", "")
        );
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert!(Params::default().add(bad).is_err(), "{bad}");
        }
        let mut json = Params::default();
        json.add_json(r#"{"cname":"a","content":"b\u0001","seq":7}"#).unwrap();
        assert_eq!((json.first("content"), json.first("seq")), ("b\u{1}", "7"));
        assert!(Params::default().add_json("[]").is_err());
    }

    #[test]
    fn callbacks() {
        for (name, good) in [
            ("icomet_cb_0", true),
            ("a.b[0].c", true),
            ("$", true),
            ("1a", false),
            ("alert(1)//", false),
            ("a;b", false),
            ("<script>", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(is_callback(name), good, "{name}");
        }
    }
}
