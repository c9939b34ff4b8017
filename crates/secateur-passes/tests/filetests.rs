//! Each `tests/filetests/*.ir` names passes in its first line and is compared, after them, with its snapshot.

use secateur_ir::{parse, print, verify};
use secateur_ops::infer;

#[test]
fn filetests() {
    insta::glob!("filetests/*.ir", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let names: Vec<&str> =
            first.strip_prefix("// passes:").expect("passes").split(',').map(str::trim).collect();
        let mut graph = parse::graph(&text).unwrap();
        verify::verify(&graph).unwrap();
        let result = infer(&mut graph).and_then(|()| secateur_passes::run(&mut graph, &names));
        let shown = match result {
            Ok(report) => {
                let counts: Vec<_> =
                    report.passes.iter().map(|p| format!("{}: {}", p.name, p.changes)).collect();
                format!("// {}\n{}", counts.join(", "), print::graph(&graph))
            }
            Err(e) => e.to_string(),
        };
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(shown);
        });
    });
}
