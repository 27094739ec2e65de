//! What derives from the table of operations.

pub mod openapi;
pub mod policy_sample;
