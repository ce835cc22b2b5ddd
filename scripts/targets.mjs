/**
 * The machines that a binary is published for: one table for the packages, the release workflow and the checks. A line here
 * needs lines in lib/candidates.ts; scripts/tests.mjs holds them together.
 */

/** By the end of the platform package's name. `runner` is where the workflow builds it, with these `features` more. */
export const TARGETS = {
  'linux-x64-gnu': { os: 'linux', cpu: 'x64', libc: 'glibc', rust: 'x86_64-unknown-linux-gnu', runner: 'ubuntu-24.04' },
  'linux-arm64-gnu': {
    os: 'linux',
    cpu: 'arm64',
    libc: 'glibc',
    rust: 'aarch64-unknown-linux-gnu',
    runner: 'ubuntu-24.04-arm',
  },
  'linux-x64-musl': {
    os: 'linux',
    cpu: 'x64',
    libc: 'musl',
    rust: 'x86_64-unknown-linux-musl',
    runner: 'ubuntu-24.04',
  },
  'linux-arm64-musl': {
    os: 'linux',
    cpu: 'arm64',
    libc: 'musl',
    rust: 'aarch64-unknown-linux-musl',
    runner: 'ubuntu-24.04-arm',
  },
  'darwin-x64': { os: 'darwin', cpu: 'x64', rust: 'x86_64-apple-darwin', runner: 'macos-15-intel' },
  'darwin-arm64': {
    os: 'darwin',
    cpu: 'arm64',
    rust: 'aarch64-apple-darwin',
    runner: 'macos-15',
    // Every such Mac has the GPU.
    features: ['metal'],
  },
  'win32-x64-msvc': { os: 'win32', cpu: 'x64', rust: 'x86_64-pc-windows-msvc', runner: 'windows-2025' },
  'win32-arm64-msvc': { os: 'win32', cpu: 'arm64', rust: 'aarch64-pc-windows-msvc', runner: 'windows-11-arm' },
}

/**
 * Binaries that are installed beside one of the above by those who want them: with CUDA's kernels, and all that the other has.
 * `beside` is that other.
 */
export const EXTRAS = {
  'linux-x64-gnu-cuda': { beside: 'linux-x64-gnu', os: 'linux', cpu: 'x64', libc: 'glibc' },
  'win32-x64-msvc-cuda': { beside: 'win32-x64-msvc', os: 'win32', cpu: 'x64' },
}

/** The platform package of a target. */
export const packageOf = (target) => `@x/embed-native-${target}`

/** The binary's file, in a platform package and beside index.ts. */
export const binaryOf = (target) => `embed-native.${target}.node`

/** The oldest systems that the binaries run on. */
export const FLOORS = { glibc: '2.28', macos: '11.0' }
