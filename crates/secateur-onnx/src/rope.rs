//! A sequence of byte pieces: what the encoder writes into, so that tensors' data are never copied.

use std::collections::VecDeque;
use std::io::{self, Write};

use bytes::buf::UninitSlice;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Shorter pieces are copied, longer ones are shared.
const SHARE_FROM: usize = 4096;

/// Bytes in pieces. Encoding into it shares large `bytes` fields with the message.
#[derive(Debug, Default)]
pub(crate) struct Rope {
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl Rope {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Appends a piece without copying it, unless it is small.
    pub fn push(&mut self, piece: Bytes) {
        if piece.len() < SHARE_FROM {
            self.put_slice(&piece);
        } else {
            self.seal();
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Appends all of `other`.
    pub fn append(&mut self, mut other: Rope) {
        other.seal();
        for piece in other.pieces {
            self.push(piece);
        }
    }

    /// Ends the piece under construction. Reading sees only sealed pieces.
    pub fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
    }

    /// Removes the first `len` bytes, sharing them. The rope must be sealed and long enough.
    pub fn split_front(&mut self, mut len: usize) -> Rope {
        let mut front = Rope::default();
        while len > 0 {
            let Some(mut piece) = self.pieces.pop_front() else { break };
            if piece.len() > len {
                let rest = piece.split_off(len);
                self.pieces.push_front(rest);
            }
            len -= piece.len();
            self.len -= piece.len();
            front.len += piece.len();
            front.pieces.push_back(piece);
        }
        front
    }

    /// One run of bytes.
    pub fn into_bytes(mut self) -> Bytes {
        self.seal();
        if self.pieces.len() == 1 {
            return self.pieces.remove(0).unwrap_or_default();
        }
        let mut whole = BytesMut::with_capacity(self.len);
        for piece in &self.pieces {
            whole.extend_from_slice(piece);
        }
        whole.freeze()
    }

    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        for piece in &self.pieces {
            out.write_all(piece)?;
        }
        out.write_all(&self.tail)
    }
}

impl Buf for Rope {
    fn remaining(&self) -> usize {
        self.len - self.tail.len()
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn advance(&mut self, cnt: usize) {
        assert!(cnt <= self.remaining(), "advance past the end");
        self.split_front(cnt);
    }
}

// SAFETY: the uninitialized memory handed out is the tail's own, and `advance_mut` passes the
// caller's promise to have filled `cnt` bytes of it on to the tail.
unsafe impl BufMut for Rope {
    fn remaining_mut(&self) -> usize {
        usize::MAX - self.len
    }

    unsafe fn advance_mut(&mut self, cnt: usize) {
        // SAFETY: as the caller promises; `chunk_mut` gave out the tail's spare room.
        unsafe { self.tail.advance_mut(cnt) };
        self.len += cnt;
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        self.tail.chunk_mut()
    }

    fn put<T: Buf>(&mut self, mut src: T) {
        // `copy_to_bytes` of a `Bytes` shares it.
        let all = src.copy_to_bytes(src.remaining());
        self.push(all);
    }

    fn put_slice(&mut self, src: &[u8]) {
        self.tail.extend_from_slice(src);
        self.len += src.len();
    }
}
