-- Kept plain on purpose: the same tables are to stand in PostgreSQL. Times are milliseconds since
-- 1970 UTC. A user is the number of their account; every table of theirs goes when it goes.

-- One row. The floors are what new accounts count from: above everything a deleted account was given,
-- so that a name given to someone new never repeats an id, and no deleted name has to be remembered.
CREATE TABLE store (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    epoch         TEXT    NOT NULL,
    id_floor      INTEGER NOT NULL,
    version_floor INTEGER NOT NULL
);
INSERT INTO store VALUES (1, lower(hex(randomblob(8))), 0, 0);

CREATE TABLE account (
    id                INTEGER PRIMARY KEY,
    jid               TEXT    NOT NULL UNIQUE,
    sha1_salt         BLOB    NOT NULL,
    sha1_iterations   INTEGER NOT NULL,
    sha1_stored       BLOB    NOT NULL,
    sha1_server       BLOB    NOT NULL,
    sha256_salt       BLOB    NOT NULL,
    sha256_iterations INTEGER NOT NULL,
    sha256_stored     BLOB    NOT NULL,
    sha256_server     BLOB    NOT NULL
);

-- Beside the account and not in it: these rows are written with every message, and small ones share pages.
CREATE TABLE counter (
    user           INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    last_id        INTEGER NOT NULL, -- the id of the newest message ever kept
    roster_version INTEGER NOT NULL,
    roster_from    INTEGER NOT NULL  -- the oldest version whose successors are all known
);

-- A message of one user carries its stanza; one to a group is to carry a reference in its place.
CREATE TABLE inbox (
    user       INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    id         INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    expires_ms INTEGER,
    stanza     BLOB,
    PRIMARY KEY (user, id)
) WITHOUT ROWID;
CREATE INDEX inbox_expires ON inbox (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE roster (
    user         INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    contact      TEXT    NOT NULL,
    version      INTEGER NOT NULL, -- the one that wrote this row
    name         TEXT,
    groups       TEXT    NOT NULL, -- each followed by U+001F
    subscription TEXT    NOT NULL CHECK (subscription IN ('none', 'to', 'from', 'both')),
    ask          INTEGER NOT NULL,
    approved     INTEGER NOT NULL,
    pending_in   BLOB,
    in_roster    INTEGER NOT NULL,
    PRIMARY KEY (user, contact)
) WITHOUT ROWID;

CREATE TABLE roster_removed (
    user    INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    contact TEXT    NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (user, contact)
) WITHOUT ROWID;

CREATE TABLE private (
    user  INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    space TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    value BLOB    NOT NULL,
    PRIMARY KEY (user, space, key)
);
