//! TLS and logging in: what goes right, and every way it goes wrong.

use crate::script::{Run, check, settings};
use expect_test::expect;
use herald_xmpp::sasl::Mechanism;
use herald_xmpp::stream::c2s::{Input, Settings};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

#[test]
fn starttls_then_scram_plus_then_bind() {
    check(
        "tcp
        open to='localhost' version='1.0' from='juliet@localhost' xml:lang='it'
        <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
        exporter
        open to='localhost' version='1.0'
        login SCRAM-SHA-256-PLUS juliet pencil
        open to='localhost' version='1.0' xml:lang='it'
        <iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>
        bound juliet@localhost/balcony
        <message to='romeo@localhost'><body>O</body></message>
        close",
        expect![[r#"
            open from=localhost to=juliet@localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>
            <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
            start tls
            open from=localhost id=WAi-xK1RRl1oN0oQeaWq2nCP lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>OAUTHBEARER</mechanism></mechanisms><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding></stream:features>
            lookup juliet@localhost SCRAM-SHA-256-PLUS
            <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[r=cnonceZEEcwzRXHKXLK7ef6KC0_dff,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=16]</challenge>
            <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[v=RQUoWSKDLyFWKHWnlEe7yaLclk7bUMupdsUEa9B2TCo=]</success>
            restart
            open from=localhost id=ThNFPYvwT2GT-Uv6vPyJo3Mx lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session><ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/></stream:features>
            bind juliet@localhost balcony
            <iq xmlns='jabber:client' id='b1' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@localhost/balcony</jid></bind></iq>
            <message from='juliet@localhost/balcony' to='romeo@localhost' xml:lang='it'><body>O</body></message>
            close
            ended
        "#]],
    );
}

#[test]
fn plain_over_tls() {
    check(
        "tcp tls
        open to='localhost' version='1.0'
        login PLAIN juliet pencil
        open to='localhost' version='1.0'
        <iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>
        bound juliet@localhost/x1",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>OAUTHBEARER</mechanism></mechanisms></stream:features>
            check juliet@localhost pencil
            <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
            restart
            open from=localhost id=WAi-xK1RRl1oN0oQeaWq2nCP lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session><ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/></stream:features>
            bind juliet@localhost (any)
            <iq xmlns='jabber:client' id='b1' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@localhost/x1</jid></bind></iq>
        "#]],
    );
}

#[test]
fn each_mechanism_without_an_initial_response() {
    let table = [
        ("PLAIN", "\0juliet\0pencil"),
        ("SCRAM-SHA-1", "n,,n=juliet,r=cnonce"),
        ("OAUTHBEARER", "n,,^Aauth=Bearer ticket^A^A"),
    ];
    for (mechanism, first) in table {
        let mut run = Run::new("tcp tls");
        run.line("open to='localhost' version='1.0'");
        run.transcript.clear();
        run.element(&format!("<auth xmlns='{SASL}' mechanism='{mechanism}'/>"));
        assert_eq!(run.transcript, format!("<challenge xmlns='{SASL}'/>\n"));
        assert!(!run.stream.waiting());
        run.line(&format!("response {first}"));
        assert!(run.stream.waiting(), "{}", run.transcript);
    }
}

#[test]
fn every_mechanism_lets_in() {
    for mechanism in Mechanism::ALL {
        let mut run = Run::new("tcp");
        run.line("exporter");
        run.line("open to='localhost' version='1.0'");
        run.line(&format!("login {mechanism} juliet pencil"));
        assert!(run.transcript.ends_with("restart\n"), "{mechanism}: {}", run.transcript);
    }
}

#[test]
fn what_is_offered() {
    // the transport, what comes before the header, the mechanisms; + for XEP-0440, T for STARTTLS
    let table = [
        ("tcp", "", "T"),
        ("tcp starttls-offered", "", "T SCRAM-SHA-256 SCRAM-SHA-1"),
        ("tcp starttls-off", "", "SCRAM-SHA-256 SCRAM-SHA-1"),
        ("tcp starttls-off loopback", "", "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN OAUTHBEARER"),
        ("tcp loopback", "", "T"),
        ("tcp tls", "", "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN OAUTHBEARER"),
        ("tcp", "secured", "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN OAUTHBEARER"),
        ("tcp", "exporter", "+ SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 PLAIN OAUTHBEARER"),
        ("tcp sha256-only", "exporter", "SCRAM-SHA-256"),
        ("ws", "", "SCRAM-SHA-256 SCRAM-SHA-1"),
        ("ws", "exporter", "+ SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 PLAIN OAUTHBEARER"),
        ("ws loopback", "", "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN OAUTHBEARER"),
        ("bosh", "", "SCRAM-SHA-256 SCRAM-SHA-1"),
        ("bosh", "exporter", "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN OAUTHBEARER"),
    ];
    for (transport, before, expected) in table {
        let mut run = Run::new(transport);
        if !before.is_empty() {
            run.line(before);
        }
        run.line("open to='localhost' version='1.0'");
        let features = run.transcript;
        let mut found = vec![];
        found.extend(features.contains("<starttls").then_some("T"));
        found.extend(features.contains("<channel-binding type='tls-exporter'/>").then_some("+"));
        found.extend(features.split("<mechanism>").skip(1).filter_map(|m| m.split('<').next()));
        assert_eq!(found.join(" "), expected, "{transport} {before}");
        assert_eq!(features.contains("<required/>"), expected == "T", "{transport} {before}");
    }
}

/// What a stranger says to a stream with a login offered, and the condition it gets.
#[test]
fn failures_have_their_conditions() {
    let auth = |attributes: &str, text: &str| format!("<auth xmlns='{SASL}' {attributes}>{text}</auth>");
    let long = auth("mechanism='PLAIN'", &"A".repeat(12000));
    let table: &[(&str, &[&str], &str)] = &[
        ("tcp tls", &["login PLAIN juliet wrong"], "not-authorized"),
        ("tcp tls", &["login PLAIN nobody pencil"], "not-authorized"),
        ("tcp tls", &["login SCRAM-SHA-256 juliet wrong"], "not-authorized"),
        ("tcp tls", &["login SCRAM-SHA-256 nobody pencil"], "not-authorized"),
        ("tcp tls", &["login SCRAM-SHA-1 nobody pencil"], "not-authorized"),
        ("tcp tls", &["auth PLAIN \\0ju liet\\0pencil"], "not-authorized"),
        ("tcp tls", &["auth PLAIN romeo@localhost\\0juliet\\0pencil"], "invalid-authzid"),
        ("tcp tls", &["auth SCRAM-SHA-1 n,a=romeo@localhost,n=juliet,r=x"], "invalid-authzid"),
        ("tcp tls", &["auth PLAIN juliet"], "malformed-request"),
        ("tcp tls", &["auth SCRAM-SHA-1 rubbish"], "malformed-request"),
        ("tcp tls", &["auth SCRAM-SHA-1 n,,n=juliet,r=x", "account", "response rubbish"], "malformed-request"),
        ("tcp tls", &["response n,,n=juliet,r=x"], "malformed-request"),
        ("tcp tls", &["auth SCRAM-SHA-1 n,,n=juliet,r=x", "account", "auth PLAIN x"], "malformed-request"),
        ("tcp tls", &[&auth("mechanism='PLAIN'", "=")], "malformed-request"),
        ("tcp tls", &[&long], "malformed-request"),
        ("tcp tls", &[&auth("mechanism='PLAIN'", "AGE")], "incorrect-encoding"),
        ("tcp tls", &[&auth("mechanism='PLAIN'", "AG E=")], "incorrect-encoding"),
        ("tcp tls", &[&auth("mechanism='PLAIN'", "AG==E")], "incorrect-encoding"),
        ("tcp tls", &[&auth("mechanism='CRAM-MD5'", "")], "invalid-mechanism"),
        ("tcp tls", &[&auth("mechanism='plain'", "")], "invalid-mechanism"),
        ("tcp tls", &[&auth("", "")], "invalid-mechanism"),
        ("tcp tls sha256-only", &["auth PLAIN \\0juliet\\0pencil"], "invalid-mechanism"),
        ("tcp tls", &["auth SCRAM-SHA-1-PLUS p=tls-exporter,,n=juliet,r=x"], "invalid-mechanism"),
        ("bosh", &["auth SCRAM-SHA-1-PLUS p=tls-exporter,,n=juliet,r=x"], "invalid-mechanism"),
        ("tcp", &["auth SCRAM-SHA-1 n,,n=juliet,r=x"], "encryption-required"),
        ("ws", &["auth PLAIN \\0juliet\\0pencil"], "encryption-required"),
        ("bosh", &["auth PLAIN \\0juliet\\0pencil"], "encryption-required"),
        ("tcp tls", &["auth PLAIN \\0juliet\\0pencil", "store-failed"], "temporary-auth-failure"),
        ("tcp tls", &["auth SCRAM-SHA-1 n,,n=juliet,r=x", "store-failed"], "temporary-auth-failure"),
        ("tcp tls", &["<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"], "aborted"),
        (
            "tcp tls",
            &["auth SCRAM-SHA-1 n,,n=juliet,r=x", "account", "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"],
            "aborted",
        ),
    ];
    for (transport, lines, expected) in table {
        let mut run = Run::new(transport);
        run.line("open to='localhost' version='1.0'");
        lines.iter().for_each(|line| run.line(line));
        let last = run.transcript.lines().last().unwrap();
        let start = format!("<failure xmlns='{SASL}'><{expected}/>");
        assert!(last.starts_with(&start), "{transport} {lines:?} gave {last}");
        // Another try is welcome.
        assert!(!run.stream.ended() && !run.stream.waiting());
        if *transport == "tcp tls" {
            run.line("login SCRAM-SHA-256 juliet pencil");
            assert!(run.transcript.ends_with("restart\n"), "{}", run.transcript);
        }
    }
}

#[test]
fn a_wrong_user_is_told_what_a_wrong_password_is() {
    for mechanism in ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"] {
        let shape = |user: &str, password: &str| {
            let mut run = Run::new("tcp tls");
            run.line("open to='localhost' version='1.0'");
            run.line(&format!("login {mechanism} {user} {password}"));
            let lines = run.transcript.lines().filter(|l| l.starts_with('<'));
            let salt = |l: &str| l.split(",s=").nth(1).map(|s| s[..24].to_owned());
            lines.map(|l| salt(l).map_or(l.to_owned(), |salt| l.replace(&salt, "(salt)"))).collect::<Vec<_>>()
        };
        assert_eq!(shape("juliet", "wrong"), shape("nobody", "pencil"), "{mechanism}");
    }
}

#[test]
fn a_downgrade_is_refused() {
    check(
        "tcp
        exporter
        open to='localhost' version='1.0'
        auth SCRAM-SHA-256 y,,n=juliet,r=x
        auth SCRAM-SHA-256 p=tls-exporter,,n=juliet,r=x
        auth SCRAM-SHA-256-PLUS n,,n=juliet,r=x",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>OAUTHBEARER</mechanism></mechanisms><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding></stream:features>
            <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text xml:lang='en'>Channel binding was offered, but the client saw no offer: somebody is in between.</text></failure>
            <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><malformed-request/><text xml:lang='en'>A channel binding needs a -PLUS mechanism.</text></failure>
            <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><malformed-request/><text xml:lang='en'>A -PLUS mechanism needs a channel binding.</text></failure>
        "#]],
    );
}

#[test]
fn tries_are_counted() {
    check(
        "tcp tls
        open to='localhost' version='1.0'
        login PLAIN juliet one
        login SCRAM-SHA-1 juliet two
        <abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
        login PLAIN juliet four
        login PLAIN juliet pencil",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>OAUTHBEARER</mechanism></mechanisms></stream:features>
            check juliet@localhost one
            <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text xml:lang='en'>The user name or the password is wrong.</text></failure>
            lookup juliet@localhost SCRAM-SHA-1
            <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[r=cnonceWAi-xK1RRl1oN0oQeaWq2nCP,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=16]</challenge>
            <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text xml:lang='en'>The user name or the password is wrong.</text></failure>
            <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><aborted/><text xml:lang='en'>Aborted.</text></failure>
            check juliet@localhost four
            <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text xml:lang='en'>The user name or the password is wrong.</text></failure>
            error policy-violation: Too many failed logins.
            close
            ended
        "#]],
    );
}

#[test]
fn a_login_takes_too_long() {
    check(
        "tcp tls
        tick 29
        open to='localhost' version='1.0'
        login PLAIN juliet pencil
        tick 1",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>OAUTHBEARER</mechanism></mechanisms></stream:features>
            check juliet@localhost pencil
            <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
            restart
            open from=localhost id=WAi-xK1RRl1oN0oQeaWq2nCP lang=en version=1.0
            error connection-timeout: The login took too long.
            close
            ended
        "#]],
    );
    check(
        "tcp
        tick 30",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            error connection-timeout: The login took too long.
            close
            ended
        "#]],
    );
}

/// Thousands come back at once, and each password takes a millisecond: they wait for us, not we for them.
#[test]
fn what_we_take_for_an_answer_is_not_the_clients_time() {
    let mut run = Run::new("tcp tls");
    run.line("tick 20");
    run.line("open to='localhost' version='1.0'");
    run.line("auth PLAIN \\0juliet\\0pencil");
    assert_eq!(run.stream.deadline(), None, "it is our turn");
    run.line("tick 100");
    assert!(run.stream.waiting(), "nothing has ended");
    let now = run.now;
    run.give(Input::Checked(true));
    let left = run.stream.deadline().map(|deadline| deadline - now);
    assert_eq!(
        left,
        Some(std::time::Duration::from_secs(settings().login_secs.into()) - std::time::Duration::from_secs(20))
    );
}

#[test]
fn a_bound_stream_has_no_deadline() {
    let mut run = Run::new("tcp tls");
    assert_eq!(run.stream.deadline(), Some(run.now + std::time::Duration::from_secs(settings().login_secs.into())));
    for line in [
        "open to='localhost' version='1.0'",
        "login PLAIN juliet pencil",
        "open to='localhost' version='1.0'",
        "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "bound juliet@localhost/x",
        "tick 1000000",
    ] {
        run.line(line);
    }
    assert_eq!(run.stream.deadline(), None);
    assert!(!run.stream.ended());
    assert_eq!(run.stream.jid().unwrap().as_str(), "juliet@localhost/x");
}

#[test]
fn strangers_get_small_limits() {
    let mut run = Run::new("tcp tls");
    let limits = |run: &Run| run.stream.limits().bytes_max;
    run.line("open to='localhost' version='1.0'");
    assert_eq!(limits(&run), Settings::LOGIN_BYTES_MAX);
    run.line("login PLAIN juliet pencil");
    assert_eq!(limits(&run), settings().limits.bytes_max);
}

#[test]
fn starttls_where_it_is_not_offered() {
    let script = |transport: &str| {
        let mut run = Run::new(transport);
        run.line("open to='localhost' version='1.0'");
        run.transcript.clear();
        run.line("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        run.transcript
    };
    for transport in ["tcp tls", "tcp starttls-off", "ws", "bosh"] {
        let expected = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\nclose\nended\n";
        assert_eq!(script(transport), expected, "{transport}");
    }
}

/// Elements out of turn: before the login, before binding, before an answer is in.
#[test]
fn too_early() {
    let presence = "<presence xmlns='jabber:client'/>";
    let tls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let bind = "<iq xmlns='jabber:client' type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    let ping = "<iq xmlns='jabber:client' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
    let open = "open to='localhost' version='1.0'";
    let login = "login SCRAM-SHA-1 juliet pencil";
    let auth = "auth SCRAM-SHA-1 n,,n=juliet,r=x";
    let plain = "auth PLAIN \\0juliet\\0pencil";
    let table: &[(&str, &[&str], &str)] = &[
        ("tcp tls", &[presence], "bad-format"),
        ("tcp", &[open, presence], "policy-violation"),
        ("tcp", &[open, bind], "policy-violation"),
        ("tcp tls", &[open, presence], "not-authorized"),
        ("tcp starttls-offered", &[open, presence], "not-authorized"),
        ("ws", &[open, presence], "not-authorized"),
        ("bosh", &[open, "<presence/>"], "not-authorized"),
        ("tcp tls", &[open, bind], "not-authorized"),
        ("tcp tls", &[open, "<x xmlns='urn:x'/>"], "unsupported-stanza-type"),
        ("tcp tls", &[open, "<x xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"], "unsupported-stanza-type"),
        ("tcp tls", &[open, "<x xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"], "unsupported-stanza-type"),
        ("tcp tls", &[open, open], "policy-violation"),
        ("tcp", &[open, tls, presence], "policy-violation"),
        ("tcp", &[open, tls, open], "policy-violation"),
        ("tcp tls", &[open, auth, auth], "policy-violation"),
        ("tcp tls", &[open, plain, plain], "policy-violation"),
        ("tcp tls", &[open, login, presence], "bad-format"),
        ("tcp tls", &[open, login, open, presence], "not-authorized"),
        ("tcp tls", &[open, login, open, ping], "not-authorized"),
        ("tcp tls", &[open, login, open, auth], "unsupported-stanza-type"),
        ("tcp tls", &[open, login, open, tls], "unsupported-stanza-type"),
        ("tcp tls", &[open, login, open, open], "policy-violation"),
        ("tcp tls", &[open, login, open, bind, presence], "policy-violation"),
        ("tcp tls", &[open, login, open, bind, "bound juliet@localhost/x", open], "policy-violation"),
        ("tcp tls", &[open, login, open, bind, "bound juliet@localhost/x", auth], "unsupported-stanza-type"),
        ("tcp tls", &[open, login, open, bind, "bound juliet@localhost/x", tls], "unsupported-stanza-type"),
    ];
    for (transport, lines, expected) in table {
        let mut run = Run::new(transport);
        lines.iter().for_each(|line| run.line(line));
        let mut last: Vec<_> = run.transcript.lines().rev().take(3).collect();
        last.reverse();
        let error = last[0].split(':').next().unwrap();
        assert_eq!(
            (error, &last[1..]),
            (format!("error {expected}").as_str(), &["close", "ended"][..]),
            "{transport} {lines:?}"
        );
    }
}

#[test]
fn answers_that_nobody_asked_for_are_passed_over() {
    let mut run = Run::new("tcp tls");
    run.line("open to='localhost' version='1.0'");
    run.transcript.clear();
    for line in ["account", "no-account", "right", "wrong", "store-failed", "bound juliet@localhost/x", "secured"] {
        run.line(line);
    }
    assert_eq!(run.transcript, "");
    run.line("auth PLAIN \\0juliet\\0pencil");
    run.transcript.clear();
    run.line("account");
    run.line("bound juliet@localhost/x");
    assert_eq!(run.transcript, "");
    assert!(run.stream.waiting());
}

#[test]
fn binding_is_refused_and_tried_again() {
    check(
        "tcp tls no-extras
        open to='localhost' version='1.0'
        login SCRAM-SHA-256 juliet pencil
        open to='localhost' version='1.0'
        <iq type='get' id='b0'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>OAUTHBEARER</mechanism></mechanisms></stream:features>
            lookup juliet@localhost SCRAM-SHA-256
            <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[r=cnonceWAi-xK1RRl1oN0oQeaWq2nCP,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=16]</challenge>
            <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[v=BBlMk+NkyUPy6UISoecok/c6k/ejGb73bAICQDpg2ow=]</success>
            restart
            open from=localhost id=ZEEcwzRXHKXLK7ef6KC0_dff lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session></stream:features>
            error not-authorized: Bind a resource first.
            close
            ended
        "#]],
    );
    check(
        "tcp tls no-extras sm
        open to='localhost' version='1.0'
        login SCRAM-SHA-256 juliet pencil
        open to='localhost' version='1.0'
        <iq type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>
        <iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>\u{7f}</resource></bind></iq>
        <iq type='set' id='b2'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource/></bind></iq>
        refused resource-constraint
        <iq type='set' id='b4'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>a&amp;b</resource></bind></iq>
        bound juliet@localhost/a&b",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>OAUTHBEARER</mechanism></mechanisms></stream:features>
            lookup juliet@localhost SCRAM-SHA-256
            <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[r=cnonceWAi-xK1RRl1oN0oQeaWq2nCP,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=16]</challenge>
            <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[v=BBlMk+NkyUPy6UISoecok/c6k/ejGb73bAICQDpg2ow=]</success>
            restart
            open from=localhost id=ZEEcwzRXHKXLK7ef6KC0_dff lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session><sm xmlns='urn:xmpp:sm:3'/></stream:features>
            <iq xmlns='jabber:client' type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>An iq needs an id.</text></error></iq>
            <iq xmlns='jabber:client' id='b1' type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>the resourcepart holds a character that is not allowed there</text></error></iq>
            bind juliet@localhost (any)
            <iq xmlns='jabber:client' id='b2' type='error'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>
            bind juliet@localhost a&b
            <iq xmlns='jabber:client' id='b4' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@localhost/a&amp;b</jid></bind></iq>
        "#]],
    );
}

#[test]
fn tries_to_bind_are_counted() {
    let mut run = Run::new("tcp tls");
    run.line("open to='localhost' version='1.0'");
    run.line("login PLAIN juliet pencil");
    run.line("open to='localhost' version='1.0'");
    for _ in 0..8 {
        run.line("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
        assert!(run.stream.waiting());
        run.line("refused conflict");
    }
    run.line("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert!(run.transcript.ends_with("error policy-violation: Too many tries to bind.\nclose\nended\n"));
}
