-- How a protocol is spoken, beyond what Keystone's table knows. It goes with the protocol, which a
-- Keystone on the same database may delete.
CREATE TABLE IF NOT EXISTS archstone_protocol (
    idp_id VARCHAR(64) COLLATE {collation} NOT NULL,
    protocol_id VARCHAR(64) COLLATE {collation} NOT NULL,
    driver VARCHAR(32) NOT NULL,
    -- A JSON object.
    settings MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    -- A JSON object, encrypted as credentials are.
    secrets MEDIUMTEXT,
    -- Of the key that encrypted them.
    key_hash VARCHAR(64),
    PRIMARY KEY (idp_id, protocol_id),
    FOREIGN KEY (protocol_id, idp_id) REFERENCES federation_protocol (id, idp_id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3 COLLATE=utf8mb3_bin;

-- What counted once, and must not count again before its end.
CREATE TABLE IF NOT EXISTS archstone_one_time (
    id VARCHAR(255) NOT NULL PRIMARY KEY,
    -- Microseconds since the epoch, UTC.
    until BIGINT NOT NULL,
    KEY ix_archstone_one_time_until (until)
) ENGINE=InnoDB CHARSET=utf8mb3 COLLATE=utf8mb3_bin;

-- Sessions at providers, so that their end ends the tokens that came of them.
CREATE TABLE IF NOT EXISTS archstone_provider_session (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    idp_id VARCHAR(64) NOT NULL,
    protocol_id VARCHAR(64) NOT NULL,
    subject VARCHAR(255) NOT NULL,
    session_id VARCHAR(255),
    user_id VARCHAR(64) NOT NULL,
    -- The root of the chain of its tokens.
    audit_id VARCHAR(32) NOT NULL,
    -- Microseconds since the epoch, UTC.
    until BIGINT NOT NULL,
    KEY ix_archstone_provider_session_subject (idp_id, protocol_id, subject),
    KEY ix_archstone_provider_session_until (until)
) ENGINE=InnoDB CHARSET=utf8mb3 COLLATE=utf8mb3_bin;

INSERT IGNORE INTO archstone_schema (version) VALUES (2);
