-- The tables of Keystone 30 on MariaDB and MySQL, as its own db_sync makes them: names, types and
-- constraints are its contract with every server on the database, so this file does not change.
--
-- These databases commit at each statement that defines a table. So each statement can be run
-- again, and the version, which says that all is there, comes last.

-- Which revisions of Keystone's schema this is; filled at the end.
CREATE TABLE IF NOT EXISTS alembic_version (
    version_num VARCHAR(32) NOT NULL,
    PRIMARY KEY (version_num)
) ENGINE=InnoDB;

-- Keystone does so too, for the tables that follow and those of releases to come.
ALTER DATABASE CHARACTER SET utf8mb3;

-- Projects and domains.

-- A domain is a project with is_domain; its domain_id is that of the root row, made below.
CREATE TABLE IF NOT EXISTS project (
    id VARCHAR(64) NOT NULL,
    name VARCHAR(64) NOT NULL,
    extra TEXT,
    description TEXT,
    enabled BOOLEAN,
    domain_id VARCHAR(64) NOT NULL,
    parent_id VARCHAR(64),
    is_domain BOOLEAN NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    CONSTRAINT ixu_project_name_domain_id UNIQUE (domain_id, name),
    CONSTRAINT project_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES project (id),
    CONSTRAINT project_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES project (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS project_option (
    project_id VARCHAR(64) NOT NULL,
    option_id VARCHAR(4) NOT NULL,
    option_value TEXT,
    PRIMARY KEY (project_id, option_id),
    FOREIGN KEY (project_id) REFERENCES project (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS project_tag (
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    PRIMARY KEY (project_id, name),
    FOREIGN KEY (project_id) REFERENCES project (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Users and groups.

-- A user has no name: that stands in local_user, nonlocal_user or federated_user.
CREATE TABLE IF NOT EXISTS `user` (
    id VARCHAR(64) NOT NULL,
    extra TEXT,
    enabled BOOLEAN,
    default_project_id VARCHAR(64),
    created_at DATETIME,
    last_active_at DATE,
    domain_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT ixu_user_id_domain_id UNIQUE (id, domain_id),
    KEY domain_id (domain_id),
    KEY ix_default_project_id (default_project_id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS user_option (
    user_id VARCHAR(64) NOT NULL,
    option_id VARCHAR(4) NOT NULL,
    option_value TEXT,
    PRIMARY KEY (user_id, option_id),
    FOREIGN KEY (user_id) REFERENCES `user` (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Users whose password we keep.
CREATE TABLE IF NOT EXISTS local_user (
    id INTEGER NOT NULL AUTO_INCREMENT,
    user_id VARCHAR(64) NOT NULL,
    domain_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    failed_auth_count INTEGER,
    failed_auth_at DATETIME,
    PRIMARY KEY (id),
    CONSTRAINT domain_id UNIQUE (domain_id, name),
    CONSTRAINT user_id UNIQUE (user_id),
    CONSTRAINT local_user_user_id_fkey FOREIGN KEY (user_id, domain_id)
        REFERENCES `user` (id, domain_id) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

-- The current one is that with the greatest created_at_int; the others are the history.
CREATE TABLE IF NOT EXISTS password (
    id INTEGER NOT NULL AUTO_INCREMENT,
    local_user_id INTEGER NOT NULL,
    expires_at DATETIME,
    self_service BOOLEAN NOT NULL DEFAULT 0,
    password_hash VARCHAR(255),
    created_at_int BIGINT NOT NULL DEFAULT 0,
    expires_at_int BIGINT,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (local_user_id) REFERENCES local_user (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Users whom an LDAP server keeps.
CREATE TABLE IF NOT EXISTS nonlocal_user (
    domain_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (domain_id, name),
    CONSTRAINT ixu_nonlocal_user_user_id UNIQUE (user_id),
    CONSTRAINT nonlocal_user_user_id_fkey FOREIGN KEY (user_id, domain_id)
        REFERENCES `user` (id, domain_id) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS `group` (
    id VARCHAR(64) NOT NULL,
    domain_id VARCHAR(64) NOT NULL,
    name VARCHAR(64) NOT NULL,
    description TEXT,
    extra TEXT,
    PRIMARY KEY (id),
    CONSTRAINT ixu_group_name_domain_id UNIQUE (domain_id, name)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS user_group_membership (
    user_id VARCHAR(64) NOT NULL,
    group_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (user_id, group_id),
    KEY group_id (group_id),
    CONSTRAINT fk_user_group_membership_group_id FOREIGN KEY (group_id) REFERENCES `group` (id),
    CONSTRAINT fk_user_group_membership_user_id FOREIGN KEY (user_id) REFERENCES `user` (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Public ids of the users and groups that an LDAP server keeps.
CREATE TABLE IF NOT EXISTS id_mapping (
    public_id VARCHAR(64) NOT NULL,
    domain_id VARCHAR(64) NOT NULL,
    local_id VARCHAR(255) NOT NULL,
    entity_type ENUM('user', 'group') NOT NULL,
    PRIMARY KEY (public_id),
    CONSTRAINT domain_id UNIQUE (domain_id, local_id, entity_type)
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Federation.

CREATE TABLE IF NOT EXISTS identity_provider (
    id VARCHAR(64) NOT NULL,
    enabled BOOLEAN NOT NULL,
    description TEXT,
    domain_id VARCHAR(64) NOT NULL,
    authorization_ttl INTEGER,
    PRIMARY KEY (id),
    KEY domain_id (domain_id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS idp_remote_ids (
    idp_id VARCHAR(64),
    remote_id VARCHAR(255) NOT NULL,
    PRIMARY KEY (remote_id),
    FOREIGN KEY (idp_id) REFERENCES identity_provider (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS mapping (
    id VARCHAR(64) NOT NULL,
    rules TEXT NOT NULL,
    schema_version VARCHAR(5) NOT NULL DEFAULT '1.0',
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS federation_protocol (
    id VARCHAR(64) NOT NULL,
    idp_id VARCHAR(64) NOT NULL,
    mapping_id VARCHAR(64) NOT NULL,
    remote_id_attribute VARCHAR(64),
    PRIMARY KEY (id, idp_id),
    FOREIGN KEY (idp_id) REFERENCES identity_provider (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS federated_user (
    id INTEGER NOT NULL AUTO_INCREMENT,
    user_id VARCHAR(64) NOT NULL,
    idp_id VARCHAR(64) NOT NULL,
    protocol_id VARCHAR(64) NOT NULL,
    unique_id VARCHAR(255) NOT NULL,
    display_name VARCHAR(255),
    PRIMARY KEY (id),
    CONSTRAINT idp_id UNIQUE (idp_id, protocol_id, unique_id),
    FOREIGN KEY (user_id) REFERENCES `user` (id) ON DELETE CASCADE,
    FOREIGN KEY (idp_id) REFERENCES identity_provider (id) ON DELETE CASCADE,
    CONSTRAINT federated_user_protocol_id_fkey FOREIGN KEY (protocol_id, idp_id)
        REFERENCES federation_protocol (id, idp_id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS expiring_user_group_membership (
    user_id VARCHAR(64) NOT NULL,
    group_id VARCHAR(64) NOT NULL,
    idp_id VARCHAR(64) NOT NULL,
    last_verified DATETIME NOT NULL,
    PRIMARY KEY (user_id, group_id, idp_id),
    FOREIGN KEY (user_id) REFERENCES `user` (id),
    FOREIGN KEY (group_id) REFERENCES `group` (id),
    FOREIGN KEY (idp_id) REFERENCES identity_provider (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS service_provider (
    auth_url VARCHAR(256) NOT NULL,
    id VARCHAR(64) NOT NULL,
    enabled BOOLEAN NOT NULL,
    description TEXT,
    sp_url VARCHAR(256) NOT NULL,
    relay_state_prefix VARCHAR(256) NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Roles.

-- A role of no domain has the text <<null>> for its domain.
CREATE TABLE IF NOT EXISTS `role` (
    id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    extra TEXT,
    domain_id VARCHAR(64) NOT NULL DEFAULT '<<null>>',
    description VARCHAR(255),
    PRIMARY KEY (id),
    CONSTRAINT ixu_role_name_domain_id UNIQUE (name, domain_id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS role_option (
    role_id VARCHAR(64) NOT NULL,
    option_id VARCHAR(4) NOT NULL,
    option_value TEXT,
    PRIMARY KEY (role_id, option_id),
    FOREIGN KEY (role_id) REFERENCES `role` (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS implied_role (
    prior_role_id VARCHAR(64) NOT NULL,
    implied_role_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (prior_role_id, implied_role_id),
    CONSTRAINT implied_role_implied_role_id_fkey FOREIGN KEY (implied_role_id)
        REFERENCES `role` (id) ON DELETE CASCADE,
    CONSTRAINT implied_role_prior_role_id_fkey FOREIGN KEY (prior_role_id)
        REFERENCES `role` (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Roles on projects and domains.
CREATE TABLE IF NOT EXISTS assignment (
    type ENUM('UserProject', 'GroupProject', 'UserDomain', 'GroupDomain') NOT NULL,
    actor_id VARCHAR(64) NOT NULL,
    target_id VARCHAR(64) NOT NULL,
    role_id VARCHAR(64) NOT NULL,
    inherited BOOLEAN NOT NULL,
    PRIMARY KEY (type, actor_id, target_id, role_id, inherited),
    KEY ix_actor_id (actor_id)
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Roles on the system.
CREATE TABLE IF NOT EXISTS system_assignment (
    type VARCHAR(64) NOT NULL,
    actor_id VARCHAR(64) NOT NULL,
    target_id VARCHAR(64) NOT NULL,
    role_id VARCHAR(64) NOT NULL,
    inherited BOOLEAN NOT NULL,
    PRIMARY KEY (type, actor_id, target_id, role_id, inherited)
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Credentials.

CREATE TABLE IF NOT EXISTS credential (
    id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    project_id VARCHAR(64),
    type VARCHAR(255) NOT NULL,
    extra TEXT,
    key_hash VARCHAR(64) NOT NULL,
    encrypted_blob TEXT NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS application_credential (
    internal_id INTEGER NOT NULL AUTO_INCREMENT,
    id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    secret_hash VARCHAR(255) NOT NULL,
    description TEXT,
    user_id VARCHAR(64) NOT NULL,
    project_id VARCHAR(64),
    expires_at BIGINT,
    `system` VARCHAR(64),
    unrestricted BOOLEAN,
    PRIMARY KEY (internal_id),
    CONSTRAINT duplicate_app_cred_constraint UNIQUE (user_id, name)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS application_credential_role (
    application_credential_id INTEGER NOT NULL,
    role_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (application_credential_id, role_id),
    FOREIGN KEY (application_credential_id)
        REFERENCES application_credential (internal_id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS access_rule (
    id INTEGER NOT NULL AUTO_INCREMENT,
    service VARCHAR(64),
    path VARCHAR(128),
    method VARCHAR(16),
    external_id VARCHAR(64),
    user_id VARCHAR(64),
    PRIMARY KEY (id),
    CONSTRAINT duplicate_access_rule_for_user_constraint UNIQUE (user_id, service, path, method),
    KEY external_id (external_id),
    KEY user_id (user_id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS application_credential_access_rule (
    application_credential_id INTEGER NOT NULL,
    access_rule_id INTEGER NOT NULL,
    PRIMARY KEY (application_credential_id, access_rule_id),
    FOREIGN KEY (application_credential_id)
        REFERENCES application_credential (internal_id) ON DELETE CASCADE,
    FOREIGN KEY (access_rule_id) REFERENCES access_rule (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Trusts, OAuth 1.0a, revocation.

CREATE TABLE IF NOT EXISTS trust (
    id VARCHAR(64) NOT NULL,
    trustor_user_id VARCHAR(64) NOT NULL,
    trustee_user_id VARCHAR(64) NOT NULL,
    project_id VARCHAR(64),
    impersonation BOOLEAN NOT NULL,
    deleted_at DATETIME,
    expires_at DATETIME,
    remaining_uses INTEGER,
    extra TEXT,
    expires_at_int BIGINT,
    redelegated_trust_id VARCHAR(64),
    redelegation_count INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT duplicate_trust_constraint
        UNIQUE (trustor_user_id, trustee_user_id, project_id, impersonation, expires_at)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS trust_role (
    trust_id VARCHAR(64) NOT NULL,
    role_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (trust_id, role_id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS consumer (
    id VARCHAR(64) NOT NULL,
    description VARCHAR(64),
    secret VARCHAR(64) NOT NULL,
    extra TEXT NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS request_token (
    id VARCHAR(64) NOT NULL,
    request_secret VARCHAR(64) NOT NULL,
    verifier VARCHAR(64),
    authorizing_user_id VARCHAR(64),
    requested_project_id VARCHAR(64) NOT NULL,
    role_ids TEXT,
    consumer_id VARCHAR(64) NOT NULL,
    expires_at VARCHAR(64),
    PRIMARY KEY (id),
    KEY ix_request_token_consumer_id (consumer_id),
    FOREIGN KEY (consumer_id) REFERENCES consumer (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS access_token (
    id VARCHAR(64) NOT NULL,
    access_secret VARCHAR(64) NOT NULL,
    authorizing_user_id VARCHAR(64) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    role_ids TEXT NOT NULL,
    consumer_id VARCHAR(64) NOT NULL,
    expires_at VARCHAR(64),
    PRIMARY KEY (id),
    KEY ix_access_token_authorizing_user_id (authorizing_user_id),
    KEY ix_access_token_consumer_id (consumer_id),
    FOREIGN KEY (consumer_id) REFERENCES consumer (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS revocation_event (
    id INTEGER NOT NULL AUTO_INCREMENT,
    domain_id VARCHAR(64),
    project_id VARCHAR(64),
    user_id VARCHAR(64),
    role_id VARCHAR(64),
    trust_id VARCHAR(64),
    consumer_id VARCHAR(64),
    access_token_id VARCHAR(64),
    issued_before DATETIME NOT NULL,
    expires_at DATETIME,
    revoked_at DATETIME NOT NULL,
    audit_id VARCHAR(32),
    audit_chain_id VARCHAR(32),
    PRIMARY KEY (id),
    KEY ix_revocation_event_audit_id_issued_before (audit_id, issued_before),
    KEY ix_revocation_event_composite (issued_before, user_id, project_id, audit_id),
    KEY ix_revocation_event_issued_before (issued_before),
    KEY ix_revocation_event_new_revoked_at (revoked_at),
    KEY ix_revocation_event_project_id_issued_before (project_id, issued_before),
    KEY ix_revocation_event_project_id_user_id (project_id, user_id),
    KEY ix_revocation_event_user_id_issued_before (user_id, issued_before)
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Unused since tokens carry their facts themselves.
CREATE TABLE IF NOT EXISTS token (
    id VARCHAR(64) NOT NULL,
    expires DATETIME,
    extra TEXT,
    valid BOOLEAN NOT NULL,
    trust_id VARCHAR(64),
    user_id VARCHAR(64),
    PRIMARY KEY (id),
    KEY ix_token_expires (expires),
    KEY ix_token_expires_valid (expires, valid),
    KEY ix_token_trust_id (trust_id),
    KEY ix_token_user_id (user_id)
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Catalog.

CREATE TABLE IF NOT EXISTS region (
    id VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    parent_region_id VARCHAR(255),
    extra TEXT,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS service (
    id VARCHAR(64) NOT NULL,
    type VARCHAR(255),
    enabled BOOLEAN NOT NULL DEFAULT 1,
    extra TEXT,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS endpoint (
    id VARCHAR(64) NOT NULL,
    legacy_endpoint_id VARCHAR(64),
    interface VARCHAR(8) NOT NULL,
    service_id VARCHAR(64) NOT NULL,
    url TEXT NOT NULL,
    extra TEXT,
    enabled BOOLEAN NOT NULL DEFAULT 1,
    region_id VARCHAR(255),
    PRIMARY KEY (id),
    KEY service_id (service_id),
    CONSTRAINT endpoint_service_id_fkey FOREIGN KEY (service_id) REFERENCES service (id),
    CONSTRAINT fk_endpoint_region_id FOREIGN KEY (region_id) REFERENCES region (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS endpoint_group (
    id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    filters TEXT NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS project_endpoint (
    endpoint_id VARCHAR(64) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (endpoint_id, project_id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS project_endpoint_group (
    endpoint_group_id VARCHAR(64) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (endpoint_group_id, project_id),
    KEY idx_project_id (project_id),
    FOREIGN KEY (endpoint_group_id) REFERENCES endpoint_group (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Limits.

CREATE TABLE IF NOT EXISTS registered_limit (
    id VARCHAR(64) NOT NULL,
    service_id VARCHAR(255),
    region_id VARCHAR(64),
    resource_name VARCHAR(255),
    default_limit INTEGER NOT NULL,
    description TEXT,
    internal_id INTEGER NOT NULL AUTO_INCREMENT,
    PRIMARY KEY (internal_id),
    CONSTRAINT registered_limit_id_key UNIQUE (id),
    KEY region_id (region_id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS `limit` (
    id VARCHAR(64) NOT NULL,
    project_id VARCHAR(64),
    resource_limit INTEGER NOT NULL,
    description TEXT,
    internal_id INTEGER NOT NULL AUTO_INCREMENT,
    registered_limit_id VARCHAR(64),
    domain_id VARCHAR(64),
    PRIMARY KEY (internal_id),
    CONSTRAINT limit_id_key UNIQUE (id),
    KEY registered_limit_id (registered_limit_id)
) ENGINE=InnoDB CHARSET=utf8mb3;

-- Policies and configuration of domains.

CREATE TABLE IF NOT EXISTS policy (
    id VARCHAR(64) NOT NULL,
    type VARCHAR(255) NOT NULL,
    `blob` TEXT NOT NULL,
    extra TEXT,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS policy_association (
    id VARCHAR(64) NOT NULL,
    policy_id VARCHAR(64) NOT NULL,
    endpoint_id VARCHAR(64),
    service_id VARCHAR(64),
    region_id VARCHAR(64),
    PRIMARY KEY (id),
    CONSTRAINT endpoint_id UNIQUE (endpoint_id, service_id, region_id)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS whitelisted_config (
    domain_id VARCHAR(64) NOT NULL,
    `group` VARCHAR(255) NOT NULL,
    `option` VARCHAR(255) NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (domain_id, `group`, `option`)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS sensitive_config (
    domain_id VARCHAR(64) NOT NULL,
    `group` VARCHAR(255) NOT NULL,
    `option` VARCHAR(255) NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (domain_id, `group`, `option`)
) ENGINE=InnoDB CHARSET=utf8mb3;

CREATE TABLE IF NOT EXISTS config_register (
    type VARCHAR(64) NOT NULL,
    domain_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (type)
) ENGINE=InnoDB CHARSET=utf8mb3;

-- The parent of all domains, which is never shown.
INSERT IGNORE INTO project (id, name, domain_id, is_domain, enabled, description, extra)
VALUES ('<<keystone.domain.root>>', '<<keystone.domain.root>>', '<<keystone.domain.root>>',
    1, 0, '', '{}');

-- The last revisions of Keystone's branches "expand" and "contract".
INSERT IGNORE INTO alembic_version (version_num) VALUES ('742c857f1dfb'), ('c88cdce8f248');
