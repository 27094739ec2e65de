//! What callers may: the default rules, the operator's, and what rules see.

mod base_rules;
pub mod policy_file;
pub mod target;
mod targets;

pub use target::Target;
pub use targets::role_target;
