//! What is told through `tracing`, with that feature: every event, and each wait for a handle as a
//! span. Without it nothing of this is left.

#[cfg(feature = "tracing")]
mod told {
    use crate::{event::Event, pool::Place};

    /// An event of this service.
    pub(crate) fn event(service: &str, event: &Event) {
        let name = event.name();
        match event {
            Event::Overruled { .. }
            | Event::MajorityLost { .. }
            | Event::ServiceRemoved { .. }
            | Event::Disagreement { .. }
            | Event::Malformed { .. }
            | Event::Leaked { .. } => {
                tracing::warn!(target: "switchmaster", service, event = name, "{event}");
            }
            Event::Switched { generation, to, .. } => {
                let to = tracing::field::display(to);
                tracing::info!(
                    target: "switchmaster", service, event = name, generation, to, "{event}"
                );
            }
            Event::FenceRaised { .. } | Event::FenceLifted { .. } | Event::Confirmed { .. } => {
                tracing::info!(target: "switchmaster", service, event = name, "{event}");
            }
            _ => tracing::debug!(target: "switchmaster", service, event = name, "{event}"),
        }
    }

    /// A wait for a handle, until the span is dropped.
    pub(crate) fn wait(place: Place) -> tracing::span::EnteredSpan {
        tracing::debug_span!(target: "switchmaster", "wait_for_handle", %place).entered()
    }
}

#[cfg(not(feature = "tracing"))]
mod told {
    use crate::{event::Event, pool::Place};

    pub(crate) fn event(_: &str, _: &Event) {}

    /// In the place of the span.
    pub(crate) struct Untold;

    pub(crate) fn wait(_: Place) -> Untold {
        Untold
    }
}

pub(crate) use told::{event, wait};
