//! The guard: what a session weighs and a message costs, held against `benches/baseline.toml`. `benches/guard/` measures.
//!
//! The server is built as the tests build it, with the dependencies that they have built, but for our own crates: these
//! are optimised, and without the checks of a debug build, so that what is counted is near to what is shipped. A release
//! build would take longer than all that is measured here.

use crate::install;
use crate::step::{Steps, cargo};
use crate::tree::root;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The committed figures.
const BASELINE: &str = "benches/baseline.toml";
/// A figure that has grown by more fails, one that has shrunk by more is to be written down.
const CHANGE_MAX: f64 = 0.05;
/// Our crates in the server.
const CRATES: [&str; 7] =
    ["herald", "herald-actor", "herald-bosh", "herald-modules", "herald-session", "herald-storage", "herald-xmpp"];
/// How they are built.
const PROFILE: [&str; 4] = ["opt-level=2", "debug-assertions=false", "overflow-checks=false", "codegen-units=16"];
const PREFACE: &str = "\
# What a session at rest weighs in bytes of the heap, and what a message, a presence to one contact and a login cost in
# instructions outside the kernel. `cargo xtask guard` fails when one of them has grown by more than 5 %; CONTRIBUTING.md
# says more. What should have grown, or has shrunk, is renewed with `cargo xtask guard --renew`; the commit says why.
# The figures are of that build of the server and none that is shipped: hold them against each other only. Instructions
# are those of this compiler on this kind of processor.
";

/// What was measured or is committed: `[bytes]` and `[instructions]`, as `bytes.tcp`.
type Figures = BTreeMap<String, f64>;

/// Measures, and compares with the baseline or writes it anew.
pub fn guard(steps: &mut Steps, renew: bool) {
    install::program(steps, "valgrind");
    let out = std::env::temp_dir().join(format!("herald-guard-{}.toml", std::process::id()));
    let mut table = String::new();
    steps.run_then("guard", [measure(&out)], || {
        let found = found(&out)?;
        let made_by = made_by()?;
        let baseline = root().join(BASELINE);
        if renew {
            let text = write(&found, &made_by);
            std::fs::write(&baseline, text).context(BASELINE)?;
            return Ok(format!("{BASELINE} is renewed"));
        }
        let text = std::fs::read_to_string(&baseline).context(BASELINE)?;
        let (was, was_made_by) = read(&text).context(BASELINE)?;
        let compared = Compared::of(&was, &found);
        table = compared.table();
        match compared.fault() {
            None => Ok(format!("{} figures", found.len())),
            Some(fault) if was_made_by != made_by => {
                bail!("{fault}\n{BASELINE} was made by {was_made_by}, and this is {made_by}\n{table}")
            }
            Some(fault) => bail!("{fault}\n{table}"),
        }
    });
    if !steps.has_failed("guard") {
        print!("{table}");
    }
    let _ = std::fs::remove_file(out); // it is not there when measuring has failed
}

fn measure(out: &Path) -> Command {
    let mut measure = cargo(["test", "--package", "herald", "--bench", "guard", "--features", "guard"]);
    for name in CRATES {
        for setting in PROFILE {
            measure.arg("--config").arg(format!("profile.dev.package.{name}.{setting}"));
        }
    }
    // How a crate is cut into units for an incremental build changes what is inlined.
    measure.env("CARGO_INCREMENTAL", "0").arg("--").arg("--out").arg(out);
    measure
}

fn found(out: &Path) -> Result<Figures> {
    let text = std::fs::read_to_string(out).context("nothing was measured")?;
    Ok(read(&text)?.0)
}

/// The compiler and the machine's kind.
fn made_by() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    let out = Command::new(rustc).args(["--version", "--verbose"]).output().context("rustc does not start")?;
    let said = String::from_utf8_lossy(&out.stdout);
    let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned();
    Ok(format!("rustc {} for {}", field("release:"), field("host:")))
}

fn write(figures: &Figures, made_by: &str) -> String {
    let mut text = format!("{PREFACE}made_by = \"{made_by}\"\n");
    let mut table = "";
    for (name, value) in figures {
        let (of, name) = name.split_once('.').unwrap_or(("", name));
        if of != table {
            let _ = write!(text, "\n[{of}]\n");
            table = of;
        }
        let _ = writeln!(text, "{name} = {value}");
    }
    text
}

fn read(text: &str) -> Result<(Figures, String)> {
    let file: toml::Table = text.parse()?;
    let made_by = file.get("made_by").and_then(toml::Value::as_str).unwrap_or("somebody").to_owned();
    let mut figures = Figures::new();
    for (of, table) in &file {
        for (name, value) in table.as_table().into_iter().flatten() {
            let number = value.as_float().or(value.as_integer().map(|n| n as f64));
            let number = number.filter(|n| *n > 0.0).with_context(|| format!("{of}.{name} is no figure"))?;
            figures.insert(format!("{of}.{name}"), number);
        }
    }
    Ok((figures, made_by))
}

/// What became of each figure.
struct Compared(Vec<(String, Became)>);

#[derive(Clone, Copy, PartialEq, Debug)]
enum Became {
    Held {
        was: f64,
        is: f64,
    },
    Larger {
        was: f64,
        is: f64,
    },
    Smaller {
        was: f64,
        is: f64,
    },
    /// It is in the baseline, and nothing measures it.
    Unmeasured {
        was: f64,
    },
    /// It is measured, and not in the baseline.
    Unwritten {
        is: f64,
    },
}

