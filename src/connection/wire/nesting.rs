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
        if count > 0 {
            self.open.push(Open { left: count, attribute });
            return Ok(false);
        }
        Ok(!attribute && self.completes())
    }

    /// A value is complete. True when the reply is, too.
    #[inline]
    pub(super) fn completes(&mut self) -> bool {
        while let Some(Open { left, attribute }) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return false;
            }
            // What an attribute belongs to comes behind it.
            let goes_on = *attribute;
            self.open.pop();
            if goes_on {
                return false;
            }
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
