//! Sessions that begin without a creation request over HTTP.

use crate::script::{prebound, settings};
use expect_test::expect;
use herald_bosh::Settings;

/// The first request has the rid that was given away; what came before it is in its answer, which says
/// nothing of what a creation's says.
#[test]
fn case_79() {
    prebound(
        settings(),
        expect![[r#"
            v <message xmlns='jabber:client'>1</message>
            + 30s
            v <message xmlns='jabber:client'>2</message>
            > b R+1
            < b <b><message xmlns='jabber:client'>1</message><message xmlns='jabber:client'>2</message></b>
            > c R+2
            = <message xmlns='jabber:client'>1</message>
            = <message xmlns='jabber:client'>2</message>
        "#]],
    );
}

/// Nobody attaches: it lives as long as was said, longer than `inactivity`, and gives back what it had.
#[test]
fn case_80() {
    prebound(
        settings(),
        expect![[r#"
            v <message xmlns='jabber:client'/>
            + 59s
            + 1s
            # [<message xmlns='jabber:client'/>]
            # gone  @1000ms
            > b R+1
            < b <b type='terminate' condition='item-not-found'/>
        "#]],
    );
}

/// From the first request on it ends as every other.
#[test]
fn case_80_attached() {
    prebound(
        settings(),
        expect![[r#"
            + 50s
            > b R+1
            + 55s
            < b <b/>  @55000ms
            + 5s
            # []
            # gone  @5000ms
        "#]],
    );
}

/// A request that is too old is nobody attaching.
#[test]
fn case_80_too_old() {
    prebound(
        settings(),
        expect![[r#"
            + 10s
            > b R
            < b <b type='terminate' condition='item-not-found'/>
            + 10s
            > c R+1
            v <message xmlns='jabber:client'/>
            < c <b><message xmlns='jabber:client'/></b>
        "#]],
    );
}

/// Two pages with the same triple: each rid is done once, the older connection is told, an answered
/// rid is answered again; who lags behind is told that it is over, and the other goes on.
#[test]
fn case_81() {
    prebound(
        Settings { overactivity: false, ..settings() },
        expect![[r#"
            > a R+1 | <message>a</message>
            ^ <message>a</message>
            > b R+1 | <message>b</message>
            < a <b type='error'/>
            v <m1/>
            < b <b><m1/></b>
            > a R+2 | <message>a</message>
            ^ <message>a</message>
            > c R+1 | <message>b</message>
            < c <b><m1/></b>
            v <m2/>
            < a <b><m2/></b>
            > a R+3
            = <m1/>
            = <m2/>
            > b R+2
            < b <b><m2/></b>
            v <m3/>
            < a <b><m3/></b>
            > a R+4
            = <m3/>
            > b R+1
            < b <b type='terminate' condition='item-not-found'/>
            v <m4/>
            < a <b><m4/></b>
        "#]],
    );
}

/// The server lets it go before anybody attached: whoever comes is told why.
#[test]
fn closed_before() {
    prebound(
        settings(),
        expect![[r#"
            v <message xmlns='jabber:client'/>
            x <stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>
            # [<message xmlns='jabber:client'/>]
            + 30s
            > b R+1
            < b <b type='terminate' condition='remote-stream-error' +stream><stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></b>
            # gone
        "#]],
    );
}