impl Compared {
    fn of(was: &Figures, is: &Figures) -> Compared {
        let mut compared: Vec<_> = is.iter().map(|(name, is)| (name.clone(), became(was.get(name), *is))).collect();
        let gone = was.iter().filter(|(name, _)| !is.contains_key(*name));
        compared.extend(gone.map(|(name, was)| (name.clone(), Became::Unmeasured { was: *was })));
        Compared(compared)
    }

    /// What is wrong, in one line.
    fn fault(&self) -> Option<String> {
        let named = |which: fn(&Became) -> bool, words: &str| {
            let names: Vec<_> = self.0.iter().filter(|(_, b)| which(b)).map(|(name, _)| name.as_str()).collect();
            (!names.is_empty()).then(|| format!("{words}: {}", names.join(", ")))
        };
        let larger = format!("more than {:.0} % larger", CHANGE_MAX * 100.0);
        let faults = [
            named(|b| matches!(b, Became::Larger { .. }), &larger),
            named(|b| matches!(b, Became::Unmeasured { .. }), "not measured any more"),
            named(|b| matches!(b, Became::Unwritten { .. }), "not in the baseline"),
        ];
        let faults: Vec<_> = faults.into_iter().flatten().collect();
        (!faults.is_empty()).then(|| faults.join("; "))
    }

    fn table(&self) -> String {
        let mut table = format!("    {:<32} {:>12} {:>12} {:>9}\n", "", "was", "is", "change");
        for (name, became) in &self.0 {
            let (was, is, words) = match *became {
                Became::Held { was, is } => (Some(was), Some(is), ""),
                Became::Larger { was, is } => (Some(was), Some(is), "  TOO LARGE"),
                Became::Smaller { was, is } => (Some(was), Some(is), "  cargo xtask guard --renew"),
                Became::Unmeasured { was } => (Some(was), None, "  NOT MEASURED"),
                Became::Unwritten { is } => (None, Some(is), "  NOT IN THE BASELINE"),
            };
            let number = |n: Option<f64>| n.map_or("-".to_owned(), |n| format!("{n:.0}"));
            let change = was.zip(is).map_or("-".to_owned(), |(was, is)| format!("{:+.1} %", change(was, is) * 100.0));
            let _ = writeln!(table, "    {name:<32} {:>12} {:>12} {change:>9}{words}", number(was), number(is));
        }
        table
    }
}

fn became(was: Option<&f64>, is: f64) -> Became {
    match was {
        None => Became::Unwritten { is },
        Some(&was) if change(was, is) > CHANGE_MAX => Became::Larger { was, is },
        Some(&was) if change(was, is) < -CHANGE_MAX => Became::Smaller { was, is },
        Some(&was) => Became::Held { was, is },
    }
}

fn change(was: f64, is: f64) -> f64 {
    (is - was) / was
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAS: [(&str, f64); 2] = [("bytes.tcp", 1000.0), ("instructions.login", 20_000.0)];

    fn check(is: &[(&str, f64)], fault: Option<&str>, in_the_table: &str) {
        let figures = |of: &[(&str, f64)]| of.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let compared = Compared::of(&figures(&WAS), &figures(is));
        assert_eq!(compared.fault().as_deref(), fault, "{is:?}");
        assert!(compared.table().contains(in_the_table), "{}", compared.table());
    }

    #[test]
    fn growth_by_more_than_a_twentieth_fails() {
        let login = WAS[1];
        check(&[("bytes.tcp", 1049.0), login], None, "+4.9 %\n");
        check(&[("bytes.tcp", 1050.0), login], None, "+5.0 %\n");
        check(&[("bytes.tcp", 1051.0), login], Some("more than 5 % larger: bytes.tcp"), "+5.1 %  TOO LARGE");
        check(
            &[("bytes.tcp", 1051.0), ("instructions.login", 30_000.0)],
            Some("more than 5 % larger: bytes.tcp, instructions.login"),
            "+50.0 %  TOO LARGE",
        );
    }

    #[test]
    fn what_shrinks_is_to_be_written_down() {
        check(&[("bytes.tcp", 951.0), WAS[1]], None, "-4.9 %\n");
        check(&[("bytes.tcp", 949.0), WAS[1]], None, "-5.1 %  cargo xtask guard --renew");
    }

    #[test]
    fn a_figure_that_one_side_lacks_fails() {
        check(&WAS[..1], Some("not measured any more: instructions.login"), "-  NOT MEASURED");
        let more = [WAS[0], WAS[1], ("bytes.tls", 1.0)];
        check(&more, Some("not in the baseline: bytes.tls"), "-  NOT IN THE BASELINE");
    }

    #[test]
    fn a_renewed_baseline_is_read_as_it_was_found() {
        let figures: Figures = WAS.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let (read, made_by) = read(&write(&figures, "rustc 1")).expect("it is TOML");
        assert_eq!((read, made_by.as_str()), (figures, "rustc 1"));
    }

    #[test]
    fn what_is_no_figure_is_refused() {
        for text in ["[bytes]\ntcp = \"2\"\n", "[bytes]\ntcp = 0\n", "[bytes]\ntcp = -1\n"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_committed_baseline_can_be_read() {
        let text = std::fs::read_to_string(root().join(BASELINE)).expect("it is committed");
        let (figures, made_by) = read(&text).expect("it is TOML");
        assert!(made_by.starts_with("rustc "), "{made_by}");
        assert_eq!(write(&figures, &made_by), text, "it was not written by `cargo xtask guard --renew`");
    }
}
