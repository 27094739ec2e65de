-- Indexes on Keystone's tables, for what would read a whole table otherwise. Keystone's db_sync makes
-- none of them and minds none; they may be dropped at any time, at the price of slow requests.

-- Users by name in whatever domain, the users of a domain, and the newest password of each.
CREATE INDEX IF NOT EXISTS archstone_ix_local_user_name ON local_user (name);
CREATE INDEX IF NOT EXISTS archstone_ix_nonlocal_user_name ON nonlocal_user (name);
CREATE INDEX IF NOT EXISTS archstone_ix_federated_user_display_name ON federated_user (display_name);
CREATE INDEX IF NOT EXISTS archstone_ix_federated_user_unique_id ON federated_user (unique_id);
CREATE INDEX IF NOT EXISTS archstone_ix_federated_user_protocol_id ON federated_user (protocol_id);
CREATE INDEX IF NOT EXISTS archstone_ix_federated_user_user_id ON federated_user (user_id);
CREATE INDEX IF NOT EXISTS archstone_ix_user_domain_id ON "user" (domain_id, id);
CREATE INDEX IF NOT EXISTS archstone_ix_password_local_user_id ON password (local_user_id, created_at_int);

-- The members of a group, in the order of their ids.
CREATE INDEX IF NOT EXISTS archstone_ix_user_group_membership_group_id ON user_group_membership (group_id, user_id);
CREATE INDEX IF NOT EXISTS archstone_ix_expiring_user_group_membership_group_id ON expiring_user_group_membership (group_id);
CREATE INDEX IF NOT EXISTS archstone_ix_expiring_user_group_membership_idp_id ON expiring_user_group_membership (idp_id);

CREATE INDEX IF NOT EXISTS archstone_ix_group_name ON "group" (name);
CREATE INDEX IF NOT EXISTS archstone_ix_project_name ON project (name);
CREATE INDEX IF NOT EXISTS archstone_ix_project_parent_id ON project (parent_id);

-- What was given on a project or domain, and of a role.
CREATE INDEX IF NOT EXISTS archstone_ix_assignment_target_id ON assignment (target_id, type, actor_id);
CREATE INDEX IF NOT EXISTS archstone_ix_assignment_role_id ON assignment (role_id);

CREATE INDEX IF NOT EXISTS archstone_ix_credential_user_id ON credential (user_id);
CREATE INDEX IF NOT EXISTS archstone_ix_credential_project_id ON credential (project_id);
CREATE INDEX IF NOT EXISTS archstone_ix_application_credential_id ON application_credential (id);

INSERT INTO archstone_schema (version) VALUES (4);
