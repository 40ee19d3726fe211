//! TLS in a build that has none: there is no session, and every question to one is answered by that.

use std::{
    convert::Infallible,
    io::{self, Read, Write},
    marker::PhantomData,
};

/// What makes no sessions.
pub(super) fn factory() -> Result<Infallible, String> {
    Err(super::MISSING.to_owned())
}

pub(super) struct Absent<S> {
    never: Infallible,
    transport: PhantomData<S>,
}

impl<S: Read + Write> Absent<S> {
    pub(super) fn new(factory: &Infallible, _name: &str, _transport: S) -> Absent<S> {
        Absent { never: *factory, transport: PhantomData }
    }

    pub(super) fn handshake(&mut self) -> io::Result<()> {
        match self.never {}
    }

    pub(super) fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
        match self.never {}
    }

    pub(super) fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        match self.never {}
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self.never {}
    }

    pub(super) fn transport(&mut self) -> Option<&mut S> {
        match self.never {}
    }
}
