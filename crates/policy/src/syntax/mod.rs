//! Rules as text: parsing them, the operator's file, what may be wrong in it, and the sample.

pub(crate) mod file;
pub(crate) mod parse;
pub(crate) mod problem;
pub(crate) mod sample;
