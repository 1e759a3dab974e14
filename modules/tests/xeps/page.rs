//! docs/xeps.md says what is there.

use expect_test::expect_file;
use herald_modules::XEPS;

const HEAD: &str = "\
# Supported XEPs

What a version number here means: the code was written to that version of the text, and its tests name
its sections. This page is made from the code; a test keeps it true (`UPDATE_EXPECT=1 cargo test -p
herald-modules` writes it anew).

## Modules

One file in `modules/src/` each. A server runs all of them.

| XEP | title | version | file | notes |
|---|---|---|---|---|
";

const REST: &str = "
## Elsewhere in the server

| XEP or RFC | title | where | notes |
|---|---|---|---|
| RFC 6120 | XMPP: Core | `xmpp/`, `session/` | client to server; no links to other servers |
| RFC 6121 | XMPP: Instant Messaging and Presence | `session/` | with roster versioning (section 2.6) |
| RFC 7395 | XMPP over WebSocket | `xmpp/`, `src/net/` | |
| RFC 7622 | XMPP: Address Format | `xmpp/` | |
| XEP-0082 | XMPP Date and Time Profiles | `modules/src/time.rs` | dateTime, in UTC |
| XEP-0124 | Bidirectional-streams Over Synchronous HTTP (BOSH) | `bosh/` | |
| XEP-0156 | Discovering Alternative XMPP Connection Methods | `src/net/` | over HTTP, host-meta as XML and as JSON |
| XEP-0198 | Stream Management 1.6.3 | `xmpp/src/stream/`, `src/net/` | over TCP and WebSocket, with resumption from one to the other; not over BOSH, which keeps a promise of its own. No `location`. A second `<enable/>` is answered with `<failed/>`, and the stream goes on |
| XEP-0206 | XMPP Over BOSH | `bosh/` | |
";

#[test]
fn the_page_is_true() {
    let rows = XEPS
        .iter()
        .map(|x| format!("| XEP-{:04} | {} | {} | `{}` | {} |\n", x.number, x.title, x.version, x.file, x.notes));
    let page = [HEAD.to_owned(), rows.collect(), REST.to_owned()].concat();
    expect_file!["../../../docs/xeps.md"].assert_eq(&page);
}

#[test]
fn every_module_is_on_it_once() {
    let beside = ["lib.rs", "request.rs"];
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("a folder");
    let names = folder.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let mut files: Vec<String> = names.filter(|name| !beside.contains(&name.as_str())).collect();
    let mut listed: Vec<&str> = XEPS.iter().map(|x| x.file).collect();
    files.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, files);
    assert!(XEPS.is_sorted_by_key(|x| x.number));
    let lib = include_str!("../../src/lib.rs");
    for xep in XEPS {
        let room = xep.file.trim_end_matches(".rs");
        assert!(lib.contains(&format!(".add({room}::")), "{room} is not in the standard list");
        assert!(lib.contains(&format!("| `{}` | {:04}, ", xep.file, xep.number)), "{room} is not on the first page");
    }
}
