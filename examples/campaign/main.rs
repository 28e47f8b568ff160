//! One brief becomes a gated multi-channel campaign, offline, on one file.
//!
//! ```text
//! cargo run --release --example campaign
//! cargo run --release --example campaign -- --brief my.toml --contacts my.csv --brand my-documents --out my-out
//! ```
//!
//! It needs nothing: no key, no server, no network. With no option it runs on bundled data of a fictional
//! coffee roaster. Run it again on the same out folder and it goes on where it stopped: nothing is sent twice,
//! new contacts and documents are picked up. The whole story is in `story.rs`; the other files read the command
//! line (`args.rs`), write the out folder (`folder.rs`) and talk to the user (`screen.rs`).

mod args;
mod documents;
mod folder;
mod key;
mod screen;
mod story;

use std::process::ExitCode;

use clap::Parser as _;
use neonhub::{CancelToken, Error, ErrorKind};

/// Exit codes: 0 done, 1 something failed, 2 an input is wrong, 130 stopped with Ctrl-C.
#[tokio::main]
async fn main() -> ExitCode {
    let args = args::Args::parse();
    match story::run(&args, stop_on_ctrl_c()).await {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", screen::explain(&error));
            exit_code(&error)
        }
    }
}

/// A token that Ctrl-C cancels: work stops at its next commit. A second Ctrl-C ends the process at once, which
/// is as safe, only less polite.
fn stop_on_ctrl_c() -> CancelToken {
    let token = CancelToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("\nstopping: the next run goes on from here");
            stop.cancel();
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        }
    });
    token
}

fn exit_code(error: &Error) -> ExitCode {
    match error.kind() {
        ErrorKind::InvalidInput => ExitCode::from(2),
        ErrorKind::Cancelled => ExitCode::from(130),
        _ => ExitCode::FAILURE,
    }
}
