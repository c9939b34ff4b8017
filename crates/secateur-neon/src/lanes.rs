//! Loading and storing up to four lanes from arrays of any step and element.

use crate::asm::{Asm, V, X};
use crate::strided::Element;

/// An integer element on its way from or to a lane.
const ELEMENT: X = X(17);
/// A result as integers, before it is stored; kept free by those who store integers.
pub(crate) const CONVERTED: V = V(31);

/// An array while the code runs.
#[derive(Clone, Copy)]
pub(crate) struct Walker {
    pub(crate) pointer: X,
    pub(crate) element: Element,
    /// Elements from lane to lane.
    pub(crate) step: isize,
}

impl Walker {
    /// f32 one after the other.
    pub(crate) fn run(pointer: X) -> Walker {
        Walker { pointer, element: Element::F32, step: 1 }
    }

    /// Bytes from lane to lane.
    pub(crate) fn bytes(self) -> i64 {
        self.step as i64 * self.element.bytes() as i64
    }

    /// Whether whole vectors can be moved two at a time.
    pub(crate) fn pairs(self, lanes: usize) -> bool {
        self.step == 1 && self.element == Element::F32 && lanes == 4
    }
}

/// One element to all lanes; the pointer stays.
pub(crate) fn broadcast(a: &mut Asm, w: Walker, v: V) {
    if w.element == Element::F32 {
        a.ld1r(v, w.pointer);
    } else {
        element(a, w);
        a.dup_x(v, ELEMENT);
        a.scvtf(v, v);
    }
}

/// Loads one integer element.
fn element(a: &mut Asm, w: Walker) {
    match w.element {
        Element::F32 | Element::I32 | Element::I64 => a.ldr_w(ELEMENT, w.pointer, 0),
        Element::U8 => a.ldrb(ELEMENT, w.pointer, 0),
    }
}

/// Loads lanes and moves the pointer behind them.
pub(crate) fn load(a: &mut Asm, w: Walker, lanes: usize, v: V) {
    let bytes = w.step as i64 * w.element.bytes() as i64;
    let words = matches!(w.element, Element::F32 | Element::I32);
    if words && w.step == 1 {
        match lanes {
            1 => a.ldr_s_post(v, w.pointer, 4),
            2 => a.ldr_d_post(v, w.pointer, 8),
            3 => {
                a.ldr_d_post(v, w.pointer, 8);
                a.ld1_e_post(v, 2, w.pointer);
            }
            _ => a.ldr_q_post(v, w.pointer, 16),
        }
    } else {
        for lane in 0..lanes {
            match (words, lane) {
                (true, 0) => a.ldr_s(v, w.pointer, 0),
                (true, _) => a.ld1_e(v, lane as u32, w.pointer),
                (false, _) => {
                    element(a, w);
                    a.ins_x(v, lane as u32, ELEMENT);
                }
            }
            a.add_imm(w.pointer, w.pointer, bytes);
        }
    }
    if w.element != Element::F32 {
        a.scvtf(v, v);
    }
}

/// Stores lanes and moves the pointer behind them.
pub(crate) fn store(a: &mut Asm, w: Walker, lanes: usize, v: V) {
    let bytes = w.step as i64 * w.element.bytes() as i64;
    let v = if w.element == Element::F32 {
        v
    } else {
        a.fcvtzs(CONVERTED, v);
        CONVERTED
    };
    let words = matches!(w.element, Element::F32 | Element::I32);
    if words && w.step == 1 {
        match lanes {
            1 => a.str_s_post(v, w.pointer, 4),
            2 => a.str_d_post(v, w.pointer, 8),
            3 => {
                a.str_d_post(v, w.pointer, 8);
                a.st1_e_post(v, 2, w.pointer);
            }
            _ => a.str_q_post(v, w.pointer, 16),
        }
        return;
    }
    for lane in 0..lanes {
        match (w.element, lane) {
            (Element::F32 | Element::I32, 0) => a.str_s(v, w.pointer, 0),
            (Element::F32 | Element::I32, _) => a.st1_e(v, lane as u32, w.pointer),
            (Element::I64, _) => {
                a.umov(ELEMENT, v, lane as u32);
                a.sxtw(ELEMENT, ELEMENT);
                a.str_x(ELEMENT, w.pointer, 0);
            }
            (Element::U8, _) => {
                a.umov(ELEMENT, v, lane as u32);
                a.strb(ELEMENT, w.pointer, 0);
            }
        }
        a.add_imm(w.pointer, w.pointer, bytes);
    }
}

/// Moves vectors of copies that come one after the other, two at a time where that is possible.
pub(crate) struct Pairs {
    waiting: Option<V>,
    copies: usize,
    lanes: usize,
}

impl Pairs {
    pub(crate) fn new(copies: usize, lanes: usize) -> Pairs {
        Pairs { waiting: None, copies, lanes }
    }

    /// The next copy's load.
    pub(crate) fn load(&mut self, a: &mut Asm, walker: Walker, copy: usize, v: V) {
        match (walker.pairs(self.lanes), self.waiting.take()) {
            (true, Some(first)) => a.ldp_q_post(first, v, walker.pointer, 32),
            (true, None) if copy + 1 < self.copies => self.waiting = Some(v),
            _ => load(a, walker, self.lanes, v),
        }
    }

    /// The next copy's store.
    pub(crate) fn store(&mut self, a: &mut Asm, walker: Walker, copy: usize, v: V) {
        match (walker.pairs(self.lanes), self.waiting.take()) {
            (true, Some(first)) => a.stp_q_post(first, v, walker.pointer, 32),
            (true, None) if copy + 1 < self.copies => self.waiting = Some(v),
            _ => store(a, walker, self.lanes, v),
        }
    }
}
