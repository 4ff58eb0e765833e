//! Long lists, one page at a time.

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How many lines come before it.
    pub offset: u64,
    /// How many lines it has at most.
    pub limit: usize,
}

/// One part of a list, and how long the whole is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The lines of this part.
    pub rows: Vec<T>,
    /// How many lines there are in all.
    pub total: u64,
}

impl<T> Page<T> {
    /// A part of a list that is there as a whole.
    pub fn of(all: Vec<T>, window: Window) -> Self {
        let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
        let before = usize::try_from(window.offset).unwrap_or(usize::MAX);
        Self { rows: all.into_iter().skip(before).take(window.limit).collect(), total }
    }
}
