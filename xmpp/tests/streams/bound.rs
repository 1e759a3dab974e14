//! Stanzas of a bound client.

use crate::script::{Run, check};
use expect_test::expect;
use herald_xmpp::stream::c2s::Stream;

fn bound(lang: &str) -> Run {
    let mut run = Run::new("tcp tls");
    run.line("open to='localhost' version='1.0'");
    run.line("login PLAIN juliet pencil");
    run.line(&format!("open to='localhost' version='1.0' {lang}"));
    run.line("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    run.line("bound juliet@localhost/balcony");
    run.transcript.clear();
    run
}

#[test]
fn a_bound_stream_is_small() {
    assert!(size_of::<Stream>() < 200, "{}", size_of::<Stream>());
}

#[test]
fn from_is_stamped_and_a_forged_one_ends_the_stream() {
    let table = [
        ("", true),
        ("from='juliet@localhost/balcony'", true),
        ("from='juliet@localhost'", true),
        ("from='Juliet@LOCALHOST'", true),
        ("from='juliet@localhost/other'", false),
        ("from='romeo@localhost'", false),
        ("from='localhost'", false),
        ("from='juliet@example.com/balcony'", false),
        ("from='@'", false),
    ];
    for (from, ok) in table {
        for (start, end) in [
            ("<message to='romeo@localhost' ", "/>"),
            ("<presence ", "/>"),
            ("<iq type='get' id='1' ", "><q xmlns='urn:q'/></iq>"),
        ] {
            let mut run = bound("");
            run.line(&format!("{start}{from}{end}"));
            if ok {
                let name = start.split(' ').next().unwrap();
                assert!(
                    run.transcript.starts_with(&format!("{name} from='juliet@localhost/balcony'")),
                    "{}",
                    run.transcript
                );
                assert_eq!(run.transcript.lines().count(), 1);
            } else {
                assert!(run.transcript.starts_with("error invalid-from"), "{from}: {}", run.transcript);
                assert!(run.transcript.ends_with("close\nended\n"));
            }
        }
    }
}

#[test]
fn the_language_of_the_header_is_the_default() {
    for (header, stanza, expected) in [
        ("", "", ""),
        ("xml:lang='it'", "", " xml:lang='it'"),
        ("xml:lang='it'", "xml:lang='en'", " xml:lang='en'"),
        ("xml:lang='no_tag'", "", ""),
        ("xml:lang='x-0123456789-0123456789-0123456789-0123456789'", "", ""),
    ] {
        let mut run = bound(header);
        run.line(&format!("<presence {stanza}/>"));
        assert_eq!(
            run.transcript,
            format!("<presence from='juliet@localhost/balcony'{expected}/>\n"),
            "{header} {stanza}"
        );
    }
}

#[test]
fn what_is_answered_here() {
    check(
        "tcp tls
        open to='localhost' version='1.0'
        login PLAIN juliet pencil
        open to='localhost' version='1.0'
        <iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>
        bound juliet@localhost/balcony
        <iq type='set' id='s1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>
        <iq type='set' id='s2' to='localhost'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>
        <iq type='set' id='s3' to='romeo@localhost'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>
        <iq type='set' id='b2'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>second</resource></bind></iq>
        <iq type='get'><query xmlns='jabber:iq:roster'/></iq>
        <iq type='gat' id='1'><query xmlns='jabber:iq:roster'/></iq>
        <iq type='result'/>
        <presence type='here'/>
        <message to='a@b@c'><body>x</body></message>
        <message type='error' to='@'/>
        <message type='unheard-of' to='romeo@localhost' id='m'><body>x</body></message>
        <iq type='get' id='r1'><query xmlns='jabber:iq:roster'/></iq>",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>OAUTHBEARER</mechanism></mechanisms></stream:features>
            check juliet@localhost pencil
            <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
            restart
            open from=localhost id=WAi-xK1RRl1oN0oQeaWq2nCP lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session><ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/></stream:features>
            bind juliet@localhost (any)
            <iq xmlns='jabber:client' id='b' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@localhost/balcony</jid></bind></iq>
            <iq xmlns='jabber:client' id='s1' type='result'/>
            <iq xmlns='jabber:client' id='s2' type='result'/>
            <iq from='juliet@localhost/balcony' to='romeo@localhost' id='s3' type='set'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>
            <iq xmlns='jabber:client' id='b2' type='error'><error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>A resource is bound already.</text></error></iq>
            <iq xmlns='jabber:client' type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>An iq needs an id.</text></error></iq>
            <iq xmlns='jabber:client' id='1' type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>This type is not defined for this stanza.</text></error></iq>
            <presence xmlns='jabber:client' type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>This type is not defined for this stanza.</text></error></presence>
            <message xmlns='jabber:client' type='error'><error type='modify'><jid-malformed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>The address in 'to' is no JID.</text></error></message>
            <message from='juliet@localhost/balcony' to='romeo@localhost' id='m'><body>x</body></message>
            <iq from='juliet@localhost/balcony' id='r1' type='get'><query xmlns='jabber:iq:roster'/></iq>
        "#]],
    );
}

#[test]
fn elements_that_are_no_stanzas_end_the_stream() {
    for (element, expected) in [
        ("<x/>", "unsupported-stanza-type"),
        ("<x xmlns='urn:x'/>", "unsupported-stanza-type"),
        ("<error/>", "unsupported-stanza-type"),
        ("<message xmlns='urn:x'/>", "invalid-namespace"),
        ("<iq xmlns='jabber:server' type='get' id='1'/>", "invalid-namespace"),
        ("<stream:features/>", "unsupported-stanza-type"),
    ] {
        let mut run = bound("");
        run.line(element);
        assert_eq!(run.transcript, format!("error {expected}\nclose\nended\n"), "{element}");
    }
}
