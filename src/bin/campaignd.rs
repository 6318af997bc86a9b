//! The daemon, the foreground run, and the workers.

fn main() -> std::process::ExitCode {
    let _points = campaignd::points::setup();
    campaignd::cli::campaignd()
}
