//! `swm_stats`: what a factory did, in numbers.

use super::{
    factory::{self, swm_factory},
    guard::{self, Failure},
    status::{swm_error, swm_status},
};

/// What a factory did since it was opened, and the state of its pool. Gauges mean what HikariCP's mean.
/// Later versions may add fields at the end: `struct_size` says up to where yours goes. What the library
/// does not know of is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct swm_stats {
    /// sizeof(swm_stats) as you compiled it; set it before the call.
    pub struct_size: usize,
    /// Connections of the current generation, idle and in use.
    pub total: u64,
    /// Connections that lie idle.
    pub idle: u64,
    /// Handles that are out.
    pub in_use: u64,
    /// Threads that wait for a handle now.
    pub waiting: u64,
    /// Connections that there may be at most.
    pub max: u64,
    /// Connections that are to lie idle.
    pub min: u64,
    /// Checkouts of handles, to the master and to replicas.
    pub checkouts: u64,
    /// Handles given out after a wait.
    pub waits: u64,
    /// Microseconds that threads waited for handles, all together.
    pub wait_micros: u64,
    /// Calls that waited until their deadline in vain.
    pub timeouts: u64,
    /// Handles that were out for longer than `leak_after`.
    pub leaks: u64,
    /// Connections made and verified.
    pub connections_created: u64,
    /// Connections that broke while a command used them.
    pub connections_broken: u64,
    /// Dials of a node that failed.
    pub dial_failures: u64,
    /// Switches to another master, the first master included.
    pub switches: u64,
    /// Commands that moved to a new connection before anything was sent.
    pub moved: u64,
    /// Commands that failed with SWM_NOT_SENT.
    pub errors_not_sent: u64,
    /// Commands that failed with SWM_UNKNOWN.
    pub errors_unknown: u64,
    /// How often commands were made to wait behind the fence.
    pub fences: u64,
    /// Commands that ran on a master while it was open whether it is the master.
    pub doubtful_commands: u64,
    /// Those of them whose master had been replaced: writes among them may be lost.
    pub overruled_commands: u64,
    /// Faults inside the watch that were survived.
    pub watch_faults: u64,
    /// Messages of sentinels that could not be read.
    pub malformed_messages: u64,
    /// Messages that came on handles between whole commands and were dropped: swm_handle_receive and
    /// swm_factory_subscribe deliver them.
    pub dropped_messages: u64,
    /// Connections to the replicas that are read from, idle and in use.
    pub replica_total: u64,
    /// Idle connections to the replicas that are read from.
    pub replica_idle: u64,
    /// Handles to the replicas that are read from.
    pub replica_in_use: u64,
}

/// No later version will have more of it than this, in bytes.
const MOST: usize = 4096;

/// swm_factory_stats fills in `stats`, whose `struct_size` you have set. Blocks never.
///
/// Errors: SWM_E_ARGUMENT when `struct_size` cannot be right.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_stats(
    factory: *const swm_factory,
    stats: *mut swm_stats,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            if stats.is_null() {
                return Err(Failure::null("stats"));
            }
            let struct_size = stats.cast::<usize>().read();
            let fits = size_of::<usize>()..=MOST;
            if !fits.contains(&struct_size) || struct_size % align_of::<swm_stats>() != 0 {
                return Err(Failure::argument(format!(
                    "stats->struct_size is {struct_size}; set it to sizeof(swm_stats)"
                )));
            }
            let now = factory::with(factory, |opened| Ok(opened.factory.stats()))?;
            let filled = swm_stats {
                struct_size,
                total: now.total.into(),
                idle: now.idle.into(),
                in_use: now.in_use.into(),
                waiting: now.waiting.into(),
                max: now.max.into(),
                min: now.min.into(),
                checkouts: now.checkouts,
                waits: now.waits,
                wait_micros: now.wait_micros,
                timeouts: now.timeouts,
                leaks: now.leaks,
                connections_created: now.connections_created,
                connections_broken: now.connections_broken,
                dial_failures: now.dial_failures,
                switches: now.switches,
                moved: now.moved,
                errors_not_sent: now.errors_not_sent,
                errors_unknown: now.errors_unknown,
                fences: now.fences,
                doubtful_commands: now.doubtful_commands,
                overruled_commands: now.overruled_commands,
                watch_faults: now.watch_faults,
                malformed_messages: now.malformed_messages,
                dropped_messages: now.dropped_messages,
                replica_total: now.replica_total.into(),
                replica_idle: now.replica_idle.into(),
                replica_in_use: now.replica_in_use.into(),
            };
            // What an older caller does not know of is not written.
            let len = struct_size.min(size_of::<swm_stats>());
            let stats = stats.cast::<u8>();
            std::ptr::copy_nonoverlapping((&raw const filled).cast::<u8>(), stats, len);
            // What a newer caller knows of and this library does not.
            stats.add(len).write_bytes(0, struct_size - len);
            Ok(())
        })
    }
}
