//! The graph, its printed form and the operator table.
