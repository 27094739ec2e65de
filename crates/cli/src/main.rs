//! The `archstone` command.

fn main() {}
