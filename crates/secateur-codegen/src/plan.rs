//! The static memory plan: where each tensor of the workspace lies while it lives.
//!
//! Blocks are placed one after the other at the smallest gap between the blocks that live at the same time (best fit),
//! in several orders, of which the one with the lowest peak wins. The peak is never below what lives at the busiest
//! moment, the lower bound.

/// Everything in the workspace starts at a multiple of this many bytes.
pub const ALIGN: usize = 64;

/// A piece of the workspace and the calls, first to last, during which it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Bytes, a multiple of [`ALIGN`].
    pub bytes: usize,
    /// The first call that touches it.
    pub from: usize,
    /// The last call that touches it.
    pub to: usize,
}

/// Where everything lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Offset of each block, in bytes.
    pub offsets: Vec<usize>,
    /// Bytes of the workspace.
    pub peak: usize,
    /// Bytes that live at the busiest call.
    pub bound: usize,
}

/// How many orders are tried beyond the two sorted ones, as long as the peak is above the bound.
const TRIES: u64 = 400;

/// Places blocks.
pub fn plan(blocks: &[Block]) -> Plan {
    let bound = bound(blocks);
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(blocks[i].bytes), blocks[i].from));
    let by_size = order.clone();
    let mut best = place(blocks, &order, bound);
    order.sort_by_key(|&i| (blocks[i].from, std::cmp::Reverse(blocks[i].bytes)));
    let keep = |p: Plan, best: &mut Plan| {
        if p.peak < best.peak {
            *best = p;
        }
    };
    keep(place(blocks, &order, bound), &mut best);
    let mut seed = 1u64;
    let mut random = move |n: usize| {
        // xorshift64; the plan must not change from run to run.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % n.max(1) as u64) as usize
    };
    let mut current = by_size;
    for _ in 0..TRIES {
        if best.peak <= bound || blocks.len() < 3 {
            break;
        }
        let before = best.peak;
        let mut next = current.clone();
        for _ in 0..1 + random(3) {
            let (from, to) = (random(next.len()), random(next.len()));
            let moved = next.remove(from);
            next.insert(to.min(next.len()), moved);
        }
        keep(place(blocks, &next, bound), &mut best);
        if best.peak < before {
            current = next;
        }
    }
    best
}

fn meet(a: &Block, b: &Block) -> bool {
    a.from <= b.to && b.from <= a.to
}

fn bound(blocks: &[Block]) -> usize {
    let at = |t: usize| blocks.iter().filter(|b| b.from <= t && t <= b.to).map(|b| b.bytes).sum();
    blocks.iter().map(|b| at(b.from)).max().unwrap_or(0)
}

fn place(blocks: &[Block], order: &[usize], bound: usize) -> Plan {
    let mut offsets = vec![0; blocks.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(blocks.len());
    let mut peak = 0;
    for &i in order {
        let block = &blocks[i];
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&j| meet(block, &blocks[j]))
            .map(|&j| (offsets[j], offsets[j] + blocks[j].bytes))
            .collect();
        taken.sort_unstable();
        let (mut at, mut best) = (0, None);
        for (from, to) in taken {
            if from > at && from - at >= block.bytes && best.is_none_or(|(gap, _)| from - at < gap) {
                best = Some((from - at, at));
            }
            at = at.max(to);
        }
        offsets[i] = best.map_or(at, |(_, at)| at);
        peak = peak.max(offsets[i] + block.bytes);
        placed.push(i);
    }
    Plan { offsets, peak, bound }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overlaps_and_the_bound_is_met() {
        let block = |kib: usize, from, to| Block { bytes: kib * 1024, from, to };
        let blocks = [block(4, 0, 1), block(8, 1, 2), block(4, 2, 3), block(2, 0, 3), block(6, 3, 4)];
        let p = plan(&blocks);
        assert_eq!(p.bound, 14 * 1024);
        assert_eq!(p.peak, p.bound);
        for (i, a) in blocks.iter().enumerate() {
            for (j, b) in blocks.iter().enumerate().skip(i + 1) {
                let apart = p.offsets[i] + a.bytes <= p.offsets[j] || p.offsets[j] + b.bytes <= p.offsets[i];
                assert!(!meet(a, b) || apart, "{i} {j}");
            }
        }
    }
}
