//! Hostile sizes: the verdict, the memory it takes, and that the work grows with the bytes only.

use herald_xmpp::stanza::Stanza;
use herald_xmpp::xml::{Framer, Limits, Scope, XmlError, check};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts the bytes this thread holds, and their peak.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // Not while the thread ends, when the counters may be gone.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes held at once while `work` ran, over what was held before.
fn peak<T>(work: impl FnOnce() -> T) -> (T, isize) {
    let before = HELD.get();
    PEAK.set(before);
    let out = work();
    (out, PEAK.get() - before)
}

const KIB: isize = 1024;
const WIDE: Limits = Limits { bytes_max: 1 << 24, depth_max: 1 << 20, attrs_max: 1 << 20, elements_max: 1 << 20 };

#[test]
fn what_is_over_a_limit_is_refused_for_little() {
    let attributes = (0..10_000).map(|i| format!(" a{i}='1'")).collect::<String>();
    let declarations = (0..10_000).map(|i| format!(" xmlns:a{i}='1'")).collect::<String>();
    let bomb = format!("<a b='{}'/>", "&lol;".repeat(40_000));
    for (document, expected) in [
        (format!("<m{attributes}/>"), "too many attributes"),
        (format!("<m{declarations}/>"), "too many namespace declarations"),
        ("<a>".repeat(10_000) + &"</a>".repeat(10_000), "elements nested too deep"),
        (format!("<a>{}</a>", "<b/>".repeat(60_000)), "too many elements"),
        (format!("<a>{}</a>", "x".repeat(300_000)), "too many bytes in one element"),
        (format!("<{}/>", "x".repeat(300_000)), "too many bytes in one element"),
        (bomb, "not well-formed: a reference to nothing"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".to_owned(), "not allowed in XMPP: a DTD"),
    ] {
        let (verdict, held) = peak(|| check(&document, &Scope::CLIENT, &Limits::DEFAULT));
        assert_eq!(verdict.map_err(|e| e.to_string()), Err(expected.to_owned()));
        assert!(held < 64 * KIB, "{expected}: {held} bytes");
    }
}

#[test]
fn what_is_within_the_limits_is_checked_in_bounded_memory() {
    let bytes_max = Limits::DEFAULT.bytes_max;
    let fill = |start: &str, more: &str, end: &str| {
        start.to_owned() + &more.repeat((bytes_max - start.len() - end.len()) / more.len()) + end
    };
    for document in [
        fill("<a b='", "x", "'/>"),
        fill("<a b='", "&lt;", "'/>"),
        fill("<a>", "&#x10FFFF;", "</a>"),
        fill("<a>", "]", "</a>"),
        fill("<a><![CDATA[", "]]&gt;", "]]></a>"),
        fill("<", "x", "/>"),
        fill("<a ", "\n", "/>"),
        fill("<a>", "\u{fffd}", "</a>"),
    ] {
        let (verdict, held) = peak(|| check(&document, &Scope::CLIENT, &Limits::DEFAULT));
        assert_eq!(verdict, Ok(()), "{:?}", &document[..20]);
        assert!(held < 600 * KIB, "{:?}: {held} bytes", &document[..20]);
    }
}

/// Documents that grow in one direction each, with the limits out of the way: were the work to grow
/// with the square, these would take many minutes.
#[test]
fn the_work_grows_with_the_bytes() {
    const N: usize = 1 << 20;
    for document in [
        "<a>".repeat(N / 8) + &"</a>".repeat(N / 8),
        format!("<a>{}</a>", "<b c='d'/>".repeat(N / 8)),
        format!("<{}/>", "x".repeat(4 * N)),
        format!("<a b='{}'/>", "&amp;".repeat(N)),
        format!("<a>{}</a>", "]]&gt;".repeat(N)),
        format!("<a>{}</a>", "<![CDATA[]]>".repeat(N / 8)),
        format!("<a>{}</a>", "<b xmlns:p='u'><p:c/></b>".repeat(N / 16)),
    ] {
        assert_eq!(check(&document, &Scope::NONE, &WIDE), Ok(()), "{:?}", &document[..10]);
        let piece = Framer::elements().scan(document.as_bytes(), &WIDE).unwrap().unwrap();
        assert_eq!(piece.end, document.len());
    }
}

#[test]
fn the_framer_holds_nothing() {
    let document = format!("<s><a b='{}'>{}</a>", "x".repeat(100_000), "<b/>".repeat(10_000));
    let mut framer = Framer::stream();
    let ((), held) = peak(|| {
        for bytes in document.as_bytes().chunks(1000) {
            let mut new = bytes;
            while let Some(piece) = framer.scan(new, &Limits::DEFAULT).unwrap() {
                new = &new[piece.end..];
            }
        }
    });
    assert_eq!(held, 0);
    assert_eq!(
        framer.scan(&[b'x'; 200_000], &Limits::DEFAULT),
        Err(XmlError::NotWellFormed("text outside an element"))
    );
}

#[test]
fn an_ordinary_message_costs_few_bytes() {
    let message = "<message to='juliet@capulet.lit/balcony' type='chat' id='ktx72v49'>\
        <body>Neither, fair saint, if either thee dislike.</body></message>";
    let (_, checking) = peak(|| check(message, &Scope::CLIENT, &Limits::DEFAULT));
    assert!(checking < KIB, "{checking}");
    let (stanza, reading) = peak(|| Stanza::parse(message, &Scope::CLIENT).unwrap());
    // The payload and an address longer than 24 bytes.
    assert!(reading <= message.len() as isize + 64, "{reading}");
    assert!(size_of_val(&stanza) <= 168);
}
