pub(super) const CA: &str = "";
