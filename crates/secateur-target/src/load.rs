//! Finding, reading and checking a target.

use crate::{Cache, Target};
use secateur_diag::{Code, Diagnostic, Result};
use std::{path::Path, sync::LazyLock};

/// The files that are part of the program, in the order in which they are listed.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("rpi-zero-2w", include_str!("../../../targets/rpi-zero-2w.toml")),
    ("rpi3", include_str!("../../../targets/rpi3.toml")),
    ("rpi4", include_str!("../../../targets/rpi4.toml")),
    ("rpi5", include_str!("../../../targets/rpi5.toml")),
];

pub(crate) fn all() -> &'static [Target] {
    static ALL: LazyLock<Vec<Target>> = LazyLock::new(|| {
        let known = |(name, text): &(&str, &str)| match parse(text, name) {
            Ok(target) => target,
            Err(e) => panic!("a target of the program is broken: {e}"), // a test reads them all
        };
        FILES.iter().map(known).collect()
    });
    &ALL
}

pub(crate) fn load(name_or_path: &str) -> Result<Target> {
    if let Some(target) = all().iter().find(|t| t.name == name_or_path) {
        return Ok(target.clone());
    }
    let path = Path::new(name_or_path);
    if path.extension().is_some_and(|e| e == "toml") || path.components().count() > 1 {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Diagnostic::new(Code::T002, format!("the target file cannot be read: {e}"))
                .at("file", name_or_path)
        })?;
        return parse(&text, name_or_path);
    }
    Err(unknown(name_or_path))
}

fn unknown(name: &str) -> Box<Diagnostic> {
    let names: Vec<&str> = all().iter().map(|t| t.name.as_str()).collect();
    let error =
        Diagnostic::new(Code::T001, format!("unknown target \"{name}\"")).at("known", names.join(", "));
    let nearest = names.iter().map(|n| (distance(&plain(name), &plain(n)), n)).min();
    match nearest {
        Some((d, n)) if d <= 2 => error.help(format!("did you mean {n}?")),
        _ => error.help("give one of these names, or the path of a .toml file"),
    }
}

/// The name without what people spell differently.
fn plain(name: &str) -> String {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    letters.to_ascii_lowercase().replace("raspberrypi", "rpi").replace("raspi", "rpi")
}

/// Insertions, deletions and replacements from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

pub(crate) fn parse(text: &str, place: &str) -> Result<Target> {
    let target: Target = toml::from_str(text).map_err(|e| {
        let place = match e.span() {
            Some(span) => format!("{place}:{}", text[..span.start.min(text.len())].matches('\n').count() + 1),
            None => place.to_owned(),
        };
        let message = e.message().lines().collect::<Vec<_>>().join(", ");
        Diagnostic::new(Code::T002, format!("invalid target file: {message}")).at("file", place)
    })?;
    match complaint(&target) {
        None => Ok(target),
        Some(c) => Err(Diagnostic::new(Code::T002, format!("invalid target file: {c}")).at("file", place)),
    }
}

/// The first thing that makes no sense.
fn complaint(t: &Target) -> Option<String> {
    let Target {
        name, cores, clock_mhz, channel_multiple, features, caches: c, memory: m, pipeline: p, ..
    } = t;
    let fine_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(fine_name) {
        return Some(format!("name \"{name}\" is not made of a-z, 0-9 and -"));
    }
    if !features.neon {
        return Some("features.neon is false, but every AArch64 core has it".into());
    }
    let counts = [
        ("cores", *cores),
        ("clock_mhz", *clock_mhz),
        ("channel_multiple", *channel_multiple),
        ("pipeline.issue_width", p.issue_width),
        ("pipeline.fmla_latency", p.fmla_latency),
        ("pipeline.fmla_chain", p.fmla_chain),
        ("pipeline.load_bytes_per_cycle", p.load_bytes_per_cycle),
        ("pipeline.load_latency", p.load_latency),
    ];
    if let Some((key, _)) = counts.iter().find(|(_, n)| *n == 0) {
        return Some(format!("{key} is zero"));
    }
    let rates = [
        ("memory.peak_gbs", m.peak_gbs),
        ("memory.read_gbs", m.read_gbs),
        ("memory.copy_gbs", m.copy_gbs),
        ("pipeline.fmla_per_cycle", p.fmla_per_cycle),
        ("pipeline.smlal_per_cycle", p.smlal_per_cycle),
    ];
    if let Some((key, value)) = rates.iter().find(|(_, x)| !(x.is_finite() && *x > 0.0)) {
        return Some(format!("{key} = {value} is not a positive number"));
    }
    if !(p.sdot_per_cycle.is_finite() && p.sdot_per_cycle >= 0.0)
        || (p.sdot_per_cycle > 0.0) != features.dotprod
    {
        return Some(
            "pipeline.sdot_per_cycle must be positive with features.dotprod, and zero without".into(),
        );
    }
    let caches = [("l1i", Some(c.l1i)), ("l1d", Some(c.l1d)), ("l2", Some(c.l2)), ("l3", c.l3)];
    let broken = |c: Cache| {
        let set = u64::from(c.ways) * u64::from(c.line);
        let bytes = u64::from(c.kib) * 1024;
        set == 0 || !bytes.is_multiple_of(set) || !(bytes / set).is_power_of_two()
    };
    let (level, _) = caches.iter().find(|(_, c)| c.is_some_and(broken))?;
    Some(format!("caches.{level}: size / (ways × line) is not a power of two"))
}
