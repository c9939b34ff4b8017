//! Running a graph on data.
