//! Any text as a printed graph: reading must not panic, and what reads must print to text that reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secateur_ir::{parse, print, verify};

fuzz_target!(|text: &str| {
    let Ok(graph) = parse::graph(text) else { return };
    _ = verify::verify(&graph);
    let printed = print::graph(&graph);
    let again = parse::graph(&printed).unwrap_or_else(|e| panic!("{e}\nof\n{printed}"));
    assert_eq!(print::graph(&again), printed, "printing is stable");
});
