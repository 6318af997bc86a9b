//! The client.

fn main() -> std::process::ExitCode {
    campaignd::cli::campaignctl()
}
