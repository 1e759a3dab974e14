//! Requests as bytes: what is read, what is refused, and how it is answered without a session.

use expect_test::{Expect, expect};
use herald_bosh::*;
use herald_xmpp::xml::{Element, Limits};
use proptest::prelude::*;
use std::fmt::Write;

const SID: &str = "00000000000000000000000000000007";

/// A line for each: what was read of it, or the answer to it.
fn check(bodies: &[&str], expect: Expect) {
    let mut out = String::new();
    for xml in bodies {
        let xml = xml.replace("<b ", "<body xmlns='http://jabber.org/protocol/httpbind' ").replace("</b>", "</body>");
        let _ = match Body::parse(xml.as_bytes(), &Limits::DEFAULT) {
            Ok(body) => writeln!(
                out,
                "{} {:?} {:?} {:?}",
                body.rid,
                body.sid,
                body.ask,
                body.payload.elements().map(|(xml, _)| xml).collect::<Vec<_>>(),
            ),
            Err(refused) => writeln!(out, "{:?} {}", refused.sid, shown(&refused.answer())),
        };
    }
    expect.assert_eq(&out);
}

fn shown(answer: &Answer) -> String {
    let body = std::str::from_utf8(&answer.body).expect("UTF-8");
    let body = body.replace(" xmlns='http://jabber.org/protocol/httpbind'", "").replace("body", "b");
    format!("{} {} {body}", answer.status, answer.content_type())
}

