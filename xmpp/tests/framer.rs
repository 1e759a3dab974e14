//! The framer: the same pieces however the bytes are cut, errors as early as they can be, bounds.

mod seeded;

use PieceKind::{Close, Declaration, Element, Open, Space};
use herald_xmpp::xml::{Framer, Limits, PieceKind, XmlError};
use proptest::prelude::*;

type Pieces = Vec<(PieceKind, String)>;

/// A reader as a transport would write it: what was kept, and what came out. Asserts on the way that
/// only an incomplete piece is kept.
struct Reader {
    framer: Framer,
    limits: Limits,
    kept: Vec<u8>,
    pieces: Pieces,
}

impl Reader {
    fn new(framer: Framer) -> Reader {
        Reader { framer, limits: Limits::DEFAULT, kept: Vec::new(), pieces: Vec::new() }
    }

    fn read(&mut self, mut new: &[u8]) -> Result<(), XmlError> {
        while !new.is_empty() {
            let Some(piece) = self.framer.scan(new, &self.limits)? else {
                self.kept.extend_from_slice(new);
                break;
            };
            assert!((1..=new.len()).contains(&piece.end));
            self.kept.extend_from_slice(&new[..piece.end]);
            let text = String::from_utf8(std::mem::take(&mut self.kept)).unwrap();
            self.pieces.push((piece.kind, text));
            new = &new[piece.end..];
        }
        assert_eq!(self.framer.pending(), self.kept.len());
        assert!(self.kept.len() <= self.limits.bytes_max);
        Ok(())
    }
}

fn pieces(framer: Framer, portions: &[&[u8]]) -> Result<Pieces, XmlError> {
    let mut reader = Reader::new(framer);
    portions.iter().try_for_each(|portion| reader.read(portion))?;
    assert!(reader.kept.is_empty(), "incomplete: {:?}", String::from_utf8_lossy(&reader.kept));
    // How a run of white space is cut is not the framer's to say.
    let mut out: Pieces = Vec::new();
    for (kind, text) in reader.pieces {
        match out.last_mut() {
            Some((Space, before)) if kind == Space && !before.starts_with('\u{feff}') => before.push_str(&text),
            _ => out.push((kind, text)),
        }
    }
    Ok(out)
}

const STREAM: &[(PieceKind, &str)] = &[
    (Space, "\u{feff}"),
    (Declaration, "<?xml version='1.0' encoding='UTF-8'?>"),
    (Space, "\r\n"),
    (Open, "<stream:stream to='a>b' x=\"/>'\" version='1.0'>"),
    (Space, " \n\t"),
    (Element, "<presence/>"),
    (Element, "<a b='/'/>"),
    (Element, "<a b='x>y' c=\"/>\"><d/><e f='/'>t>u</e></a>"),
    (Space, " "),
    (Element, "<m><![CDATA[]] ]>]</m><]]]></m>"),
    (Element, "<m>\u{e9}\u{20ac}\u{1f600}<![CDATA[]]><b ><c></c ></b\n></m >"),
    (Element, "<m><![CDATA[]]]]><![CDATA[>]]></m>"),
    (Element, "<a b='it\"s' c=\"it's\"/>"),
    (Space, "\n"),
    (Close, "</stream:stream >"),
];

fn stream() -> (String, Pieces) {
    let pieces: Pieces = STREAM.iter().map(|(kind, text)| (*kind, (*text).to_owned())).collect();
    (pieces.iter().map(|(_, text)| text.as_str()).collect(), pieces)
}

#[test]
fn whole() {
    let (text, expected) = stream();
    assert_eq!(pieces(Framer::stream(), &[text.as_bytes()]), Ok(expected));
}

#[test]
fn cut_anywhere() {
    let (text, expected) = stream();
    for cut in 0..=text.len() {
        let (a, b) = text.as_bytes().split_at(cut);
        assert_eq!(pieces(Framer::stream(), &[a, b]).as_ref(), Ok(&expected), "cut at {cut}");
    }
}

#[test]
fn byte_by_byte() {
    let (text, expected) = stream();
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(pieces(Framer::stream(), &bytes), Ok(expected));
}

