//! Which certificates the box has: ordered, renewed and given up without anybody's doing.
mod record;
pub mod schedule;
mod wanted;

pub use record::{Millis, NameRecord, OpenOrder, Problem, Renewal, millis, time};
pub use wanted::{Means, OnDemand, Want, Wanted, Wish};
