//! Stanzas: read, written, answered, refused.

mod seeded;

use expect_test::{Expect, expect};
use herald_xmpp::stanza::{Condition, ErrorType, StreamFault};
use herald_xmpp::xml::{Element, Limits, Scope, check};
use herald_xmpp::{IqType, Jid, Kind, MessageType, PresenceType, Refusal, Stanza, StanzaError, ns};
use proptest::prelude::*;

fn read(xml: &str, scope: &Scope) -> Result<Stanza, Refusal> {
    check(xml, scope, &Limits::DEFAULT).unwrap_or_else(|e| panic!("{xml}: {e}"));
    Stanza::parse(xml, scope)
}

fn client(xml: &str) -> Stanza {
    read(xml, &Scope::CLIENT).unwrap_or_else(|r| panic!("{xml}: {r:?}"))
}

fn written(stanza: &Stanza, xmlns: bool) -> String {
    let mut out = Vec::new();
    stanza.write(None, xmlns, &mut out);
    let out = String::from_utf8(out).unwrap();
    let scope = if xmlns { Scope::NONE } else { Scope::CLIENT };
    check(&out, &scope, &Limits::DEFAULT).unwrap_or_else(|e| panic!("{out}: {e}"));
    out
}

fn jid(s: &str) -> Jid {
    s.parse().unwrap()
}