#[test]
fn elements_only() {
    let text = " <a/><b><c/></b>\n<d/>";
    let expected = [(Space, " "), (Element, "<a/>"), (Element, "<b><c/></b>"), (Space, "\n"), (Element, "<d/>")];
    let expected: Pieces = expected.iter().map(|(k, t)| (*k, (*t).to_owned())).collect();
    for cut in 0..=text.len() {
        let (a, b) = text.as_bytes().split_at(cut);
        assert_eq!(pieces(Framer::elements(), &[a, b]).as_ref(), Ok(&expected), "cut at {cut}");
    }
}

/// What comes first, what is then refused, and the error: at the last byte given, not before it.
const REFUSED: &[(&[u8], &[u8], &str)] = &[
    (b"", b"x", "not well-formed: text outside an element"),
    (b"", b"GET ", "not well-formed: text outside an element"),
    (b"", b"\x16\x03\x01", "not well-formed: text outside an element"),
    (b"", b"\xff", "the encoding is not UTF-8"),
    (b"", b"\xfe", "the encoding is not UTF-8"),
    (b"", b"\0", "the encoding is not UTF-8"),
    (b"\xef", b"\xbf", "not well-formed: text outside an element"),
    (b"\xef\xbb\xbf", b"\xef", "not well-formed: text outside an element"),
    (b"<", b"/", "not well-formed: an end tag without a start tag"),
    (b"<", b"!", "not allowed in XMPP: a comment, DTD or CDATA outside an element"),
    (b"<?xm", b"p", "not allowed in XMPP: a processing instruction"),
    (b"<?xml", b"-", "not allowed in XMPP: a processing instruction"),
    (b" <", b"?", "not allowed in XMPP: a processing instruction"),
    (b"<?xml version='1.0'?><", b"?", "not allowed in XMPP: a processing instruction"),
    (b"<s:s/", b">", "not well-formed: an empty stream"),
    (b"<s><", b"!", "not allowed in XMPP: a comment, DTD or CDATA outside an element"),
    (b"<s><", b"?", "not allowed in XMPP: a processing instruction"),
    (b"<s>", b"t", "not well-formed: text outside an element"),
    (b"<s> \n", b"&", "not well-formed: text outside an element"),
    (b"<s><a/>", b"\xef", "not well-formed: text outside an element"),
    (b"<s><a><!", b"-", "not allowed in XMPP: a comment"),
    (b"<s><a><!", b"D", "not allowed in XMPP: a DTD"),
    (b"<s><a><![CD", b"X", "not allowed in XMPP: a DTD"),
    (b"<s><a><", b"?", "not allowed in XMPP: a processing instruction"),
];

#[test]
fn refused_at_once() {
    for (before, last, error) in REFUSED {
        let mut reader = Reader::new(Framer::stream());
        assert_eq!(reader.read(before), Ok(()), "{}", String::from_utf8_lossy(before));
        let refused = reader.read(&last[..1]).and_then(|()| reader.read(&last[1..]));
        assert_eq!(refused.map_err(|e| e.to_string()), Err((*error).to_owned()), "{}", String::from_utf8_lossy(last));
    }
    let mut elements = Reader::new(Framer::elements());
    assert_eq!(elements.read(b"<"), Ok(()));
    assert!(matches!(elements.read(b"?xml"), Err(XmlError::Restricted(_))));
}

