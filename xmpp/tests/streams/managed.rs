//! Stream management (XEP-0198) as a client asks for it.

use crate::script::{Run, check};
use expect_test::{Expect, expect};

const SM: &str = "xmlns='urn:xmpp:sm:3'";

/// Everything behind the login, and behind binding when `bind`.
fn after_login(first_line: &str, bind: bool, lines: &[&str], transcript: Expect) {
    let mut run = Run::new(first_line);
    run.line("open to='localhost' version='1.0'");
    run.line("login PLAIN juliet pencil");
    run.line("open to='localhost' version='1.0'");
    if bind {
        run.line("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
        run.line("bound juliet@localhost/balcony");
        run.transcript.clear();
    } else {
        assert_eq!(run.transcript.contains("<sm xmlns='urn:xmpp:sm:3'/>"), first_line != "bosh tls sm");
        run.transcript.clear();
    }
    lines.iter().for_each(|line| run.line(&line.replace("SM", SM)));
    transcript.assert_eq(&run.transcript);
}

#[test]
fn stanzas_are_counted_from_the_request_on_whatever_becomes_of_them() {
    let lines = [
        "<presence/>",
        "<enable SM resume='1' max='60'/>",
        "enabled some-id 50",
        "<r SM/>",
        "<message to='romeo@localhost'/>",
        "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
        "<iq type='nonsense' id='n'/>",
        "<iq type='result' id='herald-ping'/>",
        "<x:r xmlns:x='urn:xmpp:sm:3'></x:r>",
        "<a SM h='17'/>",
    ];
    after_login(
        "tcp tls sm",
        true,
        &lines,
        expect![[r#"
        <presence from='juliet@localhost/balcony'/>
        enable Some(60)
        <enabled xmlns='urn:xmpp:sm:3' id='some-id' resume='true' max='50'/>
        <a xmlns='urn:xmpp:sm:3' h='0'/>
        <message from='juliet@localhost/balcony' to='romeo@localhost'/>
        <iq xmlns='jabber:client' id='s' type='result'/>
        <iq xmlns='jabber:client' id='n' type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>This type is not defined for this stanza.</text></error></iq>
        <a xmlns='urn:xmpp:sm:3' h='4'/>
        acked 17
    "#]],
    );
}

#[test]
fn without_a_word_of_resuming_it_is_not_resumable() {
    for lines in [["<enable SM/>", "enabled"], ["<enable SM resume='false'/>", "enabled"]] {
        after_login(
            "tcp tls sm",
            true,
            &lines,
            expect![[r#"
            enable None
            <enabled xmlns='urn:xmpp:sm:3'/>
        "#]],
        );
    }
}

#[test]
fn what_comes_at_the_wrong_time_fails_and_the_stream_goes_on() {
    let lines =
        ["<r SM/>", "<a SM h='1'/>", "<resume SM previd='x' h='0'/>", "<enable SM/>", "enabled", "<enable SM/>"];
    after_login(
        "tcp tls sm",
        true,
        &lines,
        expect![[r#"
        <failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
        <failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
        <failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
        enable None
        <enabled xmlns='urn:xmpp:sm:3'/>
        <failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
    "#]],
    );
    let lines = ["<enable SM/>", "<r SM/>", "<resume SM h='0'/>", "<resume SM previd='x' h='-1'/>"];
    after_login(
        "tcp tls sm",
        false,
        &lines,
        expect![[r#"
        <failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
        <failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
        <failed xmlns='urn:xmpp:sm:3'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
        <failed xmlns='urn:xmpp:sm:3'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
    "#]],
    );
    check(
        "tcp tls sm no-extras
         open to='localhost' version='1.0'
         <enable xmlns='urn:xmpp:sm:3'/>",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>OAUTHBEARER</mechanism></mechanisms></stream:features>
            <failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
        "#]],
    );
}

#[test]
fn a_stream_is_resumed_instead_of_binding() {
    let lines = [
        "<resume SM previd='gone' h='1'/>",
        "not-resumed item-not-found 12",
        "<resume SM previd='here' h='4294967295'/>",
        "resumed juliet@localhost/balcony 4294967295",
        "<r SM/>",
        "<message/>",
        "<r SM/>",
        "<enable SM/>",
    ];
    after_login(
        "tcp tls sm",
        false,
        &lines,
        expect![[r#"
        resume juliet@localhost gone 1
        <failed xmlns='urn:xmpp:sm:3' h='12'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
        resume juliet@localhost here 4294967295
        <resumed xmlns='urn:xmpp:sm:3' h='4294967295' previd='here'/>
        <a xmlns='urn:xmpp:sm:3' h='4294967295'/>
        <message from='juliet@localhost/balcony'/>
        <a xmlns='urn:xmpp:sm:3' h='0'/>
        <failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
    "#]],
    );
}

#[test]
fn what_counts_nothing_ends_the_stream() {
    for wrong in ["<a SM/>", "<a SM h='4294967296'/>", "<a SM h='-1'/>", "<a SM h='x'/>"] {
        after_login(
            "tcp tls sm",
            true,
            &["<enable SM/>", "enabled", wrong],
            expect![[r#"
            enable None
            <enabled xmlns='urn:xmpp:sm:3'/>
            error bad-format: An acknowledgement says how many: h, from 0 to 4294967295.
            close
            ended
        "#]],
        );
    }
    after_login(
        "tcp tls sm",
        true,
        &["<sm SM/>"],
        expect![[r#"
        error unsupported-stanza-type
        close
        ended
    "#]],
    );
    for wrong in ["<enable SM max='0'/>", "<enable SM max='-3'/>", "<enable SM resume='yes'/>"] {
        after_login(
            "tcp tls sm",
            true,
            &[wrong],
            expect![[r#"
            <failed xmlns='urn:xmpp:sm:3'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
        "#]],
        );
    }
}

#[test]
fn bosh_has_none_of_it() {
    after_login(
        "bosh tls sm",
        true,
        &["<enable SM/>"],
        expect![[r#"
        error unsupported-stanza-type
        close
        ended
    "#]],
    );
    after_login(
        "bosh tls sm",
        false,
        &["<resume SM previd='x' h='0'/>"],
        expect![[r#"
        error unsupported-stanza-type
        close
        ended
    "#]],
    );
}

#[test]
fn tries_to_resume_are_bounded() {
    let tries = ["<resume SM previd='x' h='0'/>", "not-resumed item-not-found"].repeat(9);
    let mut run = Run::new("tcp tls sm");
    run.line("open to='localhost' version='1.0'");
    run.line("login PLAIN juliet pencil");
    run.line("open to='localhost' version='1.0'");
    tries.iter().for_each(|line| run.line(&line.replace("SM", SM)));
    assert_eq!(run.transcript.matches("resume juliet@localhost x 0").count(), 8);
    assert!(run.transcript.contains("error policy-violation"), "{}", run.transcript);
}
