use super::keys::SECTIONS;
use super::read::read;
use super::*;
use expect_test::{Expect, expect, expect_file};

/// What the file's problems are, one on each line. TOP stands for all that may be at the top.
fn check(text: &str, expected: Expect) {
    let sections = super::read::sections_in("");
    let top: Vec<&str> = SECTIONS[0].keys.iter().map(|key| key.name).chain(sections).collect();
    let found = match read(text) {
        Ok(_) => "fine".into(),
        Err(problems) => problems.iter().map(|p| p.to_string()).collect::<Vec<_>>().join("\n"),
    };
    expected.assert_eq(&found.replace(&top.join(", "), "TOP"));
}

#[test]
fn an_empty_file_means_the_defaults() {
    assert_eq!(read(""), Ok(Config::default()));
}

#[test]
fn the_example_file_is_the_defaults_and_names_every_key() {
    expect_file!["../../etc/herald.toml"].assert_eq(&super::reference::example());
    let text = &super::reference::example();
    assert_eq!(read(text), Ok(Config::default()));
    let table: toml::Table = text.parse().expect("it is TOML");
    for section in SECTIONS {
        if section.many.is_some() {
            assert!(text.contains(&format!("\n#[{}.NAME]\n", section.name)), "{} is not shown", section.name);
            for key in section.keys {
                assert!(text.contains(&format!("\n#{} = ", key.name)), "{} is not shown", key.name);
            }
            continue;
        }
        let within = |table, name: &str| -> &toml::Table {
            toml::Table::get(table, name).and_then(|t| t.as_table()).expect("a section")
        };
        let there = section.name.split('.').filter(|name| !name.is_empty()).fold(&table, within);
        for key in section.keys {
            assert!(there.contains_key(key.name), "{}.{} is not in the file", section.name, key.name);
        }
        let nested = there.iter().filter(|(_, v)| !v.is_table()).count();
        assert_eq!(nested, section.keys.len(), "the file has keys in [{}] that do not exist", section.name);
    }
}

#[test]
fn the_page_is_what_the_code_says() {
    expect_file!["../../docs/config.md"].assert_eq(&super::reference::page());
}

#[test]
fn what_is_shown_reads_back_as_the_same() {
    let text = r#"
domain = "chat.example"
drain_secs = 3
[listen]
xmpps = ""
http = "[::1]:0"
[tls]
certificate = "a \"b\".pem"
key = "k.pem"
[auth]
plain_without_tls = "loopback"
[log]
level = "warn"
format = "json"
[webhook.crm]
url = "https://crm.example/herald?a=b"
types = ["user", "message.stored"]
uids = ["alice", "bob"]
[webhook.log-1]
url = "http://127.0.0.1:9/"
"#;
    let config = read(text).expect("it is right");
    assert_eq!(config.webhook.keys().collect::<Vec<_>>(), ["crm", "log-1"]);
    assert_eq!(config.listen.xmpps, None);
    assert_eq!(config.auth.plain_without_tls, PlainWithoutTls::Loopback);
    for comments in [false, true] {
        assert_eq!(read(&commented(&config, comments)), Ok(config.clone()));
    }
}

#[test]
fn unknown_keys_are_refused_with_their_place_and_a_suggestion() {
    check("domian = 'x'", expect!["1:1: unknown key `domian` at the top: did you mean `domain`? (valid here: TOP)"]);
    check(
        "\n[lisen]\nxmpp = ''",
        expect!["2:2: unknown key `lisen` at the top: did you mean `listen`? (valid here: TOP)"],
    );
    check(
        "[listen]\n  xmp = ''",
        expect![
            "2:3: unknown key `xmp` in [listen]: did you mean `xmpp`? (valid here: xmpp, xmpps, proxy_protocol, http, https, admin, push)"
        ],
    );
    check(
        "[listen]\ndomain = ''",
        expect![
            "2:1: unknown key `domain` in [listen]: `domain` belongs above all sections (valid here: xmpp, xmpps, proxy_protocol, http, https, admin, push)"
        ],
    );
    check(
        "wait_max_secs = 3",
        expect!["1:1: unknown key `wait_max_secs` at the top: `wait_max_secs` belongs in [bosh] (valid here: TOP)"],
    );
    check(
        "[offline]\nzebra = 3",
        expect![
            "2:1: unknown key `zebra` in [offline]: nothing has a name like it (valid here: messages_max, page_messages, page_bytes)"
        ],
    );
}

