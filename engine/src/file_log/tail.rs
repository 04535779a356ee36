//! The end of the log in memory: what is not on disk yet, and the part of its last page that is. Pages are always
//! written whole, so that nothing has to be read before a part of one can be written.

use super::record::PAGE;

const CAPACITY_BYTES: usize = 64 << 10;

/// Bytes of one file from the beginning of a page on.
#[derive(Debug)]
pub struct Tail {
    pages: Pages,
    /// Where they begin in the file.
    at: u64,
    /// How many of them are on disk, or on their way.
    taken: usize,
    /// Memory for the next ones.
    free: Option<Pages>,
}

/// Bytes that begin at a page's beginning in memory.
#[derive(Debug)]
pub struct Pages {
    /// Never grows, since it would move.
    memory: Vec<u8>,
    /// Where the first page begins.
    skipped: usize,
    len: usize,
}

/// Pages on their way to disk.
#[derive(Debug)]
pub struct Taken {
    /// The pages.
    pub pages: Pages,
    /// Their place in the file.
    pub at: u64,
}

impl Pages {
    /// A page of zeros.
    pub fn of_zeros() -> Self {
        Self { len: PAGE, ..Self::with_capacity(PAGE) }
    }

    fn with_capacity(bytes: usize) -> Self {
        let memory = vec![0; bytes.next_multiple_of(PAGE) + PAGE];
        let skipped = memory.as_ptr().align_offset(PAGE);
        Self { memory, skipped, len: 0 }
    }

    fn capacity(&self) -> usize {
        self.memory.len() - PAGE
    }

    fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if end > self.capacity() {
            let mut more = Self::with_capacity(end.max(2 * self.capacity()));
            more.extend(self.bytes());
            *self = more;
        }
        let (from, to) = (self.skipped + self.len, self.skipped + end);
        self.memory.get_mut(from..to).expect("there is room for it").copy_from_slice(bytes);
        self.len = end;
    }

    fn bytes(&self) -> &[u8] {
        self.memory.get(self.skipped..self.skipped + self.len).expect("within the memory")
    }

    /// Has zeros behind the bytes, up to the end of a page.
    fn fill(&mut self) {
        let (from, to) = (self.skipped + self.len, self.skipped + self.len.next_multiple_of(PAGE));
        self.memory.get_mut(from..to).expect("capacities are whole pages").fill(0);
    }

    /// Whole pages: the bytes and what is behind them.
    pub fn whole(&self) -> &[u8] {
        self.memory.get(self.skipped..self.skipped + self.len.next_multiple_of(PAGE)).expect("within the memory")
    }
}

impl Tail {
    /// Of a file in which nothing is.
    pub fn new() -> Self {
        Self { pages: Pages::with_capacity(CAPACITY_BYTES), at: 0, taken: 0, free: None }
    }

    /// Where the next byte will be in the file.
    pub fn end(&self) -> u64 {
        self.at + self.pages.len as u64
    }

    /// How many bytes are not on their way yet.
    pub fn waiting(&self) -> usize {
        self.pages.len - self.taken
    }

    /// Adds bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.pages.extend(bytes);
    }

    /// All that has to be written, if there is anything. What is added later begins behind it.
    pub fn take(&mut self) -> Option<Taken> {
        if self.waiting() == 0 {
            return None;
        }
        let whole = self.pages.len - self.pages.len % PAGE;
        self.pages.fill();
        let mut next = self.free.take().unwrap_or_else(|| Pages::with_capacity(CAPACITY_BYTES));
        next.len = 0;
        next.extend(self.pages.bytes().get(whole..).unwrap_or_default());
        let taken = Taken { pages: std::mem::replace(&mut self.pages, next), at: self.at };
        self.at += whole as u64;
        self.taken = self.pages.len;
        Some(taken)
    }

    /// Takes memory back that is written.
    pub fn recycle(&mut self, pages: Pages) {
        if pages.capacity() <= CAPACITY_BYTES {
            self.free = Some(pages);
        }
    }
}
