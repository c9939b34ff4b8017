//! Pruning with calibration data: how many classes of each group go, what that does to the outputs, and the network as
//! it is cut in several steps.

pub mod allot;
pub mod curves;
pub mod state;