#[test]
fn wrong_types_and_numbers_out_of_range_are_refused_with_their_unit() {
    check("domain = 7", expect![[r#"1:10: `domain`: it is an integer; it must be a domain such as "example.com""#]]);
    check(
        "domain = 'a@b'",
        expect![[
            r#"1:10: `domain`: "a@b" is no domain (the domainpart holds a character that is not allowed there); it must be a domain such as "example.com""#
        ]],
    );
    check("data_dir = ''", expect!["1:12: `data_dir`: it is empty; it must be a path"]);
    check("listen = 'here'", expect!["1:10: `listen` is a section, not a string: write [listen] and its keys below"]);
    check(
        "[listen]\nxmpp = 'localhost:5222'",
        expect![[
            r#"2:8: `listen.xmpp`: "localhost:5222" is no address; it must be an IP address with a port such as "127.0.0.1:5222" or "[::]:5222", or "" for off"#
        ]],
    );
    check(
        "[bosh]\nwait_max_secs = '55'",
        expect!["2:17: `bosh.wait_max_secs`: it is a string; it must be a number of seconds, 1 to 600"],
    );
    check(
        "[bosh]\nwait_max_secs = 601",
        expect!["2:17: `bosh.wait_max_secs`: 601 is out of range; it must be a number of seconds, 1 to 600"],
    );
    check(
        "[bosh]\nwait_max_secs = -1",
        expect!["2:17: `bosh.wait_max_secs`: -1 is out of range; it must be a number of seconds, 1 to 600"],
    );
    check(
        "[bosh]\nwait_max_secs = 99999999999999999999",
        expect![
            "2:17: `bosh.wait_max_secs`: 99999999999999999999 is out of range; it must be a number of seconds, 1 to 600"
        ],
    );
    check(
        "[bosh]\nwait_max_secs = 5.5",
        expect!["2:17: `bosh.wait_max_secs`: it is a float; it must be a number of seconds, 1 to 600"],
    );
    check(
        "[auth]\nplain_without_tls = 'loopbak'",
        expect![[
            r#"2:21: `auth.plain_without_tls`: "loopbak" is not one of "never" or "loopback"; did you mean "loopback"?"#
        ]],
    );
    check(
        "[log]\nlevel = 'loud'",
        expect![[r#"2:9: `log.level`: "loud" is not one of "error", "warn", "info", "debug" or "trace""#]],
    );
}

#[test]
fn every_problem_is_told_in_the_order_of_the_file() {
    check(
        "[log]\nlevl = 1\nformat = 2\n[bosh]\nhold_max = 0\n",
        expect![[r#"
        2:1: unknown key `levl` in [log]: did you mean `level`? (valid here: level, format)
        3:10: `log.format`: it is an integer; it must be "text" or "json"
        5:12: `bosh.hold_max`: 0 is out of range; it must be a number of requests, 1 to 10"#]],
    );
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    check("domain = ", expect!["1:10: string values must be quoted, expected literal string"]);
    check("domain = 'a'\ndomain = 'b'", expect!["2:1: duplicate key"]);
    check("[tls\n", expect!["1:5: unclosed table, expected `]`"]);
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    check("[tls]\ncertificate = 'c.pem'", expect!["2:1: `tls.certificate` needs `tls.key` beside it"]);
    check("[tls]\nkey = 'k.pem'", expect!["2:1: `tls.key` needs `tls.certificate` beside it"]);
    check(
        "[bosh]\nprebind_ttl_max_secs = 60",
        expect!["2:1: `bosh.prebind_ttl_secs` is above `bosh.prebind_ttl_max_secs`"],
    );
    check(
        "[bosh]\nprebind_ttl_secs = 4_000",
        expect!["2:1: `bosh.prebind_ttl_secs` is above `bosh.prebind_ttl_max_secs`"],
    );
    check(
        "[jwt]\njwks_file = 'k.json'\nsecret_file = 'k'",
        expect!["3:1: `jwt.secret_file` does not go with `jwt.jwks_file`: keep one"],
    );
    check(
        "[jwt]\nissuer = 'https://id.example'",
        expect!["2:1: `jwt.issuer` needs `jwt.jwks_file` or `jwt.secret_file` beside it"],
    );
    check(
        "[jwt]\njwks_file = 'k.json'\nuid_claim = ''",
        expect![[r#"3:1: `jwt.uid_claim` is empty; did you mean "sub"?"#]],
    );
    check("[listen]\nhttp = '127.0.0.1:5222'", expect!["2:1: `listen.http` and `listen.xmpp` are both 127.0.0.1:5222"]);
    check("[listen]\nhttp = '127.0.0.1:0'\nhttps = '127.0.0.1:0'", expect!["fine"]);
}

#[test]
fn sections_that_may_be_there_several_times_have_names() {
    check(
        "[webhook]\nurl = 'https://a.example/'",
        expect!["2:1: each [webhook] has a name: write [webhook.NAME] and `url` below it, with a name of your choice"],
    );
    check(
        "[webhook.crm]\nurl = 'https://a.example/'\nuls = ''",
        expect![
            "3:1: unknown key `uls` in [webhook.crm]: nothing has a name like it (valid here: url, secret_file, ca_file, types, uids, batch_events, batch_bytes, timeout_secs, tries_max, backoff_max_secs, keep_secs)"
        ],
    );
    check(
        "[webhook.crm]\ntimeout_secs = 5\n[webhook.b]",
        expect![[r#"
        1:10: `webhook.crm` needs a `url`
        3:10: `webhook.b` needs a `url`"#]],
    );
    check(
        "[webhook.\"C R M\"]\nurl = 'https://a.example/'",
        expect![[r#"1:10: "C R M" is no name for a [webhook]: it has 1 to 32 of the characters a-z, 0-9, - and _"#]],
    );
    check(
        "[webhook.crm]\nurl = 'ftp://a.example/'\ntypes = ['user.onlin']",
        expect![[r#"
            2:7: `webhook.crm.url`: "ftp://a.example/" is no such address; it must be an address such as "https://crm.example/herald", without a password in it
            3:9: `webhook.crm.types`: "user.onlin" is no type of event; did you mean "user.online"?"#]],
    );
    check(
        "[webhook.crm]\nurl = 'https://user:word@a.example/'\ntypes = ['cats']\ntimeout_secs = 0",
        expect![[r#"
            2:7: `webhook.crm.url`: it is no such address; it must be an address such as "https://crm.example/herald", without a password in it
            3:9: `webhook.crm.types`: "cats" is no type of event; there are server, session, user, presence, message, server.started, session.up, session.down, user.online, user.offline, presence.changed, message.stored, message.delivered, message.expired
            4:16: `webhook.crm.timeout_secs`: 0 is out of range; it must be a number of seconds, 1 to 300"#]],
    );
    check(
        "webhook = 'https://a.example/'",
        expect!["1:11: `webhook` is a section, not a string: write [webhook.NAME] and its keys below"],
    );
    check(
        "batch_bytes = 5000",
        expect!["1:1: unknown key `batch_bytes` at the top: `batch_bytes` belongs in [webhook.NAME] (valid here: TOP)"],
    );
}

#[test]
fn addresses_of_brokers_and_databases_are_read_and_never_repeated() {
    check(
        "[ingest.amqp]\nurl = 'http://guest:very-secret@localhost'",
        expect![[
            r#"2:7: `ingest.amqp.url`: it does not begin with amqp:// or amqps://; it must be an address such as "amqp://user@localhost:5672/%2f", or "" for none"#
        ]],
    );
    check(
        "[ingest.amqp]\nurl = 'amqp://guest:very-secret@localhost:port'",
        expect![[
            r#"2:7: `ingest.amqp.url`: it cannot be read (invalid port number); it must be an address such as "amqp://user@localhost:5672/%2f", or "" for none"#
        ]],
    );
    check(
        "[ingest.postgres]\nurl = 'postgres://herald:very-secret@localhost/db?sslmode=maybe'",
        expect![[
            r#"2:7: `ingest.postgres.url`: it cannot be read (invalid connection string: invalid value for option `sslmode`); it must be an address such as "postgres://user@localhost/database", or "" for none"#
        ]],
    );
    check(
        "[ingest.postgres]\nurl = 'postgres:///db'",
        expect![[
            r#"2:7: `ingest.postgres.url`: it cannot be read (it names no host); it must be an address such as "postgres://user@localhost/database", or "" for none"#
        ]],
    );
    check(
        "[ingest.postgres]\ntable = 'x; DROP TABLE y'",
        expect![[
            r#"2:9: `ingest.postgres.table`: "x; DROP TABLE y" is no such name; it must be a name of small letters, digits and _, which may stand behind `schema.`"#
        ]],
    );
    check(
        "[ingest.redis]\nurl = 'redis://:very-secret@localhost/zero'",
        expect![[
            r#"2:7: `ingest.redis.url`: it cannot be read (Invalid database number - InvalidClientConfig); it must be an address such as "redis://localhost:6379/0", or "" for none"#
        ]],
    );
    check(
        "[ingest.redis]\nurl = 'redis://:very-secret@localhost'\npassword_file = 'p'",
        expect!["3:1: `ingest.redis.password_file` does not go with a password in `ingest.redis.url`: keep one"],
    );
    check("[ingest.redis]\nurl = 'redis://localhost'\npassword_file = 'p'", expect!["fine"]);
    let config = read("[ingest.postgres]\nurl = 'postgres://herald:very-secret@localhost/db'").expect("it is right");
    assert!(!format!("{config:?}").contains("very-secret"));
    let shown = super::commented(&config, false);
    assert!(shown.contains("url = \"postgres://herald:***@localhost/db\""), "{shown}");
}
