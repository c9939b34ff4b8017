//! Whether samples look like samples: likely mistakes, found before long work is done with them.

use crate::InputSet;
use crate::inputs::InputData;
use secateur_diag::{Code, Diagnostic};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};

/// As many samples are looked at, evenly spread.
const LOOKED: usize = 256;
/// Where at most this share of the samples differ, they are few.
const DIFFERENT: f64 = 0.5;
/// Fewer samples than this may well be alike.
const SOME: usize = 8;
/// The greatest number where bytes were scaled to 0 to 1 and then scaled like bytes again, with room for rounding.
const TWICE: f64 = 1.01 / 255.0;

/// What was seen of one input.
struct Seen {
    least: f64,
    most: f64,
}

/// Doubts about the samples of a set.
#[allow(clippy::vec_box, reason = "messages are boxed wherever they go")]
pub(crate) fn doubts(set: &InputSet) -> Vec<Box<Diagnostic>> {
    let looked = set.samples().min(LOOKED);
    let mut different = HashSet::new();
    let mut seen: Vec<Seen> =
        set.items().iter().map(|_| Seen { least: f64::INFINITY, most: f64::NEG_INFINITY }).collect();
    for i in 0..looked {
        let at = i * set.samples() / looked;
        let mut hash = DefaultHasher::new();
        for (item, seen) in set.items().iter().zip(&mut seen) {
            hash.write(item.file().raw(at..at + 1));
            for x in item.file().samples_at(at..at + 1).to_f64().unwrap_or_default() {
                seen.least = seen.least.min(x);
                seen.most = seen.most.max(x);
            }
        }
        different.insert(hash.finish());
    }
    let described = |d: Box<Diagnostic>| {
        set.items()
            .iter()
            .fold(d, |d, i| d.at("input", format!("%{}", i.name())).at("file", i.file().describe()))
    };
    let poor = |title: String| described(Diagnostic::new(Code::D005, title));
    let mut out = Vec::new();
    if let Some(s) = seen.first().filter(|_| seen.iter().all(|s| s.least >= s.most)) {
        out.push(poor(match seen.len() {
            1 => format!("every number of the data is {}", s.least),
            _ => "the data of every input are one number".into(),
        }));
    } else if different.len() == 1 && looked > 1 {
        out.push(poor(format!("all {} samples are the same", set.samples())));
    } else if looked >= SOME && different.len() as f64 <= DIFFERENT * looked as f64 {
        out.push(poor(format!("of {looked} samples only {} differ", different.len())));
    }
    out.extend(set.items().iter().zip(&seen).filter_map(|(item, seen)| scaled_twice(item, seen)));
    out
}

/// Numbers from 0 to 1 that were taken for bytes.
fn scaled_twice(item: &InputData, seen: &Seen) -> Option<Box<Diagnostic>> {
    if !item.is_float() || seen.least < 0.0 || seen.least >= seen.most {
        return None;
    }
    let scale = f64::from(item.preparation().scale);
    let most = seen.most * scale;
    let scaled = scale > 0.0 && scale < 0.5;
    // Small numbers that nobody scaled here are suspicious only where they are just what scaling twice gives.
    let twice = most <= TWICE && (scaled || most > 0.5 * TWICE);
    twice.then(|| {
        let (when, help) = match scaled {
            true => (" after scaling", "numbers that are 0 to 1 in the file need no --scale 1/255"),
            false => ("", "they look as if bytes had been divided by 255 twice"),
        };
        Diagnostic::new(Code::D005, format!("the data are at most {most:.4}{when}"))
            .at("input", format!("%{}", item.name()))
            .at("file", item.file().describe())
            .help(help)
    })
}
