//! The order of loads and multiply-adds over channels and taps.

use super::Conv;
use crate::gemm::{Fetch, Load, Pass};

/// More steps than this in a row are not unrolled.
const UNROLL: usize = 8;

/// Kernels of more taps are walked through row by row, so that the code stays small.
const MOST_TAPS: usize = 64;

/// Passes over all channels and taps. Offsets are in floats from the first tap of the group's first channel.
pub(super) fn passes(conv: &Conv) -> Vec<Pass> {
    let channels = conv.input.channels / conv.groups;
    let taps = conv.kernel[0] * conv.kernel[1];
    let plane = conv.input.plane as i64;
    let kernel = kernel_loads(conv);
    let unroll = (UNROLL / taps).clamp(1, channels);
    let body = |count: usize| {
        let shifted =
            |c: usize| kernel.iter().cloned().map(move |l| Load { offset: l.offset + c as i64 * plane, ..l });
        (0..count).flat_map(shifted).collect()
    };
    if taps > MOST_TAPS {
        let [rows, row] = [conv.kernel[0], conv.dilation[0] * conv.input.row].map(|n| n as i64);
        let outer = (channels, plane - rows * row);
        return vec![Pass { loads: row_loads(conv), times: conv.kernel[0], advance: row, outer }];
    }
    vec![
        Pass { loads: body(unroll), times: channels / unroll, advance: unroll as i64 * plane, outer: (1, 0) },
        Pass {
            loads: body(channels % unroll),
            times: usize::from(!channels.is_multiple_of(unroll)),
            advance: (channels % unroll) as i64 * plane,
            outer: (1, 0),
        },
    ]
}

/// Loads for all taps of one channel, row by row.
fn kernel_loads(conv: &Conv) -> Vec<Load> {
    let row = (conv.dilation[0] * conv.input.row) as i64;
    let across = row_loads(conv);
    (0..conv.kernel[0] as i64)
        .flat_map(|y| across.iter().cloned().map(move |l| Load { offset: l.offset + y * row, ..l }))
        .collect()
}

/// Loads for the taps of one row. With stride 2 a load brings two neighbouring taps; where the second is not wanted
/// it must at least be there to be read, so the last one looks back.
pub(crate) fn row_loads(conv: &Conv) -> Vec<Load> {
    let (kw, d) = (conv.kernel[1], conv.dilation[1]);
    let one = |offset: usize, fetch, phase| Load { offset: offset as i64, fetch, phases: vec![phase] };
    let narrow = conv.output.width < 4;
    match conv.stride[1] {
        1 => (0..kw).map(|x| one(x * d, Fetch::Unit, 0)).collect(),
        2 if !narrow && d == 1 && kw > 1 => {
            let mut loads: Vec<Load> = (0..kw / 2)
                .map(|i| Load { offset: 2 * i as i64, fetch: Fetch::Pair, phases: vec![0, 1] })
                .collect();
            if !kw.is_multiple_of(2) {
                loads.push(one(kw - 2, Fetch::Pair, 1));
            }
            loads
        }
        2 if !narrow && (kw > 1 || reads_on(conv)) => (0..kw)
            .map(|x| match x {
                0 => one(0, Fetch::Pair, 0),
                _ => one(x * d - 1, Fetch::Pair, 1),
            })
            .collect(),
        stride => (0..kw).map(|x| one(x * d, Fetch::Gather(stride), 0)).collect(),
    }
}

/// Whether the float after the last one that is needed belongs to the image.
pub(crate) fn reads_on(conv: &Conv) -> bool {
    let i = &conv.input;
    let down = (conv.output.height - 1) * conv.stride[0] + (conv.kernel[0] - 1) * conv.dilation[0];
    let last = down * i.row + (conv.output.width - 1) * conv.stride[1];
    let first = conv.pad[0] * i.row + conv.pad[1];
    i.origin - first + last + 1 < i.plane
}
