//! The command line, and a server's start and end as a shell sees them.

mod support;

use serde_json::json;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use support::client::Client;
use support::{Herald, Home, herald};

fn stdout(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The one line that says why a command failed.
fn reason(out: &Output) -> String {
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    let mine: Vec<&str> = told.lines().filter(|line| line.starts_with("herald: ")).collect();
    assert_eq!(mine.len(), 1, "{told}");
    mine[0].to_owned()
}

#[test]
fn accounts_are_made_listed_changed_and_removed_without_a_server() {
    let home = Home::new("");
    home.user("bob", "b");
    home.user("alice", "a\n");
    home.user("Carol@localhost", "c"); // the whole address is taken too, and prepared
    assert_eq!(stdout(&home.run(&["user", "list"], "")), "alice\nbob\ncarol\n");
    assert!(reason(&home.run(&["user", "add", "bob"], "b")).contains("has an account already"));
    assert!(home.run(&["user", "passwd", "bob"], "new").status.success());
    assert!(home.run(&["user", "del", "bob"], "").status.success());
    assert!(reason(&home.run(&["user", "del", "bob"], "")).contains("has no account"));
    assert!(reason(&home.run(&["user", "passwd", "bob"], "new")).contains("has no account"));
    assert_eq!(stdout(&home.run(&["user", "list"], "")), "alice\ncarol\n");
}

#[test]
fn accounts_of_an_earlier_domain_are_told_apart() {
    let home = Home::new("domain = 'old.example'");
    home.user("alice", "a");
    let text = fs::read_to_string(home.config_file()).expect("it is there").replace("old.example", "new.example");
    fs::write(home.config_file(), text).expect("written");
    home.user("alice", "a");
    assert_eq!(stdout(&home.run(&["user", "list"], "")), "alice\nalice@old.example\n");
}

#[test]
fn a_uid_or_password_that_cannot_be_is_refused() {
    let home = Home::new("");
    for (uid, password, why) in [
        ("a b", "x", "is no uid"),
        ("", "x", "is no uid"),
        ("alice@elsewhere", "x", "not of the domain localhost"),
        ("alice", "", "the password is empty"),
        ("alice", "\x07", "not allowed there (RFC 4013)"),
    ] {
        let out = home.run(&["user", "add", uid], password);
        assert!(reason(&out).contains(why), "{uid:?} {password:?}: {out:?}");
    }
    assert_eq!(stdout(&home.run(&["user", "list"], "")), "");
}

#[test]
fn a_password_is_never_stored() {
    let home = Home::new("");
    home.user("alice", "a-very-special-password");
    home.run(&["user", "import", "-"], "bob,another-special-password\n");
    for file in fs::read_dir(home.data_dir()).expect("the data folder") {
        let bytes = fs::read(file.expect("a file").path()).expect("it can be read");
        assert!(!bytes.windows(16).any(|w| w == b"special-password"));
    }
}

#[test]
fn import_takes_the_good_lines_and_tells_the_bad_ones() {
    let home = Home::new("");
    home.user("old", "x");
    let rows =
        "uid,password\nold,new\nalice,secret\nno-comma\n,empty\n\"bob\",\"with, comma\"\na b,x\ncarol,\nalice,again\n";
    fs::write(home.path().join("users.csv"), rows).expect("written");
    let file = home.path().join("users.csv").display().to_string();
    let out = home.run(&["user", "import", &file], "");
    assert_eq!(out.status.code(), Some(1), "bad lines are a failure");
    let said = stdout(&out);
    assert!(said.starts_with("4 accounts imported in "), "{said}");
    assert!(said.contains(" a second): 2 new, 2 with a new password; 4 bad lines"), "{said}");
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    let lines: Vec<&str> = told.lines().map(|l| l.split(": ").next().unwrap_or("")).collect();
    assert_eq!(lines, [4, 5, 7, 8].map(|n| format!("{file}:{n}")), "{told}");
    assert_eq!(stdout(&home.run(&["user", "list"], "")), "alice\nbob\nold\n");
}

#[test]
fn import_takes_thousands_from_standard_input() {
    let home = Home::new("");
    let rows: String = (0..1_100).map(|n| format!("u{n:04},p{n}\n")).collect();
    let out = home.run(&["user", "import", "-"], &rows);
    assert!(out.status.success(), "{out:?}");
    assert!(stdout(&out).contains(": 1100 new, 0 with a new password; 0 bad lines"), "{}", stdout(&out));
    let listed = stdout(&home.run(&["user", "list"], ""));
    assert_eq!(listed, (0..1_100).map(|n| format!("u{n:04}\n")).collect::<String>());
}

#[test]
fn import_says_which_file_it_cannot_read() {
    let home = Home::new("");
    assert!(reason(&home.run(&["user", "import", "nowhere.csv"], "")).contains("nowhere.csv: No such file"));
}

#[test]
fn without_a_server_sendto_and_status_say_so() {
    let home = Home::new("");
    for command in [&["sendto", "alice", "hi"][..], &["status"]] {
        assert!(reason(&home.run(command, "")).contains("no server is running here"));
    }
}

#[test]
fn a_server_is_asked_and_told() {
    let herald = Herald::start();
    herald.user("alice", "secret"); // beside the running server
    let status = herald.run(&["status"], "");
    assert!(stdout(&status).contains(" is ready on localhost, up "), "{status:?}");
    let json = stdout(&herald.run(&["status", "--json"], ""));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["accounts"], 1);
    assert_eq!(json["addresses"]["xmpp"], json!(herald.address("xmpp").to_string()));

    assert_eq!(stdout(&herald.run(&["sendto", "alice", "one"], "")), "stored as message 1\n");
    let mut client = Client::login(&herald, "alice", "secret", "desk");
    client.expect("<body>one</body>");
    assert_eq!(stdout(&herald.run(&["sendto", "alice", "two <&>"], "")), "delivered to 1 session\n");
    client.expect("<body>two &lt;&amp;");
    assert!(reason(&herald.run(&["sendto", "nobody", "hi"], "")).contains("nobody has no account"));

    assert!(herald.run(&["user", "passwd", "alice"], "other").status.success());
    assert!(client.expect_end().contains("The password was changed"));
    let mut client = Client::login(&herald, "alice", "other", "desk");
    herald.user("bob", "secret");
    let mut bob = Client::login(&herald, "bob", "secret", "desk");
    assert!(herald.run(&["user", "import", "-"], "alice,third\ncarol,secret\n").status.success());
    assert!(client.expect_end().contains("The password was changed"), "by an import, too");
    bob.send("<iq type='get' id='still'><ping xmlns='urn:xmpp:ping'/></iq>");
    bob.expect("'still'");
    let mut client = Client::login(&herald, "alice", "third", "desk");
    assert!(herald.run(&["user", "del", "alice"], "").status.success());
    client.expect_end();
    assert!(reason(&herald.run(&["user", "del", "alice"], "")).contains("has no account"));
}

