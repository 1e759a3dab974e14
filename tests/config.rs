//! The configuration, as an operator meets it.

mod support;

use std::fs;
use std::process::Output;
use support::{Home, herald};

fn stdout(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn check_config_shows_what_is_in_force_and_reads_it_back() {
    let home = Home::new("drain_secs = 3\n[bosh]\nhold_max = 2\n");
    let out = home.run(&["check-config"], "");
    assert!(out.status.success(), "{}", stderr(&out));
    let shown = stdout(&out);
    assert!(shown.contains("\ndrain_secs = 3\n") && shown.contains("\nhold_max = 2\n"), "{shown}");
    fs::write(home.config_file(), &shown).expect("written");
    assert_eq!(stdout(&home.run(&["check-config"], "")), shown);
}

#[test]
fn check_config_tells_every_problem_with_its_place() {
    let home = Home::new("");
    fs::write(home.config_file(), "domian = 'x'\n[bosh]\nwait_max_secs = 'long'\n").expect("written");
    let out = home.run(&["check-config"], "");
    assert_eq!(out.status.code(), Some(1));
    let file = home.config_file().display().to_string();
    let told: Vec<String> = stderr(&out).lines().map(String::from).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with(&format!("{file}:1:1: ")) && told[0].contains("did you mean `domain`?"), "{told:?}");
    assert!(told[1].starts_with(&format!("{file}:3:17: ")) && told[1].contains("seconds"), "{told:?}");
}

#[test]
fn serve_refuses_a_wrong_file_in_one_line() {
    let home = Home::new("");
    fs::write(home.config_file(), "[listen]\nxmp = ''\nhtpp = ''\n").expect("written");
    let out = home.run(&["serve"], "");
    assert_eq!(out.status.code(), Some(1));
    let told = stderr(&out);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains(":2:1: unknown key `xmp`") && told.contains("1 more"), "{told}");
    assert!(!home.data_dir().exists(), "nothing is made for a configuration that is refused");
}

#[test]
fn a_named_file_must_be_there() {
    let home = Home::new("");
    fs::remove_file(home.config_file()).expect("it was there");
    for command in ["serve", "check-config"] {
        let out = home.run(&[command], "");
        assert_eq!(out.status.code(), Some(1));
        assert!(stderr(&out).contains("herald.toml: No such file"), "{}", stderr(&out));
    }
}

#[test]
fn without_a_name_herald_toml_is_read_when_it_is_there() {
    let home = Home::new("domain = 'found.example'");
    let shown = |dir| {
        let out = herald(dir).arg("check-config").output().expect("it runs");
        assert!(out.status.success(), "{}", stderr(&out));
        stdout(&out)
    };
    assert!(shown(home.path()).contains("domain = \"found.example\""));
    fs::remove_file(home.config_file()).expect("it was there");
    let defaults = shown(home.path());
    assert!(defaults.starts_with("# in force: the defaults\n") && defaults.contains("domain = \"localhost\""));
}

#[test]
fn the_file_with_all_defaults_is_the_one_in_etc() {
    let home = Home::new("");
    let out = home.run(&["check-config", "--defaults"], "");
    let example = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/etc/herald.toml")).expect("it is there");
    assert!(example.ends_with(&stdout(&out)));
    assert!(stdout(&out).len() > 1_000);
}

#[test]
fn check_config_tries_the_certificate() {
    let home = Home::new("[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'");
    let out = home.run(&["check-config"], "");
    assert_eq!(out.status.code(), Some(1));
    assert!(stderr(&out).contains("c.pem: no certificate can be read"), "{}", stderr(&out));
    assert!(!home.data_dir().exists());
}
