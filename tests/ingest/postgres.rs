//! PostgreSQL. The table is made by the SQL of docs/ingest.md.

use crate::scene::{self, Killed, ROUNDS, USERS, block_on, body, name};
use crate::support::Home;
use crate::support::servers::Postgres;
use std::sync::mpsc::Sender;
use tokio_postgres::{Client, NoTls};

const CONNECTED: &str = "herald_ingest_connected{source=\"postgres\"}";

/// A server with the tables, and the user that the page makes.
fn postgres() -> Option<Postgres> {
    let postgres = Postgres::start()?;
    postgres.sql(&crate::page::snippet("sql"));
    Some(postgres)
}

fn section(postgres: &Postgres, more: &str) -> String {
    format!("[ingest.postgres]\nurl = '{}'\npoll_secs = 1\n{more}", postgres.url("herald", "secret"))
}

#[test]
fn nothing_is_lost_or_doubled_when_either_is_killed() {
    let Some(postgres) = postgres() else { return };
    postgres.sql("CREATE TABLE sent (round bigint PRIMARY KEY)");
    let mut herald = scene::herald(&section(&postgres, ""));
    let postgres = Killed::new(postgres);
    let kill = |postgres: &mut Postgres| {
        postgres.kill();
        postgres.restart();
    };
    scene::with_kills(&mut herald, &postgres, kill, |postgres, tell| block_on(publish(postgres, tell)));
    let left = || postgres.there().sql("SELECT count(*) FROM herald_outbox");
    scene::assert_all_came(&herald, || left() == "0\n");
    assert_eq!(postgres.there().sql("SELECT count(*) FROM herald_outbox_dead"), "0\n");
    drop(herald);
}

/// Each round in one transaction with what it tells about, as an outbox is for.
async fn publish(postgres: &Killed<Postgres>, tell: Sender<usize>) {
    let mut round = 0;
    while round <= ROUNDS {
        let url = postgres.there().url("postgres", "secret");
        let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await else { continue };
        tokio::spawn(connection);
        while round <= ROUNDS && publish_round(&client, round).await.is_ok() {
            let _ = tell.send(round);
            round += 1;
        }
    }
}

async fn publish_round(client: &Client, round: usize) -> Result<(), tokio_postgres::Error> {
    let values: Vec<String> = (0..USERS).map(|user| format!("('{}', '{}')", name(user), body(round, user))).collect();
    // After a cut nobody knows whether it was committed; what it tells about does.
    let sql = format!(
        "WITH new AS (INSERT INTO sent VALUES ({round}) ON CONFLICT DO NOTHING RETURNING round) \
         INSERT INTO herald_outbox (uid, payload) SELECT v.uid, v.payload FROM new, (VALUES {}) AS v(uid, payload)",
        values.join(", ")
    );
    client.batch_execute(&sql).await
}

#[test]
fn what_cannot_be_carried_out_moves_to_the_other_table_with_the_reason() {
    let Some(postgres) = postgres() else { return };
    let herald = scene::herald(&section(&postgres, ""));
    scene::until(&herald, CONNECTED, |n| n == 1);
    postgres.sql(
        r#"INSERT INTO herald_outbox (uid, payload) VALUES
           ('nobody', 'hello'), (NULL, 'no json'), (NULL, '{"to": "user0"}'),
           (NULL, '{"to": ["user0", "user1"], "body": "one"}'), ('user0', 'two'),
           ('user0', 'the end'), ('user1', 'the end')"#,
    );
    scene::until(&herald, "herald_ingest_messages_total{source=\"postgres\",what=\"done\"}", |n| n == 4);
    scene::until(&herald, "herald_ingest_in_flight{source=\"postgres\"}", |n| n == 0);
    assert_eq!(postgres.sql("SELECT count(*) FROM herald_outbox"), "0\n");
    assert_eq!(scene::kept(&herald, "user0", "the end"), ["one", "two", "the end"]);
    assert_eq!(scene::kept(&herald, "user1", "the end"), ["one", "the end"]);
    expect_test::expect![[r#"
        hello|no_such_user for "nobody"
        no json|it is no JSON: expected ident at line 1 column 2
        {"to": "user0"}|`body`: it is missing, and so are `json` and `stanza`
    "#]]
    .assert_eq(&postgres.sql("SELECT payload, reason FROM herald_outbox_dead ORDER BY id"));
}

#[test]
fn json_columns_hold_payloads_and_another_server_waits_for_its_turn() {
    let Some(postgres) = postgres() else { return };
    postgres.sql("ALTER TABLE herald_outbox ALTER payload TYPE jsonb USING payload::jsonb");
    postgres.sql("ALTER TABLE herald_outbox_dead ALTER payload TYPE jsonb USING payload::jsonb");
    let mut first = scene::herald(&section(&postgres, ""));
    scene::until(&first, CONNECTED, |n| n == 1);
    let second = scene::herald(&section(&postgres, ""));
    scene::until_logged(&second, "another server works on the table");
    first.kill();
    scene::until(&second, CONNECTED, |n| n == 1);
    postgres.sql(
        r#"INSERT INTO herald_outbox (uid, payload) VALUES
           ('user0', '{"n": 1}'), (NULL, '{"to": "user0", "body": "the end"}')"#,
    );
    let mut client = crate::support::client::Client::bind(&second, "user0", "secret", "here");
    client.send("<presence/>");
    let got = client.expect("the end");
    assert!(got.contains("<json xmlns='urn:xmpp:json:0'>{\"n\": 1}</json>"), "{got}");
}

#[test]
fn no_more_is_taken_than_there_is_room_for_and_nothing_overtakes() {
    let Some(postgres) = postgres() else { return };
    let more = "in_flight_max = 8\ntries_max = 1000\n[offline]\nmessages_max = 3\n";
    let home = Home::new(&section(&postgres, more));
    home.user("user0", "secret");
    let herald = home.start();
    postgres.sql("INSERT INTO herald_outbox (uid, payload) SELECT 'user0', n::text FROM generate_series(0, 39) AS n");
    scene::until(&herald, "herald_ingest_messages_total{source=\"postgres\",what=\"retried\"}", |n| n > 0);
    scene::until(&herald, "herald_ingest_in_flight{source=\"postgres\"}", |n| n == 8);
    assert_eq!(postgres.sql("SELECT count(*) FROM herald_outbox"), "37\n");
    let wanted: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    assert_eq!(scene::kept(&herald, "user0", "39"), wanted);
}

#[test]
fn what_is_wrong_at_the_server_is_told_without_the_password() {
    let Some(postgres) = postgres() else { return };
    let wrong = section(&postgres, "").replace(":secret@", ":unbelievable@");
    let herald = Home::new(&wrong).start();
    scene::until_logged(&herald, "password authentication failed");
    assert!(!herald.log().contains("unbelievable"), "the password is in the log");
    let herald = Home::new(&section(&postgres, "table = 'elsewhere'\n")).start();
    scene::until_logged(&herald, "there is no ingest.postgres.table \"elsewhere\" (docs/ingest.md has the SQL");
}
