//! Tokens in place of passwords: OAUTHBEARER (RFC 7628) and SCRAM with one-time tokens.

use crate::script::{Run, check};
use expect_test::expect;
use herald_xmpp::sasl::MESSAGE_BYTES_MAX;
use herald_xmpp::sasl::bearer::Bearer;

#[test]
fn the_messages_of_the_rfc() {
    // RFC 7628 sections 4.1 and 4.3, and what else its grammar allows.
    let table = [
        (
            "n,a=user@example.com,^Ahost=server.example.com^Aport=143^Aauth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==^A^A",
            "user@example.com",
            "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==",
        ),
        ("n,a=user@example.com,^Ahost=server.example.com^Aport=143^Aauth=^A^A", "user@example.com", ""),
        ("n,,^Aauth=Bearer t^A^A", "", "t"),
        ("y,,^Aauth=bearer   t^A^A", "", "t"),
        ("n,a=a=2Cb=3Dc@x,^Aauth=Bearer a-._~+/1==^Axoauth=whatever it says^A^A", "a,b=c@x", "a-._~+/1=="),
    ];
    for (message, authzid, token) in table {
        let bearer = Bearer::parse(message.replace("^A", "\x01").as_bytes()).expect(message);
        assert_eq!((&*bearer.authzid, bearer.token.as_str()), (authzid, token), "{message}");
        assert!(!format!("{bearer:?}").contains("vF9"), "tokens stay out of logs");
    }
}

#[test]
fn messages_that_are_none() {
    let long = format!("n,,^Aauth=Bearer {}^A^A", "x".repeat(MESSAGE_BYTES_MAX));
    let table = [
        "",
        "^A",
        "n,,",
        "n,,^A",
        "n,,^A^A",
        "n,,^A^A^A",
        "n,,auth=Bearer t^A^A",
        "n,,^Aauth=Bearer t",
        "n,,^Aauth=Bearer t^A",
        "n,,^Aauth=Bearer t^A^A^A",
        "n,,^A^Aauth=Bearer t^A^A",
        "n,,^Aauth^A^A",
        "n,,^A=Bearer t^A^A",
        "n,,^Aau1h=Bearer t^A^A",
        "n,,^Aauth=Bearer t^Aport=\u{e9}^A^A",
        "n,,^Aauth=Bearer t^Aauth=Bearer t^A^A",
        "n,,^Aauth=Bearer^A^A",
        "n,,^Aauth=Bearer ^A^A",
        "n,,^Aauth=Basic t^A^A",
        "n,,^Aauth=Bearer t t^A^A",
        "n,,^Aauth=Bearer t,^A^A",
        "n,,^Ahost=localhost^A^A",
        "p=tls-exporter,,^Aauth=Bearer t^A^A",
        "F,n,,^Aauth=Bearer t^A^A",
        "x,,^Aauth=Bearer t^A^A",
        "n,user,^Aauth=Bearer t^A^A",
        "n,a=,^Aauth=Bearer t^A^A",
        "n,a=u=ser,^Aauth=Bearer t^A^A",
        "n,,^Aauth=Bearer t\0^A^A",
        &long,
    ];
    for message in table {
        let found = Bearer::parse(message.replace("^A", "\x01").as_bytes());
        assert_eq!(found.map_err(|f| f.condition.name()), Err("malformed-request"), "{message}");
    }
    assert!(Bearer::parse(b"n,,\x01auth=Bearer \xff\x01\x01").is_err());
}

#[test]
fn a_token_lets_in_whom_it_belongs_to() {
    check(
        "tcp tls
        open to='localhost' version='1.0'
        auth OAUTHBEARER n,,^Ahost=localhost^Aport=5222^Aauth=Bearer ticket^A^A
        owner romeo@localhost
        open to='localhost' version='1.0'
        <iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>OAUTHBEARER</mechanism></mechanisms></stream:features>
            whose ticket (any)
            <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
            restart
            open from=localhost id=WAi-xK1RRl1oN0oQeaWq2nCP lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session><ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/></stream:features>
            bind romeo@localhost (any)
        "#]],
    );
}

#[test]
fn a_refused_token_is_explained_first() {
    check(
        "tcp tls
        open to='localhost' version='1.0'
        auth OAUTHBEARER n,a=juliet@localhost,^Aauth=Bearer old^A^A
        nobodys
        response ^A
        auth OAUTHBEARER n,,^Aauth=^A^A
        nobodys
        <abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
        auth OAUTHBEARER n,a=juliet@example.com,^Aauth=Bearer t^A^A
        auth OAUTHBEARER n,,^Aauth=Bearer t^A^A
        store-failed",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>OAUTHBEARER</mechanism></mechanisms></stream:features>
            whose old juliet@localhost
            <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[{"status":"invalid_token"}]</challenge>
            <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text xml:lang='en'>The token is not valid.</text></failure>
            whose  (any)
            <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[{"status":"invalid_token"}]</challenge>
            <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><aborted/><text xml:lang='en'>Aborted.</text></failure>
            <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-authzid/><text xml:lang='en'>The authorization identity must be the bare JID of the same user, or empty.</text></failure>
            whose t (any)
            <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><temporary-auth-failure/><text xml:lang='en'>Try again later.</text></failure>
            error policy-violation: Too many failed logins.
            close
            ended
        "#]],
    );
}

#[test]
fn a_one_time_token_is_taken_before_its_user_is_let_in() {
    for (end, taken) in [("right", true), ("wrong", false), ("store-failed", false)] {
        let mut run = Run::new("tcp tls");
        run.line("open to='localhost' version='1.0'");
        run.line("scram ticket account-or ticket");
        assert!(run.stream.waiting(), "{}", run.transcript);
        assert!(run.transcript.ends_with("take ticket juliet@localhost\n"), "{}", run.transcript);
        run.line(end);
        assert_eq!(run.transcript.ends_with("restart\n"), taken, "{}", run.transcript);
    }
}

#[test]
fn beside_a_token_the_password_is_as_good_as_before() {
    let mut run = Run::new("tcp tls");
    run.line("open to='localhost' version='1.0'");
    run.line("scram pencil account-or ticket");
    assert!(run.transcript.ends_with("restart\n"), "{}", run.transcript);
    assert!(!run.transcript.contains("take"), "{}", run.transcript);
}