#[test]
fn a_start_that_fails_says_why_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    for listener in ["xmpp", "https", "admin"] {
        let home = Home::new(&format!("[listen]\n{listener} = '127.0.0.1:{port}'"));
        let why = reason(&home.run(&["serve"], ""));
        assert!(why.contains(&format!("listen.{listener}")) && why.contains("in use"), "{why}");
    }

    let home = Home::new("[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'");
    assert!(reason(&home.run(&["serve"], "")).contains("c.pem: no certificate can be read"));
    fs::write(home.path().join("c.pem"), "nonsense").expect("written");
    assert!(reason(&home.run(&["serve"], "")).contains("c.pem: there is no certificate in it"));

    let home = Home::new("");
    fs::write(home.data_dir(), "a file where the folder should be").expect("written");
    assert!(reason(&home.run(&["serve"], "")).contains("it cannot be made"));

    let home = Home::new("");
    fs::create_dir(home.data_dir()).expect("made");
    fs::write(home.data_dir().join("herald.db"), "this is no database, and it is long enough to be seen".repeat(99))
        .expect("written");
    let why = reason(&home.run(&["serve"], ""));
    assert!(why.contains("the database in ") && why.contains("damaged"), "{why}");

    let home = Home::new("");
    home.user("alice", "secret");
    let database = home.data_dir().join("herald.db");
    let database = rusqlite::Connection::open(database).expect("a database");
    database.pragma_update(None, "user_version", 9_999).expect("written"); // the version of the schema
    drop(database);
    let why = reason(&home.run(&["serve"], ""));
    assert!(why.contains("9999") && why.contains("use a newer program"), "{why}");

    let home = Home::new("");
    fs::create_dir(home.data_dir()).expect("made");
    fs::write(home.data_dir().join("admin.token"), "short\n").expect("written");
    assert!(reason(&home.run(&["serve"], "")).contains("admin.token: a token is "));

    let out = herald(home.path()).env("RUST_LOG", "a=b=c").arg("serve").output().expect("it runs");
    assert!(reason(&out).contains("RUST_LOG"));
}

