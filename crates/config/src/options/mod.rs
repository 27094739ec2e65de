//! Every option that there is: those that are honoured, and what becomes of the others.

pub(crate) mod table;
pub(crate) mod unsupported;
