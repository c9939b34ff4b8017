//! `--calib` and `--data` arguments: which file feeds which input.

use secateur_diag::{Code, Diagnostic, Result};
use std::path::PathBuf;

/// One argument: `file.npy`, or `name=file.npy` when the model has several inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataArg {
    /// Name of the graph input, if given.
    pub name: Option<String>,
    /// The file.
    pub path: PathBuf,
}

/// Parses the arguments of one option. The name ends at the first `=`; a file whose own path holds one
/// must be given with a name.
///
/// # Errors
/// `P005` when a name or path is empty, a name comes twice, or one of several arguments has no name.
pub fn parse_data_args<S: AsRef<str>>(args: &[S]) -> Result<Vec<DataArg>> {
    let parsed: Vec<DataArg> = args.iter().map(|a| parse_one(a.as_ref())).collect::<Result<_>>()?;
    for (i, arg) in parsed.iter().enumerate() {
        match &arg.name {
            None if parsed.len() > 1 => {
                return Err(invalid(args[i].as_ref(), "a data file has no input name")
                    .help("with several files write each as NAME=FILE.npy"));
            }
            Some(name) if parsed[..i].iter().any(|a| a.name.as_ref() == Some(name)) => {
                return Err(invalid(args[i].as_ref(), "an input is given twice"));
            }
            _ => {}
        }
    }
    Ok(parsed)
}

fn parse_one(text: &str) -> Result<DataArg> {
    let (name, path) = match text.split_once('=') {
        Some((name, path)) => (Some(name.trim()), path.trim()),
        None => (None, text.trim()),
    };
    if path.is_empty() || name.is_some_and(str::is_empty) {
        return Err(invalid(text, "a data argument is incomplete").help("write FILE.npy or NAME=FILE.npy"));
    }
    Ok(DataArg { name: name.map(str::to_owned), path: path.into() })
}

fn invalid(text: &str, title: &str) -> Box<Diagnostic> {
    Diagnostic::new(Code::P005, title).at("given", format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_optional_for_one_file() {
        assert_eq!(parse_data_args(&["a.npy"]).unwrap(), [DataArg { name: None, path: "a.npy".into() }]);
        let two = parse_data_args(&["x=a.npy", "y=b=c.npy"]).unwrap();
        assert_eq!(two[1], DataArg { name: Some("y".into()), path: "b=c.npy".into() });
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        for bad in [&["x=a.npy", "b.npy"][..], &["x=a.npy", "x=b.npy"], &["=a.npy"], &["x="], &[""]] {
            assert_eq!(parse_data_args(bad).unwrap_err().code, Code::P005, "{bad:?}");
        }
    }
}
