//! XEP-0199, XEP-0092, XEP-0202.

use super::{iq, refused, town};

#[test]
fn xep_0199_ping() {
    let mut town = town(&["ann", "bob", "eve"]);
    let (ann, bob, eve) = (town.login("ann", "a"), town.login("bob", "b"), town.login("eve", "e"));
    town.befriend(&ann, &bob);
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    // section 4.2: to the server, to the own account, to nobody
    for to in ["house.example", "ann@house.example", ""] {
        assert_eq!(iq(&mut town, &ann, "get", to, ping), Ok(String::new()), "{to:?}");
        assert_eq!(iq(&mut town, &ann, "set", to, ping), refused("cancel not-allowed"), "{to:?}");
    }
    // section 4.4: a bare JID is answered by the server, a full one by the client
    assert_eq!(iq(&mut town, &ann, "get", "bob@house.example", ping), Ok(String::new()));
    assert!(bob.got().is_empty());
    assert!(town.ask(&ann, &format!("<iq type='get' id='q' to='{}'>{ping}</iq>", bob.jid)).is_empty());
    assert_eq!(bob.got().len(), 1);
    // section 8: nobody learns who is there, nor who has an account
    for to in ["bob@house.example/gone", "ann@house.example", "bob@house.example", "nobody@house.example"] {
        for kind in ["get", "set"] {
            assert_eq!(iq(&mut town, &eve, kind, to, ping), refused("cancel service-unavailable"), "{kind} {to}");
        }
    }
}

#[test]
fn xep_0092_software_version() {
    let mut town = town(&["ann"]);
    let ann = town.login("ann", "a");
    let asked = "<query xmlns='jabber:iq:version'/>";
    // section 2: name and version are required; section 5: the operating system is not told
    let version = env!("CARGO_PKG_VERSION");
    let said = format!("<query xmlns='jabber:iq:version'><name>Herald</name><version>{version}</version></query>");
    assert_eq!(iq(&mut town, &ann, "get", "house.example", asked), Ok(said));
    assert_eq!(iq(&mut town, &ann, "set", "house.example", asked), refused("cancel not-allowed"));
}

#[test]
fn xep_0202_entity_time() {
    let mut town = town(&["ann"]);
    let ann = town.login("ann", "a");
    let asked = "<time xmlns='urn:xmpp:time'/>";
    // section 3, and XEP-0082 section 3.2: UTC, with a fraction only when there is one
    for (ms, utc) in [
        (1_166_551_115_000, "2006-12-19T17:58:35Z"),
        (1_166_551_115_040, "2006-12-19T17:58:35.04Z"),
        (0, "1970-01-01T00:00:00Z"),
        (i64::MAX, "9999-12-30T22:00:00.999999999Z"),
    ] {
        town.now.unix_ms = ms;
        let said = format!("<time xmlns='urn:xmpp:time'><tzo>Z</tzo><utc>{utc}</utc></time>");
        assert_eq!(iq(&mut town, &ann, "get", "house.example", asked), Ok(said));
    }
    assert_eq!(iq(&mut town, &ann, "set", "house.example", asked), refused("cancel not-allowed"));
}
