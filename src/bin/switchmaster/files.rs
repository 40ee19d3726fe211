//! How many files may be open: [`allow_many`].

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as this process may allow itself. What a shell allows is often 1024, and a hundred services
/// with their servers have more connections than that.
pub(crate) fn allow_many() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it is refused there may still be enough.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
