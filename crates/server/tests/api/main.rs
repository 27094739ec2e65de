//! The API over HTTP: one module for each resource, in the tree of the sources.

mod oauth2;
mod v3;
