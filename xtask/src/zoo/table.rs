//! The rows as text and as JSON, and what they amount to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::{Outcome, Row};

pub const HEADER: &str = "\
model                            nodes   exact     any         MACs  left        params  left    error      s   peak MB";

/// Within 50 % and so little below that no whole class was wasted.
const BAND: std::ops::RangeInclusive<f64> = 0.47..=0.5;

pub fn line(r: &Row) -> String {
    let left = |(b, a): (u64, u64)| match b {
        0 => "-".into(),
        b => format!("{:.1}%", 100.0 * a as f64 / b as f64),
    };
    let error = r.error.map_or("-".into(), |e| format!("{e:.1e}"));
    let text = format!(
        "{:<32} {:>5} {:>6.1}% {:>6.1}% {:>12} {:>5} {:>13} {:>5} {:>8} {:>6.2} {:>9.0}  {}",
        r.model,
        r.nodes,
        100.0 * r.prunable.0,
        100.0 * r.prunable.1,
        r.macs.0,
        left(r.macs),
        r.params.0,
        left(r.params),
        error,
        r.seconds,
        r.peak_mb,
        remark(r)
    );
    text.trim_end().to_owned()
}

fn remark(r: &Row) -> String {
    let inexact = match (r.inexact, r.by_params) {
        (true, true) => "inexact, budget of params",
        (true, false) => "inexact",
        (false, true) => "budget of params",
        (false, false) => "",
    };
    match &r.outcome {
        Outcome::Pruned if r.macs.0 == 0 && !r.by_params => "no multiply-adds".into(),
        Outcome::Pruned if BAND.contains(&r.left()) => inexact.into(),
        Outcome::Pruned => format!("{inexact} coarse: the next class does not fit").trim_start().into(),
        Outcome::Short(why) => why.clone(),
        Outcome::Ranked => "picks by rank of scores: outputs are not comparable".into(),
        Outcome::Unchecked(why) => format!("{inexact} the original does not run: {why}").trim_start().into(),
        Outcome::Failed(why) => format!("FAILED {why}"),
    }
}

/// How many came to what, and the causes of those that did not reach.
pub fn summary(rows: &[Row]) -> String {
    let count = |f: &dyn Fn(&Row) -> bool| rows.iter().filter(|r| f(r)).count();
    let pruned = |r: &Row| matches!(r.outcome, Outcome::Pruned | Outcome::Ranked | Outcome::Unchecked(_));
    let worst = rows
        .iter()
        .filter(|r| !r.inexact && r.outcome == Outcome::Pruned)
        .filter_map(|r| r.error)
        .fold(0.0, f64::max);
    let mut out = format!(
        "{} models, tolerance {:e}\n{:>5} within 47..50 % of what was limited\n{:>5} pruned exactly, largest error {worst:.1e}\n\
         {:>5} pruned with inexact classes\n{:>5} cannot reach the budget\n{:>5} not comparable, as outputs are picked by rank\n{:>5} unchecked, as the original does not run\n{:>5} failed\n",
        rows.len(),
        super::TOLERANCE,
        count(&|r| pruned(r) && BAND.contains(&r.left())),
        count(&|r| pruned(r) && !r.inexact),
        count(&|r| pruned(r) && r.inexact),
        count(&|r| matches!(r.outcome, Outcome::Short(_))),
        count(&|r| r.outcome == Outcome::Ranked),
        count(&|r| matches!(r.outcome, Outcome::Unchecked(_))),
        count(&Row::failed),
    );
    let mut causes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for r in rows {
        if let Outcome::Failed(why) | Outcome::Short(why) = &r.outcome {
            causes.entry(why.split(';').next().unwrap_or(why)).or_default().push(&r.model);
        }
    }
    for (cause, models) in causes {
        out.push_str(&format!("{:>5} {cause}: {}\n", models.len(), models.join(", ")));
    }
    out
}

pub fn json(rows: &[Row]) -> Value {
    rows.iter()
        .map(|r| {
            json!({
                "model": r.model, "nodes": r.nodes, "prunable": r.prunable.0, "prunable_inexact": r.prunable.1,
                "macs": [r.macs.0, r.macs.1], "params": [r.params.0, r.params.1], "inexact": r.inexact,
                "error": r.error, "seconds": r.seconds, "peak_mb": r.peak_mb, "failed": r.failed(),
                "remark": remark(r),
            })
        })
        .collect()
}
