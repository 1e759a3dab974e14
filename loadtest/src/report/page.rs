//! The results as one page that needs nothing from anywhere else.

use super::plot::{Line, plot};
use super::table::rows;
use super::{Latency, Sample, Summary};
use crate::xml::escape;
use std::fmt::Write as _;

const MIB: f64 = 1_048_576.0;
const STYLE: &str = include_str!("page.css");

/// The page.
pub fn html(summary: &Summary) -> String {
    let title = escape(&summary.title);
    let (class, verdict) = match summary.is_good() {
        true => ("verdict", "All went well."),
        false => ("verdict bad", "Not all went well: see below."),
    };
    let mut page = format!(
        "<!doctype html>\n<html lang='en'>\n<meta charset='utf-8'>\n\
         <meta name='viewport' content='width=device-width'>\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         <h1>{title}</h1>\n<p>herald-load {}, {}. <span class='{class}'>{verdict}</span></p>\n<table>\n",
        summary.version, summary.began
    );
    for (name, found) in rows(summary) {
        let _ = writeln!(page, "<tr><th>{name}<td>{}", escape(&found)); // a String takes everything
    }
    page += "</table>\n";
    for plot in plots(&summary.samples) {
        page += &plot;
    }
    page
}

fn plots(samples: &[Sample]) -> [String; 5] {
    let secs_max = samples.last().map_or(1.0, |sample| sample.secs.max(1.0));
    let line = |name, class, value: &dyn Fn(&Sample) -> Option<f64>| {
        let points = samples.iter().map(|sample| (sample.secs, value(sample))).collect();
        Line { name, class, points }
    };
    let rate = |class, count: fn(&Sample) -> f64| {
        let pairs = samples.windows(2);
        // Two samples that are close to each other say nothing of what there is in a second.
        let pairs = pairs.filter(|pair| pair[1].secs - pair[0].secs > 0.5);
        let points = pairs.map(|pair| {
            let rate = (count(&pair[1]) - count(&pair[0])) / (pair[1].secs - pair[0].secs);
            (pair[1].secs, Some(rate.max(0.0)))
        });
        Line { name: "", class, points: points.collect() }
    };
    let quantiles = |of: fn(&Sample) -> Option<Latency>| {
        let whole = samples.windows(2).filter(|pair| pair[1].secs - pair[0].secs > 0.5).map(|pair| &pair[1]);
        let found: Vec<_> = whole.map(|sample| (sample.secs, of(sample))).collect();
        let points = |part: fn(Latency) -> f64| found.iter().map(|(secs, found)| (*secs, found.map(part))).collect();
        [
            Line { name: "p50", class: "a", points: points(|latency| latency.p50) },
            Line { name: "p99", class: "b", points: points(|latency| latency.p99) },
        ]
    };
    let received = samples.last().is_some_and(|sample| sample.received > 0);
    let server = line("", "a", &|sample| sample.server_bytes.map(|bytes| bytes as f64 / MIB));
    [
        plot("Sessions", secs_max, &[line("", "a", &|sample| Some(sample.ready.into()))], count),
        plot("Memory of the server", secs_max, &[server], |mib| format!("{} MiB", (mib * 10.0).round() / 10.0)),
        if received {
            plot("Messages a second", secs_max, &[rate("a", |sample| sample.received as f64)], count)
        } else {
            String::new()
        },
        plot("Latency of a message", secs_max, &quantiles(|sample| sample.latency), millis),
        plot("Time to log in", secs_max, &quantiles(|sample| sample.login), millis),
    ]
}

fn count(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", (v / 1e4).round() / 100.0),
        v if v >= 1e4 => format!("{} k", (v / 1e2).round() / 10.0),
        v => format!("{}", (v * 10.0).round() / 10.0),
    }
}

fn millis(value: f64) -> String {
    match value {
        v if v >= 1000.0 => format!("{} s", (v / 10.0).round() / 100.0),
        v => format!("{} ms", (v * 100.0).round() / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_stands_alone_and_shows_what_there_is() {
        let latency = Some(Latency { p50: 1.0, p99: 2.0, max: 3.0 });
        let sample = |secs: u32| Sample {
            secs: secs.into(),
            ready: secs * 10,
            received: u64::from(secs) * 100,
            server_bytes: Some(1 << 20),
            server_cpu_secs: None,
            client_bytes: 0,
            login: None,
            latency,
        };
        let samples = (0..10).map(sample).collect();
        let page = html(&Summary { title: "<b> & so on".into(), samples, ..Summary::default() });
        assert!(page.contains("<title>&lt;b&gt; &amp; so on</title>"));
        assert_eq!(page.matches("<svg").count(), 4, "no login was counted");
        for outside in ["http:", "https:", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
