//! The API over HTTP: one module for each resource, in the tree of the sources.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests panics where a test would"
)]

mod changes;
mod cors;
mod database;
mod growth;
mod health;
mod limits;
mod lists;
mod nodes;
mod oauth2;
mod orphans;
mod personas;
// Statements are noted in debug builds alone.
#[cfg(debug_assertions)]
mod plans;
mod policy;
mod races;
mod schemas;
mod smuggling;
mod spellings;
mod statements;
mod texts;
mod v3;
