//! What callers may: the default rules, the operator's, and what rules see.

mod base_rules;
pub mod policy_file;
pub mod target;
pub mod targets;

pub use target::{Item, Target, Wanted, keys_of};
