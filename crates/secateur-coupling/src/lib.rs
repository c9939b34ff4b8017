//! Which slices of which tensors must go together.
