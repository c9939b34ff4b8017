//! `secateur targets`.

use secateur_diag::Result;
use secateur_target::Target;

use super::{Common, Outcome};
use crate::report::{right, table};

/// Arguments of `targets`.
#[derive(clap::Args)]
pub struct Args {
    /// Show all that is known of one target.
    name: Option<String>,
}

pub(super) fn run(a: &Args, common: &Common) -> Result<Outcome> {
    let Some(name) = &a.name else {
        let mut t =
            table(&["name", "board", "core", "cores", "MHz", "L1D KiB", "L2 KiB", "features", "multiple"]);
        for x in Target::all() {
            let features =
                [("neon", x.features.neon), ("dotprod", x.features.dotprod), ("fp16", x.features.fp16)];
            let features: Vec<&str> = features.into_iter().filter(|f| f.1).map(|f| f.0).collect();
            t.add_row([
                x.name.clone(),
                x.title.clone(),
                x.core.clone(),
                x.cores.to_string(),
                x.clock_mhz.to_string(),
                x.caches.l1d.kib.to_string(),
                x.caches.l2.kib.to_string(),
                features.join(" "),
                x.channel_multiple.to_string(),
            ]);
        }
        common.say(&right(t, 20));
        common.give(&Target::all());
        return Ok(Outcome::Done);
    };
    let target = Target::load(name)?;
    let value = serde_json::json!(target);
    if !common.json {
        let mut out = String::new();
        lines("", &value, &mut out);
        common.say(&out);
    }
    common.give(&value);
    Ok(Outcome::Done)
}

/// `section.key  value` lines of a JSON object.
fn lines(prefix: &str, value: &serde_json::Value, out: &mut String) {
    let Some(map) = value.as_object() else { return };
    for (k, v) in map {
        let name = if prefix.is_empty() { k.clone() } else { format!("{prefix}.{k}") };
        match v {
            serde_json::Value::Object(_) => lines(&name, v, out),
            serde_json::Value::String(s) => out.push_str(&format!("{name:<28} {s}\n")),
            v => out.push_str(&format!("{name:<28} {v}\n")),
        }
    }
}
