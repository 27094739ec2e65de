//! Any text is a configuration file or a value in one.
//!
//!     fuzz/run ini

#![no_main]

use std::{convert::Infallible, path::Path};

use archstone_fuzz::{Bound, MIB, lengthened, linear};
use config::{Config, ini};
use libfuzzer_sys::fuzz_target;

static READ: Bound = Bound::new("configuration", 2 * MIB, 128, 4);
static QUOTED: Bound = Bound::new("quoted", MIB, 64, 1);

fuzz_target!(|text: &str| {
    let text = &*lengthened(text);
    linear(text.len(), &READ, || read(text));
    linear(text.len(), &QUOTED, || quote(text));
});

fn read(text: &str) {
    let path = Path::new("keystone.conf");
    match Config::parse(path, text) {
        Ok(config) => {
            for warning in config.warnings() {
                assert!(!warning.to_string().is_empty());
            }
            for unsupported_options in config.unsupported_options() {
                assert!(!unsupported_options.to_string().is_empty());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Whatever can be written is read back unchanged.
fn quote(text: &str) {
    if let Some(written) = ini::quote(text) {
        let file = format!("[section]\nname = {written}\n");
        let assignments = ini::parse(&file).expect("a quoted value is an assignment");
        let [assignment] = &assignments[..] else {
            panic!("one assignment was written: {assignments:?}");
        };
        let value = ini::substitute(
            assignment.value.expose(),
            |name| -> Result<String, Infallible> {
                panic!("a quoted value refers to nothing, but to {name}")
            },
        );
        assert_eq!(value, Ok(text.to_owned()));
    }
}
