//! Polling and overactivity, acknowledgements, keys (XEP-0124 sections 9, 11, 12 and 15).

use crate::script::{live, live_with, play, settings};
use expect_test::expect;
use herald_bosh::Settings;

/// Two empty requests at once: one too many.
#[test]
fn case_46() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        + 50ms
        > c R+2
        < b <b type='terminate' condition='other-request'/>
        < c <b type='terminate' condition='policy-violation'/>
        # []
        # gone
    "#]]);
}

/// Two empty requests, but not too soon.
#[test]
fn case_46_slow() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        + 2s
        > c R+2
        < b <b/>
    "#]]);
}

/// The first one's connection is gone, as when a page is loaded anew: not too many.
#[test]
fn case_46_reattached() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        + 50ms
        ! b
        > c R+2
    "#]]);
}

/// The switch.
#[test]
fn case_46_off() {
    live_with(
        Settings { overactivity: false, ..settings() },
        "wait='10' hold='1' ver='1.6'",
        expect![[r#"
        > b R+1
        = <stream:features/>
        + 50ms
        > c R+2
        < b <b/>
    "#]],
    );
}

/// Polling: payload as often as need be, and the answer in its own response.
#[test]
fn case_47() {
    live_with(
        settings(),
        "wait='0' hold='1' ver='1.6'",
        expect![[r#"
            > b R+1 | <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
            ^ <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
            + 1ms
            v <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
            < b <b><challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></b>
            + 100ms
            > c R+2 | <response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
            ^ <response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
            + 6ms
            < c <b/>  @5ms
            v <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
            + 100ms
            > d R+3
            = <stream:features/>
            = <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
            < d <b><success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></b>
            + 50ms
            > e R+4 xmlns:xmpp='urn:xmpp:xbosh' xmpp:restart='true'
            ^ restart to=None lang=None
            v <stream:features/>
            < e <b +stream><stream:features/></b>
        "#]],
    );
}

/// Polling: two empty requests too soon, the first answered with nothing.
#[test]
fn case_48() {
    live_with(
        settings(),
        "wait='0' hold='1' ver='1.6'",
        expect![[r#"
        > b R+1
        = <stream:features/>
        < b <b/>
        + 500ms
        > c R+2
        < c <b type='terminate' condition='policy-violation'/>
        # []
        # gone
    "#]],
    );
}

/// Polling: not too soon, and not after an answer with something in it.
#[test]
fn case_48_allowed() {
    live_with(
        settings(),
        "wait='0' hold='1' ver='1.6'",
        expect![[r#"
        > b R+1
        = <stream:features/>
        < b <b/>
        + 2s
        vv <message xmlns='jabber:client'/>
        > c R+2
        < c <b><message xmlns='jabber:client'/></b>
        + 500ms
        > d R+3
        = <message xmlns='jabber:client'/>
        < d <b/>
    "#]],
    );
}

/// The server acknowledges to a client that does.
#[test]
fn case_49() {
    live_with(
        settings(),
        "wait='10' hold='1' ver='1.6' ack='1'",
        expect![[r#"
        > b R+1
        = <stream:features/>
        > c R+2 | <message/>
        ^ <message/>
        < b <b ack='R+2'/>
        v <message xmlns='jabber:client'/>
        < c <b><message xmlns='jabber:client'/></b>
    "#]],
    );
}

/// The creation's answer says so.
#[test]
fn case_49_creation() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6' ack='1'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' ack='R+0' +stream><stream:features/></b>
    "#]],
    );
}

/// The client misses an answer: told at once which, and since when.
#[test]
fn case_50() {
    live_with(
        settings(),
        "wait='10' hold='1' ver='1.6' ack='1'",
        expect![[r#"
            > b R+1
            = <stream:features/>
            v <m1/>
            < b <b><m1/></b>
            > c R+2
            = <m1/>
            v <m2/>
            < c <b><m2/></b>
            > d R+3
            = <m2/>
            v <m3/>
            < d <b><m3/></b>
            > e R+4 ack='R+2'
            < e <b report='R+3' time='0'/>
            + 852ms
            v <m4/>
            > f R+5 ack='R+2'
            < f <b report='R+3' time='852'><m4/></b>
            > g R+3
            < g <b><m3/></b>
        "#]],
    );
}

/// The client has it, and asks for it again all the same.
#[test]
fn case_52() {
    live_with(
        settings(),
        "wait='10' hold='1' ver='1.6' ack='1'",
        expect![[r#"
        > b R+1
        = <stream:features/>
        v <m1/>
        < b <b><m1/></b>
        > c R+2
        = <m1/>
        v <m2/>
        < c <b><m2/></b>
        > d R+3
        = <m2/>
        v <m3/>
        < d <b><m3/></b>
        > e R+4 ack='R+3'
        = <m3/>
        > f R+2
        < f <b type='terminate' condition='item-not-found'/>
    "#]],
    );
}

/// A key sequence: compared whatever the case, and changed for a new one.
#[test]
fn case_72() {
    let terms = "wait='10' hold='1' ver='1.6' newkey='EE9D80E206E7496C89FC34C85BD3998B3CF2B741'";
    live_with(
        settings(),
        terms,
        expect![[r#"
            > b R+1 key='e51fd1b46928409a0fdbd44bdae28d2d7741813b' | <message/>
            ^ <message/>
            v <m1/>
            < b <b><m1/></b>
            > c R+2 key='c62acc6f8c0c715ca7c1c81bec6fea819c9c3c62'
            = <stream:features/>
            = <m1/>
            v <m2/>
            < c <b><m2/></b>
            > d R+3 key='92713d4709377111cf31f2a71986c411bd6cb5b0' newkey='AECBBA4FB2CF34A552620672D8295BC95CB25B20'
            = <m2/>
            > e R+2 key='C62ACC6F8C0C715CA7C1C81BEC6FEA819C9C3C62'
            < e <b><m2/></b>
            v <m3/>
            < d <b><m3/></b>
            > f R+4 key='72080E07E3E892B502AADF184D8F305B38958AE9' | <message/>
            ^ <message/>
        "#]],
    );
}

/// The keys of requests that came out of order are looked at in order.
#[test]
fn case_72_early() {
    live_with(
        settings(),
        "wait='10' hold='1' ver='1.6' newkey='ee9d80e206e7496c89fc34c85bd3998b3cf2b741'",
        expect![[r#"
            > c R+2 key='c62acc6f8c0c715ca7c1c81bec6fea819c9c3c62' | <message>b</message>
            > b R+1 key='e51fd1b46928409a0fdbd44bdae28d2d7741813b' | <message>a</message>
            ^ <message>a</message>
            ^ <message>b</message>
            < b <b/>
        "#]],
    );
}

/// A wrong key: not processed, and the session is over.
#[test]
fn case_73_wrong() {
    live_with(
        settings(),
        "wait='10' hold='1' ver='1.6' newkey='ee9d80e206e7496c89fc34c85bd3998b3cf2b741'",
        expect![[r#"
            > b R+1 key='c62acc6f8c0c715ca7c1c81bec6fea819c9c3c62' | <message/>
            < b <b type='terminate' condition='item-not-found'/>
            # [<stream:features/>]
            # gone
            > c R+1 key='e51fd1b46928409a0fdbd44bdae28d2d7741813b'
            < c <b type='terminate' condition='item-not-found'/>
        "#]],
    );
}

/// No key.
#[test]
fn case_73_missing() {
    live_with(
        settings(),
        "wait='10' hold='1' ver='1.6' newkey='ee9d80e206e7496c89fc34c85bd3998b3cf2b741'",
        expect![[r#"
            > b R+1 | <message/>
            < b <b type='terminate' condition='item-not-found'/>
            # [<stream:features/>]
            # gone
        "#]],
    );
}

/// A repeat with another key than the first copy had.
#[test]
fn case_73_repeat() {
    live_with(
        settings(),
        "wait='10' hold='1' ver='1.6' newkey='ee9d80e206e7496c89fc34c85bd3998b3cf2b741'",
        expect![[r#"
            > b R+1 key='e51fd1b46928409a0fdbd44bdae28d2d7741813b'
            = <stream:features/>
            v <m1/>
            < b <b><m1/></b>
            > c R+1 key='c62acc6f8c0c715ca7c1c81bec6fea819c9c3c62'
            < c <b type='terminate' condition='item-not-found'/>
            # [<m1/>]
            # gone
        "#]],
    );
}

/// Somebody who knows the sid and no key sends what cannot be read: told, and nothing ends.
#[test]
fn case_73_broken() {
    live_with(
        settings(),
        "wait='10' hold='1' ver='1.6' newkey='ee9d80e206e7496c89fc34c85bd3998b3cf2b741'",
        expect![[r#"
            > b R+1 key='e51fd1b46928409a0fdbd44bdae28d2d7741813b'
            = <stream:features/>
            ~ c R+2
            < c <b type='terminate' condition='policy-violation'/>
            v <m1/>
            < b <b><m1/></b>
        "#]],
    );
}

/// Requests that wait for their elders are bounded in bytes.
#[test]
fn early_bytes() {
    live_with(
        Settings { body_bytes_max: 30, ..settings() },
        "wait='10' hold='3' ver='1.6'",
        expect![[r#"
            > b R+2 | <message>2</message>
            > c R+3 | <message>3</message>
            < b <b type='terminate' condition='other-request'/>
            < c <b type='terminate' condition='policy-violation'/>
            # [<stream:features/>]
            # gone
        "#]],
    );
}

/// However many a client wants held.
#[test]
fn case_19_a_thousand() {
    play(
        Settings { hold_max: 200, ..settings() },
        expect![[r#"
            > a R to='example.com' ver='1.6' hold='1000'
            ^ open to=Some("example.com") from=None lang=None version=1.0
            v <stream:features/>
            < a <b sid='SID' wait='55' requests='10' hold='9' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
        "#]],
    );
}
