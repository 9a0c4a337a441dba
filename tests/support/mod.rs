//! What the tests share: the app they deploy, as an image, and containers that are removed when a test ends.

pub(crate) mod container;
pub(crate) mod docker;
pub(crate) mod image;
