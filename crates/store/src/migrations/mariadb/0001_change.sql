-- What changed, for nodes that keep facts in memory. Written in the transaction of the change.
CREATE TABLE IF NOT EXISTS archstone_change (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind VARCHAR(32) NOT NULL,
    entity_id VARCHAR(255) NOT NULL,
    -- Microseconds since the epoch, UTC.
    at BIGINT NOT NULL,
    KEY ix_archstone_change_at (at)
) ENGINE=InnoDB CHARSET=utf8mb3;

INSERT IGNORE INTO archstone_schema (version) VALUES (1);
