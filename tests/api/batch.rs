//! `POST /api/v1/batch`, as an array and as a stream of lines.

use crate::support::{Herald, PATIENCE};
use crate::{bodies, refused};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

#[test]
fn each_request_is_answered_in_its_order() {
    let herald = Herald::start();
    for uid in ["alice", "bob"] {
        herald.user(uid, "secret");
    }
    let mut items: Vec<Value> = (0..100).map(|n| json!({"to": "bob", "body": format!("{n}")})).collect();
    items[3]["key"] = json!("k3");
    items.push(json!({"to": "nobody", "body": "x"}));
    items.push(json!({"to": "alice", "boddy": "x"}));
    items.push(json!({"to": {"all": "accounts"}, "body": "to all"}));
    items.push(json!({"to": "alice", "body": "last"}));
    let batch = |items: &Value| herald.api("POST", "/api/v1/batch", Some(items.clone()));
    let answer = batch(&json!(items));
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.json["results"].as_array().expect("results");
    assert_eq!(results.len(), items.len());
    let ids: Vec<u64> = results[..100].iter().map(|r| r["results"][0]["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids, (1..=100).collect::<Vec<_>>());
    assert_eq!((&results[100]["status"], &results[100]["code"]), (&json!(404), &json!("no_such_user")));
    assert_eq!((&results[101]["status"], &results[101]["field"]), (&json!(422), &json!("boddy")));
    assert_eq!((&results[102]["status"], &results[102]["total"]), (&json!(200), &json!(2)));
    assert_eq!(bodies(&herald, "uid=alice"), ["to all", "last"]);
    let again = batch(&json!([items[3]])).json;
    assert_eq!((&again["results"][0]["replayed"], &again["results"][0]["results"][0]["id"]), (&json!(true), &json!(4)));
    refused(&batch(&json!({"to": "bob"})), 422, "invalid");
    refused(&batch(&json!(vec![json!({"to": "bob", "body": "x"}); 1001])), 422, "invalid");
    assert_eq!(batch(&json!([])).json, json!({"results": []}));
}

/// A request whose body is sent piece by piece while its answer is read.
struct Stream {
    to: TcpStream,
    from: BufReader<TcpStream>,
}

impl Stream {
    fn open(herald: &Herald) -> Stream {
        let mut to = TcpStream::connect(herald.address("admin")).expect("it accepts");
        to.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let head = format!(
            "POST /api/v1/batch HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nConnection: close\r\n\
             Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
            herald.token(),
        );
        to.write_all(head.as_bytes()).expect("it reads");
        let from = BufReader::new(to.try_clone().expect("a second handle"));
        let mut stream = Stream { to, from };
        assert!(stream.line().starts_with("HTTP/1.1 200"));
        while !stream.line().is_empty() {}
        stream
    }
    fn send(&mut self, text: &str) {
        write!(self.to, "{:x}\r\n{text}\r\n", text.len()).expect("it reads");
    }
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }
    /// The next line of the answer, which may share its chunk with others.
    fn answer(&mut self) -> Value {
        loop {
            let line = self.line();
            if line.starts_with('{') {
                return serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
            }
            assert!(line.is_empty() || u64::from_str_radix(&line, 16).is_ok_and(|n| n > 0), "{line}");
        }
    }
}

#[test]
fn a_stream_is_answered_line_by_line_as_they_come() {
    let herald = Herald::start_with("[admin]\nbody_bytes_max = 5000");
    herald.user("bob", "secret");
    let mut stream = Stream::open(&herald);
    // Nothing of the second line has come when the first is answered.
    stream.send("{\"to\":\"bob\",\"body\":\"one\"}\n");
    let one = stream.answer();
    assert_eq!((&one["line"], &one["status"], &one["results"][0]["id"]), (&json!(1), &json!(200), &json!(1)));
    stream.send("\n{\"to\":\"bob\",\"bo");
    stream.send("dy\":\"two\"}\r\n{\"to\":\n");
    assert_eq!(stream.answer()["results"][0]["id"], 2);
    let broken = stream.answer();
    assert_eq!((&broken["line"], &broken["status"], &broken["code"]), (&json!(3), &json!(400), &json!("malformed")));
    // All in all more than one body may have; the last line has no end.
    let many: String = (0..200).map(|n| format!("{{\"to\":\"bob\",\"body\":\"{n}\"}}\n")).collect();
    stream.send(&many);
    for n in 0..200 {
        assert_eq!(stream.answer()["results"][0]["id"], n + 3);
    }
    stream.send("{\"to\":\"bob\",\"body\":\"end\"}");
    stream.to.write_all(b"0\r\n\r\n").expect("it reads");
    assert_eq!(stream.answer()["line"], 204);
    let mut rest = String::new();
    stream.from.read_to_string(&mut rest).expect("the end");
    assert_eq!(rest.trim(), "0");

    let mut stream = Stream::open(&herald);
    stream.send(&"x".repeat(5_001));
    assert_eq!(stream.answer()["code"], "too_large");
}
