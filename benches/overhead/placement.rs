//! Server and client on one core: [`share_a_core`].

/// Puts this thread and these processes on one of the cores that this program may use. The client then
/// sleeps before each reply comes, as it does on a network, and the time of an operation is the sum
/// of what both sides work: that repeats within a few hundredths, and where they run on two cores it
/// is mostly the waking of the other one. False where the system has no such order, and nothing changes.
#[cfg(target_os = "linux")]
pub fn share_a_core(processes: &[u32]) -> bool {
    use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

    let Ok(allowed) = sched_getaffinity(None) else { return false };
    // The first one is where most interrupts go.
    let Some(core) = (0..CpuSet::MAX_CPU).rev().find(|&core| allowed.is_set(core)) else {
        return false;
    };
    let mut one = CpuSet::new();
    one.set(core);
    let processes = processes.iter().filter_map(|&id| Pid::from_raw(id.try_into().ok()?));
    let done = processes.map(Some).all(|process| sched_setaffinity(process, &one).is_ok());
    done && sched_setaffinity(None, &one).is_ok()
}

/// Unknown on this system.
#[cfg(not(target_os = "linux"))]
pub fn share_a_core(_processes: &[u32]) -> bool {
    false
}
