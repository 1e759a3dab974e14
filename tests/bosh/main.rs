//! BOSH over real sockets, case by case: request sequence, expected response.
//!
//! The real server, connections of our own, and the 85 cases that decide whether a connection manager
//! loses nothing. R is the rid of the creation request, R+1 the first one after it (of a session that has
//! logged in, after that). The settings are wait=10 hold=1 inactivity=5 maxpause=20 polling=2 unless a
//! case says others. "Session gone" means that the next request gets `item-not-found` and that a contact
//! saw `unavailable`. Every answer of every case is held to what all must have: one length, a type, no
//! transfer coding, readable from any origin, well-formed.
//!
//! | case | where | what |
//! |---|---|---|
//! | 01 | `a_http` | OPTIONS from another origin |
//! | 02 | `a_http` | every kind of answer is readable from any origin, typed, well-formed |
//! | 03 | `a_http` | GET, PUT |
//! | 04 | `a_http` | no body |
//! | 05 | `a_http` | a malformed body |
//! | 06 | `a_http` | comments, PIs, a DTD, entities |
//! | 07 | `a_http` | any Content-Type of requests |
//! | 08 | `a_http` | `content` is the Content-Type of the whole session |
//! | 09 | `a_http` | Content-Length, never a transfer coding |
//! | 10 | `a_http` | HTTP/1.0 |
//! | 11 | `a_http` | answers packed with gzip |
//! | 12 | `a_http` | requests packed with gzip, and a bomb |
//! | 13 | `a_http` | a request that is too large |
//! | 14 | `a_http` | a secure session's sid in the clear |
//! | 15 | `a_http` | two at a time on TLS connections (HTTP/2: by a proxy in front, `tests/e2e`) |
//! | 16 | `b_creation` | the answer to a creation |
//! | 17 | `b_creation` | `ver` |
//! | 18 | `b_creation` | `wait` |
//! | 19 | `b_creation` | `hold` |
//! | 20 | `b_creation` | bad rids |
//! | 21 | `b_creation` | `to` |
//! | 22 | `b_creation` | no `xmpp:version` |
//! | 23 | `b_creation` | another prefix, both booleans |
//! | 24 | `b_creation` | `route` and `from` |
//! | 25 | `b_creation` | a creation with a payload |
//! | 26 | `b_creation` | 10,000 creations |
//! | 27 | `b_creation` | too many creations from one address |
//! | 28 | `b_creation` | an endpoint for https only |
//! | 29 | `c_order` | a push to a held request |
//! | 30 | `c_order` | a second request ends the wait of the first |
//! | 31 | `c_order` | the wait is over |
//! | 32 | `c_order` | R+2 before R+1 |
//! | 33 | `c_order` | R+2 twice before R+1 |
//! | 34 | `c_order` | out of the window |
//! | 35 | `c_order` | a rid that is too old |
//! | 36 | `c_order` | an answered request again |
//! | 37 | `c_order` | another payload under an answered rid |
//! | 38 | `c_order` | a held request again |
//! | 39 | `c_order` | the same request 50 times |
//! | 40 | `c_order` | a held request's connection closes |
//! | 41 | `c_order` | an answer is cut in the middle |
//! | 42 | `c_order` | an answer is cut and nobody comes back |
//! | 43 | `c_order` | two at once, a thousand times |
//! | 44 | `c_order` | pipelined |
//! | 45 | `c_order` | what may come before a withheld request |
//! | 46 | `c_order` | empty requests too often |
//! | 47 | `c_order` | a polling client logs in |
//! | 48 | `c_order` | polling too often |
//! | 49 | `d_acks` | the server's `ack` |
//! | 50 | `d_acks` | `report` and `time` |
//! | 51 | `d_acks` | a client that never acknowledges |
//! | 52 | `d_acks` | an acknowledged answer is not said again |
//! | 53 | `e_pause` | a pause |
//! | 54 | `e_pause` | inactivity after a pause |
//! | 55 | `e_pause` | too long a pause |
//! | 56 | `e_pause` | what comes during a pause |
//! | 57 | `e_pause` | nobody asks |
//! | 58 | `e_pause` | a held request's host is gone |
//! | 59 | `e_pause` | just in time, for a minute |
//! | 60 | `e_pause` | a hidden tab, for ten minutes |
//! | 61 | `f_ends` | the client terminates |
//! | 62 | `f_ends` | a conflict while a request waits |
//! | 63 | `f_ends` | a kick while nothing is held |
//! | 64 | `f_ends` | a session that never was |
//! | 65 | `f_ends` | what legacy clients are told |
//! | 66 | `f_ends` | shutdown with a thousand held |
//! | 67 | `f_ends` | others are untouched (an actor that breaks: `session/tests/live.rs`) |
//! | 68 | `g_xmpp` | SCRAM, restart, bind, roster: no extra request |
//! | 69 | `g_xmpp` | a restart with a payload |
//! | 70 | `g_xmpp` | a restart before the login |
//! | 71 | `g_xmpp` | wrong passwords |
//! | 72 | `g_xmpp` | keys |
//! | 73 | `g_xmpp` | wrong keys |
//! | 74 | `g_xmpp` | a second stream |
//! | 75 | `g_xmpp` | stanzas without a namespace |
//! | 76 | `g_xmpp` | no stream management |
//! | 77 | `h_push` | one push, four connections |
//! | 78 | `h_push` | pushes for somebody who is away |
//! | 79 | `tests/login/prebind.rs` | prebind and attach |
//! | 80 | `tests/login/prebind.rs` | prebind and never attach |
//! | 81 | `tests/login/prebind.rs` | two tabs attach to one session |
//! | 82 | `h_push` | a flood for a page that pauses |
//! | 83 | `h_push` | a megabyte that waits |
//! | 84 | not yet | three nodes: with the cluster, which is not there yet |
//! | 85 | `h_push` | what an idle session costs (100,000 of them: `docs/measured.md`) |

#![allow(clippy::disallowed_methods)] // it measures how long answers take

mod a_http;
mod b_creation;
mod c_order;
mod d_acks;
mod e_pause;
mod f_ends;
mod g_xmpp;
mod h_push;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod wire;

/// The source of each module of the table.
const MODULES: &[(&str, &str)] = &[
    ("a_http", include_str!("a_http.rs")),
    ("b_creation", include_str!("b_creation.rs")),
    ("c_order", include_str!("c_order.rs")),
    ("d_acks", include_str!("d_acks.rs")),
    ("e_pause", include_str!("e_pause.rs")),
    ("f_ends", include_str!("f_ends.rs")),
    ("g_xmpp", include_str!("g_xmpp.rs")),
    ("h_push", include_str!("h_push.rs")),
    ("tests/login/prebind.rs", include_str!("../login/prebind.rs")),
];

#[test]
fn no_case_is_missing() {
    let table: Vec<_> =
        include_str!("main.rs").lines().filter_map(|line| line.strip_prefix("//! | ")).skip(1).collect();
    assert_eq!(table.len(), 85);
    for (case, row) in (1..).zip(table) {
        let [number, place, _what, ""] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        assert_eq!(number, format!("{case:02}"));
        let Some((_, source)) = MODULES.iter().find(|(name, _)| *name == place.trim_matches('`')) else {
            assert_eq!((case, place), (84, "not yet"), "{row}");
            continue;
        };
        let shown = [format!("\nfn t{number}_"), format!("\nfn case_{number}_")].iter().any(|f| source.contains(f));
        assert!(shown, "{row}");
    }
}
