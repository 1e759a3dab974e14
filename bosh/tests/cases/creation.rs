//! Creation and negotiation (XEP-0124 section 7, XEP-0206 sections 3 and 4).

use crate::script::{play, settings};
use expect_test::expect;

/// The content type asked for is that of every answer; CR and LF never reach a header.
#[test]
fn case_08() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' content='text/html; charset=utf-8' wait='10' hold='1' ver='1.6'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a [text/html; charset=utf-8] <b sid='SID' wait='10' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
        > b R+1
        = <stream:features/>
        + 10s
        < b [text/html; charset=utf-8] <b/>  @10000ms
        > c R+2 type='terminate'
        ^ closed
        < c [text/html; charset=utf-8] <b type='terminate'/>
        # []
        # gone
    "#]],
    );
}

/// A content type that would write a header of its own is refused.
#[test]
fn case_08_header_injection() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6' content='text/html&#13;&#10;Set-Cookie: a=b'
        < a <b type='terminate' condition='bad-request'/>
    "#]],
    );
}

/// A creation as Strophe makes it.
#[test]
fn case_16() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' wait='60' hold='1' ver='1.6' xml:lang='en' content='text/xml; charset=utf-8' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'
        ^ open to=Some("example.com") from=None lang=Some("en") version=1.0
        v <stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features></b>
    "#]],
    );
}

/// Features that do not come are not waited for for ever; they come with the next answer.
#[test]
fn case_16_features_late() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' wait='60' hold='1' ver='1.6' xml:lang='en' content='text/xml; charset=utf-8' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'
        ^ open to=Some("example.com") from=None lang=Some("en") version=1.0
        + 3s
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream/>  @2000ms
        > b R+1
        v <stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features>
        < b <b +stream><stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features></b>
    "#]],
    );
}

/// The lower of the two versions.
#[test]
fn case_17_older() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.5'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.5' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
    "#]],
    );
}

/// 1.9 is below 1.11.
#[test]
fn case_17_minor_is_a_number() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.9'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.9' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
    "#]],
    );
}

/// Ours.
#[test]
fn case_17_ours() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.11'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.11' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
    "#]],
    );
}

/// 1.100 is above 1.11.
#[test]
fn case_17_newer_minor() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.100'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.11' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
    "#]],
    );
}

/// 2.0 is above 1.11.
#[test]
fn case_17_newer_major() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='2.0'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.11' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
    "#]],
    );
}

/// Legacy: no `ver`.
#[test]
fn case_17_absent() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' wait='60'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
    "#]],
    );
}

/// Nothing is held.
#[test]
fn case_18_zero() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6' wait='0' hold='1'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='0' requests='2' hold='1' inactivity='10' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
        > b R+1
        = <stream:features/>
        < b <b/>
    "#]],
    );
}

/// The longest we allow.
#[test]
fn case_18_absent() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
    "#]],
    );
}

/// No number.
#[test]
fn case_18_negative() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6' wait='-1'
        < a <b type='terminate' condition='bad-request'/>
    "#]],
    );
}

/// No whole number.
#[test]
fn case_18_fraction() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6' wait='1.5'
        < a <b type='terminate' condition='bad-request'/>
    "#]],
    );
}

/// Cut to the longest we allow.
#[test]
fn case_18_huge() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6' wait='99999'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
    "#]],
    );
}

/// hold 0: every request is answered at once.
#[test]
fn case_19_zero() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6' hold='0' wait='60'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='2' hold='0' inactivity='10' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
        > b R+1
        = <stream:features/>
        < b <b/>
        + 2s
        > c R+2
        < c <b/>
    "#]],
    );
}

/// More than we hold; `requests` is still above what was asked for.
#[test]
fn case_19_five() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6' hold='5' wait='60'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='6' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
    "#]],
    );
}

/// One.
#[test]
fn case_19_absent() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6' wait='60'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
    "#]],
    );
}

/// No `xmpp:version`: the features come all the same.
#[test]
fn case_22() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features></b>
    "#]],
    );
}

/// Any prefix bound to XEP-0206 will do, and 1 is true.
#[test]
fn case_23() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6' wait='10' hold='1' xmlns:q='urn:xmpp:xbosh' q:version='1.0'
        ^ open to=Some("example.com") from=None lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='10' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
        > b R+1 xmlns:q='urn:xmpp:xbosh' q:restart='1' to='example.com' xml:lang='de'
        ^ restart to=Some("example.com") lang=Some("de")
        v <stream:features/>
        < b <b +stream><stream:features/></b>
    "#]],
    );
}

/// `route` means nothing here; `from` is passed on.
#[test]
fn case_24() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6' route='xmpp:example.com:9999' from='u@example.com'
        ^ open to=Some("example.com") from=Some("u@example.com") lang=None version=1.0
        v <stream:features/>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/></b>
    "#]],
    );
}

/// A creation that carries a payload: first the stream opens.
#[test]
fn case_25() {
    play(
        settings(),
        expect![[r#"
        > a R to='example.com' ver='1.6' | <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>
        ^ open to=Some("example.com") from=None lang=None version=1.0
        ^ <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>
        vv <stream:features/>
        v <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
        < a <b sid='SID' wait='55' requests='2' hold='1' inactivity='5' polling='2' maxpause='20' from='example.com' ver='1.6' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' xmpp:restartlogic='true' +stream><stream:features/><success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></b>
    "#]],
    );
}
