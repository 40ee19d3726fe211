//! Which library this is.

use std::ffi::{c_char, c_int};

/// The version of the binary interface that this header describes. It grows when something is added, and
/// a program that was compiled for a smaller one still runs.
pub const SWM_ABI_VERSION: c_int = 1;

/// swm_abi_version tells the version of the binary interface that the library has. It is to be at least
/// the SWM_ABI_VERSION that a program was compiled with. For whoever loads the library at run time.
#[unsafe(no_mangle)]
pub extern "C" fn swm_abi_version() -> c_int {
    SWM_ABI_VERSION
}

/// swm_version gives the version of the library, such as `0.1.0`. It is never freed.
#[unsafe(no_mangle)]
pub extern "C" fn swm_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
