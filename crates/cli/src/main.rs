//! The `ergate` program: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ergate_cli::main()
}
