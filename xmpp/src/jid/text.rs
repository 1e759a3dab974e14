//! The text of an address, counted and shared: one pointer, and one piece of memory for all who have it.
//!
//! Before the text stand eight bytes: the count, and how long the three parts are. The lowest bit of the pointer says
//! that only the bare part is meant, so the bare address of a full one is that one, counted.

use super::PART_BYTES_MAX;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// What a part's length takes in [`Head::parts`].
const PART_BITS: u32 = 10;
const PART: u32 = (1 << PART_BITS) - 1;
const _: () = assert!(PART_BYTES_MAX <= PART as usize);

/// In the pointer: without the resource.
const BARE: usize = 1;

/// A longer resource is not kept by those who have the bare part alone, in bytes: they get a text of their own.
const RESOURCE_BYTES_SHARED: usize = 64;

/// The copies there may be of one text. With more the process ends: see [`std::sync::Arc`].
const COPIES_MAX: u32 = u32::MAX / 2;

#[repr(C)]
struct Head {
    copies: AtomicU32,
    parts: u32, // local, domain, resource, from the lowest bit on; no part that there is has 0 bytes
}

/// `[local@]domain[/resource]`, or what of it stands before the slash.
pub(super) struct Text(NonNull<Head>);

impl Text {
    /// A text of parts, each prepared; one that is not there is empty. At most 1023 bytes each.
    pub fn new(local: &str, domain: &str, resource: &str) -> Text {
        let (after_local, after_domain) =
            (if local.is_empty() { "" } else { "@" }, if resource.is_empty() { "" } else { "/" });
        let pieces = [local, after_local, domain, after_domain, resource];
        let len = pieces.iter().map(|piece| piece.len()).sum();
        Text::filled([local.len(), domain.len(), resource.len()], len, |mut to| {
            for piece in pieces {
                // SAFETY: `to` has room for `len` bytes, and the pieces are as long together.
                unsafe {
                    to.copy_from_nonoverlapping(piece.as_ptr(), piece.len());
                    to = to.add(piece.len());
                }
            }
        })
    }

    /// `written` is a prepared address whose bare part ends at `slash`, with a localpart of `local` bytes or none.
    pub fn of(written: &str, local: usize, slash: usize) -> Text {
        let domain = slash - if local > 0 { local + 1 } else { 0 };
        let resource = written.len().saturating_sub(slash + 1);
        Text::filled([local, domain, resource], written.len(), |to| {
            // SAFETY: `to` has room for as many bytes.
            unsafe { to.copy_from_nonoverlapping(written.as_ptr(), written.len()) }
        })
    }

    /// `fill` writes `len` bytes of UTF-8, which the parts and their marks make up.
    fn filled(parts: [usize; 3], len: usize, fill: impl FnOnce(*mut u8)) -> Text {
        let [local, domain, resource] = parts.map(|len| {
            assert!(len <= PART_BYTES_MAX, "a part that was not prepared");
            len as u32
        });
        let layout = layout(len);
        // SAFETY: the layout is not empty.
        let Some(head) = NonNull::new(unsafe { alloc(layout) }.cast::<Head>()) else { handle_alloc_error(layout) };
        let parts = local | domain << PART_BITS | resource << (2 * PART_BITS);
        // SAFETY: the memory is ours alone, and laid out for a head and `len` bytes behind it.
        unsafe {
            head.write(Head { copies: AtomicU32::new(1), parts });
            fill(head.add(1).cast::<u8>().as_ptr());
        }
        Text(head)
    }

    /// Length of the localpart; 0 when there is none.
    pub fn local_len(&self) -> usize {
        (self.parts() & PART) as usize
    }

    /// Where the bare part ends.
    pub fn slash(&self) -> usize {
        let (local, domain) = (self.local_len(), (self.parts() >> PART_BITS & PART) as usize);
        domain + if local > 0 { local + 1 } else { 0 }
    }

