//! The table of weights.

use super::{SparseConv, UNROLL};

/// A tap of a block of outputs: where it is, in floats from the first, and the weights of the outputs.
pub(super) struct Tap {
    at: usize,
    weights: [f32; 4],
}

/// The taps of each block, in memory's order.
pub(super) fn taps(sparse: &SparseConv, weights: &[f32]) -> Vec<Vec<Tap>> {
    let conv = &sparse.conv;
    let (i, [rows, columns]) = (&conv.input, conv.kernel);
    let groups = conv.groups.max(1);
    let (inputs, outputs) = (i.channels / groups, (conv.output.channels / groups).max(1));
    let weight = |output: usize, c: usize, y: usize, x: usize| {
        let own = c.checked_sub(output / outputs * inputs).filter(|c| *c < inputs)?;
        weights.get(((output * inputs + own) * rows + y) * columns + x).copied()
    };
    let taps =
        (0..i.channels).flat_map(|c| (0..rows).flat_map(move |y| (0..columns).map(move |x| (c, y, x))));
    let block = |first: usize| {
        let tap = |(c, y, x): (usize, usize, usize)| {
            let mut own = [0.0; 4];
            for (lane, w) in own.iter_mut().enumerate().take(sparse.block) {
                let output = first + lane;
                *w = if output < conv.output.channels { weight(output, c, y, x).unwrap_or(0.0) } else { 0.0 };
            }
            let at = c * i.plane + y * conv.dilation[0] * i.row + x * conv.dilation[1];
            own.iter().any(|w| *w != 0.0).then_some(Tap { at, weights: own })
        };
        taps.clone().filter_map(tap).collect()
    };
    (0..conv.output.channels).step_by(sparse.block.max(1)).map(block).collect()
}

/// The way to the first tap; then for each block of outputs how many fours of taps it has and how many taps are left over,
/// its biases, and for each four, then for each of the others, weights and the ways to the next taps.
pub(super) fn packed(sparse: &SparseConv, constants: &[&[f32]]) -> Vec<u8> {
    let all = taps(sparse, constants[0]);
    let places: Vec<usize> = all.iter().flatten().map(|t| t.at).collect();
    let mut bytes = Vec::new();
    bytes.extend((4 * places.first().copied().unwrap_or(0) as u32).to_le_bytes());
    let mut place = 0;
    for (b, taps) in all.iter().enumerate() {
        let (fours, rest) = (taps.len() / UNROLL, taps.len() % UNROLL);
        [fours, rest].iter().for_each(|n| bytes.extend((*n as u32).to_le_bytes()));
        if sparse.conv.epilogue.bias {
            for o in b * sparse.block..(b + 1) * sparse.block {
                bytes.extend(constants[1].get(o).copied().unwrap_or(0.0).to_le_bytes());
            }
        }
        let (whole, left) = taps.split_at(fours * UNROLL);
        for turn in whole.chunks(UNROLL).chain(left.chunks(1)) {
            for tap in turn {
                tap.weights[..sparse.block].iter().for_each(|w| bytes.extend(w.to_le_bytes()));
            }
            for tap in turn {
                let next = places.get(place + 1).copied().unwrap_or(tap.at);
                bytes.extend((4 * (next as i64 - tap.at as i64) as i32).to_le_bytes());
                place += 1;
            }
        }
    }
    bytes
}
