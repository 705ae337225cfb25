//! The floor under every conversion: reads each `.gz` file below a directory, inflates it with libdeflate and
//! throws it away, on one thread: `cargo bench --bench inflate -- DIR`. `benches/peers.py` measures against it.

#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo appends `--bench`.
    let Some(directory) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")) else {
        println!("Usage: cargo bench --bench inflate -- DIR");
        return Ok(());
    };
    let start = Instant::now();
    let mut decompressor = libdeflater::Decompressor::new();
    let (mut objects, mut gz_bytes, mut bytes, mut inflated) = (0_u64, 0, 0, Vec::new());
    let mut folders = vec![PathBuf::from(directory)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
                continue;
            }
            if entry.path().extension().is_none_or(|extension| extension != "gz") {
                continue;
            }
            let gz = fs::read(entry.path())?;
            // A gzip member ends with the length of what it holds.
            let length = gz.last_chunk().map_or(0, |length| u32::from_le_bytes(*length)) as usize;
            inflated.resize(inflated.len().max(length), 0);
            bytes += decompressor.gzip_decompress(&gz, &mut inflated)?;
            gz_bytes += gz.len();
            objects += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = bytes as f64 / 1e6 / seconds.max(1e-9);
    eprintln!(
        "{objects} objects, {gz_bytes} bytes gzip, {bytes} bytes inflated, {seconds:.2} s, {rate:.0} MB/s"
    );
    Ok(())
}
