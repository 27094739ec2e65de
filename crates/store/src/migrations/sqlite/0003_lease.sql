-- Work that one node at a time does for all, and until when it has been done.
CREATE TABLE archstone_lease (
    name VARCHAR(32) NOT NULL PRIMARY KEY,
    -- Microseconds since the epoch, UTC.
    until BIGINT NOT NULL
);
INSERT INTO archstone_lease (name, until) VALUES ('sweep', 0);

INSERT INTO archstone_schema (version) VALUES (3);
