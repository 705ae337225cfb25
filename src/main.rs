//! The `trailhouse` program.

fn main() -> std::process::ExitCode {
    trailhouse::cli::main()
}
