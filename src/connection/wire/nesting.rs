//! Where in a reply a reader is that makes nothing of it: how deep, and how much is missing.

use super::{
    Limits, ProtocolError,
    line::{self, Aggregate},
};

/// An aggregate that waits for its next element.
struct Open {
    left: usize,
    /// Its elements come before a reply and are none.
    attribute: bool,
}

/// Waits for the one value that an attribute belongs to. A level of its own, so that a chain of them
/// is as deep as it is long.
const ATTRIBUTED: Open = Open { left: 1, attribute: false };

/// The aggregates that are open, the innermost last.
#[derive(Default)]
pub(super) struct Nesting {
    open: Vec<Open>,
    elements: usize,
    attributes: usize,
}

impl Nesting {
    /// Between two replies.
    #[inline]
    pub(super) fn is_at_start(&self) -> bool {
        self.open.is_empty()
    }

    /// An aggregate begins. True when that completes the reply.
    pub(super) fn begin(
        &mut self,
        kind: Aggregate,
        count: usize,
        limits: &Limits,
    ) -> Result<bool, ProtocolError> {
        let pairs = matches!(kind, Aggregate::Map | Aggregate::Attribute);
        let count = if pairs { count.saturating_mul(2) } else { count };
        line::check_size(&mut self.elements, count, self.open.len(), limits)?;
        let attribute = kind == Aggregate::Attribute;
        self.attributes += usize::from(attribute);
        match (attribute, count) {
            // What it belongs to comes behind it.
            (true, 0) => self.open.push(ATTRIBUTED),
            (false, 0) => return Ok(self.completes()),
            _ => self.open.push(Open { left: count, attribute }),
        }
        Ok(false)
    }

    /// A value is complete. True when the reply is, too.
    #[inline]
    pub(super) fn completes(&mut self) -> bool {
        while let Some(Open { left, attribute }) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return false;
            }
            if *attribute {
                self.open.pop();
                self.open.push(ATTRIBUTED);
                return false;
            }
            self.open.pop();
        }
        true
    }

    /// How many values the reply had that is complete; the next one begins.
    #[inline]
    pub(super) fn take_values(&mut self) -> usize {
        let values = 1 + self.elements + self.attributes;
        self.elements = 0;
        self.attributes = 0;
        values
    }

    #[inline]
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.elements = 0;
        self.attributes = 0;
    }
}
