//! Arguments become one command; everything else is in the library.
#![deny(unsafe_code)]

fn main() {}
