//! Prints the operation catalogue of this build as JSON, for `cargo xtask generate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match neonhub_ffi::runtime().block_on(neonhub_ffi::catalogue::catalogue()) {
        Ok(catalogue) => {
            println!("{catalogue:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("neonhub-catalogue: {error}");
            ExitCode::FAILURE
        }
    }
}
