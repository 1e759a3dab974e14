//! Opening and closing a stream.

use crate::script::{Run, check};
use expect_test::expect;

#[test]
fn headers_that_are_refused() {
    let table = [
        ("tcp tls", "to='localhost' version='1.0'", ""),
        ("tcp tls", "to='LocalHost' version='1.1'", ""),
        ("tcp tls", "to='localhost' version='2.0'", ""),
        ("tcp tls", "to='localhost' version='1.0' xmlns=''", ""),
        ("tcp tls", "to='localhost' version='1.0' xmlns='http://etherx.jabber.org/streams'", ""),
        ("tcp tls", "to='localhost' version='1.0' xmlns='jabber:server'", "invalid-namespace"),
        ("tcp tls", "to='localhost' version='1.0' xmlns='urn:x'", "invalid-namespace"),
        ("tcp tls", "to='localhost'", "unsupported-version"),
        ("ws", "to='localhost'", "unsupported-version"),
        ("tcp tls", "to='localhost' version='0.9'", "unsupported-version"),
        ("tcp tls", "version='1.0'", "improper-addressing"),
        ("ws", "version='1.0'", "improper-addressing"),
        ("tcp tls", "to='@' version='1.0'", "improper-addressing"),
        ("tcp tls", "to='example.com' version='1.0'", "host-unknown"),
        ("bosh", "to='example.com' version='1.0'", "host-unknown"),
        ("tcp tls", "to='juliet@localhost' version='1.0'", "host-unknown"),
        ("tcp tls", "to='localhost/x' version='1.0'", "host-unknown"),
        // BOSH may leave out more.
        ("bosh", "to='localhost'", ""),
        ("bosh", "", ""),
        ("bosh", "version='0.9'", "unsupported-version"),
    ];
    for (transport, header, expected) in table {
        let mut run = Run::new(transport);
        run.line(&format!("open {header}"));
        let lines: Vec<_> = run.transcript.lines().collect();
        assert!(lines[0].starts_with("open from=localhost id="), "our header is the first word: {lines:?}");
        if expected.is_empty() {
            assert!(lines.len() == 2 && lines[1].starts_with("<stream:features"), "{transport} {header}: {lines:?}");
        } else {
            let error = lines[1].split(':').next().unwrap();
            assert_eq!((error, &lines[2..]), (format!("error {expected}").as_str(), &["close", "ended"][..]));
        }
    }
}

#[test]
fn from_is_given_back_only_when_it_can_be() {
    for (from, given_back) in [
        ("juliet@localhost", " to=juliet@localhost "),
        ("Juliet@localhost", " to=juliet@localhost "),
        ("juliet@localhost/x", " "),
        ("juliet@example.com", " "),
        ("localhost", " "),
        ("@", " "),
    ] {
        let mut run = Run::new("tcp tls");
        run.line(&format!("open to='localhost' version='1.0' from='{from}'"));
        assert!(run.transcript.starts_with(&format!("open from=localhost{given_back}id=")), "{}", run.transcript);
    }
}

#[test]
fn every_stream_has_an_id_of_its_own() {
    let mut run = Run::new("tcp");
    for line in [
        "open to='localhost' version='1.0'",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "secured",
        "open to='localhost' version='1.0'",
        "login SCRAM-SHA-1 juliet pencil",
        "open to='localhost' version='1.0'",
    ] {
        run.line(line);
    }
    let mut ids: Vec<_> =
        run.transcript.lines().filter_map(|l| l.split("id=").nth(1)?.split(' ').next().map(str::to_owned)).collect();
    assert_eq!(ids.len(), 3);
    ids.dedup();
    ids.sort();
    ids.dedup();
    assert!(ids.len() == 3 && ids.iter().all(|id| id.len() == 24), "{ids:?}");
}

#[test]
fn an_end_at_any_moment() {
    let open = "open to='localhost' version='1.0'";
    let login = "login PLAIN juliet pencil";
    let auth = "auth SCRAM-SHA-1 n,,n=juliet,r=x";
    let bind = "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    let tls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    // the steps, and is our header out when they are done?
    let table: &[(&str, &[&str], bool)] = &[
        ("tcp tls", &[], false),
        ("tcp tls", &[open], true),
        ("tcp", &[open, tls], true),
        ("tcp", &[open, tls, "secured"], false),
        ("tcp tls", &[open, auth], true),
        ("tcp tls", &[open, auth, "account"], true),
        ("tcp tls", &[open, login], false),
        ("tcp tls", &[open, login, open], true),
        ("tcp tls", &[open, login, open, bind], true),
        ("tcp tls", &[open, login, open, bind, "bound juliet@localhost/x"], true),
    ];
    for (transport, steps, is_open) in table {
        for end in ["close", "fail system-shutdown", "<error xmlns='http://etherx.jabber.org/streams'/>"] {
            let mut run = Run::new(transport);
            steps.iter().for_each(|step| run.line(step));
            if end.starts_with('<') && (!is_open || run.stream.waiting()) {
                continue; // an element may not come there
            }
            run.transcript.clear();
            run.line(end);
            let mut expected = String::new();
            if end.starts_with("fail") {
                if !is_open {
                    assert!(run.transcript.starts_with("open from=localhost"));
                    expected = run.transcript.lines().next().unwrap().to_owned() + "\n";
                }
                expected.push_str("error system-shutdown\nclose\n");
            } else if *is_open {
                expected.push_str("close\n");
            }
            assert_eq!(run.transcript, expected + "ended\n", "{steps:?} {end}");
            // Nothing happens any more.
            run.transcript.clear();
            for line in
                [open, "close", "fail conflict", "account", "right", "bound a@localhost/b", "secured", "tick 99", bind]
            {
                run.line(line);
            }
            assert_eq!(run.transcript, "");
        }
    }
}

#[test]
fn the_clients_own_stream_error_is_not_answered_with_one() {
    check(
        "ws
        open to='localhost' version='1.0'
        <stream:error xmlns:stream='http://etherx.jabber.org/streams'><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>
            close
            ended
        "#]],
    );
}
