//! The `secateur` command.

use std::process::ExitCode;

// Values of a batch come and go by the megabyte; the system's allocator gives such memory back at once and faults it in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    secateur::cli::main()
}
