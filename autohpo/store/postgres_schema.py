"""The tables of PostgreSQL stores, and every statement that is run on them.

Names are fixed and values are parameters, so nothing that a user writes is ever read as SQL.
"""

from __future__ import annotations

from autohpo.errors import StoreCorruptError, StoreError
from autohpo.store.postgres_link import Link
from autohpo.store.rows import APPLICATION_ID
from autohpo.version import __version__

FORMAT = 1
"""The format of the tables; that of the rows of a study stands in the study's own row."""

LOCK_CLASS = APPLICATION_ID
"""The first half of the keys of our advisory locks; the second is the number of the study, 0 for the tables."""

CREATE = """
CREATE SCHEMA IF NOT EXISTS autohpo;
CREATE TABLE autohpo.about (format integer NOT NULL);
CREATE TABLE autohpo.studies (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    format integer NOT NULL,
    files text NOT NULL,
    host text NOT NULL,
    header text,
    crc bigint,
    created timestamp with time zone NOT NULL DEFAULT now()
);
CREATE TABLE autohpo.drivers (
    study integer PRIMARY KEY REFERENCES autohpo.studies ON DELETE CASCADE,
    epoch bigint NOT NULL DEFAULT 0,
    n_events bigint NOT NULL DEFAULT 0,
    holder text,
    backend integer,
    stop text
) WITH (fillfactor = 10);
CREATE TABLE autohpo.events (
    study integer NOT NULL REFERENCES autohpo.studies ON DELETE CASCADE,
    seq bigint NOT NULL,
    time double precision NOT NULL,
    kind text NOT NULL,
    trial bigint NOT NULL,
    attempt bigint NOT NULL,
    data text NOT NULL,
    crc bigint NOT NULL,
    PRIMARY KEY (study, seq)
);
CREATE UNIQUE INDEX one_ask ON autohpo.events (study, trial) WHERE kind = 'ask';
CREATE UNIQUE INDEX one_end ON autohpo.events (study, trial) WHERE kind = 'end';
"""
"""What makes the tables. A row of *drivers* changes with every append, so its page has room for newer versions."""

HAS_TABLES = """
SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'autohpo' AND c.relname = 'about'
"""
"""Whether there are tables, as of now: `to_regclass` may answer from the cache of a session that has just waited."""

STUDY = "SELECT id, format, files, host FROM autohpo.studies WHERE name = %s"

NEW_STUDY = """
WITH made AS (
    INSERT INTO autohpo.studies (name, format, files, host) VALUES (%s, %s, %s, %s)
    ON CONFLICT (name) DO NOTHING RETURNING id
)
INSERT INTO autohpo.drivers (study) SELECT id FROM made
"""

MOVED = "UPDATE autohpo.studies SET files = %s, host = %s, format = %s WHERE id = %s"

LOCK = "SELECT pg_try_advisory_lock(%s, %s)"

CLAIM = """
UPDATE autohpo.drivers SET epoch = epoch + 1, holder = %(holder)s, backend = pg_backend_pid(), stop = NULL
WHERE study = %(study)s AND (%(epoch)s::bigint IS NULL OR epoch = %(epoch)s)
RETURNING epoch, n_events, set_config('synchronous_commit', %(sync)s, true)
"""
"""The step to a new epoch, by the one who has the lock; with an epoch, only by the driver of that one."""

STANDING = "SELECT epoch, n_events FROM autohpo.drivers WHERE study = %s"

LOCKED_BY = """
(SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
 AND l.classid = %(lock_class)s::bigint::oid AND l.objid = d.study::oid
 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1)
"""

HOLDER = f"SELECT d.holder, d.backend, {LOCKED_BY} FROM autohpo.drivers d WHERE d.study = %(study)s"  # noqa: S608