#[test]
fn two_servers_do_not_share_a_data_folder() {
    let herald = Herald::start();
    assert!(reason(&herald.run(&["serve"], "")).contains("another herald serves on "));
}

#[test]
fn what_a_first_start_makes_stays() {
    let mut herald = Herald::start();
    let read = |herald: &Herald, name: &str| fs::read(herald.data_dir().join(name)).expect("it is there");
    let made = ["admin.token", "dev-cert.pem", "dev-key.pem", "server.secret"];
    let before = made.map(|name| read(&herald, name));
    for name in ["admin.token", "dev-key.pem", "server.secret", "herald.db"] {
        let mode = fs::metadata(herald.data_dir().join(name)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(herald.log().contains("made one for development"));
    assert!(herald.terminate().success());
    herald.restart();
    assert_eq!(made.map(|name| read(&herald, name)), before);
    assert_eq!(herald.log().matches("made one for development").count(), 1);
}

#[test]
fn the_banner_says_where_it_is_and_what_to_type() {
    let herald = Herald::start();
    let banner = herald.rest_of_banner();
    for listener in ["xmpp", "xmpps", "http", "https", "admin"] {
        assert!(banner.contains(&herald.address(listener).to_string()), "{listener} in {banner}");
    }
    for command in ["user add alice", "examples/web-chat", "sendto alice"] {
        assert!(banner.contains(command), "{command} in {banner}");
    }
    let demo = format!("http://localhost:{}/", herald.address("http").port());
    assert!(banner.contains(&demo), "{demo} in {banner}");
}

#[test]
fn every_open_file_that_may_be_is_allowed() {
    let herald = Herald::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", herald.pid())).expect("it runs");
    let line = limits.lines().find(|l| l.starts_with("Max open files")).expect("the limit");
    let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{line}");
}

#[test]
fn sigterm_tells_every_client_and_ends_with_success() {
    let mut herald = Herald::start();
    herald.user("alice", "secret");
    let mut client = Client::login(&herald, "alice", "secret", "desk");
    assert!(herald.terminate().success());
    let last = client.expect_end();
    assert!(last.contains("system-shutdown") && last.ends_with("</stream:stream>"), "{last}");
    assert!(!herald.data_dir().join("addresses.json").exists());
    assert!(herald.log().contains("stopped"));
}

#[test]
fn json_logs_are_json() {
    let mut herald = Herald::start_with("[log]\nformat = 'json'");
    herald.terminate();
    let log = herald.log();
    assert!(log.lines().count() >= 2, "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
}

#[test]
fn help_and_version_are_told() {
    let home = Home::new("");
    let out = herald(home.path()).arg("--help").output().expect("it runs");
    for command in ["serve", "user", "sendto", "status", "check-config", "--config"] {
        assert!(stdout(&out).contains(command), "{command}");
    }
    let out = herald(home.path()).arg("--version").output().expect("it runs");
    assert_eq!(stdout(&out), format!("herald {}\n", env!("CARGO_PKG_VERSION")));
    let out = herald(home.path()).arg("sevre").output().expect("it runs");
    assert_eq!(out.status.code(), Some(2));
}
