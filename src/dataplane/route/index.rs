//! Which routes a host has: looked up for every request, among as many hosts as a box may have.
//!
//! What a look-up costs is memory that no cache holds, once there are thousands of hosts and each request is for another. So a
//! look-up touches little of it: a slot of eight bytes, with a part of the name's hash, in an array that is small enough to
//! stay near; then one entry, which has the name in itself and says where its first route is. Slots are probed one after the
//! other (open addressing); at most half of them are taken. The hash is keyed, so that nobody can choose names that meet.
//!
//! An index is built once and never changed, as the table that it belongs to.

use std::hash::{BuildHasher, RandomState};

use super::Route;

/// So many slots for a name, at least: half of them stay free, and a probe ends soon.
const SLOTS_PER_NAME: usize = 2;
/// A name up to this length is kept in its entry, which is then as large as a cache line.
const SHORT_BYTES_MAX: usize = 46;

/// The routes of each name.
#[derive(Debug, Clone, Default)]
pub(super) struct HostIndex {
    keys: RandomState,
    /// A power of two of them, or none.
    slots: Vec<Slot>,
    entries: Vec<Entry>,
    /// The routes of each name beyond its first.
    others: Vec<Step>,
}

/// A route that a look-up comes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Where it is in the table.
    route: u32,
    /// Whether every path is below its own: then the route need not be looked at.
    is_root: bool,
}

/// Where an entry is, and the lower half of its name's hash.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    /// [`FREE`], or the place in `entries`.
    entry: u32,
}

#[derive(Debug, Clone)]
#[repr(align(64))]
struct Entry {
    name: Name,
    first: Step,
    /// Where the others begin and end.
    others: (u32, u32),
}

/// A name, where it is most likely looked at.
#[derive(Debug, Clone)]
enum Name {
    Short { length: u8, bytes: [u8; SHORT_BYTES_MAX] },
    Long(Box<str>),
}

const FREE: u32 = u32::MAX;

// === impl HostIndex ===

impl HostIndex {
    /// The index of these routes under these names. `named` is sorted by name, and within a name the route that is to be tried
    /// first comes first.
    pub(super) fn new(named: &[(&str, Step)]) -> Self {
        let mut index = Self::default();
        for routes in named.chunk_by(|(a, _), (b, _)| a == b) {
            let [(name, first), others @ ..] = routes else { continue };
            let begin = place(index.others.len());
            index.others.extend(others.iter().map(|(_, step)| *step));
            let others = (begin, place(index.others.len()));
            index.entries.push(Entry { name: Name::new(name), first: *first, others });
        }
        if !index.entries.is_empty() {
            index.fill_slots();
        }
        index
    }

    /// The routes of a name, the one to be tried first before the others; `None` when there is no such name.
    pub(super) fn get(&self, name: &str) -> Option<impl Iterator<Item = Step>> {
        let entry = self.entry(name)?;
        let (begin, end) = entry.others;
        let others = self.others.get(begin as usize..end as usize).unwrap_or_default();
        Some(std::iter::once(entry.first).chain(others.iter().copied()))
    }

    /// Whether there is such a name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        let mask = self.slots.len().checked_sub(1)?;
        let hash = self.hash(name.as_bytes());
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.entry == FREE {
                return None;
            }
            let entry = &self.entries[slot.entry as usize];
            if slot.hash == hash && entry.name.is(name) {
                return Some(entry);
            }
            at = (at + 1) & mask;
        }
    }

    fn fill_slots(&mut self) {
        let count = (self.entries.len() * SLOTS_PER_NAME).next_power_of_two();
        let mut slots = vec![Slot { hash: 0, entry: FREE }; count];
        for (number, entry) in self.entries.iter().enumerate() {
            let hash = self.hash(entry.name.as_bytes());
            let mut at = hash as usize & (count - 1);
            while slots[at].entry != FREE {
                at = (at + 1) & (count - 1);
            }
            slots[at] = Slot { hash, entry: place(number) };
        }
        self.slots = slots;
    }

    fn hash(&self, name: &[u8]) -> u32 {
        self.keys.hash_one(name) as u32
    }
}

// === impl Step ===

impl Step {
    /// The route at this place of the table.
    pub(super) fn new(index: usize, route: &Route) -> Self {
        Self { route: place(index), is_root: route.path.as_str() == "/" }
    }

    /// Where the route is in the table.
    pub(super) fn index(self) -> usize {
        self.route as usize
    }

    /// Where the route is in the table, if the path is below its own.
    pub(super) fn matching(self, routes: &[Route], path: &str) -> Option<usize> {
        let index = self.index();
        (self.is_root || routes[index].path.matches(path)).then_some(index)
    }
}

// === impl Name ===

impl Name {
    fn new(name: &str) -> Self {
        let mut bytes = [0; SHORT_BYTES_MAX];
        match (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(name.as_bytes());
                Self::Short { length, bytes }
            }
            _ => Self::Long(name.into()),
        }
    }

    fn is(&self, name: &str) -> bool {
        self.as_bytes() == name.as_bytes()
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => &bytes[..usize::from(*length)],
            Self::Long(name) => name.as_bytes(),
        }
    }
}

/// Four thousand million routes fit in no memory.
fn place(index: usize) -> u32 {
    u32::try_from(index).expect("a box has fewer routes than this counts")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(route: u32) -> Step {
        Step { route, is_root: true }
    }

    fn found(index: &HostIndex, name: &str) -> Option<Vec<u32>> {
        Some(index.get(name)?.map(|step| step.route).collect())
    }

    #[test]
    fn every_name_is_found_and_no_other() {
        let mut names: Vec<String> = (0..5_000).map(|number| format!("host-{number}.example")).collect();
        names.extend(["".to_owned(), "a".repeat(SHORT_BYTES_MAX), "a".repeat(SHORT_BYTES_MAX + 1)]);
        names.sort_unstable();
        let named: Vec<_> =
            names.iter().zip(0..).map(|(name, number)| (name.as_str(), step(number))).collect();
        let index = HostIndex::new(&named);
        for (name, number) in names.iter().zip(0..) {
            assert_eq!(found(&index, name), Some(vec![number]), "{name}");
        }
        for name in ["host-5000.example", "host-1.exampl", "b", &"a".repeat(SHORT_BYTES_MAX + 2)] {
            assert_eq!(found(&index, name), None, "{name}");
        }
        assert_eq!(found(&HostIndex::default(), "a"), None);
    }

    #[test]
    fn the_routes_of_a_name_keep_their_order() {
        let index =
            HostIndex::new(&[("a", step(4)), ("a", step(1)), ("b", step(2)), ("c", step(3)), ("c", step(0))]);
        assert_eq!(found(&index, "a"), Some(vec![4, 1]));
        assert_eq!(found(&index, "b"), Some(vec![2]));
        assert_eq!(found(&index, "c"), Some(vec![3, 0]));
    }

    #[test]
    fn an_entry_is_a_cache_line() {
        assert_eq!(size_of::<Entry>(), 64);
    }
}
