"""SQLite store of the twin: schema, connection, list pages. One writer, the event loop's thread.

Cloud state (devices, messages, locations, bundles, jobs) and the twin's own records (sessions, requests,
authentications, proxy blocks) are rows of the same file, so that a restarted twin continues and every
summary can be made from what is stored. JSON documents are TEXT columns; times are world milliseconds.
Called by devices.py, messages.py, fota.py, records.py and the REST files.
"""

import json
import os
import re
import sqlite3
import time
import uuid

from .errors import invalid

_TOKEN = re.compile("[0-9a-f]{1,15}")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS device (
    id TEXT PRIMARY KEY, name TEXT, sub_type TEXT, tags TEXT, firmware_types TEXT, public_key TEXT,
    created_at INTEGER, updated_at INTEGER, desired TEXT, reported TEXT,
    desired_meta TEXT, reported_meta TEXT, version INTEGER);
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY, device TEXT, topic TEXT, app_id TEXT, received_at INTEGER, body TEXT);
CREATE TABLE IF NOT EXISTS location (
    n INTEGER PRIMARY KEY, id TEXT, device TEXT, service TEXT, inserted_at INTEGER,
    lat TEXT, lon TEXT, uncertainty TEXT, meta TEXT);
CREATE TABLE IF NOT EXISTS bundle (
    n INTEGER PRIMARY KEY, id TEXT UNIQUE, name TEXT, description TEXT, version TEXT, type TEXT,
    filenames TEXT, size INTEGER, modified_at INTEGER);
CREATE TABLE IF NOT EXISTS file (host TEXT, path TEXT, bundle TEXT, data BLOB, PRIMARY KEY (host, path));
CREATE TABLE IF NOT EXISTS job (
    n INTEGER PRIMARY KEY, id TEXT UNIQUE, bundle TEXT, firmware TEXT, target TEXT, name TEXT,
    description TEXT, status TEXT, status_detail TEXT, created_at INTEGER, updated_at INTEGER,
    completed_at INTEGER);
CREATE TABLE IF NOT EXISTS execution (
    n INTEGER PRIMARY KEY, id TEXT, job TEXT, device TEXT, document TEXT, status TEXT,
    status_detail TEXT, created_at INTEGER, updated_at INTEGER);
CREATE TABLE IF NOT EXISTS execution_history (
    n INTEGER PRIMARY KEY, job TEXT, device TEXT, t INTEGER, status TEXT, status_detail TEXT, by TEXT);
CREATE TABLE IF NOT EXISTS bulk (
    n INTEGER PRIMARY KEY, id TEXT, endpoint TEXT, status TEXT, requested_at INTEGER,
    completed_at INTEGER, errors TEXT);
CREATE TABLE IF NOT EXISTS session (
    id INTEGER PRIMARY KEY, opened_at INTEGER, closed_at INTEGER, reason TEXT, addr TEXT, cipher TEXT,
    handshake_ms INTEGER, handshake_datagrams INTEGER, device TEXT, datagrams_up INTEGER,
    datagrams_down INTEGER, bytes_up INTEGER, bytes_down INTEGER);
CREATE TABLE IF NOT EXISTS session_cid (session INTEGER PRIMARY KEY, cid TEXT);
CREATE TABLE IF NOT EXISTS rebind (n INTEGER PRIMARY KEY, t INTEGER, session INTEGER, old TEXT, addr TEXT);
CREATE TABLE IF NOT EXISTS handshake_failure (n INTEGER PRIMARY KEY, t INTEGER, addr TEXT, reason TEXT);
CREATE TABLE IF NOT EXISTS request (
    n INTEGER PRIMARY KEY, t INTEGER, session INTEGER, device TEXT, method TEXT, path TEXT, query TEXT,
    code TEXT, bytes_in INTEGER, bytes_out INTEGER, format INTEGER, accept INTEGER, answer_format INTEGER,
    kind TEXT, wall_ms INTEGER);
CREATE TABLE IF NOT EXISTS auth (
    n INTEGER PRIMARY KEY, t INTEGER, session INTEGER, device TEXT, path TEXT, query TEXT, code TEXT,
    reason TEXT);
CREATE TABLE IF NOT EXISTS proxy_block (
    n INTEGER PRIMARY KEY, t INTEGER, session INTEGER, device TEXT, host TEXT, path TEXT,
    offset INTEGER, size INTEGER);
CREATE TABLE IF NOT EXISTS error (n INTEGER PRIMARY KEY, t INTEGER, place TEXT, error TEXT);
CREATE TABLE IF NOT EXISTS alert (
    n INTEGER PRIMARY KEY, id TEXT UNIQUE, device TEXT, created_at INTEGER, received_at INTEGER,
    status TEXT, status_changed_at INTEGER, status_changed_by TEXT, body TEXT);
CREATE TABLE IF NOT EXISTS binary_log (
    n INTEGER PRIMARY KEY, device TEXT, received_at INTEGER, ts INTEGER, sequence INTEGER, format INTEGER,
    data BLOB);
CREATE TABLE IF NOT EXISTS identity (uuid TEXT PRIMARY KEY, public_key TEXT, imei TEXT);
CREATE TABLE IF NOT EXISTS claim (
    n INTEGER PRIMARY KEY, uuid TEXT UNIQUE, device_type INTEGER, firmware TEXT, tags TEXT, claimed_at INTEGER,
    applied TEXT);
