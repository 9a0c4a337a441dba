//! Durations and sizes as Kubernetes counts them.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::manifest::{Bytes, MilliCpu};

/// Whole seconds, rounded up, for Kubernetes knows no others.
pub(in crate::export) fn seconds(duration: Duration) -> u32 {
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(whole).unwrap_or(u32::MAX)
}

/// The same, for the fields of a pod that are signed: at least one.
pub(super) fn positive(duration: Duration) -> i32 {
    i32::try_from(seconds(duration).max(1)).unwrap_or(i32::MAX)
}

/// In the largest unit that says it exactly.
pub(super) fn memory(Bytes(bytes): Bytes) -> Quantity {
    let units = [(1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let exact = units.into_iter().find(|(size, _)| bytes % size == 0 && bytes > 0);
    Quantity(exact.map_or_else(|| bytes.to_string(), |(size, unit)| format!("{}{unit}", bytes / size)))
}

/// Cores, or thousandths where they are no whole number.
pub(super) fn cpu(MilliCpu(milli): MilliCpu) -> Quantity {
    Quantity(if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_whole_second_is_rounded_up() {
        for (millis, expected) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (86_400_000, 86_400)] {
            assert_eq!(seconds(Duration::from_millis(millis)), expected);
        }
        assert_eq!(positive(Duration::ZERO), 1);
    }

    #[test]
    fn quantities_are_exact() {
        for (bytes, expected) in
            [(256 << 20, "256Mi"), (1 << 30, "1Gi"), ((6 << 20) + 1, "6291457"), (1536 << 20, "1536Mi")]
        {
            assert_eq!(memory(Bytes(bytes)).0, expected);
        }
        for (milli, expected) in [(500, "500m"), (2_000, "2"), (10, "10m")] {
            assert_eq!(cpu(MilliCpu(milli)).0, expected);
        }
    }
}
