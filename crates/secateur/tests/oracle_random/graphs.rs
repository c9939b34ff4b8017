//! A random graph from a seed.

use secateur_ir::{Graph, ValueId};

use crate::bridge::{self, head};
use crate::build::Builder;
use crate::rng::Rng;
use crate::{image, odd, places, sequence};

/// A graph, and the names of the blocks it was made of.
pub struct Random {
    pub graph: Graph,
    pub blocks: Vec<&'static str>,
}

/// The same graph for the same seed.
pub fn random(seed: u64) -> Random {
    let mut rng = Rng::new(seed);
    let opset = rng.pick(&[11, 13, 13, 17, 18, 19]);
    let mut b = Builder::new(rng, opset);
    let mut blocks = Vec::new();
    let batch = if b.rng.chance(20) { Some(2) } else { None };
    let mut live: Vec<ValueId> = Vec::new();
    for _ in 0..b.rng.pick(&[1, 1, 1, 2]) {
        let x = match b.rng.below(10) {
            0..=5 => {
                let (c, h, w) =
                    (b.rng.range(2, 5), b.rng.pick(&[4, 4, 5, 6, 7, 8, 9]), b.rng.pick(&[4, 4, 5, 6, 8]));
                b.input(batch, &[c, h, w])
            }
            6..=8 => {
                let (t, d) = (b.rng.range(3, 6), b.rng.range(3, 8));
                b.input(batch, &[t, d])
            }
            _ => {
                let f = b.rng.range(4, 10);
                b.input(batch, &[f])
            }
        };
        let width = b.width();
        let y = if b.rank(x) == 4 { b.conv(x, width) } else { b.linear(x, width) };
        live.extend([x, b.act(y)]);
    }
    for _ in 0..b.rng.range(2, 10) {
        step(&mut b, &mut live, &mut blocks);
    }
    finish(&mut b, &live);
    Random { graph: b.g, blocks }
}

/// One more block, on a value of late as a rule.
fn step(b: &mut Builder, live: &mut Vec<ValueId>, blocks: &mut Vec<&'static str>) {
    if b.rng.chance(12)
        && let Some(y) = join(b, live)
    {
        blocks.push("join");
        live.push(y);
        return;
    }
    let at = if b.rng.chance(70) { live.len() - 1 } else { b.rng.below(live.len()) };
    let x = live[at];
    let (inside, across) = match b.rank(x) {
        4 if b.rng.chance(15) => (odd::IMAGE, bridge::FROM_IMAGE),
        2 if b.rng.chance(20) => (odd::FLAT, bridge::FROM_VECTOR),
        3 if b.rng.chance(15) => (odd::FLAT, bridge::FROM_SEQUENCE),
        4 if b.rng.chance(60) => (image::BLOCKS, bridge::FROM_IMAGE),
        4 => (places::BLOCKS, bridge::FROM_IMAGE),
        3 => (sequence::SEQUENCE, bridge::FROM_SEQUENCE),
        _ => (sequence::VECTOR, bridge::FROM_VECTOR),
    };
    let table = if b.rng.chance(15) { across } else { inside };
    for _ in 0..8 {
        let (name, block) = b.rng.pick(table);
        let nodes = b.g.nodes.len();
        if let Some(y) = block(b, x).filter(|&y| y != x) {
            blocks.push(name);
            live.push(y);
            return;
        }
        b.undo(nodes);
    }
}

/// Two values that fit each other.
fn join(b: &mut Builder, live: &[ValueId]) -> Option<ValueId> {
    for _ in 0..12 {
        let (x, y) = (b.rng.pick(live), b.rng.pick(live));
        let (p, q) = (b.dims(x), b.dims(y));
        if x == y || p.len() != q.len() {
            continue;
        }
        if p == q {
            let op = b.rng.pick(&["Add", "Mul", "Sub", "Max"]);
            return Some(b.op(op, &[x, y]));
        }
        let axis = b.channel_axis(x);
        if (0..p.len()).all(|a| a == axis || p[a] == q[a]) && p[axis] + q[axis] <= 28 {
            return Some(b.concat(&[x, y], axis));
        }
    }
    None
}

/// Most values that nobody reads end in an output; some are left dead, a few are outputs as they are.
fn finish(b: &mut Builder, live: &[ValueId]) {
    let links = b.g.links();
    let loose: Vec<ValueId> = live.iter().copied().filter(|&v| links.uses(v).is_empty()).collect();
    for (i, &v) in loose.iter().enumerate().rev() {
        let last = i + 1 == loose.len();
        if !last && b.rng.chance(25) {
            continue;
        }
        let raw = !last && b.rng.chance(12);
        let y = if raw || b.g.outputs.len() > 3 { v } else { head(b, v) };
        if !b.g.outputs.contains(&y) {
            b.g.outputs.push(y);
        }
    }
    if b.rng.chance(10) {
        let seen = b.rng.pick(live);
        if !b.g.outputs.contains(&seen) && !b.g.inputs.contains(&seen) {
            b.g.outputs.push(seen);
        }
    }
}
