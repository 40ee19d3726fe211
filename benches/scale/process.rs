//! What this process uses: [`Usage`], as Linux tells it.

use std::{fs, io, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// Processor time, memory, threads and wake-ups up to now.
pub struct Usage {
    /// Of all threads, in the kernel as well.
    pub cpu: Duration,
    /// Bytes.
    pub resident: u64,
    /// Threads of the library.
    pub threads: usize,
    /// How often one of them was put to sleep and woke again.
    pub wakes: u64,
}

impl Usage {
    pub fn now() -> io::Result<Usage> {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let status = fs::read_to_string("/proc/self/status")?;
        let (mut threads, mut wakes) = (0, 0);
        for task in fs::read_dir("/proc/self/task")? {
            let task = task?.path();
            // One that has ended in the meantime uses nothing.
            let Ok(name) = fs::read_to_string(task.join("comm")) else { continue };
            let Ok(status) = fs::read_to_string(task.join("status")) else { continue };
            if name.starts_with("switchmaster") {
                threads += 1;
                wakes += number(&status, "voluntary_ctxt_switches:");
            }
        }
        Ok(Usage {
            cpu: Duration::new(time.tv_sec as u64, time.tv_nsec as u32),
            resident: number(&status, "VmRSS:") * 1024,
            threads,
            wakes,
        })
    }
}

fn number(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