/// Pieces of exactly the limit pass, one byte more does not, in one portion or in many; and no more
/// than the limit is ever asked to be kept.
#[test]
fn bytes_are_bounded() {
    let bytes_max = 100;
    let limits = Limits { bytes_max, ..Limits::DEFAULT };
    let endless: [(&str, &str); 7] = [
        ("<a b='", "x"),
        ("<a", "x"),
        ("<a>", "x"),
        ("<a>", "<b/>"),
        ("<a><![CDATA[", "]"),
        ("<a></", "x"),
        ("<a ", "b='' "),
    ];
    for (start, more) in endless {
        for portion in [1, 7, 1000] {
            let text = start.to_owned() + &more.repeat(1000);
            let mut reader = Reader { limits, ..Reader::new(Framer::stream()) };
            reader.read(b"<s>").unwrap();
            let refused = text.as_bytes().chunks(portion).try_for_each(|c| reader.read(c));
            assert_eq!(refused, Err(XmlError::TooLarge), "{start}");
            assert!(reader.kept.len() <= bytes_max);
        }
    }
    let sized = |n: usize| format!("<a>{}</a>", "x".repeat(n - 7));
    for portion in [1, 1000] {
        let read = |text: &str| {
            let mut reader = Reader { limits, ..Reader::new(Framer::stream()) };
            reader.read(b"<s>")?;
            text.as_bytes().chunks(portion).try_for_each(|c| reader.read(c))
        };
        assert_eq!(read(&sized(bytes_max)), Ok(()));
        assert_eq!(read(&sized(bytes_max + 1)), Err(XmlError::TooLarge));
        assert_eq!(read(&sized(bytes_max).repeat(50)), Ok(()), "the bound is on each piece");
    }
    // The header, and the declaration before it, are bounded as well.
    for start in ["<s a='", "<?xml "] {
        let mut reader = Reader { limits, ..Reader::new(Framer::stream()) };
        assert_eq!(reader.read((start.to_owned() + &"x".repeat(1000)).as_bytes()), Err(XmlError::TooLarge));
    }
}

#[test]
fn white_space_is_never_kept() {
    let mut reader = Reader::new(Framer::stream());
    reader.read(b"<s>").unwrap();
    for _ in 0..1000 {
        reader.read(&[b' '; 1000]).unwrap(); // well over the limit of a piece, all in all
        assert_eq!(reader.kept.capacity(), 0);
    }
}

#[test]
fn depth_is_bounded() {
    for (depth, expected) in [(64, Ok(())), (65, Err(XmlError::TooDeep)), (10_000, Err(XmlError::TooDeep))] {
        let mut reader = Reader::new(Framer::stream());
        reader.read(b"<s>").unwrap();
        let text = "<a>".repeat(depth) + &"</a>".repeat(depth);
        assert_eq!(reader.read(text.as_bytes()), expected);
    }
    let mut reader = Reader::new(Framer::stream());
    reader.read(b"<s>").unwrap();
    assert_eq!(reader.read(("<a>".repeat(64) + "<b/>").as_bytes()), Err(XmlError::TooDeep));
}

/// Were anything scanned twice, this would take minutes.
#[test]
fn a_large_piece_in_single_bytes() {
    let text = format!("<a b='{}'>{}</a>", "x".repeat(120_000), "y<b/>".repeat(20_000));
    let mut reader = Reader::new(Framer::elements());
    text.as_bytes().chunks(1).for_each(|b| reader.read(b).unwrap());
    assert_eq!(reader.pieces.len(), 1);
}

#[test]
fn it_is_small() {
    assert!(size_of::<Framer>() <= 12, "{}", size_of::<Framer>());
}

#[test]
fn any_cuts_of_any_bytes_give_the_same() {
    let soup = proptest::collection::vec(
        prop::sample::select(vec![
            "<",
            ">",
            "/",
            "'",
            "\"",
            "!",
            "?",
            "[",
            "]",
            "-",
            "a",
            " ",
            "=",
            "<a>",
            "</a>",
            "<b/>",
            "<![CDATA[",
            "]]>",
            " x='",
            "\u{e9}",
            "<s>",
            "\n",
        ]),
        0..24,
    );
    let cuts = proptest::collection::vec(0.0..1.0f64, 0..6);
    seeded::check(20_000, (soup, cuts), |(soup, cuts)| {
        let text = "<s>".to_owned() + &soup.concat();
        let mut at: Vec<usize> = cuts.iter().map(|share| (share * text.len() as f64) as usize).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let portions: Vec<&[u8]> = at.windows(2).map(|w| &text.as_bytes()[w[0]..w[1]]).collect();
        let run = |portions: &[&[u8]]| {
            let mut reader = Reader::new(Framer::stream());
            let outcome = portions.iter().try_for_each(|portion| reader.read(portion));
            reader.pieces.retain(|(kind, _)| *kind != Space);
            // After an error what is kept depends on the portions.
            let kept = outcome.is_ok().then(|| std::mem::take(&mut reader.kept));
            (outcome, kept, std::mem::take(&mut reader.pieces))
        };
        prop_assert_eq!(run(&portions), run(&[text.as_bytes()]), "{:?}", text);
        Ok(())
    });
}
