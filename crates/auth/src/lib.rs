//! Who asks, and what they may: admission, authorization, and the flows of logins and tokens.

pub mod admission;
pub mod call;
pub mod delegation;
pub mod error;
pub mod flows;
pub mod methods;
pub mod parts;
pub mod rules;
pub mod tokens;
