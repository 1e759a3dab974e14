//! The rows of the operator's port.

use crate::support::Herald;
use crate::wire::Conn;
use crate::{ask, open, park, push};

#[test]
fn every_call() {
    let herald = open("");
    let rows = |rows: &[(&str, u16, &str)]| {
        for (call, status, body) in rows {
            let said = ask(&herald, call);
            assert_eq!((said.status, said.text.as_str()), (*status, *body), "{call}");
        }
    };
    rows(&[
        ("/info", 200, "{\"version\": \"0.2.5\", \"channels\": 0, \"subscribers\": 0}\n"),
        ("/check?cname=a", 200, "{}\n"),
        ("/close?cname=a", 404, "channel[a] not connected\n"),
        ("/clear?cname=a", 404, "channel[a] not connected\n"),
        ("/push?cname=a&content=hi", 200, "{\"type\":\"ok\"}\n"),
        ("/push?cname=a&content=hi&cb=f", 200, "f({\"type\":\"ok\"});\n"),
        ("/pub?cname=a&content=%5C%22hi%5C%22&cb=f", 200, "f({\"type\":\"ok\"});\n"),
        ("/info?cname=a", 200, "{\"cname\": \"a\", \"subscribers\": 0}\n"),
        ("/broadcast?content=b", 200, "ok\n"),
    ]);
    let parked = park(&herald, "a", 4);
    rows(&[
        ("/info", 200, "{\"version\": \"0.2.5\", \"channels\": 1, \"subscribers\": 1}\n"),
        ("/info?cname=a", 200, "{\"cname\": \"a\", \"subscribers\": 1}\n"),
        ("/check?cname=a", 200, "{\"a\": 1}\n"),
        ("/clear?cname=a", 200, "ok 4\n"),
        ("/close?cname=a", 200, "ok 4\n"),
        ("/close?cname=a", 404, "channel[a] not connected\n"),
    ]);
    let mut parked = parked;
    assert_eq!(parked.answer().1, "{\"type\":\"close\",\"cname\":\"a\",\"seq\":4,\"content\":\"\"}\n");
    // The numbers go on, and what was cleared is given to nobody.
    assert_eq!(parked.body("/poll?cname=a"), "{\"type\":\"next_seq\",\"cname\":\"a\",\"seq\":4,\"content\":\"\"}\n");
    push(&herald, "a", "new");
    assert_eq!(
        parked.body("/poll?cname=a&seq=4"),
        "[{\"type\":\"data\",\"cname\":\"a\",\"seq\":4,\"content\":\"new\"}]\n"
    );
}

#[test]
fn a_sign() {
    let herald = open("polling_timeout_secs = 7\n");
    let said = ask(&herald, "/sign?cname=a&expires=60");
    let token = said.json["token"].as_str().expect("a token");
    let wanted = format!(
        "{{\"type\":\"sign\",\"cname\":\"a\",\"seq\":1,\"token\":\"{token}\",\"expires\":60,\"sub_timeout\":7}}"
    );
    assert_eq!(said.text, format!("{wanted}\n"));
    let jsonp = ask(&herald, "/sign?cname=a&expires=60&cb=icomet_cb_0");
    assert_eq!(jsonp.text, format!("icomet_cb_0({wanted});\n"));
    assert_eq!(jsonp.headers["content-type"], "text/javascript; charset=utf-8");
    push(&herald, "a", "kept");
    push(&herald, "a", "kept");
    assert_eq!(ask(&herald, "/sign?cname=a").json["seq"], 1, "the oldest that nobody has");
}

#[test]
fn by_post_as_a_form_and_as_json() {
    let herald = open("");
    let form = "application/x-www-form-urlencoded";
    for (kind, body) in [
        (form, "cname=a&content=one+%26+two"),
        ("application/json", "{\"cname\": \"a\", \"content\": \"three\\u0001\"}"),
    ] {
        let said = herald.http("POST", "/push", &[("content-type", kind)], body);
        assert_eq!((said.status, said.text.as_str()), (200, "{\"type\":\"ok\"}\n"), "{body}");
    }
    let said = herald.http("POST", "/broadcast", &[("content-type", form)], "content=b");
    assert_eq!((said.status, said.text.as_str()), (200, "ok\n"));
    assert_eq!(herald.http("PUT", "/push", &[], "cname=a&content=x").status, 405);
    let polled = Conn::to(&herald).body("/poll?cname=a&seq=1");
    assert!(
        polled.contains("\"content\":\"one & two\"") && polled.contains("\"content\":\"three\\u0001\""),
        "{polled}"
    );
}

#[test]
fn the_same_calls_on_a_listener_of_their_own() {
    let herald = Herald::start_with(&format!("[listen]\npush = \"127.0.0.1:0\"\n{}", crate::OPEN));
    let mut backend = Conn::at(herald.address("push"));
    assert_eq!(backend.body("/push?cname=a&content=hi"), "{\"type\":\"ok\"}\n");
    assert_eq!(backend.body("/info?cname=a"), "{\"cname\": \"a\", \"subscribers\": 0}\n");
    backend.send(b"POST /push HTTP/1.1\r\nContent-Length: 19\r\n\r\ncname=a&content=two");
    assert_eq!(backend.answer().1, "{\"type\":\"ok\"}\n");
    for path in ["/poll?cname=a", "/psub", "/http-bind", "/ws", "/"] {
        assert!(backend.ask(path).0.starts_with("HTTP/1.1 404 "), "{path}");
    }
    let polled = Conn::to(&herald).body("/poll?cname=a&seq=1");
    assert!(polled.contains("\"hi\"") && polled.contains("\"two\""), "{polled}");
    // The operator's calls are not where everybody comes, and here only those may ask who are named.
    assert!(Conn::to(&herald).ask("/push?cname=a&content=x").0.starts_with("HTTP/1.1 404 "));
    let closed = Herald::start_with("[listen]\npush = \"127.0.0.1:0\"\n");
    assert!(Conn::at(closed.address("push")).ask("/info").0.starts_with("HTTP/1.1 403 "));
}

#[test]
fn who_may_ask() {
    let herald = Herald::start();
    let call = "/push?cname=a&content=x";
    assert_eq!(herald.http("GET", call, &[], "").status, 401, "loopback alone is not enough by default");
    assert_eq!(herald.api("GET", call, None).status, 200);
    let other = Herald::start_with("[comet]\noperators = [\"192.0.2.0/24\"]\n");
    assert_eq!(ask(&other, call).status, 401);
    let strict = open("create_users = false\n");
    assert_eq!(ask(&strict, call).status, 404);
    strict.user("a", "secret");
    assert_eq!(ask(&strict, call).status, 200);
}
