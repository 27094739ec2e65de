//! Policy rules that others are built from, and that belong to no operation.

use policy::Rule;

/// Keystone's base rules.
pub(super) const BASE_RULES: &[Rule] = &[
    Rule::new("admin_required", "role:admin or is_admin:1"),
    Rule::new("service_role", "role:service"),
    Rule::new(
        "service_or_admin",
        "rule:admin_required or rule:service_role",
    ),
    Rule::new("owner", "user_id:%(user_id)s"),
    Rule::new("admin_or_owner", "rule:admin_required or rule:owner"),
    Rule::new("token_subject", "user_id:%(target.token.user_id)s"),
    Rule::new(
        "admin_or_token_subject",
        "rule:admin_required or rule:token_subject",
    ),
    Rule::new(
        "service_admin_or_token_subject",
        "rule:service_or_admin or rule:token_subject",
    ),
    Rule::new(
        "domain_managed_target_role",
        "'manager':%(target.role.name)s or 'member':%(target.role.name)s or \
         'reader':%(target.role.name)s",
    ),
];