#[test]
fn a_message() {
    let stanza = client(
        "<message xmlns='jabber:client' from='romeo@montague.lit/orchard' to='juliet@capulet.lit' \
         type='chat' id='k&apos;1' xml:lang='en'><body>Neither, &lt;fair> saint</body><x/></message>",
    );
    assert_eq!(stanza.kind, Kind::Message(MessageType::Chat));
    assert_eq!(
        (stanza.to.clone(), stanza.from.clone()),
        (Some(jid("juliet@capulet.lit")), Some(jid("romeo@montague.lit/orchard")))
    );
    assert_eq!(
        (stanza.id.as_deref(), stanza.lang.as_deref(), stanza.decls.as_deref()),
        (Some("k'1"), Some("en"), None)
    );
    assert_eq!(stanza.child("body", ns::CLIENT).unwrap().text(), "Neither, <fair> saint");
    assert_eq!(stanza.children().count(), 2);
    assert!(stanza.bytes_len() >= written(&stanza, true).len());
    let mut out = Vec::new();
    stanza.write(Some(&jid("juliet@capulet.lit/balcony")), false, &mut out);
    expect![[r#"<message from='romeo@montague.lit/orchard' to='juliet@capulet.lit/balcony' id='k&apos;1' type='chat' xml:lang='en'><body>Neither, &lt;fair> saint</body><x/></message>"#]]
        .assert_eq(std::str::from_utf8(&out).unwrap());
}

#[test]
fn every_type() {
    use {IqType as I, MessageType as M, PresenceType as P};
    let kinds = [
        Kind::Message(M::Normal),
        Kind::Message(M::Chat),
        Kind::Message(M::Groupchat),
        Kind::Message(M::Headline),
        Kind::Message(M::Error),
        Kind::Presence(P::Available),
        Kind::Presence(P::Unavailable),
        Kind::Presence(P::Subscribe),
        Kind::Presence(P::Subscribed),
        Kind::Presence(P::Unsubscribe),
        Kind::Presence(P::Unsubscribed),
        Kind::Presence(P::Probe),
        Kind::Presence(P::Error),
        Kind::Iq(I::Get),
        Kind::Iq(I::Set),
        Kind::Iq(I::Result),
        Kind::Iq(I::Error),
    ];
    for kind in kinds {
        let stanza = Stanza::new(kind).id("1");
        assert_eq!(client(&written(&stanza, false)), stanza);
        assert_eq!(read(&written(&stanza, true), &Scope::NONE), Ok(stanza));
    }
    assert_eq!(client("<message type='normal'/>").kind, Kind::Message(M::Normal));
    assert_eq!(client("<message type='tomorrow'/>").kind, Kind::Message(M::Normal));
}

/// A stanza, the surroundings it stood in, and how it is written where `jabber:client` is the default.
fn rewritten(xml: &str, scope: &Scope, expected: Expect) {
    let stanza = read(xml, scope).unwrap();
    let out = written(&stanza, false);
    expected.assert_eq(&out);
    assert_eq!(client(&out), stanza, "and it reads back the same");
    assert!(stanza.bytes_len() >= out.len());
}

#[test]
fn declarations_travel_along() {
    let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:e='urn:e' xmlns:f='urn:f'>";
    let scope = Scope::NONE.of_start_tag(header).unwrap();
    rewritten("<message><e:x/></message>", &scope, expect!["<message xmlns:e='urn:e'><e:x/></message>"]);
    rewritten(
        "<message f:a='1'><e:x f:b=''/></message>",
        &scope,
        expect!["<message xmlns:e='urn:e' xmlns:f='urn:f' f:a='1'><e:x f:b=''/></message>"],
    );
    rewritten(
        "<message><stream:x/></message>",
        &Scope::CLIENT,
        expect!["<message xmlns:stream='http://etherx.jabber.org/streams'><stream:x/></message>"],
    );
    rewritten("<message><x/></message>", &scope, expect!["<message><x/></message>"]);
    rewritten(
        "<message xmlns:e='urn:&amp;'><e:x/></message>",
        &scope,
        expect!["<message xmlns:e='urn:&amp;'><e:x/></message>"],
    );
    rewritten("<message q='&quot;&#10;'/>", &Scope::CLIENT, expect!["<message q='&quot;&#10;'/>"]);
}

#[test]
fn other_defaults_than_the_clients() {
    let c = "<s xmlns='urn:other' xmlns:c='jabber:client' xmlns:e='urn:e'>";
    let scope = Scope::NONE.of_start_tag(c).unwrap();
    rewritten(
        "<c:message><x a='1'><y/></x><c:body>t</c:body><z xmlns='urn:z'/></c:message>",
        &scope,
        expect![
            "<message xmlns:c='jabber:client'><x xmlns='urn:other' a='1'><y/></x><c:body xmlns='urn:other' xmlns:c='jabber:client'>t</c:body><z xmlns='urn:z'/></message>"
        ],
    );
    rewritten(
        "<c:message xmlns:c='jabber:client'><x/></c:message>",
        &Scope::NONE,
        expect!["<message xmlns:c='jabber:client'><x xmlns=''/></message>"],
    );
    let stanza = read("<c:message><c:body>t</c:body><x/></c:message>", &scope).unwrap();
    assert_eq!(stanza.child("body", ns::CLIENT).unwrap().text(), "t");
    assert!(stanza.child("x", "urn:other").is_some());
}

#[test]
fn in_boshs_namespace() {
    rewritten(
        "<message to='a'><body>t</body></message>",
        &Scope::HTTPBIND,
        expect!["<message to='a'><body>t</body></message>"],
    );
    let stanza = read("<message><body>t</body></message>", &Scope::HTTPBIND).unwrap();
    assert!(stanza.child("body", ns::CLIENT).is_some());
}

/// What comes back for what is refused.
fn refused(xml: &str, expected: Expect) {
    let refusal = read(xml, &Scope::CLIENT).expect_err(xml);
    expected.assert_eq(&match (&refusal.reply, refusal.stream) {
        (Some(reply), None) => written(reply, false),
        (None, fault) => format!("{fault:?}"),
        both => panic!("{both:?}"),
    });
}

#[test]
fn refusals() {
    refused(
        "<iq type='get'/>",
        expect![
            "<iq type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>An iq needs an id.</text></error></iq>"
        ],
    );
    refused(
        "<iq id='1'/>",
        expect![
            "<iq id='1' type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>This type is not defined for this stanza.</text></error></iq>"
        ],
    );
    refused(
        "<presence id='1' type='here'/>",
        expect![
            "<presence id='1' type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>This type is not defined for this stanza.</text></error></presence>"
        ],
    );
    refused(
        "<message id='1' to='a@@b'/>",
        expect![
            "<message id='1' type='error'><error type='modify'><jid-malformed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>The address in 'to' is no JID.</text></error></message>"
        ],
    );
    // Errors and results are never answered.
    refused("<message type='error' to=''/>", expect!["None"]);
    refused("<iq type='result'/>", expect!["None"]);
    refused("<message from='@'/>", expect!["Some(InvalidFrom)"]);
    refused("<note/>", expect!["Some(UnsupportedStanzaType)"]);
    refused("<Message/>", expect!["Some(UnsupportedStanzaType)"]);
    refused("<x xmlns='jabber:server'/>", expect!["Some(UnsupportedStanzaType)"]);
    refused("<message xmlns='jabber:server'/>", expect!["Some(InvalidNamespace)"]);
    refused("<message xmlns=''/>", expect!["Some(InvalidNamespace)"]);
    refused("<stream:message/>", expect!["Some(InvalidNamespace)"]);
    for unchecked in ["", "x", "<message", "<message a/>", "<message a='&x;'/>"] {
        let refusal = Stanza::parse(unchecked, &Scope::CLIENT).expect_err(unchecked);
        assert_eq!(refusal.stream, Some(StreamFault::NotWellFormed), "{unchecked}");
    }
}

#[test]
fn answers() {
    let get = client("<iq type='get' id='7' from='a@b/c' to='d'><ping xmlns='urn:xmpp:ping'/></iq>");
    assert!(get.is_request());
    let result = get.result("<pong/>");
    expect!["<iq from='d' to='a@b/c' id='7' type='result'><pong/></iq>"].assert_eq(&written(&result, false));
    assert_eq!(result.error(Condition::Gone.into()), None);
    let error = get.error(StanzaError::new(Condition::ServiceUnavailable)).unwrap();
    expect!["<iq from='d' to='a@b/c' id='7' type='error'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"]
        .assert_eq(&written(&error, false));
    assert_eq!(error.error(Condition::Gone.into()), None);
    for kind in ["<message type='chat'/>", "<presence/>", "<presence type='subscribe'/>"] {
        let error = client(kind).error(Condition::RecipientUnavailable.into()).unwrap();
        assert!(error.is_error());
        assert_eq!(error.stanza_error(), Some(Condition::RecipientUnavailable.into()));
    }
}

#[test]
fn every_error_is_read_as_it_was_written() {
    assert_eq!(Condition::ALL.len(), 22);
    let types = [ErrorType::Auth, ErrorType::Cancel, ErrorType::Continue, ErrorType::Modify, ErrorType::Wait];
    for &condition in Condition::ALL {
        assert_eq!(Condition::of_name(condition.name()), Some(condition));
        let usual = StanzaError::new(condition);
        let mut all = vec![usual.clone(), usual.clone().with_text("<why> & 'how'")];
        all.extend(types.map(|t| usual.clone().with_type(t)));
        for error in all {
            let answer = Stanza::new(Kind::Iq(IqType::Get)).id("1").error(error.clone()).unwrap();
            let back = client(&written(&answer, false));
            assert_eq!(back.stanza_error(), Some(error));
        }
    }
    let gone = StanzaError { uri: Some("xmpp:a@b?x&y".into()), ..Condition::Gone.into() };
    let answer = Stanza::new(Kind::Message(MessageType::Chat)).error(gone.clone()).unwrap();
    assert_eq!(client(&written(&answer, true)).stanza_error(), Some(gone));
}

#[test]
fn errors_of_others() {
    let read = |xml: &str| StanzaError::read(&Element::parse(xml, &Scope::CLIENT).unwrap());
    let s = ns::STANZA_ERRORS;
    assert_eq!(
        read(&format!("<error type='x'><conflict xmlns='{s}'/><app xmlns='u'/></error>")),
        Some(Condition::Conflict.into())
    );
    assert_eq!(
        read(&format!("<error type='wait'><new-one xmlns='{s}'/></error>")).unwrap().condition,
        Condition::UndefinedCondition
    );
    assert_eq!(
        read(&format!("<error><text xmlns='{s}'>t</text><gone xmlns='{s}'/></error>")).unwrap().text.as_deref(),
        Some("t")
    );
    assert_eq!(read("<error type='cancel'><conflict/></error>"), None);
    assert_eq!(read("<error/>"), None);
    assert_eq!(client("<message><error/></message>").stanza_error(), None);
}

/// Stanzas in odd but legal dress: prefixes here and there, entities, CDATA, foreign attributes.
fn dressed() -> impl Strategy<Value = (String, u8)> {
    let text = "[a-z '\"&<>\t\n\u{e9}\u{1f600}]{0,8}".prop_map(|t| herald_xmpp::xml::escape_attr(&t).into_owned());
    let attr = prop_oneof![
        Just(" to='a@b/c'".to_owned()),
        Just(" from=\"d@e\"".to_owned()),
        Just(" type='chat'".to_owned()),
        text.clone().prop_map(|t| format!(" id='{t}'")),
        Just(" xml:lang='de'".to_owned()),
        text.clone().prop_map(|t| format!(" own='{t}'")),
        text.clone().prop_map(|t| format!(" e:own='{t}'")),
        Just(" xmlns:e='urn:e2'".to_owned()),
        Just(" xmlns:g='urn:g'".to_owned()),
    ];
    let child = prop_oneof![
        text.clone().prop_map(|t| format!("<body>{t}</body>")),
        Just("<x xmlns='u'><y/></x>".to_owned()),
        Just("<e:x e:a='b'/>".to_owned()),
        Just("<x><e:y><stream:z/></e:y></x>".to_owned()),
        Just("<x xmlns:e='urn:e3'><e:y/></x>".to_owned()),
        Just("<![CDATA[<e:]]>".to_owned()),
        Just("<c:body xmlns='v'>t<i/></c:body>".to_owned()),
        text,
    ];
    let parts = (prop::collection::vec(attr, 0..5), prop::collection::vec(child, 0..4), 0..4u8);
    parts.prop_map(|(mut attrs, children, place)| {
        let key = |a: &String| a.split('=').next().unwrap_or_default().to_owned();
        attrs.sort_by_key(key);
        attrs.dedup_by_key(|a| key(a));
        let (attrs, children) = (attrs.concat(), children.concat());
        let name = if place == 3 { "c:message" } else { "message" };
        (format!("<{name}{attrs}>{children}</{name}>"), place)
    })
}

/// Everything an element says, order of attributes aside.
fn told(element: &Element<'_>) -> String {
    let mut attrs: Vec<String> = element.attrs().map(|(ns, n, v)| format!("{ns}|{n}={v:?}")).collect();
    attrs.sort();
    let children: Vec<String> = element.children().map(|c| told(&c)).collect();
    format!("({}|{} {attrs:?} {:?} {children:?})", element.ns(), element.name(), element.text())
}

#[test]
fn what_is_written_reads_the_same() {
    let surroundings = |default: &str| {
        format!(
            "<s xmlns='{default}' xmlns:c='jabber:client' xmlns:e='urn:e' xmlns:stream='http://etherx.jabber.org/streams'>"
        )
    };
    seeded::check(4_000, dressed(), |(xml, place)| {
        let default = if place == 3 { "urn:other" } else { ns::CLIENT };
        let scope = Scope::NONE.of_start_tag(&surroundings(default)).unwrap();
        let stanza = read(&xml, &scope).unwrap();
        let again = client(&written(&stanza, false));
        prop_assert_eq!(&again, &stanza, "{}", xml);
        prop_assert_eq!(&read(&written(&stanza, true), &Scope::NONE).unwrap(), &stanza);
        // And it means what the original meant: children by name, namespace, attributes, text.
        let original = Element::parse(&xml, &scope).unwrap();
        let before: Vec<String> = original.children().map(|c| told(&c)).collect();
        let after: Vec<String> = again.children().map(|c| told(&c)).collect();
        prop_assert_eq!(before, after, "{}", xml);
        for child in original.children() {
            let alone = child.self_contained();
            prop_assert_eq!(check(&alone, &Scope::NONE, &Limits::DEFAULT), Ok(()), "{}", alone);
            prop_assert_eq!(told(&Element::parse(&alone, &Scope::HTTPBIND).unwrap()), told(&child), "{}", alone);
        }
        Ok(())
    });
}
