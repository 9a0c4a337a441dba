//! Exports, read.
