"""The tables of a device's SQLite file, version by version. Made by ``schema``."""

# Version n is what the first n of these make. A released one is never changed.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE item (
            uid TEXT PRIMARY KEY,
            state TEXT NOT NULL,
            cycle INTEGER NOT NULL,
            label INTEGER,
            asked INTEGER NOT NULL DEFAULT 1,
            expired INTEGER NOT NULL DEFAULT 0,
            leased_until TEXT
        ) WITHOUT ROWID, STRICT""",
        "CREATE TABLE cycle (cycle INTEGER PRIMARY KEY) STRICT",
        """CREATE TABLE scoring (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            model_version TEXT NOT NULL,
            uids TEXT NOT NULL,
            scores BLOB NOT NULL,
            groups BLOB NOT NULL
        ) STRICT""",
        """CREATE TABLE model (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            arrays BLOB NOT NULL
        ) STRICT""",
    ),
    (
        "ALTER TABLE item ADD COLUMN origin TEXT NOT NULL DEFAULT 'cut'",
        "CREATE TABLE note (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
    ),
    (
        """CREATE TABLE query_record (
            uid TEXT PRIMARY KEY,
            cycle INTEGER NOT NULL,
            experts TEXT NOT NULL,
            descriptors BLOB NOT NULL,
            levels BLOB NOT NULL,
            found INTEGER,
            truth REAL,
            hit INTEGER
        ) WITHOUT ROWID, STRICT""",
    ),
    (
        # Highest first; 1 until it is scored.
        "ALTER TABLE item ADD COLUMN priority REAL NOT NULL DEFAULT 1.0",
        # Of its sheet: running leases, votes of the best class, fit to be a control.
        "ALTER TABLE item ADD COLUMN taken INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE item ADD COLUMN votes INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE item ADD COLUMN known INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE item ADD COLUMN outcome TEXT",
        """CREATE INDEX item_waiting ON item (priority DESC, cycle, uid)
            WHERE state IN ('queued', 'leased')""",
        "CREATE INDEX item_known ON item (uid) WHERE known = 1",
        "CREATE INDEX item_state ON item (state, label)",
        """CREATE TABLE annotation (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            uid TEXT NOT NULL,
            annotator TEXT NOT NULL,
            kind TEXT NOT NULL,
            label INTEGER,
            at TEXT,
            key TEXT NOT NULL,
            token TEXT NOT NULL,
            undone TEXT,
            control INTEGER NOT NULL,
            place INTEGER NOT NULL
        ) STRICT""",
        "CREATE INDEX annotation_uid ON annotation (uid)",
        "CREATE INDEX annotation_annotator ON annotation (annotator, number)",
        """CREATE UNIQUE INDEX annotation_key ON annotation (annotator, key, uid)
            WHERE key <> ''""",
        # What a person said is never lost: it may only be marked as taken back.
        """CREATE TRIGGER annotation_stays BEFORE DELETE ON annotation
            BEGIN SELECT RAISE(ABORT, 'an annotation is kept for ever'); END""",
        """CREATE TRIGGER annotation_is_final BEFORE UPDATE ON annotation
            WHEN OLD.undone IS NOT NULL OR (OLD.number, OLD.uid, OLD.annotator,
                OLD.kind, OLD.label, OLD.at, OLD.key, OLD.token, OLD.control, OLD.place)
                IS NOT (NEW.number, NEW.uid, NEW.annotator, NEW.kind, NEW.label,
                NEW.at, NEW.key, NEW.token, NEW.control, NEW.place)
            BEGIN SELECT RAISE(ABORT, 'an annotation is kept as it was given'); END""",
        """CREATE TABLE lease (
            uid TEXT NOT NULL,
            annotator TEXT NOT NULL,
            token TEXT NOT NULL,
            until TEXT,
            control INTEGER NOT NULL,
            PRIMARY KEY (uid, annotator)
        ) WITHOUT ROWID, STRICT""",
        "CREATE INDEX lease_until ON lease (until) WHERE until IS NOT NULL",
        "CREATE INDEX lease_held ON lease (annotator, uid) WHERE until IS NOT NULL",
        """CREATE TABLE near (
            uid TEXT NOT NULL,
            other TEXT NOT NULL,
            PRIMARY KEY (uid, other)
        ) WITHOUT ROWID, STRICT""",
        # Answers of older files came from oracles; a lease had no holder to answer it.
        """INSERT INTO annotation
            (uid, annotator, kind, label, key, token, control, place)
            SELECT uid, 'oracle', iif(label IS NULL, 'skip', 'given'), label, '', '',
                0, 0
            FROM item WHERE label IS NOT NULL OR state = 'skipped' ORDER BY uid""",
        """UPDATE item SET outcome = iif(label IS NULL, 'skipped', 'labelled'),
            known = label IS NOT NULL, votes = label IS NOT NULL
            WHERE label IS NOT NULL OR state = 'skipped'""",
        """UPDATE item SET state = 'queued', leased_until = NULL
            WHERE state = 'leased'""",
    ),
    (
        # The device's key by generation, and the root that it wraps; two rows while
        # keys are changed. Without a root: to be destroyed in the keyring.
        """CREATE TABLE vault (
            generation INTEGER PRIMARY KEY,
            device BLOB NOT NULL,
            root BLOB
        ) STRICT""",
        """CREATE TABLE sample_key (
            uid TEXT PRIMARY KEY,
            wrapped BLOB NOT NULL,
            generation INTEGER NOT NULL
        ) WITHOUT ROWID, STRICT""",
        # Keyed hashes of erased samples, and what they had been used for (sealed).
        """CREATE TABLE forgotten (mark BLOB PRIMARY KEY, used BLOB NOT NULL)
            WITHOUT ROWID, STRICT""",
        # Which samples each cycle's models were trained on (sealed).
        """CREATE TABLE training (cycle INTEGER PRIMARY KEY, uids BLOB NOT NULL)
            STRICT""",
        """CREATE TABLE payload (
            number INTEGER PRIMARY KEY,
            uid TEXT NOT NULL UNIQUE,
            suffix TEXT NOT NULL,
            size INTEGER NOT NULL,
            dropped INTEGER NOT NULL DEFAULT 0,
            content BLOB NOT NULL
        ) STRICT""",
        # All that a list needs, so that none reads a payload.
        "CREATE INDEX payload_list ON payload (dropped, uid, suffix, size)",
        "DROP TRIGGER annotation_stays",
        "DROP TRIGGER annotation_is_final",
        *(f"DROP INDEX item_{name}" for name in ("waiting", "known", "state")),
        *(f"DROP INDEX annotation_{name}" for name in ("uid", "annotator", "key")),
        *(f"DROP INDEX lease_{name}" for name in ("until", "held")),
        *(
            f"ALTER TABLE {name} RENAME TO plain_{name}"
            for name in ("item", "annotation", "lease", "query_record", "scoring")
        ),
        """CREATE TABLE item (
            uid TEXT PRIMARY KEY,
            state TEXT NOT NULL,
            cycle INTEGER NOT NULL,
            label BLOB,
            asked INTEGER NOT NULL DEFAULT 1,
            expired INTEGER NOT NULL DEFAULT 0,
            leased_until TEXT,
            origin TEXT NOT NULL DEFAULT 'cut',
            priority REAL NOT NULL DEFAULT 1.0,
            taken INTEGER NOT NULL DEFAULT 0,
            votes INTEGER NOT NULL DEFAULT 0,
            known INTEGER NOT NULL DEFAULT 0,
            outcome TEXT
        ) WITHOUT ROWID, STRICT""",
        """CREATE TABLE annotation (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            uid TEXT NOT NULL,
            annotator BLOB NOT NULL,
            kind TEXT NOT NULL,
            at TEXT,
            key BLOB NOT NULL,
            said BLOB NOT NULL,
            undone TEXT,
            control INTEGER NOT NULL,
            place INTEGER NOT NULL
        ) STRICT""",
        """CREATE TABLE lease (
            uid TEXT NOT NULL,
            annotator BLOB NOT NULL,
            held BLOB NOT NULL,
            until TEXT,
            control INTEGER NOT NULL,
            PRIMARY KEY (uid, annotator)
        ) WITHOUT ROWID, STRICT""",
        """CREATE TABLE query_record (
            uid TEXT PRIMARY KEY,
            cycle INTEGER NOT NULL,
            experts TEXT NOT NULL,
            descriptors BLOB NOT NULL,
            levels BLOB NOT NULL,
            found INTEGER,
            finding BLOB
        ) WITHOUT ROWID, STRICT""",
        """CREATE TABLE scoring (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            model_version TEXT NOT NULL,
            uids BLOB NOT NULL,
            scores BLOB NOT NULL,
            groups BLOB NOT NULL
        ) STRICT""",
        """CREATE INDEX item_waiting ON item (priority DESC, cycle, uid)
            WHERE state IN ('queued', 'leased')""",
        "CREATE INDEX item_known ON item (uid) WHERE known = 1",
        "CREATE INDEX item_state ON item (state)",
        "CREATE INDEX annotation_uid ON annotation (uid)",
        "CREATE INDEX annotation_annotator ON annotation (annotator, number)",
        """CREATE UNIQUE INDEX annotation_key ON annotation (annotator, key, uid)
            WHERE key <> x''""",
        "CREATE INDEX lease_until ON lease (until) WHERE until IS NOT NULL",
        "CREATE INDEX lease_held ON lease (annotator, uid) WHERE until IS NOT NULL",
        # Only what nobody can read any more, for its sample is being erased, may go.
        """CREATE TRIGGER annotation_stays BEFORE DELETE ON annotation
            WHEN EXISTS (SELECT 1 FROM sample_key WHERE uid = OLD.uid)
            BEGIN SELECT RAISE(ABORT, 'an annotation is kept for ever'); END""",
        """CREATE TRIGGER annotation_is_final BEFORE UPDATE ON annotation
            WHEN OLD.undone IS NOT NULL OR (OLD.number, OLD.uid, OLD.annotator,
                OLD.kind, OLD.at, OLD.key, OLD.said, OLD.control, OLD.place)
                IS NOT (NEW.number, NEW.uid, NEW.annotator, NEW.kind, NEW.at,
                NEW.key, NEW.said, NEW.control, NEW.place)
            BEGIN SELECT RAISE(ABORT, 'an annotation is kept as it was given'); END""",
    ),
    (
        """CREATE TABLE sure (
            uid TEXT PRIMARY KEY,
            label BLOB NOT NULL,
            confidence REAL NOT NULL,
            control INTEGER NOT NULL,
            cycle INTEGER NOT NULL
        ) WITHOUT ROWID, STRICT""",
    ),
    (
        # When the right to show it ends; NULL where the owner asks for no rights.
        "ALTER TABLE item ADD COLUMN right_until TEXT",
        """CREATE INDEX item_right ON item (right_until)
            WHERE right_until IS NOT NULL AND state IN ('queued', 'leased')""",
        # When samples came, 16 bytes each; a row for each look that found new ones.
        """CREATE TABLE arrival (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            at INTEGER NOT NULL,
            uids BLOB NOT NULL
        ) STRICT""",
        """CREATE TABLE audit (
            number INTEGER PRIMARY KEY,
            at TEXT NOT NULL,
            event TEXT NOT NULL,
            body TEXT NOT NULL,
            previous BLOB NOT NULL,
            hash BLOB NOT NULL,
            mac BLOB NOT NULL
        ) STRICT""",
        """CREATE TRIGGER audit_stays BEFORE DELETE ON audit
            BEGIN SELECT RAISE(ABORT, 'the audit log is kept for ever'); END""",
        """CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
            BEGIN SELECT RAISE(ABORT, 'the audit log stays as written'); END""",
        # Also what INSERT OR REPLACE would do, which fires no trigger for the old row.
        """CREATE TRIGGER audit_grows_at_its_end BEFORE INSERT ON audit
            WHEN NEW.number IS NOT
                (SELECT coalesce(max(number), 0) + 1 FROM audit)
            BEGIN SELECT RAISE(ABORT, 'the audit log grows at its end'); END""",
    ),
    (
        # What a stream has decided about: never decided about again.
        "CREATE TABLE taken (uid TEXT PRIMARY KEY) WITHOUT ROWID, STRICT",
    ),
)
