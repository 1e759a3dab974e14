//! The table at the end.

use super::{Latency, Summary};
use std::fmt::Write as _;

/// What stands in the table: a name and what was found.
pub fn rows(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let s = summary;
    rows.push(("server", format!("{} over {}", s.targets.join(", "), s.transport)));
    rows.push(("sessions", format!("{} up at the end of {} ({} workers)", s.ready, s.sessions, s.workers)));
    if s.failed + s.lost > 0 {
        rows.push(("", format!("{} logins failed, {} sessions lost", s.failed, s.lost)));
    }
    if s.repeated_requests > 0 {
        rows.push(("", format!("{} requests made again", s.repeated_requests)));
    }
    rows.push(("logins", format!("{:.0} a second, {:.1} s in all", s.logins_per_sec, s.logins_secs)));
    rows.extend(s.login.map(|login| ("login", latency(login))));
    if let Some(cpu) = s.login_cpu_secs.filter(|_| s.peak > 0) {
        rows.push(("", format!("{:.2} ms of server CPU each", cpu * 1000.0 / f64::from(s.peak))));
    }
    if let (Some(before), Some(after)) = (s.server_bytes_before, s.server_bytes_after) {
        let each = s.bytes_per_session().map_or_else(|| "-".into(), |each| format!("{each:.0} bytes for a session"));
        rows.push(("server memory", format!("{} to {}: {each}", bytes(before as f64), bytes(after as f64))));
    }
    if let Some(client) = s.client_bytes {
        let each = if s.ready > 0 { client as f64 / f64::from(s.ready) } else { 0.0 };
        rows.push(("client memory", format!("{}: {each:.0} bytes for a session", bytes(client as f64))));
    }
    if let Some(cpu) = s.held_cpu_secs.filter(|_| s.pairs.is_none() && s.held_secs >= 1.0) {
        rows.push(("holding", format!("{:.0} s, {:.2} % of a core", s.held_secs, 100.0 * cpu / s.held_secs)));
    }
    if let Some(pairs) = s.pairs.filter(|_| s.chat_secs > 0.0) {
        let (body, outstanding) = (s.body_bytes.unwrap_or_default(), s.outstanding.unwrap_or_default());
        rows.push(("chat", format!("{pairs} pairs, {body} bytes, {outstanding} under way for each")));
        let rate = s.messages as f64 / s.chat_secs;
        rows.push(("messages", format!("{rate:.0} a second for {:.1} s", s.chat_secs)));
        if let Some(cpu) = s.chat_cpu_secs.filter(|_| s.messages > 0) {
            rows.push(("", format!("{:.1} us of server CPU each", cpu * 1e6 / s.messages as f64)));
        }
        rows.extend(s.latency.map(|found| ("latency", latency(found))));
    }
    if let Some(count) = s.count {
        let verdict = if count.is_perfect() { "each came once, in order" } else { "NOT EACH ONCE, IN ORDER" };
        rows.push(("sent", format!("{}: {verdict}", count.sent)));
        if !count.is_perfect() {
            rows.push((
                "",
                format!(
                    "{} lost, {} doubled, {} out of order, {} foreign",
                    count.lost, count.doubled, count.out_of_order, count.foreign
                ),
            ));
        }
    }
    for (reason, times) in &s.reasons {
        rows.push(("reason", format!("{times} times: {reason}")));
    }
    if s.interrupted {
        rows.push(("", "interrupted".to_owned()));
    }
    rows
}

/// The table as text.
pub fn table(summary: &Summary) -> String {
    let mut text = format!("\n{}\n", summary.title);
    for (name, found) in rows(summary) {
        let _ = writeln!(text, "  {name:<15}{found}"); // a String takes everything
    }
    text
}

fn latency(found: Latency) -> String {
    format!("p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms", found.p50, found.p99, found.max)
}

/// A number of bytes, for people.
pub fn bytes(bytes: f64) -> String {
    match bytes {
        b if b >= f64::from(1 << 30) => format!("{:.2} GiB", b / f64::from(1 << 30)),
        b if b >= f64::from(1 << 20) => format!("{:.1} MiB", b / f64::from(1 << 20)),
        b => format!("{:.0} KiB", b / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Count;
    use expect_test::expect;

    #[test]
    fn a_table_says_what_there_is() {
        let summary = Summary {
            title: "2 pairs over ws".into(),
            transport: "ws",
            targets: vec!["localhost".into()],
            sessions: 4,
            workers: 1,
            peak: 4,
            ready: 4,
            logins_secs: 0.5,
            logins_per_sec: 8.0,
            login_cpu_secs: Some(0.004),
            server_bytes_before: Some(10 << 20),
            server_bytes_after: Some((10 << 20) + 8000),
            pairs: Some(2),
            body_bytes: Some(100),
            outstanding: Some(1),
            chat_secs: 2.0,
            messages: 1000,
            chat_cpu_secs: Some(0.01),
            latency: Some(Latency { p50: 0.5, p99: 1.25, max: 9.0 }),
            count: Some(Count { sent: 1200, received: 1199, lost: 1, ..Count::default() }),
            reasons: vec![("the server closed the connection".into(), 1)],
            ..Summary::default()
        };
        assert!(!summary.is_good());
        expect![[r#"

            2 pairs over ws
              server         localhost over ws
              sessions       4 up at the end of 4 (1 workers)
              logins         8 a second, 0.5 s in all
                             1.00 ms of server CPU each
              server memory  10.0 MiB to 10.0 MiB: 2000 bytes for a session
              chat           2 pairs, 100 bytes, 1 under way for each
              messages       500 a second for 2.0 s
                             10.0 us of server CPU each
              latency        p50 0.5 ms, p99 1.2 ms, at most 9.0 ms
              sent           1200: NOT EACH ONCE, IN ORDER
                             1 lost, 0 doubled, 0 out of order, 0 foreign
              reason         1 times: the server closed the connection
        "#]]
        .assert_eq(&table(&summary));
    }
}
