//! How many threads compute.

/// Physical cores this process may use: what the affinity mask and the cgroup's quota allow, and no more
/// than there are cores, since two hardware threads of one core share its multipliers.
pub(crate) fn allowed() -> usize {
    let usable = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    usable.min(num_cpus::get_physical()).max(1)
}
