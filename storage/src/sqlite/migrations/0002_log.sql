-- The numbered log: delivered messages stay for a while, as history.

-- All messages up to this number are delivered, whatever their rows say. So a reader that takes them in
-- order, as most do, costs one small row and not one for each message.
ALTER TABLE counter ADD COLUMN delivered_to INTEGER NOT NULL DEFAULT 0;
-- Delivered messages up to this number may have been removed.
ALTER TABLE counter ADD COLUMN removed_to INTEGER NOT NULL DEFAULT 0;
-- Until now they went at once.
UPDATE counter SET removed_to =
    coalesce((SELECT min(inbox.id) - 1 FROM inbox WHERE inbox.user = counter.user), last_id);

-- Delivered though it is beyond counter.delivered_to.
ALTER TABLE inbox ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
-- When the stanza is NULL: the id of the body that holds it.
ALTER TABLE inbox ADD COLUMN body INTEGER;
CREATE INDEX inbox_body ON inbox (body) WHERE body IS NOT NULL;

-- Stanzas that several messages have. One goes with the last of them, however that goes: the trigger also
-- sees the rows that go with their account.
CREATE TABLE body (
    id     INTEGER PRIMARY KEY,
    number BLOB    NOT NULL UNIQUE, -- 16 bytes, big-endian
    stanza BLOB    NOT NULL
);
CREATE TRIGGER inbox_body_gone AFTER DELETE ON inbox WHEN OLD.body IS NOT NULL BEGIN
    DELETE FROM body WHERE id = OLD.body AND NOT EXISTS (SELECT 1 FROM inbox WHERE body = OLD.body);
END;

-- The newest message with each collapse key.
CREATE TABLE collapse (
    user INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    key  TEXT    NOT NULL,
    id   INTEGER NOT NULL,
    PRIMARY KEY (user, key)
) WITHOUT ROWID;

-- Which message came with each idempotency key.
CREATE TABLE once (
    user     INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    key      TEXT    NOT NULL,
    id       INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (user, key)
) WITHOUT ROWID;
CREATE INDEX once_until ON once (until_ms);

-- Teams, rooms: a name and who belongs to it.
CREATE TABLE user_group (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
);
CREATE TABLE member (
    user_group INTEGER NOT NULL REFERENCES user_group (id) ON DELETE CASCADE,
    jid        TEXT    NOT NULL, -- so that they lie in the order in which they are paged
    user       INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    PRIMARY KEY (user_group, jid)
) WITHOUT ROWID;
CREATE INDEX member_user ON member (user);

-- Keys of backends. A secret has 256 random bits, so its plain hash tells nothing.
CREATE TABLE api_key (
    name       TEXT    PRIMARY KEY,
    hash       BLOB    NOT NULL, -- SHA-256
    scopes     TEXT    NOT NULL, -- each followed by U+001F
    created_ms INTEGER NOT NULL
);

-- Answers to requests that came with an Idempotency-Key.
CREATE TABLE result (
    key          TEXT    PRIMARY KEY,
    request_hash BLOB    NOT NULL,
    answer       BLOB    NOT NULL,
    expires_ms   INTEGER NOT NULL
);
CREATE INDEX result_expires ON result (expires_ms);

-- When users were last online.
CREATE TABLE last_seen (
    user  INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    at_ms INTEGER NOT NULL
);

-- Events on their way out.
CREATE TABLE sink (
    id       INTEGER PRIMARY KEY,
    name     TEXT    NOT NULL UNIQUE,
    last_seq INTEGER NOT NULL
);
CREATE TABLE outbox (
    sink INTEGER NOT NULL REFERENCES sink (id) ON DELETE CASCADE,
    seq  INTEGER NOT NULL,
    item BLOB    NOT NULL,
    PRIMARY KEY (sink, seq)
) WITHOUT ROWID;