APPEND = """
WITH held AS (
    UPDATE autohpo.drivers SET n_events = %(last)s
    WHERE study = %(study)s AND epoch = %(epoch)s AND n_events = %(before)s
    RETURNING study, set_config('synchronous_commit', %(sync)s, true)
)
INSERT INTO autohpo.events (study, seq, time, kind, trial, attempt, data, crc)
SELECT held.study, row.* FROM held, unnest(
    %(seqs)s::bigint[], %(times)s::double precision[], %(kinds)s::text[], %(trials)s::bigint[], %(attempts)s::bigint[],
    %(texts)s::text[], %(crcs)s::bigint[]
) AS row
"""
"""An append: the row of the driver is locked, its epoch and count are checked, and events are added, in one commit."""

SYNC = """
UPDATE autohpo.drivers SET n_events = n_events WHERE study = %(study)s AND epoch = %(epoch)s AND n_events = %(before)s
RETURNING set_config('synchronous_commit', %(sync)s, true)
"""
"""A commit that changes nothing, and is written and synced as any other."""

BEGIN = """
WITH held AS (
    UPDATE autohpo.drivers SET n_events = n_events WHERE study = %(study)s AND epoch = %(epoch)s
    RETURNING study, set_config('synchronous_commit', %(sync)s, true)
)
UPDATE autohpo.studies s SET header = %(header)s, crc = %(crc)s FROM held WHERE s.id = held.study AND s.header IS NULL
"""

HEADER = "SELECT header, crc FROM autohpo.studies WHERE id = %s"

EVENTS = """
SELECT seq, time, kind, trial, attempt, data, crc FROM autohpo.events
WHERE study = %s AND seq > %s ORDER BY seq LIMIT %s
"""

LAST = "SELECT max(seq) FROM autohpo.events WHERE study = %s"

ASK_TO_STOP = "UPDATE autohpo.drivers SET stop = %s WHERE study = %s"
STOP = "SELECT stop FROM autohpo.drivers WHERE study = %s AND stop IS NOT NULL"
STOP_SEEN = "UPDATE autohpo.drivers SET stop = NULL WHERE study = %s AND stop = %s"

RENAME = "UPDATE autohpo.studies SET name = %s, files = %s WHERE id = %s"
REMOVE = "DELETE FROM autohpo.studies WHERE id = %s"

STUDIES = f"""
SELECT s.name, s.header, s.crc, s.format, {LOCKED_BY},
    (SELECT count(*) FROM autohpo.events e WHERE e.study = s.id AND e.kind = 'ask' AND e.trial >= 0),
    (SELECT e.time FROM autohpo.events e WHERE e.study = s.id ORDER BY e.seq DESC LIMIT 1)
FROM autohpo.studies s JOIN autohpo.drivers d ON d.study = s.id ORDER BY s.name
"""  # noqa: S608 - a text of ours in a text of ours


def is_made(link: Link) -> bool:
    """Return whether the database has the tables, once it is known that this release reads them.

    Raises:
        StoreError: A newer release made them.
        StoreCorruptError: They do not say which format they have.
    """
    if not link.rows(HAS_TABLES):
        return False
    found = [row[0] for row in link.rows("SELECT format FROM autohpo.about")]
    if len(found) != 1 or found[0] < 1:
        raise StoreCorruptError(f"store: {link.url.place} is damaged: autohpo.about has {len(found)} formats")
    if found[0] > FORMAT:
        raise StoreError(
            f"store: {link.url.place} has tables of format {found[0]}, of a newer autohpo; this one, {__version__}, "
            f"reads formats up to {FORMAT}: install a newer one"
        )
    return True


def make(link: Link) -> None:
    """Make the tables, unless they are there.

    Raises:
        StoreError: The user may not make them, or a newer release has.
    """
    if is_made(link):
        return
    with link.transaction():
        link.rows("SET LOCAL lock_timeout = 0")  # two that begin at once: the second waits for the first
        link.rows("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK_CLASS])
        if is_made(link):
            return
        link.rows(CREATE)
        link.rows("INSERT INTO autohpo.about VALUES (%s)", [FORMAT])
