//! What goes over the wire, to the byte: messages, the forms that carry them, the head before them.

use super::log::Kind;
use std::cell::RefCell;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// What `/iframe` begins with: the page that surrounds it is of a sibling host, so both take the name of their parent.
const IFRAME_HEAD: &str = "<html><head><meta http-equiv='Content-Type' content='text/html; charset=utf-8'>\
<meta http-equiv='Cache-Control' content='no-store'><meta http-equiv='Cache-Control' content='no-cache'>\
<meta http-equiv='Pragma' content='no-cache'><meta http-equiv=' Expires' content='Thu, 1 Jan 1970 00:00:00 GMT'>\
<script type='text/javascript'>window.onError = null;try{document.domain = \
window.location.hostname.split('.').slice(-2).join('.');}catch(e){};</script></head><body>\n";

/// The callback name that iComet's own client takes, before a number.
const ICOMET_CALLBACK: &str = "icomet_cb_";

/// How a subscriber takes its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `/sub`, `/poll`: one answer; with JSONP the name of the function.
    #[allow(clippy::box_collection)] // what is rare is not to take room from what is not
    Poll(Option<Box<String>>),
    /// `/stream`: a message on a line, without end.
    Stream,
    /// `/sse`: the same as an event stream (HTML standard, server-sent events).
    Sse,
    /// `/iframe`: the same as a page of scripts.
    Iframe,
}

/// One message as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'m> {
    pub kind: &'m str,
    /// Within a JSON string.
    pub cname: &'m str,
    pub seq: i64,
    /// Within a JSON string.
    pub content: &'m str,
}

impl Kind {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Data => "data",
            Kind::Broadcast => "broadcast",
        }
    }
}

impl Form {
    /// Does it go on after an answer?
    pub(super) fn streams(&self) -> bool {
        !matches!(self, Form::Poll(_))
    }

    /// iComet's own client stops polling for good at the first array it is given, so it is given one message at a
    /// time. It is known by the name of its function.
    pub(super) fn one_at_a_time(&self) -> bool {
        matches!(self, Form::Poll(Some(cb)) if cb.starts_with(ICOMET_CALLBACK))
    }

    fn content_type(&self) -> &'static str {
        match self {
            // A script must say that it is one, or browsers that are told not to guess do not run it.
            Form::Poll(Some(_)) => "text/javascript; charset=utf-8",
            Form::Poll(None) | Form::Stream => "application/json; charset=utf-8",
            Form::Sse => "text/event-stream",
            Form::Iframe => "text/html; charset=utf-8",
        }
    }

    /// Appends one message of a stream. `id`: what a client says when it comes again (Last-Event-ID).
    pub(super) fn one(&self, message: Message<'_>, id: &str, out: &mut Vec<u8>) {
        match self {
            Form::Sse => {
                if !id.is_empty() {
                    push(out, &["id: ", id, "\n"]);
                }
                push(out, &["data: "]);
                message.write(out);
                push(out, &["\n\n"]);
            }
            Form::Iframe => {
                push(out, &["<script>parent.icomet_cb("]);
                let mut json = Vec::new();
                message.write(&mut json);
                // Within JSON it stands in strings only; there it must not end the script.
                for byte in json {
                    match byte {
                        b'<' => push(out, &["\\u003c"]),
                        byte => out.push(byte),
                    }
                }
                push(out, &[");</script>\n"]);
            }
            Form::Stream | Form::Poll(_) => {
                message.write(out);
                push(out, &["\n"]);
            }
        }
    }

    /// Appends the answer to a poll: an object, or an array of them.
    pub(super) fn poll(&self, messages: &[Message<'_>], array: bool, out: &mut Vec<u8>) {
        let cb = if let Form::Poll(Some(cb)) = self { &**cb } else { "" };
        if !cb.is_empty() {
            push(out, &[cb, "("]);
        }
        if array {
            out.push(b'[');
        }
        for (place, message) in messages.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            message.write(out);
        }
        if array {
            out.push(b']');
        }
        push(out, &[if cb.is_empty() { "\n" } else { ");\n" }]);
    }
}

impl Message<'_> {
    /// Appends the object.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        push(out, &["{\"type\":\"", self.kind, "\",\"cname\":\"", self.cname, "\",\"seq\":"]);
        let _ = write!(out, "{}", self.seq); // into a vector, which cannot fail
        push(out, &[",\"content\":\"", self.content, "\"}"]);
    }
}

/// Appends the head of an answer: iComet's, and the word that a page of any origin may read it.
pub(super) fn head(form: &Form, chunked: bool, out: &mut Vec<u8>) {
    out.reserve(512);
    push(out, &["HTTP/1.1 200 OK\r\nExpires: 0\r\nCache-Control: no-cache\r\nContent-Type: ", form.content_type()]);
    push(
        out,
        &[match chunked {
            true => "\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
            false => "\r\nConnection: close\r\n", // HTTP/1.0: it ends where the connection ends
        }],
    );
    push(out, &["Date: "]);
    date(out);
    push(out, &["\r\nAccess-Control-Allow-Origin: *\r\nX-Content-Type-Options: nosniff\r\n\r\n"]);
}

/// What stands before the first message of a stream.
pub(super) fn preamble(form: &Form) -> &'static str {
    if *form == Form::Iframe { IFRAME_HEAD } else { "" }
}

