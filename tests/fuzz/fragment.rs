//! Fuzzes what a node does with the text of a fragment before it runs it.

#![no_main]

#[path = "targets/fragment.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    target::judged(bytes);
});
