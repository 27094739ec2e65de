-- Work that one node at a time does for all, and until when it has been done.
CREATE TABLE IF NOT EXISTS archstone_lease (
    name VARCHAR(32) NOT NULL PRIMARY KEY,
    -- Microseconds since the epoch, UTC.
    until BIGINT NOT NULL
) ENGINE=InnoDB CHARSET=utf8mb3;
INSERT IGNORE INTO archstone_lease (name, until) VALUES ('sweep', 0);

INSERT IGNORE INTO archstone_schema (version) VALUES (3);
