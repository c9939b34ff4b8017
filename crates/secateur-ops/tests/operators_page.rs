//! `docs/operators.md` is written from the operator table. `cargo xtask bless` rewrites it.

const HEAD: &str = "# Operators

<!-- Written by `cargo xtask bless` from crates/secateur-ops/src/. -->

Operators with a rule, and the versions of their operator set at which their definition changed. What is not listed is kept
as it is, and the axes that reach it are not cut.

| domain | operator | versions |
| --- | --- | --- |
";

#[test]
fn the_page_is_up_to_date() {
    let mut rows: Vec<_> = secateur_ops::all().map(|op| (op.domain, op.name, op.opsets)).collect();
    rows.sort_unstable();
    assert!(rows.windows(2).all(|w| (w[0].0, w[0].1) != (w[1].0, w[1].1)), "an operator has two rows");
    let row = |(domain, name, opsets): &(&str, &str, &[i64])| {
        let versions: Vec<String> = opsets.iter().map(ToString::to_string).collect();
        format!(
            "| {} | {name} | {} |\n",
            if domain.is_empty() { "ai.onnx" } else { domain },
            versions.join(", ")
        )
    };
    let page = format!("{HEAD}{}", rows.iter().map(row).collect::<String>());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operators.md");
    if std::env::var_os("SECATEUR_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == page, "docs/operators.md is out of date: cargo xtask bless -p secateur-ops");
}
