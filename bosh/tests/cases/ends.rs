//! Pauses, inactivity, termination and errors (XEP-0124 sections 10, 13 and 17; XEP-0206 sections 5 and 6).

use crate::script::{live, live_with, play, settings};
use expect_test::expect;
use herald_bosh::Settings;

/// A request too large to be read.
#[test]
fn case_13() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        ~ c R+2
        < b <b type='terminate' condition='other-request'/>
        < c <b type='terminate' condition='policy-violation'/>
        # []
        # gone
        > d R+3
        < d <b type='terminate' condition='item-not-found'/>
    "#]]);
}

/// A request without a number for a rid ends its session.
#[test]
fn case_20() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        > c R+2 wait='x'
        < b <b type='terminate' condition='other-request'/>
        < c <b type='terminate' condition='bad-request'/>
        # []
        # gone
    "#]]);
}

/// A pause: both answered at once, both empty; alive at 12 s, gone at 16.
#[test]
fn case_53() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        + 3s
        > c R+2 pause='15'
        < b <b/>
        < c <b/>
        v <message xmlns='jabber:client'/>
        + 12s
        + 4s
        # [<message xmlns='jabber:client'/>]
        # gone  @3000ms
    "#]]);
}

/// After the pause the old inactivity is back.
#[test]
fn case_54() {
    live(expect![[r#"
        > b R+1 pause='15'
        < b <b/>
        + 10s
        > c R+2 | <message/>
        ^ <message/>
        v <message xmlns='jabber:client'/>
        < c <b><message xmlns='jabber:client'/></b>
        + 6s
        # [<stream:features/><message xmlns='jabber:client'/>]
        # gone  @5000ms
    "#]]);
}

/// A longer pause than is allowed.
#[test]
fn case_55() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        > c R+2 pause='99999'
        < b <b type='terminate' condition='other-request'/>
        < c <b type='terminate' condition='policy-violation'/>
        # []
        # gone
    "#]]);
}

/// What comes during a pause comes with the next request, in order.
#[test]
fn case_56() {
    live(expect![[r#"
        > b R+1 pause='15'
        < b <b/>
        v <m1/>
        v <m2/>
        > c R+2
        = <stream:features/>
        < c <b><m1/><m2/></b>
    "#]]);
}

/// Nobody comes: gone, and what was queued is given back.
#[test]
fn case_57() {
    live(expect![[r#"
        > b R+1 | <message/>
        ^ <message/>
        v <m1/>
        < b <b><m1/></b>
        v <m2/>
        + 5s
        # [<stream:features/><m1/><m2/>]
        # gone  @5000ms
        > c R+2
        < c <b type='terminate' condition='item-not-found'/>
    "#]]);
}

/// The held request's connection died at 1 s: gone inactivity later, not wait and inactivity.
#[test]
fn case_58() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        + 1s
        ! b
        + 6s
        # []
        # gone  @5000ms
    "#]]);
}

/// A request every 4.5 s.
#[test]
fn case_59() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        + 10s
        < b <b/>  @10000ms
        + 4500ms
        > c R+2
        + 10s
        < c <b/>  @10000ms
        + 4500ms
        > d R+3
    "#]]);
}

/// A hidden page comes once a minute.
#[test]
fn case_60() {
    live_with(
        Settings::default(),
        "wait='10' hold='1' ver='1.6'",
        expect![[r#"
        > b R+1
        = <stream:features/>
        + 60s
        < b <b/>  @10000ms
        > c R+2
        + 60s
        < c <b/>  @10000ms
        > d R+3
        + 99s
        < d <b/>  @10000ms
        + 1s
        # []
        # gone  @1000ms
    "#]],
    );
}

/// The client terminates while a request is held.
#[test]
fn case_61() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        > c R+2 type='terminate' | <presence type='unavailable'/>
        ^ <presence type='unavailable'/>
        ^ closed
        < b <b type='terminate'/>
        < c <b/>
        # []
        # gone
        > d R+3
        < d <b type='terminate' condition='item-not-found'/>
    "#]]);
}

/// The client terminates with nothing held.
#[test]
fn case_61_alone() {
    live(expect![[r#"
        > c R+1 type='terminate' | <presence type='unavailable'/>
        ^ <presence type='unavailable'/>
        ^ closed
        < c <b type='terminate'/>
        # [<stream:features/>]
        # gone
    "#]]);
}

/// A stream error while a request is held: stanzas first.
#[test]
fn case_62() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        vv <message xmlns='jabber:client'>1</message>
        vv <message xmlns='jabber:client'>2</message>
        x <stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>
        < b <b type='terminate' condition='remote-stream-error' +stream><message xmlns='jabber:client'>1</message><message xmlns='jabber:client'>2</message><stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></b>
        # [<message xmlns='jabber:client'>1</message><message xmlns='jabber:client'>2</message>]
        # gone
    "#]]);
}

/// A stream error while nobody waits: the next request is told.
#[test]
fn case_63() {
    live(expect![[r#"
        v <message xmlns='jabber:client'>1</message>
        x <stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>
        # [<stream:features/><message xmlns='jabber:client'>1</message>]
        v <late/>
        v full
        > b R+1
        < b <b type='terminate' condition='remote-stream-error' +stream><stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></b>
        # gone
        > c R+2
        < c <b type='terminate' condition='item-not-found'/>
    "#]]);
}

/// Nobody comes for the last word.
#[test]
fn case_63_nobody() {
    live(expect![[r#"
        x .
        # [<stream:features/>]
        + 5s
        # gone  @5000ms
    "#]]);
}

/// A legacy client beyond the window: 404.
#[test]
fn case_65_rid() {
    live_with(
        settings(),
        "wait='10' hold='1'",
        expect![[r#"
        > b R+1
        = <stream:features/>
        > c R+9
        < b <b type='terminate' condition='other-request'/>
        < c 404 <b type='terminate' condition='item-not-found'/>
        # []
        # gone
    "#]],
    );
}

/// A legacy client with too old a rid: 404.
#[test]
fn case_65_old() {
    live_with(
        settings(),
        "wait='10' hold='1'",
        expect![[r#"
            > b R+1 | <m/>
            ^ <m/>
            v <m1/>
            < b <b><m1/></b>
            > c R+2
            = <stream:features/>
            = <m1/>
            v <m2/>
            < c <b><m2/></b>
            > d R+3
            = <m2/>
            v <m3/>
            < d <b><m3/></b>
            > e R
            < e 404 <b type='terminate' condition='item-not-found'/>
        "#]],
    );
}

/// A legacy client asks too often: 403.
#[test]
fn case_65_overactive() {
    live_with(
        settings(),
        "wait='0' hold='1'",
        expect![[r#"
        > b R+1
        = <stream:features/>
        < b <b/>
        > c R+2
        < c 403 <b type='terminate' condition='policy-violation'/>
        # []
        # gone
    "#]],
    );
}

/// A legacy client sends what cannot be read: 400.
#[test]
fn case_65_malformed() {
    live_with(
        settings(),
        "wait='10' hold='1'",
        expect![[r#"
        > b R+1 pause='x'
        < b 400 <b type='terminate' condition='bad-request'/>
        # [<stream:features/>]
        # gone
    "#]],
    );
}

/// The server goes down.
#[test]
fn case_66() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        vv <message xmlns='jabber:client'/>
        x system-shutdown
        < b <b type='terminate' condition='system-shutdown'/>
        # [<message xmlns='jabber:client'/>]
        # gone
    "#]]);
}

/// A login as Strophe does it: every answer in the response to its own request.
#[test]
fn case_68() {
    live(expect![[r#"
        > b R+1 | <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
        ^ <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
        + 3ms
        v <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
        < b <b><challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></b>
        > c R+2 | <response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
        ^ <response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
        v <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
        < c <b><success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></b>
        > d R+3 to='example.com' xml:lang='en' xmlns:xmpp='urn:xmpp:xbosh' xmpp:restart='true'
        ^ restart to=Some("example.com") lang=Some("en")
        v <stream:features/>
        < d <b +stream><stream:features/></b>
        > e R+4 | <iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>
        ^ <iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>
        v <iq type='result' id='1' xmlns='jabber:client'/>
        < e <b><iq type='result' id='1' xmlns='jabber:client'/></b>
    "#]]);
}

/// An iq while another request is held: the answer that is ready soon takes the held one, and the new one stays.
#[test]
fn case_68_one_held() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        + 3s
        > c R+2 | <iq type='get' id='1'/>
        ^ <iq type='get' id='1'/>
        + 4ms
        v <iq type='result' id='1' xmlns='jabber:client'/>
        < b <b><iq type='result' id='1' xmlns='jabber:client'/></b>
        + 1s
        > d R+3 | <iq type='get' id='2'/>
        ^ <iq type='get' id='2'/>
        + 1s
        < c <b/>  @5ms
        v <iq type='result' id='2' xmlns='jabber:client'/>
        < d <b><iq type='result' id='2' xmlns='jabber:client'/></b>
    "#]]);
}

/// A payload in a restart is not looked at.
#[test]
fn case_69() {
    live(expect![[r#"
        > b R+1 to='example.com' xmlns:xmpp='urn:xmpp:xbosh' xmpp:restart='true' | <message>lost</message>
        ^ restart to=Some("example.com") lang=None
        v <stream:features/>
        < b <b +stream><stream:features/></b>
    "#]]);
}

/// `stream` and another `to` mean nothing.
#[test]
fn case_74() {
    live(expect![[r#"
        > b R+1 to='other.example' stream='x'
        = <stream:features/>
        + 10s
        < b <b/>  @10000ms
    "#]]);
}

/// A client that fetches nothing: the queue is bounded, the rest is handed back.
#[test]
fn case_82() {
    live_with(
        Settings { queue_bytes_max: 18, ..settings() },
        "wait='10' hold='1' ver='1.6'",
        expect![[r#"
            v <m1/>
            v <m2/>
            v <m3/>
            v <m4/>
            v full
            > b R+1
            = <stream:features/>
            < b <b><m1/><m2/><m3/></b>
        "#]],
    );
}

/// A long queue goes out over several responses, at once.
#[test]
fn case_83() {
    live_with(
        Settings { response_bytes_soft: 10, ..settings() },
        "wait='10' hold='1' ver='1.6'",
        expect![[r#"
        v <m1/>
        v <m2/>
        v <m3/>
        v <a-large-one/>
        v <m4/>
        > b R+1
        = <stream:features/>
        < b <b><m1/><m2/></b>
        > c R+2
        = <m1/>
        = <m2/>
        < c <b><m3/></b>
        > d R+3
        = <m3/>
        < d <b><a-large-one/></b>
        > e R+4
        = <a-large-one/>
        < e <b><m4/></b>
    "#]],
    );
}

/// A request that a pause overtook: the pause is over before it began.
#[test]
fn case_54_overtaken() {
    live(expect![[r#"
        > c R+2 | <message/>
        > b R+1 pause='15'
        < b <b/>
        ^ <message/>
        v <m1/>
        < c <b><m1/></b>
        + 6s
        # [<stream:features/><m1/>]
        # gone  @5000ms
    "#]]);
}

/// A pause of nothing: everything is answered, and no more.
#[test]
fn case_53_zero() {
    live(expect![[r#"
        > b R+1 | <message/>
        ^ <message/>
        > c R+2 pause='0'
        < b <b/>
        < c <b/>
        + 5s
        # [<stream:features/>]
        # gone  @5000ms
    "#]]);
}

/// The stream fails before the creation is answered.
#[test]
fn case_62_at_creation() {
    play(
        settings(),
        expect![[r#"
            > a R to='example.com' ver='1.6'
            ^ open to=Some("example.com") from=None lang=None version=1.0
            x <stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>
            < a <b type='terminate' condition='remote-stream-error' +stream><stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></b>
            # []
            # gone
        "#]],
    );
}

/// The last word for a request that is broken itself.
#[test]
fn case_63_broken() {
    live(expect![[r#"
        x system-shutdown
        # [<stream:features/>]
        ~ b R+1
        < b <b type='terminate' condition='policy-violation'/>
        > c R+1
        < c <b type='terminate' condition='system-shutdown'/>
        # gone
        ~ d R+1
        < d <b type='terminate' condition='policy-violation'/>
    "#]]);
}
