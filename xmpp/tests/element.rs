//! Reading and writing: elements, scopes, escapes.

mod seeded;

use herald_xmpp::ns;
use herald_xmpp::xml::{Element, Limits, Node, Scope, XmlError, check, escape_attr, escape_text, push_attr, push_text};
use proptest::prelude::*;

const DOCUMENT: &str = "<r a='1' p:a='2' xml:lang='en' xmlns='urn:r' xmlns:p='urn:p'>one<c/>\
    <p:c b='&lt;&#9;&quot;'>t&amp;<d xmlns=''/><![CDATA[<&]]>u</p:c><c xmlns:p='urn:q'><p:e/></c> two</r>";

fn document() -> Element<'static> {
    check(DOCUMENT, &Scope::CLIENT, &Limits::DEFAULT).unwrap();
    Element::parse(DOCUMENT, &Scope::CLIENT).unwrap()
}

#[test]
fn names_and_attributes() {
    let r = document();
    assert!(r.is("r", "urn:r") && !r.is("r", "urn:p") && !r.is("c", "urn:r"));
    assert_eq!((r.attr("a").as_deref(), r.attr("b"), r.attr("p:b")), (Some("1"), None, None));
    assert_eq!(r.attr_ns("urn:p", "a").as_deref(), Some("2"));
    assert_eq!(r.attr_ns(ns::XML, "lang").as_deref(), Some("en"));
    assert_eq!(r.attr_ns("urn:r", "a"), None, "the default namespace is not that of attributes");
    let attrs: Vec<_> = r.attrs().map(|(ns, name, value)| (ns.to_owned(), name, value)).collect();
    let expected = [("", "a", "1"), ("urn:p", "a", "2"), (ns::XML, "lang", "en")];
    assert_eq!(attrs, expected.map(|(ns, name, value)| (ns.to_owned(), name, value.into())));
}

#[test]
fn content() {
    let r = document();
    let children: Vec<_> = r.children().map(|c| (c.ns().to_owned(), c.raw())).collect();
    assert_eq!(
        children,
        [
            ("urn:r".to_owned(), "<c/>"),
            ("urn:p".to_owned(), "<p:c b='&lt;&#9;&quot;'>t&amp;<d xmlns=''/><![CDATA[<&]]>u</p:c>"),
            ("urn:r".to_owned(), "<c xmlns:p='urn:q'><p:e/></c>"),
        ]
    );
    assert_eq!(r.text(), "one two");
    let c = r.child("c", "urn:p").unwrap();
    assert_eq!((c.attr("b").as_deref(), c.text().as_ref()), (Some("<\t\""), "t&<&u"));
    assert_eq!((c.start_tag(), c.inner()), ("<p:c b='&lt;&#9;&quot;'>", "t&amp;<d xmlns=''/><![CDATA[<&]]>u"));
    assert!(c.child("d", "").is_some());
    let third = r.children().nth(2).unwrap();
    assert!(third.child("e", "urn:q").is_some(), "the nearest declaration counts");
    let nodes: Vec<String> = c
        .nodes()
        .map(|n| match n {
            Node::Element(e) => e.raw().to_owned(),
            Node::Text(t) => t.into_owned(),
        })
        .collect();
    assert_eq!(nodes, ["t&", "<d xmlns=''/>", "<&", "u"]);
}

/// Values and text as they come, and as XML 1.0 sections 2.11 and 3.3.3 say they are to be read.
#[test]
fn line_ends_and_white_space() {
    for (raw, text, value) in [
        ("a\r\nb", "a\nb", "a b"),
        ("a\rb", "a\nb", "a b"),
        ("\r\r\n\n", "\n\n\n", "   "),
        ("a\tb\nc", "a\tb\nc", "a b c"),
        ("&#13;&#10;&#9;", "\r\n\t", "\r\n\t"),
        ("\u{e9}\r&#xe9;", "\u{e9}\n\u{e9}", "\u{e9} \u{e9}"),
    ] {
        let xml = format!("<a b='{raw}'>{raw}</a>");
        let a = Element::parse(&xml, &Scope::NONE).unwrap();
        assert_eq!((a.text().as_ref(), a.attr("b").as_deref()), (text, Some(value)), "{raw:?}");
    }
    let cdata = Element::parse("<a><![CDATA[\r\n\r&#13;]]></a>", &Scope::NONE).unwrap().text();
    assert_eq!(cdata, "\n\n&#13;");
}

#[test]
fn self_contained() {
    let alone = |c: &Element<'_>| c.self_contained().into_owned();
    let r = document();
    let children: Vec<String> = r.children().map(|c| alone(&c)).collect();
    assert_eq!(
        children,
        [
            "<c xmlns='urn:r'/>",
            "<p:c xmlns='urn:r' xmlns:p='urn:p' b='&lt;&#9;&quot;'>t&amp;<d xmlns=''/><![CDATA[<&]]>u</p:c>",
            "<c xmlns='urn:r' xmlns:p='urn:q'><p:e/></c>",
        ]
    );
    assert_eq!(alone(&r), DOCUMENT);
    let bare = Element::parse("<a><stream:b/></a>", &Scope::CLIENT).unwrap();
    assert_eq!(
        alone(&bare),
        "<a xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'><stream:b/></a>"
    );
    let none = Element::parse("<a/>", &Scope::NONE).unwrap();
    assert_eq!(alone(&none), "<a xmlns=''/>");
}