#[test]
fn case_04_nothing() {
    check(
        &["", "  \n"],
        expect![[r#"
        None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
        None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
    "#]],
    );
}

#[test]
fn case_05_malformed() {
    check(
        &["<body rid='", "<b rid='1'", "<b rid='1'></b><b rid='2'/>", "<b rid='1'>\u{0}</b>", "hello"],
        expect![[r#"
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
        "#]],
    );
}

#[test]
fn case_05_not_utf8() {
    let refused =
        Body::parse(b"<body xmlns='http://jabber.org/protocol/httpbind' rid='1'>\xff</body>", &Limits::DEFAULT);
    assert_eq!(refused.map(|b| b.rid).map_err(|r| r.condition), Err(Condition::BadRequest));
}

#[test]
fn case_06_what_xmpp_forbids() {
    check(
        &[
            "<b rid='1'><!-- x --></b>",
            "<b rid='1'><?x y?></b>",
            "<!DOCTYPE b [<!ENTITY e 'x'>]><b rid='1'/>",
            "<b rid='1'><message>&ent;</message></b>",
        ],
        expect![[r#"
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
        "#]],
    );
}

#[test]
fn another_root_or_text_beside_the_payload() {
    check(
        &[
            "<body rid='1'/>",
            "<body xmlns='jabber:client' rid='1'/>",
            "<h:body xmlns:h='http://jabber.org/protocol/httpbind' rid='1'/>",
            "<b rid='1'>text</b>",
            "<b rid='1'>\n <message/>\n <presence/> </b>",
        ],
        expect![[r#"
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            1 None Exchange []
            None 400 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            1 None Exchange ["<message/>", "<presence/>"]
        "#]],
    );
}

#[test]
fn case_13_too_large() {
    let limits = Limits { bytes_max: 100, ..Limits::DEFAULT };
    let xml =
        format!("<body xmlns='http://jabber.org/protocol/httpbind' sid='{SID}' rid='2'>{}</body>", "<m/>".repeat(20));
    let refused = Body::parse(xml.as_bytes(), &limits).map(|b| b.rid).expect_err("too large");
    assert_eq!((refused.condition, refused.sid), (Condition::PolicyViolation, Some(Sid::parse(SID))));
    let refused = Refused::too_large(&xml.as_bytes()[..120]);
    assert_eq!((refused.condition, refused.sid), (Condition::PolicyViolation, Some(Sid::parse(SID))));
    assert_eq!(Refused::too_large(b"").sid, None);
}

#[test]
fn case_20_rids() {
    check(
        &[
            "<b ver='1.6' to='example.com'/>",
            "<b ver='1.6' to='example.com' rid='0'/>",
            "<b ver='1.6' to='example.com' rid='abc'/>",
            "<b ver='1.6' to='example.com' rid='9007199254740991'/>",
            "<b ver='1.6' to='example.com' rid='9007199254740992'/>",
            "<b to='example.com'/>",
            "<b sid='00000000000000000000000000000007'/>",
        ],
        expect![[r#"
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            9007199254740991 None Exchange []
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 400 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            Some(Sid(000000..)) 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
        "#]],
    );
}

#[test]
fn attributes_out_of_range() {
    check(
        &[
            "<b rid='1' wait='-1'/>",
            "<b rid='1' hold='one'/>",
            "<b rid='1' ver='1'/>",
            "<b rid='1' ack='-3' ver='1.6'/>",
            "<b rid='1' pause='' ver='1.6'/>",
            "<b rid='1' xmlns:x='urn:xmpp:xbosh' x:restart='yes' ver='1.6'/>",
            "<b rid='1' xmlns:x='urn:xmpp:xbosh' x:restart='0' ver='1.6'/>",
        ],
        expect![[r#"
            None 400 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 400 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            None 200 text/xml; charset=utf-8 <b type='terminate' condition='bad-request'/>
            1 None Exchange []
        "#]],
    );
}

#[test]
fn what_a_request_asks_for() {
    check(
        &[
            "<b sid='00000000000000000000000000000007' rid='5'/>",
            "<b sid='someone-else' rid='5' type='terminate' pause='3'/>",
            "<b sid='' rid='5' pause='3'/>",
            "<b sid='x' rid='5' type='error'/>",
            "<b sid='x' rid='5' xmlns:xmpp='urn:xmpp:xbosh' xmpp:restart='true'/>",
            "<b sid='x' rid='5' restart='true'/>",
        ],
        expect![[r#"
            5 Some(Sid(000000..)) Exchange []
            5 Some(Sid(000000..)) Terminate []
            5 Some(Sid(000000..)) Pause(3) []
            5 Some(Sid(000000..)) Exchange []
            5 Some(Sid(000000..)) Restart []
            5 Some(Sid(000000..)) Exchange []
        "#]],
    );
}

#[test]
fn case_21_refused_creations() {
    let refuse = |xml: &str, condition| {
        let body = Body::parse(xml.as_bytes(), &Limits::DEFAULT).expect("a body");
        shown(&Answer::refuse(&body, condition))
    };
    let new = "<body xmlns='http://jabber.org/protocol/httpbind' rid='1' ver='1.6' content='text/html'/>";
    let legacy = "<body xmlns='http://jabber.org/protocol/httpbind' rid='1' to=''/>";
    expect![[r#"
        200 text/html <b type='terminate' condition='improper-addressing'/>
        200 text/html <b type='terminate' condition='host-unknown'/>
        200 text/html <b type='terminate' condition='system-shutdown'/>
        200 text/html <b type='terminate' condition='policy-violation'/>
        403 text/xml; charset=utf-8 <b type='terminate' condition='policy-violation'/>
        200 text/xml; charset=utf-8 <b type='terminate' condition='improper-addressing'/>"#]]
    .assert_eq(
        &[
            refuse(new, Condition::ImproperAddressing),
            refuse(new, Condition::HostUnknown),
            refuse(new, Condition::SystemShutdown),
            refuse(new, Condition::PolicyViolation),
            refuse(legacy, Condition::PolicyViolation),
            refuse(legacy, Condition::ImproperAddressing),
        ]
        .join("\n"),
    );
    let body = Body::parse(legacy.as_bytes(), &Limits::DEFAULT).expect("a body");
    assert_eq!(body.to(), None, "an empty `to` is none");
}

#[test]
fn case_28_see_other_uri() {
    expect!["200 text/xml; charset=utf-8 <b type='terminate' condition='see-other-uri'><uri>https://example.com/http-bind?a&amp;b</uri></b>"].assert_eq(&shown(&Answer::see_other("https://example.com/http-bind?a&b")));
}

#[test]
fn case_64_unknown_sid() {
    expect!["200 text/xml; charset=utf-8 <b type='terminate' condition='item-not-found'/>"]
        .assert_eq(&shown(&Answer::unknown_sid()));
}

/// A stanza that says no namespace, and so is in BOSH's, is a stanza all the same; what the body binds is bound.
#[test]
fn case_75_a_stanza_without_a_namespace() {
    let xml = "<body xmlns='http://jabber.org/protocol/httpbind' xmlns:x='urn:x' rid='1'>\
        <message><x:y/><body>hi</body></message><auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></body>";
    let body = Body::parse(xml.as_bytes(), &Limits::DEFAULT).expect("a body");
    let read: Vec<String> = body
        .payload
        .elements()
        .map(|(xml, scope)| {
            let element = Element::parse(xml, scope).expect("checked");
            let children = element.children().map(|c| format!(" {}", c.ns())).collect::<String>();
            format!("{} {}{children}", element.name(), element.ns())
        })
        .collect();
    assert_eq!(read, ["message jabber:client urn:x jabber:client", "auth urn:ietf:params:xml:ns:xmpp-sasl"],);
}

#[test]
fn the_default_namespace_may_be_the_clients_own() {
    let xml = "<h:body xmlns:h='http://jabber.org/protocol/httpbind' xmlns='jabber:client' rid='1'><iq/></h:body>";
    let body = Body::parse(xml.as_bytes(), &Limits::DEFAULT).expect("a body");
    let (xml, scope) = body.payload.elements().next().expect("one");
    assert!(Element::parse(xml, scope).expect("checked").is("iq", "jabber:client"));
}

proptest! {
    /// Whatever comes, it is read or refused.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Body::parse(&bytes, &Limits::DEFAULT);
        let _ = Refused::too_large(&bytes);
    }

    /// A body cut short is refused, and its sid is known once it is whole.
    #[test]
    fn any_cut(end in 0usize..150) {
        let xml = format!("<body sid='{SID}' rid='7' xmlns='http://jabber.org/protocol/httpbind'><message><body>hi</body></message></body>");
        let cut = &xml.as_bytes()[..end.min(xml.len() - 1)];
        let refused = Body::parse(cut, &Limits::DEFAULT).map(|b| b.rid).expect_err("cut short");
        prop_assert_eq!(refused.condition, Condition::BadRequest);
        let whole_sid = cut.len() >= "<body sid=''".len() + SID.len();
        prop_assert_eq!(refused.sid, whole_sid.then(|| Sid::parse(SID)));
    }
}
