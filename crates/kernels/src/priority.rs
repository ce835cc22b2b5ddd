//! The standing of a thread with the system. No arithmetic: it lives here because `unsafe` lives nowhere else.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "a function of the C library"))]

/// Lets the system prefer other threads to the calling one by so many steps of `nice`, and says whether it did. On Linux only,
/// where each thread has its own (`man 2 setpriority`, "C library/kernel differences"): elsewhere the step is the process's.
#[cfg(target_os = "linux")]
pub fn step_back(steps: i32) -> bool {
    use std::ffi::{c_int, c_uint};

    unsafe extern "C" {
        // POSIX.1-2017. Safe to call: it takes and gives numbers.
        safe fn setpriority(which: c_uint, who: c_uint, nice: c_int) -> c_int;
        safe fn getpriority(which: c_uint, who: c_uint) -> c_int;
    }
    // PRIO_PROCESS, of the caller.
    setpriority(0, 0, getpriority(0, 0).saturating_add(steps)) == 0
}

/// Elsewhere there is no such step.
#[cfg(not(target_os = "linux"))]
pub fn step_back(_: i32) -> bool {
    false
}
