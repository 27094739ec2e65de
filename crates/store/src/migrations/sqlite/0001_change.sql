-- What changed, for nodes that keep facts in memory. Written in the transaction of the change.
CREATE TABLE archstone_change (
    -- An id must never come again once its row was purged: nodes remember how far they have read.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind VARCHAR(32) NOT NULL,
    entity_id VARCHAR(255) NOT NULL,
    -- Microseconds since the epoch, UTC.
    at BIGINT NOT NULL
);
CREATE INDEX ix_archstone_change_at ON archstone_change (at);

INSERT INTO archstone_schema (version) VALUES (1);