    /// Is there no resource, or is it not meant?
    pub fn is_bare(&self) -> bool {
        self.0.addr().get() & BARE != 0 || self.resource_len() == 0
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        let len = self.slash() + if self.is_bare() { 0 } else { 1 + self.resource_len() };
        // SAFETY: so many bytes stand behind the head, were UTF-8 when they were written, and end at a part's end.
        unsafe {
            let text = self.head().add(1).cast::<u8>();
            std::str::from_utf8_unchecked(std::slice::from_raw_parts(text.as_ptr(), len))
        }
    }

    /// The same without its resource: shared, unless that would keep a long resource.
    pub fn to_bare(&self) -> Text {
        if self.resource_len() > RESOURCE_BYTES_SHARED {
            let slash = self.slash();
            return Text::of(&self.as_str()[..slash], self.local_len(), slash);
        }
        let copy = std::mem::ManuallyDrop::new(self.clone());
        Text(copy.0.map_addr(|at| at | BARE))
    }

    /// Do both stand at the same place?
    pub fn is(&self, other: &Text) -> bool {
        self.0 == other.0
    }

    fn resource_len(&self) -> usize {
        (self.parts() >> (2 * PART_BITS)) as usize
    }

    fn parts(&self) -> u32 {
        // SAFETY: the head lives as long as a copy does, and its parts never change.
        unsafe { (*self.head().as_ptr()).parts }
    }

    fn head(&self) -> NonNull<Head> {
        // A head is aligned to four, so what is left without the mark is its address, and not 0.
        self.0.map_addr(|at| std::num::NonZero::new(at.get() & !BARE).unwrap_or(at))
    }

    fn copies(&self) -> &AtomicU32 {
        // SAFETY: the head lives as long as this copy does.
        unsafe { &(*self.head().as_ptr()).copies }
    }
}

impl Clone for Text {
    fn clone(&self) -> Text {
        // Relaxed: who has a copy to clone keeps the text alive.
        if self.copies().fetch_add(1, Ordering::Relaxed) > COPIES_MAX {
            std::process::abort();
        }
        Text(self.0)
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // Release, and acquire for the last: whatever others did with it was before.
        if self.copies().fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        let len = self.slash() + if self.resource_len() > 0 { 1 + self.resource_len() } else { 0 };
        // SAFETY: it was the last copy, and the memory came from `alloc` with this layout.
        unsafe { dealloc(self.head().as_ptr().cast::<u8>(), layout(len)) }
    }
}

// SAFETY: the text is never written after it is made, and the count is atomic: as with an Arc of a str.
unsafe impl Send for Text {}
// SAFETY: as above.
unsafe impl Sync for Text {}

fn layout(len: usize) -> Layout {
    // SAFETY: a few thousand bytes, and Head's own alignment.
    unsafe { Layout::from_size_align_unchecked(size_of::<Head>() + len, align_of::<Head>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_address_is_the_full_one_counted() {
        let full = Text::new("alice", "example.org", "herald");
        let bare = full.to_bare();
        assert_eq!((full.as_str(), bare.as_str()), ("alice@example.org/herald", "alice@example.org"));
        assert!(bare.is_bare() && !full.is_bare());
        assert_eq!(full.copies().load(Ordering::Relaxed), 2);
        drop(full);
        assert_eq!(bare.clone().to_bare().as_str(), "alice@example.org");
        assert_eq!(bare.copies().load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_long_resource_is_not_kept_by_the_bare_part() {
        let full = Text::new("", "example.org", &"x".repeat(PART_BYTES_MAX));
        assert_eq!(full.as_str().len(), 12 + PART_BYTES_MAX);
        assert_eq!(full.to_bare().as_str(), "example.org");
        assert_eq!(full.copies().load(Ordering::Relaxed), 1);
    }

    #[test]
    fn copies_are_made_and_dropped_by_many_threads() {
        let full = Text::of("alice@example.org/herald", 5, 17);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| assert!(full.clone().to_bare().as_str() < full.as_str())));
            }
        });
        assert_eq!(full.copies().load(Ordering::Relaxed), 1);
    }

    #[test]
    fn it_is_one_pointer() {
        assert_eq!(size_of::<Option<Text>>(), 8);
        assert_eq!(layout("alice.liddell@example.org/herald-3f9a2c".len()).size(), 47);
    }
}