/// Appends `body` as a chunk (RFC 9112 section 7.1).
pub(super) fn chunk(body: &[u8], out: &mut Vec<u8>) {
    if body.is_empty() {
        return; // an empty one would be the last
    }
    let _ = write!(out, "{:x}\r\n", body.len()); // into a vector, which cannot fail
    out.extend_from_slice(body);
    push(out, &["\r\n"]);
}

/// The end of all chunks.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The text as it stands within a JSON string: iComet's escapes, those that JSON asks for besides, and those of the
/// two characters that end a line in a script.
pub(crate) fn escape(text: &str) -> Box<str> {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '\x7f' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.into()
}

/// The text of what stands within a JSON string; `None` when no string could hold it.
pub(super) fn unescape(inside: &str) -> Option<String> {
    serde_json::from_str(&format!("\"{inside}\"")).ok()
}

fn push(out: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Appends the time as HTTP says it (RFC 9110 section 5.6.7), made once a second.
#[allow(clippy::disallowed_methods)] // the head of an answer says when it was made
fn date(out: &mut Vec<u8>) {
    thread_local! {
        static SAID: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let secs = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    SAID.with_borrow_mut(|said| {
        if said.0 != secs {
            *said = (secs, http_date(secs));
        }
        out.extend_from_slice(said.1.as_bytes());
    });
}

fn http_date(secs: u64) -> String {
    let at = jiff::Timestamp::from_second(i64::try_from(secs).unwrap_or(0)).unwrap_or_default();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn data(seq: i64, content: &'static str) -> Message<'static> {
        Message { kind: "data", cname: "a", seq, content }
    }

    fn jsonp(cb: &str) -> Form {
        Form::Poll(Some(Box::new(cb.into())))
    }

    /// The rows of iComet's front port, body by body.
    #[test]
    fn every_form() {
        let poll = |form: Form, messages: &[Message<'_>], array| {
            let mut out = Vec::new();
            form.poll(messages, array, &mut out);
            String::from_utf8(out).unwrap()
        };
        let stream = |form: Form, id| {
            let mut out = preamble(&form).as_bytes().to_vec();
            form.one(data(1, "<hi>"), id, &mut out);
            String::from_utf8(out).unwrap()
        };
        let next = Message { kind: "next_seq", cname: "a", seq: 1, content: "" };
        let check = |said: String, expected: Expect| expected.assert_eq(&said);
        check(
            poll(Form::Poll(None), &[next], false),
            expect![[r#"
            {"type":"next_seq","cname":"a","seq":1,"content":""}
        "#]],
        );
        check(
            poll(jsonp("icomet_cb_0"), &[next], false),
            expect![[r#"
            icomet_cb_0({"type":"next_seq","cname":"a","seq":1,"content":""});
        "#]],
        );
        check(
            poll(Form::Poll(None), &[data(1, "hi"), data(2, "...")], true),
            expect![[r#"
            [{"type":"data","cname":"a","seq":1,"content":"hi"},{"type":"data","cname":"a","seq":2,"content":"..."}]
        "#]],
        );
        check(
            poll(jsonp("f"), &[data(4, "...")], true),
            expect![[r#"
            f([{"type":"data","cname":"a","seq":4,"content":"..."}]);
        "#]],
        );
        check(
            stream(Form::Stream, ""),
            expect![[r#"
            {"type":"data","cname":"a","seq":1,"content":"<hi>"}
        "#]],
        );
        check(
            stream(Form::Sse, "1"),
            expect![[r#"
            id: 1
            data: {"type":"data","cname":"a","seq":1,"content":"<hi>"}

        "#]],
        );
        let framed = stream(Form::Iframe, "");
        check(
            framed.split_once("<body>\n").unwrap().1.to_owned(),
            expect![[r#"
            <script>parent.icomet_cb({"type":"data","cname":"a","seq":1,"content":"\u003chi>"});</script>
        "#]],
        );
    }

    #[test]
    fn the_head_that_icomet_writes() {
        let mut out = Vec::new();
        head(&Form::Poll(None), true, &mut out);
        let head = String::from_utf8(out).unwrap();
        let (before, after) = head.split_once("Date: ").unwrap();
        assert_eq!(
            before,
            "HTTP/1.1 200 OK\r\nExpires: 0\r\nCache-Control: no-cache\r\n\
             Content-Type: application/json; charset=utf-8\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n"
        );
        assert_eq!(after.find("\r\n"), Some("Sat, 21 Nov 2026 02:30:03 GMT".len()));
        assert_eq!(http_date(1_795_228_203), "Sat, 21 Nov 2026 02:30:03 GMT");
        assert!(after.ends_with("\r\n\r\n"));
    }

    #[test]
    fn any_text_is_valid_json_and_comes_back() {
        for text in ["", "hi", "\"\\\r\n", "a\tb", "\0\x01\x1f\x7f", "你好 \u{2028}\u{1f600}", "</script>", "\u{ffff}"]
        {
            assert_eq!(serde_json::from_str::<String>(&format!("\"{}\"", escape(text))).unwrap(), text);
            assert_eq!(unescape(&escape(text)).as_deref(), Some(text));
        }
        assert_eq!(&*escape("a\"b\\c\r\n"), "a\\\"b\\\\c\\r\\n");
        for bad in ["\",\"evil\":\"1", "\\", "\\x", "a\tb", "\n"] {
            assert_eq!(unescape(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn chunks() {
        let mut out = Vec::new();
        chunk(b"0123456789abcdef", &mut out);
        chunk(b"", &mut out);
        assert_eq!(out, b"10\r\n0123456789abcdef\r\n");
    }
}
