//! The native part of the Node package: it carries text, errors and async between JavaScript and the shared binding
//! crate, and nothing else. The typed surface above it is in `ts`; most of that is generated from the catalogue.

#![allow(missing_debug_implementations, reason = "classes of JavaScript, which Rust never prints")]
#![allow(clippy::needless_pass_by_value, reason = "arguments come from JavaScript by value")]

mod bridge;
mod hub;
#[allow(dead_code, reason = "its free function is called by JavaScript alone")]
mod testing;