#[test]
fn scopes() {
    let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a'>";
    let usual = Scope::NONE.of_start_tag(header).unwrap();
    assert_eq!(usual, Scope::CLIENT, "the usual header costs nothing");
    assert_eq!(Scope::NONE.of_start_tag("<body xmlns='http://jabber.org/protocol/httpbind'>"), Ok(Scope::HTTPBIND));
    let own = usual.of_start_tag("<a xmlns:p='u&amp;v' xmlns=''/>").unwrap();
    assert_eq!((own.lookup("p"), own.default_ns(), own.lookup("stream")), (Some("u&v"), "", Some(ns::STREAM)));
    assert_eq!((own.lookup("q"), own.lookup("xml")), (None, Some(ns::XML)));
    assert_eq!(own.bindings().count(), 3);
    assert_eq!(usual.of_start_tag("<a b='xmlns=c'/>"), Ok(usual.clone()));
    assert_eq!(document().scope().lookup("p"), Some("urn:p"));
    assert!(matches!(Scope::NONE.of_start_tag("<a"), Err(XmlError::NotWellFormed(_))));
    assert!(size_of::<Scope>() <= 24);
}

#[test]
fn a_start_tag_alone() {
    let header = " <stream:stream to='a' xmlns:stream='http://etherx.jabber.org/streams'>rest";
    let open = Element::parse_start_tag(header, &Scope::NONE).unwrap();
    assert!(open.is("stream", ns::STREAM));
    assert_eq!((open.attr("to").as_deref(), open.inner(), open.children().count()), (Some("a"), "", 0));
}

/// Nothing panics or hangs on text that was never checked.
#[test]
fn unchecked_text() {
    seeded::check(20_000, "[<>/&;='\"a b:\\[\\]!CDAT\u{e9}]{0,24}", |text| {
        let xml = format!("<a {text}");
        for scope in [Scope::NONE, Scope::CLIENT] {
            let _ = scope.of_start_tag(&xml);
            let Ok(a) = Element::parse(&xml, &scope) else { continue };
            prop_assert!(xml.starts_with(a.raw()) && a.raw().contains(a.inner()));
            let _ = (a.text(), a.attrs().count(), a.self_contained(), a.nodes().count(), a.children().count());
        }
        Ok(())
    });
}

#[test]
fn escapes() {
    assert_eq!(escape_text("a<b>&\"'\t\n\r"), "a&lt;b&gt;&amp;\"'\t\n&#13;");
    assert_eq!(escape_attr("a<b>&\"'\t\n\r"), "a&lt;b&gt;&amp;&quot;&apos;&#9;&#10;&#13;");
    assert_eq!(escape_text("]]>"), "]]&gt;");
    // What XML cannot hold is dropped; its neighbours in the code space are not.
    assert_eq!(escape_text("a\0b\u{1f}c\u{fffe}d\u{ffff}e"), "abcde");
    assert_eq!(escape_attr("\u{fffd}\u{10ffff}\u{7f}\u{d7ff}\u{e000}"), "\u{fffd}\u{10ffff}\u{7f}\u{d7ff}\u{e000}");
    assert!(matches!(escape_text("plain \u{e9}"), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn what_is_escaped_reads_the_same() {
    let any_char = prop_oneof![
        any::<char>(),
        prop::char::range('\0', '\u{ff}'),
        prop::char::range('\u{fff0}', '\u{ffff}'),
        prop::sample::select(vec!['<', '>', '&', '\'', '"', ']', '\r', '\n', '\t']),
    ];
    let text = prop::collection::vec(any_char, 0..16).prop_map(String::from_iter);
    seeded::check(10_000, text, |text| {
        let mut xml = b"<a b='".to_vec();
        push_attr(&mut xml, &text);
        xml.extend_from_slice(b"'>");
        push_text(&mut xml, &text);
        xml.extend_from_slice(b"</a>");
        let xml = String::from_utf8(xml).unwrap();
        prop_assert_eq!(&xml, &format!("<a b='{}'>{}</a>", escape_attr(&text), escape_text(&text)));
        prop_assert_eq!(check(&xml, &Scope::NONE, &Limits::DEFAULT), Ok(()));
        let kept: String = text
            .chars()
            .filter(|c| !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}'))
            .collect();
        let a = Element::parse(&xml, &Scope::NONE).unwrap();
        prop_assert_eq!(a.attr("b").unwrap(), kept.as_str());
        prop_assert_eq!(a.text(), kept.as_str());
        Ok(())
    });
}
