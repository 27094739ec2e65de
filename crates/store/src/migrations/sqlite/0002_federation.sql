-- How a protocol is spoken, beyond what Keystone's table knows. It goes with the protocol, which a
-- Keystone on the same database may delete.
CREATE TABLE archstone_protocol (
    idp_id VARCHAR(64) NOT NULL,
    protocol_id VARCHAR(64) NOT NULL,
    driver VARCHAR(32) NOT NULL,
    -- A JSON object.
    settings TEXT NOT NULL,
    -- A JSON object, encrypted as credentials are.
    secrets TEXT,
    -- Of the key that encrypted them.
    key_hash VARCHAR(64),
    PRIMARY KEY (idp_id, protocol_id),
    FOREIGN KEY (protocol_id, idp_id) REFERENCES federation_protocol (id, idp_id) ON DELETE CASCADE
);

-- What counted once, and must not count again before its end.
CREATE TABLE archstone_one_time (
    id VARCHAR(255) NOT NULL PRIMARY KEY,
    -- Microseconds since the epoch, UTC.
    until BIGINT NOT NULL
);
CREATE INDEX ix_archstone_one_time_until ON archstone_one_time (until);

-- Sessions at providers, so that their end ends the tokens that came of them.
CREATE TABLE archstone_provider_session (
    id INTEGER PRIMARY KEY,
    idp_id VARCHAR(64) NOT NULL,
    protocol_id VARCHAR(64) NOT NULL,
    subject VARCHAR(255) NOT NULL,
    session_id VARCHAR(255),
    user_id VARCHAR(64) NOT NULL,
    -- The root of the chain of its tokens.
    audit_id VARCHAR(32) NOT NULL,
    -- Microseconds since the epoch, UTC.
    until BIGINT NOT NULL
);
CREATE INDEX ix_archstone_provider_session_subject
    ON archstone_provider_session (idp_id, protocol_id, subject);
CREATE INDEX ix_archstone_provider_session_until ON archstone_provider_session (until);

INSERT INTO archstone_schema (version) VALUES (2);
