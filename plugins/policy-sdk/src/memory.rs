//! Memory of a module: a pointer that only moves forward.
//!
//! A module lives for one call, so freeing memory never pays off. The usual allocator requests a
//! new page on its first use, which costs a fresh sandbox more than everything else it does; this
//! one uses the rest of the first page and grows only when that is full.
#![allow(unsafe_code, reason = "a global allocator is unsafe by nature")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;

const PAGE: usize = 65_536;

// SAFETY: the linker defines the symbol; only its address is ever used.
unsafe extern "C" {
    /// Where the linker ends the module's data; all memory after it is free.
    static __heap_base: u8;
}

struct Bump {
    /// First free byte, and first byte after the memory; 0 before the first use.
    next: Cell<usize>,
    end: Cell<usize>,
}

// SAFETY: a policy module has one thread; the host refuses modules with shared memory.
unsafe impl Sync for Bump {}

impl Bump {
    /// Makes sure that `until` is within the memory.
    fn reach(&self, until: usize) -> bool {
        if until <= self.end.get() {
            return true;
        }
        let end = core::arch::wasm32::memory_size(0) * PAGE;
        self.end.set(end);
        if until <= end {
            return true;
        }
        let pages = (until - end).div_ceil(PAGE);
        if core::arch::wasm32::memory_grow(0, pages) == usize::MAX {
            return false;
        }
        self.end.set(end + pages * PAGE);
        true
    }
}

// SAFETY: every block is between `__heap_base` and the end of the memory, is aligned as requested,
// and overlaps no other, because `next` only moves forward past it.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let next = match self.next.get() {
            0 => (&raw const __heap_base).addr(),
            next => next,
        };
        let Some(start) = next.checked_next_multiple_of(layout.align()) else {
            return core::ptr::null_mut();
        };
        let Some(until) = start.checked_add(layout.size()) else {
            return core::ptr::null_mut();
        };
        if !self.reach(until) {
            return core::ptr::null_mut();
        }
        self.next.set(until);
        core::ptr::with_exposed_provenance_mut(start)
    }

    // SAFETY: frees nothing, so nothing can go wrong.
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    // SAFETY: grows a block only if nothing follows it, and moves it otherwise.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The last block grows in place: the common case of building a text.
        if block.addr() + layout.size() == self.next.get()
            && let Some(until) = block.addr().checked_add(size)
            && self.reach(until)
        {
            self.next.set(until);
            return block;
        }
        // SAFETY: `size` rounded up to `align` does not overflow, as the caller guarantees.
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: both blocks are valid for the shorter of the two sizes and do not overlap.
            unsafe { core::ptr::copy_nonoverlapping(block, moved, layout.size().min(size)) };
        }
        moved
    }
}

#[global_allocator]
static MEMORY: Bump = Bump {
    next: Cell::new(0),
    end: Cell::new(0),
};
