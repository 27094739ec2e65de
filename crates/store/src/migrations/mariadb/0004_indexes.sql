-- Indexes on Keystone's tables, for what would read a whole table otherwise. Keystone's db_sync makes
-- none of them and minds none; they may be dropped at any time, at the price of slow requests. A run
-- that finds one of them goes on.
--
-- Columns that a foreign key begins with have an index already. To add another would make InnoDB drop
-- its own, and refuse then to drop ours.

-- Users by name in whatever domain.
CREATE INDEX archstone_ix_local_user_name ON local_user (name);
CREATE INDEX archstone_ix_nonlocal_user_name ON nonlocal_user (name);
CREATE INDEX archstone_ix_federated_user_display_name ON federated_user (display_name);
CREATE INDEX archstone_ix_federated_user_unique_id ON federated_user (unique_id);

CREATE INDEX archstone_ix_group_name ON `group` (name);
CREATE INDEX archstone_ix_project_name ON project (name);

-- What was given on a project or domain, and of a role.
CREATE INDEX archstone_ix_assignment_target_id ON assignment (target_id, type, actor_id);
CREATE INDEX archstone_ix_assignment_role_id ON assignment (role_id);

CREATE INDEX archstone_ix_credential_user_id ON credential (user_id);
CREATE INDEX archstone_ix_credential_project_id ON credential (project_id);
CREATE INDEX archstone_ix_application_credential_id ON application_credential (id);

INSERT IGNORE INTO archstone_schema (version) VALUES (4);