CREATE TABLE IF NOT EXISTS prov_command (
    n INTEGER PRIMARY KEY, id TEXT UNIQUE, uuid TEXT, kind TEXT, sec_tag INTEGER, request TEXT, description TEXT,
    status TEXT, response TEXT, created_at INTEGER, updated_at INTEGER);
CREATE TABLE IF NOT EXISTS prov_step (
    n INTEGER PRIMARY KEY, correlation TEXT UNIQUE, command TEXT, uuid TEXT, status TEXT, step TEXT);
CREATE TABLE IF NOT EXISTS prov_rule (
    n INTEGER PRIMARY KEY, id TEXT UNIQUE, name TEXT, description TEXT, active INTEGER, commands TEXT, tags TEXT,
    created_at INTEGER);
CREATE TABLE IF NOT EXISTS prov_tag (n INTEGER PRIMARY KEY, tag TEXT UNIQUE, description TEXT);
CREATE TABLE IF NOT EXISTS download (id TEXT, name TEXT, type TEXT, data BLOB, PRIMARY KEY (id, name));
CREATE TABLE IF NOT EXISTS device_image (device TEXT PRIMARY KEY, url TEXT);
CREATE TABLE IF NOT EXISTS product (
    device TEXT PRIMARY KEY, code TEXT, public_key TEXT, provisioned INTEGER, elsewhere INTEGER);
CREATE TABLE IF NOT EXISTS team_device (id TEXT PRIMARY KEY, certificate TEXT, created_at INTEGER);
CREATE INDEX IF NOT EXISTS message_device ON message (device, id);
CREATE INDEX IF NOT EXISTS execution_device ON execution (device, n);
"""


class Store:
    """The database. `path` is a file name or ":memory:"."""

    def __init__(self, path, world):
        self.world = world
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self.tenant = self.constant("tenant", lambda: str(uuid.uuid4()))
        self.user = self.constant("user", lambda: str(uuid.uuid4()))

    def now_ms(self):
        """World time of a new row."""
        return self.world.now_ms()

    def run(self, sql, *args):
        """Execute one statement; returns the number of rows it touched."""
        return self._db.execute(sql, args).rowcount

    def insert(self, table, **columns):
        """Insert one row (column=value); returns its rowid."""
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        return self._db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values())).lastrowid

    def all(self, sql, *args):
        """All rows of a query."""
        return self._db.execute(sql, args).fetchall()

    def one(self, sql, *args):
        """The first row of a query, or None."""
        return self._db.execute(sql, args).fetchone()

    def value(self, sql, *args):
        """The first column of the first row, or None."""
        row = self.one(sql, *args)
        return None if row is None else row[0]

    def transaction(self):
        """Context manager: BEGIN ... COMMIT, rolled back on an exception."""
        return _Transaction(self._db)

    def page(self, table, key, where, args, query, descending=True):
        """One page of a list, as the API lists things: (rows, {"total", "pageNextToken"?}).

        `key` is the integer column of the order, `query` the request's parameters (pageLimit 1..100,
        pageNextToken, pageSort). Raises ApiError 422.
        """
        limit = _limit(query.get("pageLimit"))
        sort = query.get("pageSort", "desc" if descending else "asc")
        if sort not in ("asc", "desc"):
            raise invalid("pageSort is asc or desc")
        token = query.get("pageNextToken")
        if token is not None:
            where = [*where, f"{key} {'<' if sort == 'desc' else '>'} ?"]
            args = [*args, _read_token(token)]
        clause = " WHERE " + " AND ".join(where) if where else ""
        rows = self.all(f"SELECT * FROM {table}{clause} ORDER BY {key} {sort} LIMIT ?", *args, limit + 1)
        more = {"total": min(len(rows), limit)}
        if len(rows) > limit:
            rows = rows[:limit]
            more["pageNextToken"] = f"{rows[-1][key]:012x}"
        return rows, more

    def close(self):
        """Close the file; a later Store on the same path continues."""
        self._db.close()

    def keep(self, name, value):
        """Set a named text for good; None forgets it."""
        self.run("DELETE FROM meta WHERE name = ?", name)
        if value is not None:
            self.insert("meta", name=name, value=value)

    def kept(self, name):
        """A named text, or None."""
        return self.value("SELECT value FROM meta WHERE name = ?", name)

    def constant(self, name, make):
        """A named text, made by `make` when it is asked for first."""
        value = self.value("SELECT value FROM meta WHERE name = ?", name)
        if value is None:
            value = make()
            self.insert("meta", name=name, value=value)
        return value


class _Transaction:
    def __init__(self, db):
        self._db = db

    def __enter__(self):
        self._db.execute("BEGIN")

    def __exit__(self, kind, value, traceback):
        self._db.execute("ROLLBACK" if kind else "COMMIT")


def dumps(value):
    """JSON text for a column."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def loads(text):
    """A column's JSON text back."""
    return json.loads(text)


def iso(ms):
    """World milliseconds as ISO-8601 with Z and milliseconds, None for None."""
    if ms is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"


def ulid(ms):
    """A ULID (Crockford base 32): 48 bits of time, 80 random bits."""
    number = (ms << 80) | int.from_bytes(os.urandom(10), "big")
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> shift & 31] for shift in range(125, -1, -5))


def _limit(text):
    if text is None:
        return 10
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 100:
        raise invalid("pageLimit is 1..100")
    return int(text)


def _read_token(token):
    if not _TOKEN.fullmatch(token):
        raise invalid("pageNextToken is not one of ours")
    return int(token, 16)
