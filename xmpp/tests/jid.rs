//! Addresses: the tables of RFC 7622 section 3.5, and what normalisation promises.

mod seeded;

use herald_xmpp::jid::{BareJid, FullJid, Jid, JidError, Resource};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// As written, then the three parts as prepared.
const VALID: &[(&str, Option<&str>, &str, Option<&str>)] = &[
    // RFC 7622 section 3.5, table 1
    ("juliet@example.com", Some("juliet"), "example.com", None),
    ("juliet@example.com/foo", Some("juliet"), "example.com", Some("foo")),
    ("juliet@example.com/foo bar", Some("juliet"), "example.com", Some("foo bar")),
    ("juliet@example.com/foo@bar", Some("juliet"), "example.com", Some("foo@bar")),
    (r"foo\20bar@example.com", Some(r"foo\20bar"), "example.com", None),
    ("fussball@example.com", Some("fussball"), "example.com", None),
    ("fu\u{df}ball@example.com", Some("fu\u{df}ball"), "example.com", None),
    ("\u{3c0}@example.com", Some("\u{3c0}"), "example.com", None),
    ("\u{3a3}@example.com/foo", Some("\u{3c3}"), "example.com", Some("foo")),
    ("\u{3c3}@example.com/foo", Some("\u{3c3}"), "example.com", Some("foo")),
    ("\u{3c2}@example.com/foo", Some("\u{3c2}"), "example.com", Some("foo")),
    ("king@example.com/\u{265a}", Some("king"), "example.com", Some("\u{265a}")),
    ("example.com", None, "example.com", None),
    ("example.com/foobar", None, "example.com", Some("foobar")),
    ("a.example.com/b@example.net", None, "a.example.com", Some("b@example.net")),
    // Row 18 of table 2, which no rule of the RFC forbids.
    ("juliet@example.com/ foo", Some("juliet"), "example.com", Some(" foo")),
    // Ours
    ("Juliet@EXAMPLE.Com/Foo", Some("juliet"), "example.com", Some("Foo")),
    ("a@example.com./x", Some("a"), "example.com", Some("x")),
    ("a@localhost//@/", Some("a"), "localhost", Some("/@/")),
    ("a@127.0.0.1/x", Some("a"), "127.0.0.1", Some("x")),
    ("a@[::1]", Some("a"), "[::1]", None),
    ("a@[2001:DB8:0:0::1]/x", Some("a"), "[2001:db8::1]", Some("x")),
    ("JOS\u{c9}@example.com", Some("jos\u{e9}"), "example.com", None),
    ("jose\u{301}@example.com/re\u{301}s", Some("jos\u{e9}"), "example.com", Some("r\u{e9}s")),
    ("a@example.com/x\u{3000}y", Some("a"), "example.com", Some("x y")),
    ("\u{ff2a}@example.com", Some("j"), "example.com", None),
    ("a@B\u{dc}CHER.example", Some("a"), "b\u{fc}cher.example", None),
    ("a@xn--bcher-kva.example", Some("a"), "b\u{fc}cher.example", None),
    ("a@XN--Bcher-KVA.example", Some("a"), "b\u{fc}cher.example", None),
    ("a@xn--wgv71a119e.jp", Some("a"), "\u{65e5}\u{672c}\u{8a9e}.jp", None),
    ("a@\u{65e5}\u{672c}\u{8a9e}\u{3002}jp", Some("a"), "\u{65e5}\u{672c}\u{8a9e}.jp", None),
];

const INVALID: &[(&str, JidError)] = &[
    // RFC 7622 section 3.5, table 2
    ("\"juliet\"@example.com", JidError::Forbidden("localpart")),
    ("foo bar@example.com", JidError::Forbidden("localpart")),
    ("@example.com/", JidError::Empty("localpart")),
    ("henry\u{2163}@example.com", JidError::Forbidden("localpart")),
    ("\u{265a}@example.com", JidError::Forbidden("localpart")),
    ("juliet@", JidError::Empty("domainpart")),
    ("/foobar", JidError::Empty("domainpart")),
    // RFC 7622 section 3.3.1
    ("a&b@example.com", JidError::Forbidden("localpart")),
    ("a'b@example.com", JidError::Forbidden("localpart")),
    ("a:b@example.com", JidError::Forbidden("localpart")),
    ("a<b@example.com", JidError::Forbidden("localpart")),
    ("a>b@example.com", JidError::Forbidden("localpart")),
    // Also when only the width mapping makes them.
    ("a\u{ff20}b@example.com", JidError::Forbidden("localpart")),
    ("a\u{ff02}b@example.com", JidError::Forbidden("localpart")),
    // Lower case makes letters of it that the profile does not know.
    ("\u{13a0}@example.com", JidError::Forbidden("localpart")),
    // Ours
    ("", JidError::Empty("domainpart")),
    (".", JidError::Empty("domainpart")),
    ("@", JidError::Empty("localpart")),
    ("example.com/", JidError::Empty("resourcepart")),
    ("a@b@example.com", JidError::Forbidden("domainpart")),
    ("a\u{0}@example.com", JidError::Forbidden("localpart")),
    ("a@exa mple.com", JidError::Forbidden("domainpart")),
    ("a@example..com", JidError::Forbidden("domainpart")),
    ("a@-example.com", JidError::Forbidden("domainpart")),
    ("a@example-.com", JidError::Forbidden("domainpart")),
    ("a@exa_mple.com", JidError::Forbidden("domainpart")),
    ("a@1.2.3.400", JidError::Forbidden("domainpart")),
    ("a@[::1", JidError::Forbidden("domainpart")),
    ("a@[::g]", JidError::Forbidden("domainpart")),
    ("a@xn--.example", JidError::Forbidden("domainpart")),
    ("a@xn--abc-.example", JidError::Forbidden("domainpart")),
    ("a@xn--a\u{fc}.example", JidError::Forbidden("domainpart")),
    ("a@\u{265a}.example", JidError::Forbidden("domainpart")),
    ("a@example.com/x\u{7}y", JidError::Forbidden("resourcepart")),
    ("a@example.com/x\ny", JidError::Forbidden("resourcepart")),
    ("a@example.com/\u{fffe}", JidError::Forbidden("resourcepart")),
];

