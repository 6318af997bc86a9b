//! The daemon, the foreground run, and the workers.

fn main() -> std::process::ExitCode {
    campaignd::cli::campaignd()
}
