//! The lowered program: a network as steps on strided views of tensors, one sample at a time.
//!
//! - [`program`] has tensors, steps and the network's ports; [`op`] what a step computes; [`view`] what it reads and
//!   writes; [`unary`] functions of one number.
//! - [`layout`] says how a tensor lies in memory.
//! - [`print`](mod@print) writes a program as text; [`interp`] runs it plainly: the reference.

pub mod interp;
pub mod layout;
pub mod op;
pub mod print;
pub mod program;
pub mod unary;
pub mod view;

pub use op::Op;
pub use program::{Kind, Port, Program, Step, TensorId};
pub use view::View;
