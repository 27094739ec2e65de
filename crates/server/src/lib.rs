//! The HTTP service: routes, authentication, authorization, replies.

pub mod passwords;
