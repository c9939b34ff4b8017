//! `docs/errors.md` is written from the table of codes. `cargo xtask bless` rewrites it.

use secateur_diag::Code;

const HEAD: &str = "# Errors

<!-- Written by `cargo xtask bless` from crates/secateur-diag/src/codes.rs. -->

Every message carries one of these codes. A code keeps its meaning for ever.

| code | says | what it means and what to do |
| --- | --- | --- |
";

#[test]
fn the_page_is_up_to_date() {
    let cell = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let row = |c: &Code| format!("| `{c}` | {} | {} |\n", cell(c.summary()), cell(c.page()));
    let page = format!("{HEAD}{}", Code::ALL.iter().map(row).collect::<String>());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
    if std::env::var_os("SECATEUR_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == page, "docs/errors.md is out of date: cargo xtask bless -p secateur-diag");
}
