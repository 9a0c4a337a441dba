#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| minipaas_fuzz::manifest::check(data));
