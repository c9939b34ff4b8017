//! No graph makes a pass panic: every number of the filetests is replaced by worse ones.

use secateur_ir::parse;
use secateur_passes::{Options, PASSES, prepare, run};

const WORSE: &[&str] = &["0", "-1", "-9223372036854775808", "9223372036854775807", "7", "1099511627776"];

#[test]
fn worse_numbers() {
    let mut tried = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/filetests")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let bytes = text.as_bytes();
        let starts = (1..bytes.len()).filter(|&i| {
            bytes[i].is_ascii_digit() && matches!(bytes[i - 1], b'[' | b',' | b' ' | b'=' | b'-')
        });
        for start in starts {
            let len = bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
            for worse in WORSE {
                let changed = [&text[..start], worse, &text[start + len..]].concat();
                let Ok(graph) = parse::graph(&changed) else { continue };
                let _ = prepare(&mut graph.clone(), &mut Options::default());
                // Passes alone, without what inference would have refused.
                for pass in PASSES {
                    let _ = run(&mut graph.clone(), &[pass.name]);
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}
