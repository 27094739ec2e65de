//! HTTP: sockets, TLS, requests, replies, and the table of operations. Who asks, and what for, is
//! not known here.

pub mod failure;
pub mod json;
pub mod listen;
pub mod openapi;
pub mod operation;
pub mod reply;
pub mod request;
pub mod router;
pub mod schemas;
