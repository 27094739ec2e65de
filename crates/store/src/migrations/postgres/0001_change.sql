-- What changed, for nodes that keep facts in memory. Written in the transaction of the change.
CREATE TABLE archstone_change (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind VARCHAR(32) NOT NULL,
    entity_id VARCHAR(255) NOT NULL,
    -- Microseconds since the epoch, UTC.
    at BIGINT NOT NULL
);
CREATE INDEX ix_archstone_change_at ON archstone_change (at);

INSERT INTO archstone_schema (version) VALUES (1);
