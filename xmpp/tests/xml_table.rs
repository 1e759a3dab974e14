//! What is accepted and what is refused, as data.

use herald_xmpp::xml::{Element, Limits, Scope, XmlError, check, check_declaration, check_start_tag};

/// What is expected of a document: `Ok`, or the kind of error without its words.
#[derive(Debug, PartialEq)]
enum Verdict {
    Fine,
    Malformed,
    Restricted,
    Utf8,
    Unbound,
    Large,
    Deep,
    Many(&'static str),
}
use Verdict::*;

fn verdict(document: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(document) else { return Utf8 };
    match check(text, &Scope::CLIENT, &Limits::DEFAULT) {
        Ok(()) => Fine,
        Err(XmlError::NotWellFormed(_)) => Malformed,
        Err(XmlError::Restricted(_)) => Restricted,
        Err(XmlError::UnboundPrefix) => Unbound,
        Err(XmlError::TooLarge) => Large,
        Err(XmlError::TooDeep) => Deep,
        Err(XmlError::TooMany(what)) => Many(what),
        Err(e @ (XmlError::BadUtf8 | XmlError::UnsupportedEncoding)) => panic!("check cannot say {e}"),
    }
}

/// Inside an element.
const INSIDE: &[(&str, Verdict)] = &[
    // Legal
    ("", Fine),
    ("<b>x</b>", Fine),
    ("<b a='&lt;'>&amp;&#65;&#x10FFFF;&#x9;</b>", Fine),
    ("<b><![CDATA[<x>&]] >]]></b>", Fine),
    ("<![CDATA[]]]]><![CDATA[>]]>", Fine),
    ("<b xml:lang='en'/>", Fine),
    ("<b a='x>y'/>", Fine),
    ("<b a = 'x'\n\tc=\"y\" />", Fine),
    ("<b></b >", Fine),
    ("a > b ]] > c", Fine),
    ("<b xmlns=''/>", Fine),
    ("<b xmlns:p='u'><p:c p:a='1' a='1'/></b>", Fine),
    ("<p:b p:a='1' xmlns:p='u'/>", Fine),
    ("<stream:x/>", Fine),
    ("<b xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:a=''/>", Fine),
    ("<b xmlns:p='u' xmlns:q='v' p:a='1' q:a='2'/>", Fine),
    ("<_\u{e9}\u{300}.-0/>", Fine),
    ("\u{7f}\u{85}\u{2028}\u{fffd}\u{10ffff}", Fine),
    // Forbidden by RFC 6120 section 11.1
    ("<!DOCTYPE m>", Restricted),
    ("<!-- c -->", Restricted),
    ("<!-- a -- b -->", Restricted),
    ("<?php x?>", Restricted),
    ("<?xml version='1.0'?>", Restricted),
    // References
    ("&foo;", Malformed),
    ("<b a='&foo;'/>", Malformed),
    ("&#0;", Malformed),
    ("&#1;", Malformed),
    ("&#xFFFF;", Malformed),
    ("&#xD800;", Malformed),
    ("&#x110000;", Malformed),
    ("&#99999999999999999999;", Malformed),
    ("&#+65;", Malformed),
    ("&#X41;", Malformed),
    ("&#;", Malformed),
    ("&#x;", Malformed),
    ("&;", Malformed),
    ("& amp;", Malformed),
    ("a & b", Malformed),
    ("a &amp b", Malformed),
    ("<b a='&#1;'/>", Malformed),
    ("<b a='x & y'/>", Malformed),
    ("<b a='&amp'/>", Malformed),
    // Characters
    ("a\u{1}b", Malformed),
    ("a\u{0}b", Malformed),
    ("a\u{fffe}b", Malformed),
    ("a\u{ffff}b", Malformed),
    ("<b a='\u{1}'/>", Malformed),
    ("<![CDATA[\u{1}]]>", Malformed),
    // Attributes
    ("<b a='1' a='2'/>", Malformed),
    ("<b xmlns:p='u' xmlns:q='u' p:a='1' q:a='2'/>", Malformed),
    ("<b p:a='1' q:a='2' xmlns:p='u' xmlns:q='u'/>", Malformed),
    ("<b xmlns='a' xmlns='b'/>", Malformed),
    ("<b xmlns:p='a' xmlns:p='b'/>", Malformed),
    ("<b a='x<y'/>", Malformed),
    ("<b a=x/>", Malformed),
    ("<b a/>", Malformed),
    ("<b a=/>", Malformed),
    ("<b a='x/>", Malformed),
    ("<b a='1'c='2'/>", Malformed),
    ("<b ='x'/>", Malformed),
    ("<b 1a='x'/>", Malformed),
    ("<b a<='x'/>", Malformed),
    ("<b a b='x'/>", Malformed),
    ("<b a:b:c='x'/>", Malformed),
    ("<b :a='x'/>", Malformed),
    ("<b a:='x'/>", Malformed),
    ("<b p:a='1'/>", Unbound),
    // Names
    ("<1b/>", Malformed),
    ("<-b/>", Malformed),
    ("<b!c/>", Malformed),
    ("<x:b:c xmlns:x='u'/>", Malformed),
    ("<:b/>", Malformed),
    ("<b:/>", Malformed),
    ("< b/>", Malformed),
    ("</>", Malformed),
    ("<>", Malformed),
    ("<b'c/>", Malformed),
    ("<b'c'/>", Malformed),
    ("<\u{d7}/>", Malformed),
    ("<p:b/>", Unbound),
    ("<b xmlns:p='u'/><p:c/>", Unbound),
    // Tags
    ("<b></c>", Malformed),
    ("<b></b a='1'>", Malformed),
    ("<b></B>", Malformed),
    ("<p:b xmlns:p='u' xmlns:q='u'></q:b>", Malformed),
    ("<b / >", Malformed),
    ("<b/ >", Malformed),
    ("<b//>", Malformed),
    ("<b", Malformed),
    ("a ]]> b", Malformed),
    ("<![CDATA[x", Malformed),
    ("<![cdata[x]]>", Malformed),
    // Namespaces in XML 1.0
    ("<b xmlns:p=''/>", Malformed),
    ("<b xmlns:xml='u'/>", Malformed),
    ("<b xmlns:xmlns='u'/>", Malformed),
    ("<b xmlns:xmlns='http://www.w3.org/2000/xmlns/'/>", Malformed),
    ("<b xmlns='http://www.w3.org/XML/1998/namespace'/>", Malformed),
    ("<b xmlns:p='http://www.w3.org/XML/1998/namespace'/>", Malformed),
    ("<b xmlns='http://www.w3.org/2000/xmlns/'/>", Malformed),
    ("<b xmlns:p='http://www.w3.org/2000/xmlns/'/>", Malformed),
    ("<b xmlns='http://www.w3.org/XML/1998/namespac&#101;'/>", Malformed),
    ("<xmlns:b/>", Unbound),
    ("<b xmlns:='u'/>", Malformed),
];

/// Whole documents.
const WHOLE: &[(&[u8], Verdict)] = &[
    (b"<m/>", Fine),
    (b" \t\r\n<m></m>\n", Fine),
    (b"<stream:m/>", Fine),
    (b"", Malformed),
    (b"  ", Malformed),
    (b"x", Malformed),
    (b"x<m/>", Malformed),
    (b"<m/>x", Malformed),
    (b"&#32;<m/>", Malformed),
    (b"<m/>&#32;", Malformed),
    (b"<m/><![CDATA[]]>", Malformed),
    (b"<![CDATA[]]><m/>", Malformed),
    (b"<m/><n/>", Malformed),
    (b"<m></m><n/>", Malformed),
    (b"<m/></m>", Malformed),
    (b"</m>", Malformed),
    (b"<m><b></b>", Malformed),
    (b"<m><b>", Malformed),
    (b"<m", Malformed),
    (b"<!DOCTYPE m [<!ENTITY x 'y'>]><m/>", Restricted),
    (b"<m/><!-- c -->", Restricted),
    (b"<m/><?p i?>", Restricted),
    (b"<?xml version='1.0'?><m/>", Restricted),
    // A byte order mark belongs to the start of a stream, where the framer takes it off.
    (b"\xef\xbb\xbf<m/>", Malformed),
    (b"<m/>\xef\xbb\xbf", Malformed),
    (b"<m>\xff\xfe</m>", Utf8),
    (b"<m a='\xc3\x28'/>", Utf8),
    (b"<m\xff/>", Utf8),
    (b"<m>\xc0\xaf</m>", Utf8),
    (b"<m>\xed\xa0\x80</m>", Utf8),
    (b"\xff\xfe<\0m\0/\0>\0", Utf8),
    (b"<\0m\0/\0>\0", Malformed),
];

#[test]
fn inside_an_element() {
    for (content, expected) in INSIDE {
        for document in [format!("<m>{content}</m>"), format!("<m xmlns='jabber:client'>t{content}<z/></m>")] {
            assert_eq!(verdict(document.as_bytes()), *expected, "{document}");
        }
    }
}

#[test]
fn whole_documents() {
    for (document, expected) in WHOLE {
        assert_eq!(verdict(document), *expected, "{}", String::from_utf8_lossy(document));
    }
}

#[test]
fn what_is_accepted_can_be_read() {
    for (content, _) in INSIDE.iter().filter(|(_, v)| *v == Fine) {
        let document = format!("<m>{content}</m>");
        let element = Element::parse(&document, &Scope::CLIENT).unwrap();
        assert_eq!((element.raw(), element.inner()), (document.as_str(), *content));
    }
}

#[test]
fn limits_are_exact() {
    let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
    let attrs = |n: usize| format!("<a{}/>", (0..n).map(|i| format!(" a{i}=''")).collect::<String>());
    let many = |n: usize| format!("<a>{}</a>", "<b/>".repeat(n - 1));
    let sized = |n: usize| format!("<a>{}</a>", "x".repeat(n - 7));
    let Limits { bytes_max, depth_max, attrs_max, elements_max } = Limits::DEFAULT;
    for (at_most, over, expected) in [
        (nested(depth_max as usize), nested(depth_max as usize + 1), Deep),
        (attrs(attrs_max as usize), attrs(attrs_max as usize + 1), Many("attributes")),
        (many(elements_max as usize), many(elements_max as usize + 1), Many("elements")),
        (sized(bytes_max), sized(bytes_max + 1), Large),
    ] {
        assert_eq!(verdict(at_most.as_bytes()), Fine);
        assert_eq!(verdict(over.as_bytes()), expected);
    }
    // An empty element is as deep as one with content.
    let inner = nested(depth_max as usize).replacen("<a></a>", "<a><b/></a>", 1);
    assert_eq!(verdict(inner.as_bytes()), Deep);
    let bindings = |n: usize| format!("<a{}>{}</a>", " xmlns:p='u'", decls_in_children(n - 1));
    assert_eq!(verdict(bindings(64).as_bytes()), Fine);
    assert_eq!(verdict(bindings(65).as_bytes()), Many("namespace declarations"));
}

/// `n` declarations in elements nested four to a level.
fn decls_in_children(n: usize) -> String {
    let decl = |i: usize| format!(" xmlns:q{i}='u'");
    let levels = n.div_ceil(4);
    let tag = |level: usize| {
        let of_level = level * 4..n.min(level * 4 + 4);
        format!("<a{}>", of_level.map(decl).collect::<String>())
    };
    (0..levels).map(tag).collect::<String>() + &"</a>".repeat(levels)
}

#[test]
fn a_lone_start_tag() {
    let verdict = |tag: &str| check_start_tag(tag, &Scope::NONE, &Limits::DEFAULT);
    let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a'>";
    assert_eq!(verdict(header), Ok(()));
    assert_eq!(verdict("<stream:stream to='a'>"), Err(XmlError::UnboundPrefix));
    let bindings = |n: usize| format!("<a{}>", (0..n).map(|i| format!(" xmlns:p{i}='u'")).collect::<String>());
    assert_eq!(verdict(&bindings(16)), Ok(()));
    assert_eq!(verdict(&bindings(17)), Err(XmlError::TooMany("namespace declarations")));
    for bad in ["<a/>", "<a></a>", "<a><b>", "<a>x</a>", "<a b='1' b='2'>", "<a", "", "<a b=<'>"] {
        assert!(matches!(verdict(bad), Err(XmlError::NotWellFormed(_))), "{bad}");
    }
}

#[test]
fn the_declaration() {
    for fine in [
        "<?xml version='1.0'?>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
        "<?xml version='1.0' encoding='utf-8' standalone='yes' ?>",
        "<?xml\tversion = '1.0'\n?>",
    ] {
        assert_eq!(check_declaration(fine), Ok(()), "{fine}");
    }
    for latin in ["<?xml version='1.0' encoding='iso-8859-1'?>", "<?xml version='1.0' encoding='UTF-16'?>"] {
        assert_eq!(check_declaration(latin), Err(XmlError::UnsupportedEncoding), "{latin}");
    }
    for bad in [
        "<?xml?>",
        "<?xml ?>",
        "<?xml version='1.1'?>",
        "<?xml encoding='utf-8'?>",
        "<?xml encoding='utf-8' version='1.0'?>",
        "<?xml version='1.0' version='1.0'?>",
        "<?xml version='1.0'encoding='utf-8'?>",
        "<?xml version='1.0' standalone='maybe'?>",
        "<?xml version='1.0' x='y'?>",
        "<?xml version=1.0?>",
        "<?xml version='1.0' ? ?>",
    ] {
        assert!(matches!(check_declaration(bad), Err(XmlError::NotWellFormed(_))), "{bad}");
    }
}
