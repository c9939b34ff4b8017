//! Rewrites that keep the function.
