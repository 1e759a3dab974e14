//! The same machine over BOSH and WebSocket.

use crate::script::check;
use expect_test::expect;

#[test]
fn bosh() {
    check(
        "bosh
        open to='localhost' xml:lang='en'
        login SCRAM-SHA-1 juliet pencil
        open
        <iq type='set' id='_bind_auth_2' xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>
        bound juliet@localhost/strophe
        <iq type='set' id='_session_auth_2' xmlns='jabber:client'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>
        <presence/>
        <message xmlns='jabber:client' to='romeo@localhost'><body>O</body></message>
        close",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>
            lookup juliet@localhost SCRAM-SHA-1
            <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[r=cnonceWAi-xK1RRl1oN0oQeaWq2nCP,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=16]</challenge>
            <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[v=3m/BjJU8uYCjhuoVm3IbPvtBZe8=]</success>
            restart
            open from=localhost id=ZEEcwzRXHKXLK7ef6KC0_dff lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session><ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/></stream:features>
            bind juliet@localhost (any)
            <iq xmlns='jabber:client' id='_bind_auth_2' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@localhost/strophe</jid></bind></iq>
            <iq xmlns='jabber:client' id='_session_auth_2' type='result'/>
            <presence from='juliet@localhost/strophe'/>
            <message from='juliet@localhost/strophe' to='romeo@localhost'><body>O</body></message>
            close
            ended
        "#]],
    );
}

#[test]
fn websocket() {
    check(
        "ws
        exporter
        open to='localhost' version='1.0'
        login SCRAM-SHA-1-PLUS juliet pencil
        open to='localhost' version='1.0'
        <iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>web</resource></bind></iq>
        bound juliet@localhost/web
        <presence xmlns='jabber:client'/>
        <presence/>",
        expect![[r#"
            open from=localhost id=efkPP92z31yMtkIwFsh4EHBi lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><mechanism>OAUTHBEARER</mechanism></mechanisms><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding></stream:features>
            lookup juliet@localhost SCRAM-SHA-1-PLUS
            <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[r=cnonceWAi-xK1RRl1oN0oQeaWq2nCP,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=16]</challenge>
            <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>[v=LLhy1qO115eXVqZsUt3inqpB2O0=]</success>
            restart
            open from=localhost id=ZEEcwzRXHKXLK7ef6KC0_dff lang=en version=1.0
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session><ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/></stream:features>
            bind juliet@localhost web
            <iq xmlns='jabber:client' id='b' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@localhost/web</jid></bind></iq>
            <presence from='juliet@localhost/web'/>
            error invalid-namespace
            close
            ended
        "#]],
    );
}
