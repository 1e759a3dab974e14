//! The configuration as text: a file with every key, and the page of documentation.

use super::keys::{Config, SECTIONS};
use super::schema::Section;
use std::fmt::Write as _;

/// A file that says every key of this configuration, with its comment when asked for.
pub fn commented(config: &Config, comments: bool) -> String {
    let mut out = String::new();
    for section in SECTIONS {
        let names = section.many.as_ref().map_or_else(|| vec![String::new()], |many| (many.names)(config));
        for (i, name) in names.iter().enumerate() {
            table(&mut out, config, section, name, "", comments && i == 0);
        }
        // One that shows how it is done; it is not there.
        if names.is_empty() && comments {
            table(&mut out, config, section, "NAME", "#", true);
        }
    }
    out
}

/// One section; `off` stands before each of its lines that are not comments.
fn table(out: &mut String, config: &Config, section: &Section, of: &str, off: &str, comments: bool) {
    if !section.name.is_empty() {
        out.push('\n');
        if comments {
            comment(out, section.doc);
        }
        let dot = if of.is_empty() { "" } else { "." };
        let _ = writeln!(out, "{off}[{}{dot}{of}]", section.name);
    }
    for key in section.keys {
        if comments {
            comment(out, key.doc);
            let _ = writeln!(out, "#   {}", (key.kind)());
        }
        let _ = writeln!(out, "{off}{} = {}", key.name, (key.show)(config, of));
    }
}

fn comment(out: &mut String, doc: &[&str]) {
    for line in doc {
        let _ = writeln!(out, "#{line}");
    }
}

/// `etc/herald.toml`: every key with its default.
#[cfg(test)]
pub fn example() -> String {
    let head = "# Herald's configuration: every key with its default. A key that is left out keeps it;\n\
                # an unknown one is refused. `herald check-config` tells what is in force.\n\n";
    format!("{head}{}", commented(&Config::default(), true))
}

/// `docs/config.md`.
#[cfg(test)]
pub fn page() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         Herald reads one TOML file: the one named by `--config`, else `herald.toml` where it is started,\n\
         else none. Every key has a default. An unknown key, a wrong type and a number out of its range\n\
         are refused with their line, and `herald check-config` tells all of them at once, or what is in\n\
         force. A section whose name ends in NAME may be there several times, each with a name of your choice. [etc/herald.toml](../etc/herald.toml) holds every key. This page is made from the code;\n\
         a test keeps it true (`UPDATE_EXPECT=1 cargo test config` writes it anew).\n",
    );
    let config = Config::default();
    for section in SECTIONS {
        match section.name {
            "" => out.push_str("\n## Above all sections\n"),
            name => {
                let several = if section.many.is_some() { ".NAME" } else { "" };
                let _ = writeln!(out, "\n## [{name}{several}]\n\n{}", sentence(section.doc));
            }
        }
        out.push_str("\n| key | default | may be | what it is |\n|---|---|---|---|\n");
        for key in section.keys {
            let (default, kind) = ((key.show)(&config, ""), (key.kind)());
            let _ = writeln!(out, "| `{}` | `{default}` | {kind} | {} |", key.name, sentence(key.doc));
        }
    }
    out
}

#[cfg(test)]
fn sentence(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
