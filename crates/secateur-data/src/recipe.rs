//! Preparations for all inputs of a model, from a TOML file or from code.

use crate::Preparation;
use crate::number::{narrow, parse_list, parse_number};
use crate::prep::invalid;
use secateur_diag::{Diagnostic, Result};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};
use toml::{Table, Value};

/// How each input is prepared.
///
/// As a file: keys at the top hold for every input, a section `[input.NAME]` replaces them for one input.
/// A number may be written as a fraction in quotes; a list may have one value for all channels. Left out,
/// scale is 1, mean 0, std 1. Channels are along axis 1; `axis = -1` says that they are along the last one.
///
/// ```toml
/// scale = "1/255"
/// mean = [0.485, 0.456, 0.406]
/// std = [0.229, 0.224, 0.225]
///
/// [input.depth]
/// scale = 0.001
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Recipe {
    /// For inputs that are not named.
    pub default: Preparation,
    /// By name of the input.
    pub inputs: BTreeMap<String, Preparation>,
}

impl From<Preparation> for Recipe {
    fn from(default: Preparation) -> Self {
        Self { default, inputs: BTreeMap::new() }
    }
}

impl Recipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// `D003` if it cannot be read or is malformed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let place = |d: Box<Diagnostic>| d.at("file", path.display().to_string());
        let text = std::fs::read_to_string(path)
            .map_err(|e| place(invalid(format!("the recipe cannot be read: {e}"))))?;
        Self::parse(&text).map_err(place)
    }

    /// Parses the text of a recipe file.
    ///
    /// # Errors
    /// `D003` for malformed TOML, an unknown key, or values that [`Preparation::new`] refuses.
    pub fn parse(text: &str) -> Result<Self> {
        let mut table: Table = text.parse().map_err(|e: toml::de::Error| {
            invalid("the recipe is not valid TOML").at("toml", e.to_string().trim_end())
        })?;
        let inputs = match table.remove("input") {
            None => Table::new(),
            Some(Value::Table(inputs)) => inputs,
            Some(_) => return Err(invalid("`input` must be sections of the form [input.NAME]")),
        };
        let inputs = inputs.into_iter().map(|(name, value)| {
            let Value::Table(section) = value else {
                return Err(invalid(format!("`input.{name}` must be a section")));
            };
            let prep = section_of(&section).map_err(|d| d.at("input", format!("%{name}")))?;
            Ok((name, prep))
        });
        Ok(Self { default: section_of(&table)?, inputs: inputs.collect::<Result<_>>()? })
    }

    /// What holds for the input called `name`.
    pub fn preparation(&self, name: &str) -> &Preparation {
        self.inputs.get(name).unwrap_or(&self.default)
    }
}

fn section_of(table: &Table) -> Result<Preparation> {
    let mut prep = Preparation::default();
    for (key, value) in table {
        let read = match key.as_str() {
            "scale" => number(value).map(|v| prep.scale = v),
            "mean" => list(value).map(|v| prep.mean = v),
            "std" => list(value).map(|v| prep.std = v),
            "axis" => {
                value.as_integer().map(|v| prep.axis = v).ok_or_else(|| format!("{value} is not an axis"))
            }
            _ => Err("unknown key; there are scale, mean, std and axis".into()),
        };
        read.map_err(|reason| invalid(reason).at("key", key))?;
    }
    Preparation::new(prep.scale, prep.mean, prep.std)?.along(prep.axis)
}

fn number(value: &Value) -> Result<f32, String> {
    let wide = match value {
        Value::String(text) => return parse_number(text),
        Value::Float(v) => *v,
        Value::Integer(v) => *v as f64,
        _ => return Err(format!("{value} is not a number")),
    };
    narrow(wide).ok_or_else(|| format!("{value} is not a finite number"))
}

fn list(value: &Value) -> Result<Vec<f32>, String> {
    match value {
        Value::Array(values) => values.iter().map(number).collect(),
        Value::String(text) => parse_list(text),
        _ => number(value).map(|v| vec![v]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_diag::Code;

    #[test]
    fn sections_replace_the_top() {
        let text = "scale = '1/255'\nmean = [0.5, '1/4', 0]\nstd = '0.5'\n[input.\"a b\"]\nmean = 2";
        let recipe = Recipe::parse(text).unwrap();
        assert_eq!(recipe.preparation("x").mean, [0.5, 0.25, 0.0]);
        assert_eq!(recipe.preparation("a b"), &Preparation::new(1.0, vec![2.0], vec![1.0]).unwrap());
    }

    #[test]
    fn an_empty_recipe_changes_nothing() {
        assert!(Recipe::parse("").unwrap().preparation("x").is_identity());
    }

    #[test]
    fn refuses_malformed_recipes() {
        for bad in [
            "scale =",
            "scal = 1",
            "input = 3",
            "input.x = 3",
            "std = 0",
            "mean = [true]",
            "mean = []",
            "scale = nan",
        ] {
            assert_eq!(Recipe::parse(bad).unwrap_err().code, Code::D003, "{bad}");
        }
        let e = Recipe::parse("[input.x]\nmen = 1").unwrap_err();
        assert_eq!(e.fields, [("key", "men".to_string()), ("input", "%x".to_string())]);
    }
}