#[test]
fn valid() {
    for &(text, local, domain, resource) in VALID {
        let jid: Jid = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((jid.local(), jid.domain(), jid.resource()), (local, domain, resource), "{text}");
        assert_eq!(jid, jid.as_str().parse().unwrap(), "{text}");
    }
}

#[test]
fn invalid() {
    for &(text, why) in INVALID {
        assert_eq!(text.parse::<Jid>(), Err(why), "{text}");
    }
}

#[test]
fn a_part_holds_1023_bytes_and_no_more() {
    let (full, over) = ("a".repeat(1023), "a".repeat(1024));
    let name = |bytes: usize| ["a".repeat(63).as_str(); 16].join(".")[..bytes].to_owned();
    assert_eq!(Jid::new(Some(&full), &name(1023), Some(&full)).unwrap().as_str().len(), 3 * 1023 + 2);
    assert_eq!(Jid::new(Some(&over), "b", None), Err(JidError::TooLong("localpart")));
    assert_eq!(Jid::new(None, &over, None), Err(JidError::TooLong("domainpart")));
    assert_eq!(Resource::new(&over), Err(JidError::TooLong("resourcepart")));
    // Bytes, not characters: 512 characters of two bytes.
    assert_eq!(Resource::new(&"\u{e9}".repeat(512)), Err(JidError::TooLong("resourcepart")));
    assert_eq!(Jid::new(None, &"a".repeat(64), None), Err(JidError::Forbidden("domainpart")));
}

#[test]
fn bare_and_full() {
    let full: FullJid = "a@b/c".parse().unwrap();
    let bare: BareJid = "A@B".parse().unwrap();
    assert_eq!(full.to_bare(), bare);
    assert_eq!(bare.with(&Resource::new("c").unwrap()), full);
    assert_eq!(full.as_full(), Some(&full));
    assert_eq!(bare.as_bare(), Some(&bare));
    assert_eq!((full.as_bare(), bare.as_full()), (None, None));
    assert_eq!("a@b/c".parse::<BareJid>(), Err(JidError::HasResource));
    assert_eq!("a@b".parse::<FullJid>(), Err(JidError::NoResource));
    assert_eq!(full.resource(), "c");
    assert_eq!(full.bare_str(), bare.as_str());
}

#[test]
fn a_map_of_bare_jids_can_be_asked_with_text() {
    let bare: BareJid = "juliet@example.com".parse().unwrap();
    let full: Jid = "juliet@example.com/balcony".parse().unwrap();
    let hashed = HashMap::from([(bare.clone(), 1)]);
    let sorted = BTreeMap::from([(bare, 1)]);
    assert_eq!(hashed.get(full.bare_str()), Some(&1));
    assert_eq!(sorted.get(full.bare_str()), Some(&1));
    assert_eq!(hashed.get(full.as_str()), None);
}

#[test]
fn it_is_small() {
    assert!(size_of::<Jid>() <= 32 && size_of::<Option<Jid>>() <= 32);
}

/// Text that often is an address: pieces that are, wildcards that may be.
fn address() -> impl Strategy<Value = String> {
    let part = || {
        prop_oneof![
            "[a-zA-Z0-9._-]{1,12}",
            "[a-z\u{e4}\u{c9}\u{3a3}\u{5d0}\u{65e5}\u{ff21}\u{131}\u{130}\u{1e9e}\u{345}\u{301}]{1,6}",
            "\\PC{0,6}",
        ]
    };
    (prop::option::of(part()), part(), prop::option::of(part())).prop_map(|(local, domain, resource)| {
        let local = local.map(|l| l + "@").unwrap_or_default();
        let resource = resource.map(|r| format!("/{r}")).unwrap_or_default();
        format!("{local}{domain}{resource}")
    })
}

#[test]
fn what_was_parsed_parses_to_itself() {
    let accepted = std::cell::Cell::new(0);
    seeded::check(20_000, address(), |text| {
        let Ok(jid) = text.parse::<Jid>() else { return Ok(()) };
        accepted.set(accepted.get() + 1);
        let again = jid.as_str().parse::<Jid>();
        prop_assert_eq!(Ok(&jid), again.as_ref(), "{}", jid);
        let parts = Jid::new(jid.local(), jid.domain(), jid.resource());
        prop_assert_eq!(Ok(&jid), parts.as_ref());
        Ok(())
    });
    assert!(accepted.get() > 2_000, "only {} were addresses: the property saw too few", accepted.get());
}
