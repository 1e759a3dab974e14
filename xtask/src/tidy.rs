//! Checks of the tree itself: what a reader would trip over, found before a reader does.

use crate::tree;
use anyhow::{Result, bail};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

/// Lines of a source file, its tests at its foot counted: a file is a sitting.
const LINES_MAX: usize = 600;
const SOURCES: [&str; 7] = ["rs", "js", "mjs", "py", "sh", "css", "html"];
/// Leftovers; written apart, so that this file has none.
const LEFTOVERS: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[", "ignore"), concat!("dbg", "!(")];
/// The one source that Cargo.lock may name.
const CRATES: &str = "crates.io-index\"";

/// Reads every file once; the error names all that is found.
pub fn tidy() -> Result<String> {
    let files = tree::files()?;
    let mut faults = String::new();
    for path in &files {
        let Some(text) = tree::text(path)? else { continue };
        for fault in faults_of(path, &text, &|linked| exists(&files, linked)) {
            let _ = writeln!(faults, "{}: {fault}", path.display());
        }
    }
    if faults.is_empty() { Ok(format!("{} files", files.len())) } else { bail!("{faults}") }
}

fn faults_of(path: &Path, text: &str, exists: &dyn Fn(&Path) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if SOURCES.contains(&extension) {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{lines} lines; {LINES_MAX} is the most"));
        }
        for (at, line) in text.lines().enumerate() {
            for leftover in LEFTOVERS.iter().filter(|leftover| line.contains(*leftover)) {
                faults.push(format!("line {}: {leftover}", at + 1));
            }
        }
        if matches!(name, "lib.rs" | "main.rs") && !text.starts_with("//!") {
            faults.push("a crate opens with a page about itself (//!)".to_owned());
        }
    }
    match name {
        "Cargo.lock" => faults.extend(sources_of(text, "source = ", CRATES)),
        "package-lock.json" => faults.extend(sources_of(&without_folders(text), "\"resolved\":", "\"\"")),
        "requirements.txt" => faults.extend(sources_of(text, "://", "://")),
        _ => {}
    }
    if extension == "md" {
        faults.extend(links(text).into_iter().filter_map(|link| fault_of_link(path, text, &link, exists)));
    }
    faults
}

/// A package-lock.json without its links to folders inside of a package, which nobody downloads.
fn without_folders(lock: &str) -> String {
    lock.replace("\"resolved\": \"node_modules/", "\"folder\": \"node_modules/")
}

// A lock file names no place to download from: that is for whoever builds to say.
fn sources_of(text: &str, key: &str, fine: &str) -> Option<String> {
    let named = text.lines().find(|line| line.contains(key) && (key == fine || !line.trim_end().ends_with(fine)))?;
    Some(format!("names where to download from: {}", named.trim()))
}

/// What `[words](link)` and `src="link"` link to, outside code blocks.
fn links(markdown: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(markdown) {
        for start in ["](", "src=\""] {
            for rest in line.split(start).skip(1) {
                let end = rest.find([')', '"', ' ']).unwrap_or(rest.len());
                links.push(rest[..end].to_owned());
            }
        }
    }
    links
}

fn fault_of_link(page: &Path, text: &str, link: &str, exists: &dyn Fn(&Path) -> Option<String>) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let linked = match file {
        "" => Some(text.to_owned()),
        file => exists(&resolve(page, file)),
    };
    match (linked, heading) {
        (None, _) => Some(format!("{link} is not there")),
        (Some(text), Some(heading)) if !headings(&text).contains(heading) => Some(format!("{link}: no such heading")),
        _ => None,
    }
}

fn resolve(page: &Path, link: &str) -> PathBuf {
    let mut resolved = page.parent().unwrap_or(Path::new("")).to_path_buf();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => drop(resolved.pop()),
            Component::Normal(name) => resolved.push(name),
            _ => {}
        }
    }
    resolved
}

/// Headings, as GitHub links to them.
fn headings(markdown: &str) -> HashSet<String> {
    let lines = prose(markdown).filter(|line| line.starts_with('#'));
    lines
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

fn prose(markdown: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    markdown.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The text of a file of the tree, or "" for a folder of it.
fn exists(files: &[PathBuf], path: &Path) -> Option<String> {
    if files.iter().any(|file| file == path) {
        return Some(tree::text(path).ok().flatten().unwrap_or_default());
    }
    files.iter().any(|file| file.starts_with(path)).then(String::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, wanted: &[&str]) {
        let exists = |p: &Path| (p == Path::new("docs/a.md")).then(|| "# One page\n".to_owned());
        assert_eq!(faults_of(Path::new(path), text, &exists), wanted, "{path}: {text}");
    }

    #[test]
    fn a_long_file_is_found() {
        check("src/a.rs", &"\n".repeat(600), &[]);
        check("src/a.rs", &"\n".repeat(601), &["601 lines; 600 is the most"]);
        check("docs/b.txt", &"\n".repeat(601), &[]);
    }

    #[test]
    fn leftovers_are_found() {
        check("src/a.rs", &format!("x\n// {} later\n", LEFTOVERS[0]), &[&format!("line 2: {}", LEFTOVERS[0])]);
        check("a.py", &format!("# {}\n", LEFTOVERS[1]), &[&format!("line 1: {}", LEFTOVERS[1])]);
    }

    #[test]
    fn a_crate_without_its_page_is_found() {
        check("a/src/lib.rs", "//! A page.\n", &[]);
        check("a/src/lib.rs", "fn f() {}\n", &["a crate opens with a page about itself (//!)"]);
    }

    #[test]
    fn places_to_download_from_are_found() {
        let from = "names where to download from: ";
        check("Cargo.lock", "source = \"registry+x/crates.io-index\"\n", &[]);
        check("Cargo.lock", "source = \"registry+x/y\"\n", &[&format!("{from}source = \"registry+x/y\"")]);
        check("a/package-lock.json", "\"version\": \"1\"\n", &[]);
        check("a/package-lock.json", "\"resolved\": \"node_modules/a/b\"\n", &[]);
        check("a/package-lock.json", "\"resolved\": \"x\"\n", &[&format!("{from}\"resolved\": \"x\"")]);
        check("requirements.txt", "a==1\n--index-url x://y\n", &[&format!("{from}--index-url x://y")]);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        check("docs/b.md", "[a](a.md) [a](a.md#one-page) [x](https://x/y)\n", &[]);
        check("docs/b.md", "[a](../docs/a.md)\n```\n[code](no.md)\n```\n", &[]);
        check("docs/b.md", "# Here\n[a](#here) [b](c.md)\n", &["c.md is not there"]);
        check("docs/b.md", "[a](a.md#two)\n", &["a.md#two: no such heading"]);
    }
}
