//! The target `array` of `crates/fuzzing`, fed by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloudai_fuzzing::run("array", data));
