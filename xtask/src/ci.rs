//! What continuous integration runs: the same as everybody.

use anyhow::Result;

pub fn run(arguments: &[&str]) -> Result<()> {
    crate::test::run(arguments)
}
