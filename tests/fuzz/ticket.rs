//! Fuzzes what a server does with the bytes of a ticket before it looks for the data.

#![no_main]

#[path = "targets/ticket.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    target::read(bytes);
});
