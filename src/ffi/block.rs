//! The memory of replies: one block for everything that came back from one exchange.
//!
//! A reply in C is a tree that is freed as a whole. Here it is the bytes as they came from the
//! socket, and beside them one row of nodes that point into them: nothing is copied, and a pipeline's
//! replies share their block. The block of a thread's last replies is kept for its next, so a GET
//! allocates nothing.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::reply::swm_reply;
use crate::connection::RawReplies;

/// Blocks of more memory than this are not kept.
const KEPT: usize = 256 << 10;
/// A thread keeps so many blocks: who frees a reply before the next command needs one.
const SPARE: usize = 2;

/// Replies and their nodes.
pub(super) struct Block {
    /// Replies that have not been freed.
    live: AtomicUsize,
    raw: RawReplies,
    /// The replies first, then the elements of each aggregate in one row.
    nodes: Vec<swm_reply>,
}

// SAFETY: the pointers in the nodes lead into the block itself. Nothing in it changes once the nodes
// are made, and it is freed by whoever frees its last reply.
unsafe impl Send for Block {}

thread_local! {
    #[allow(clippy::vec_box, reason = "a reply knows its block by the address that the box has")]
    static SPARES: RefCell<Vec<Box<Block>>> = const { RefCell::new(Vec::new()) };
}

impl Block {
    /// An empty one.
    #[inline]
    pub(super) fn take() -> Box<Block> {
        let kept = SPARES.try_with(|spares| spares.borrow_mut().pop()).ok().flatten();
        kept.unwrap_or_else(|| {
            Box::new(Block { live: AtomicUsize::new(0), raw: RawReplies::new(), nodes: Vec::new() })
        })
    }

    /// Where the replies are to be received.
    #[inline]
    pub(super) fn raw(&mut self) -> &mut RawReplies {
        &mut self.raw
    }

    /// What the nodes are made from, and where they go.
    #[inline]
    pub(super) fn parts(&mut self) -> (&mut RawReplies, &mut Vec<swm_reply>) {
        (&mut self.raw, &mut self.nodes)
    }

    /// Lets the block live until so many replies have been freed; they are the first of its nodes.
    #[inline]
    pub(super) fn give_out(mut self: Box<Block>, replies: usize) -> *mut swm_reply {
        *self.live.get_mut() = replies;
        let block = Box::into_raw(self);
        // SAFETY: it was a box a moment ago, and nobody else knows of it.
        let Block { raw, nodes, .. } = unsafe { &mut *block };
        let (bytes, first) = (raw.bytes().as_ptr(), nodes.as_mut_ptr());
        for index in 0..nodes.len() {
            // SAFETY: there are more nodes than this. By pointer, for what `first` leads to is what
            // the nodes point to from now on.
            let node = unsafe { &mut *first.add(index) };
            node.anchor(bytes, first);
            if index < replies {
                node.own(block);
            }
        }
        first
    }

    /// One reply fewer. The last one ends the block.
    ///
    /// # Safety
    /// The block was given out, and fewer replies of it were freed than it has.
    #[inline]
    pub(super) unsafe fn let_go(block: *mut Block) {
        // SAFETY: a reply of it is live, so the block is.
        let live = unsafe { &(*block).live };
        // Alone, which a look tells, there is nobody to count with.
        if live.load(Ordering::Acquire) != 1 && live.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        // SAFETY: that was the last reply, so nobody else knows of the block any more.
        unsafe { Box::from_raw(block) }.keep();
    }

    #[inline]
    fn keep(mut self: Box<Block>) {
        self.nodes.clear();
        let size = self.raw.capacity() + self.nodes.capacity() * size_of::<swm_reply>();
        if size > KEPT {
            return;
        }
        self.raw.clear();
        let _ = SPARES.try_with(|spares| {
            let mut spares = spares.borrow_mut();
            if spares.len() < SPARE {
                spares.push(self);
            }
        });
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        debug_assert!(*self.live.get_mut() <= 1, "a block ends with its last reply");
        // The nodes point into what is freed next.
        self.nodes.clear();
    }
}
