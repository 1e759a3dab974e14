//! Jemalloc, and the bytes that it has given out and not got back. `cargo xtask guard` measures sessions with it: what
//! the system says of a process moves with pages and with time, this does not. A server that is shipped does
//! not count (the feature `guard`).

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering};
use tikv_jemallocator::Jemalloc;

static BYTES: AtomicUsize = AtomicUsize::new(0);

/// What is allocated now, each block with all the room that it has.
#[cfg_attr(not(feature = "guard"), allow(dead_code))]
pub fn bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}

/// The allocator.
pub struct Counted;

// SAFETY: it hands on every call as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(room(layout), Ordering::Relaxed);
        // SAFETY: see above.
        unsafe { Jemalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(room(layout), Ordering::Relaxed);
        // SAFETY: see above.
        unsafe { Jemalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.fetch_sub(room(layout), Ordering::Relaxed);
        // SAFETY: see above.
        unsafe { Jemalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller answers for the new size as for the old one.
        let after = room(unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) });
        BYTES.fetch_add(after.wrapping_sub(room(layout)), Ordering::Relaxed);
        // SAFETY: see above.
        unsafe { Jemalloc.realloc(block, layout, bytes) }
    }
}

/// The room that jemalloc gives: multiples of 16 up to 128, so that 104 bytes take 112, then four sizes for each doubling
/// up to 32 KiB, then whole pages. It is reckoned and not asked for, because asking was a twelfth of what a message costs.
fn room(layout: Layout) -> usize {
    let size = layout.size().next_multiple_of(layout.align());
    if size <= 8 {
        return 8;
    }
    let step = if size <= 128 { 16 } else { size.next_power_of_two() / 8 };
    size.next_multiple_of(step.min(4_096))
}

#[cfg(all(test, not(feature = "guard")))] // nobody else may use it meanwhile
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    #[test]
    fn what_is_given_back_is_not_counted() {
        let (small, large) = (layout(104, 8), layout(10_000, 8));
        let before = bytes();
        // SAFETY: each block is given back once, with the layout it has then.
        unsafe {
            let block = Counted.alloc(small);
            assert_eq!(bytes() - before, 112);
            let block = Counted.realloc(block, small, large.size());
            assert_eq!(bytes() - before, 10_240);
            let block = Counted.realloc(block, large, small.size());
            assert_eq!(bytes() - before, 112);
            Counted.dealloc(block, small);
        }
        assert_eq!(bytes(), before);
    }

    #[test]
    fn the_room_is_what_jemalloc_gives() {
        for align in [1, 8, 16] {
            for size in (1..2_000).chain((2_000..100_000).step_by(509)).chain([1 << 20, (1 << 20) + 1]) {
                let layout = layout(size, align);
                // SAFETY: the block is given back, with its layout.
                unsafe {
                    let block = Jemalloc.alloc(layout);
                    assert_eq!(room(layout), tikv_jemallocator::usable_size(block), "{layout:?}");
                    Jemalloc.dealloc(block, layout);
                }
            }
        }
    }
}
