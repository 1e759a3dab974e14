//! The servers themselves: they can be killed and started again on what they had.

use crate::support::servers::{Postgres, Rabbit, Redis};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

#[test]
fn redis_keeps_what_it_had() {
    let Some(mut redis) = Redis::start() else { return };
    let ask = |redis: &Redis, line: &str| {
        let mut socket = TcpStream::connect(("127.0.0.1", redis.port())).expect("it listens");
        socket.write_all(format!("{line}\r\n").as_bytes()).expect("it reads");
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer).expect("it answers");
        answer
    };
    assert_eq!(ask(&redis, "INCR n"), ":1\r\n");
    redis.kill();
    redis.restart();
    assert_eq!(ask(&redis, "INCR n"), ":2\r\n");
}

#[test]
fn postgres_keeps_what_it_had() {
    let Some(mut postgres) = Postgres::start() else { return };
    postgres.sql("CREATE TABLE t AS SELECT 1 AS n");
    postgres.kill();
    postgres.restart();
    assert_eq!(postgres.sql("SELECT n + 1 FROM t"), "2\n");
}

#[test]
fn rabbit_keeps_what_it_had() {
    let Some(mut rabbit) = Rabbit::start() else { return };
    rabbit.ctl(&["add_user", "herald", "secret"]);
    rabbit.kill();
    rabbit.restart();
    assert!(rabbit.ctl(&["list_users"]).contains("herald\t"));
}
