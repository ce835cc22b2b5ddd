/** Looks at this machine: nothing is loaded but the native binary, nothing is opened on the network, nothing is changed. */
import { readdirSync, readFileSync } from 'node:fs'
import { cpus, freemem, totalmem } from 'node:os'
import { cache, devices, type Machine, machine, version } from '@x/embed-native'

/** What `doctor --json` prints. */
export interface Report {
  version: string
  /** The native binary's file. */
  binary: string | null
  /** Why the binary does not load. */
  problem: string | null
  system: {
    platform: string
    arch: string
    libc: string | null
    node: string
    electron: string | null
    /** Bytes. */
    memory: number
    memoryFree: number
  }
  cpu: {
    model: string
    cores: number | null
    /** What matters for kernels, as Linux calls it. */
    features: string[]
    kernels: readonly string[]
    kernel: string | null
    problem: string | null
    governor: string | null
    idleStates: string[] | null
  }
  threads: { used: number; usable: number; cores: number; why: string } | null
  /** `why` one is not usable. */
  gpus: { name: string; usable: boolean; why: string | null }[]
  onnxRuntime: string | null
  cache: { folder: string | null; models: number | null; bytes: number | null; problem: string | null }
  /** Variables that are set and read; secrets as `(set)`. */
  settings: Record<string, string>
  /** What would help, with the command that does it. */
  advice: string[]
}

/** Looks. */
export async function examine(): Promise<Report> {
  const { found, problem } = native()
  const cpu = processor(found)
  const { platform, arch, versions } = process
  return {
    version,
    binary: found?.binary ?? null,
    problem,
    system: {
      platform,
      arch,
      libc: found?.libc ?? null,
      node: versions.node,
      electron: versions.electron ?? null,
      memory: totalmem(),
      memoryFree: freemem(),
    },
    cpu,
    threads: found && { used: found.threads, usable: found.usable, cores: found.cores, why: why(found) },
    gpus: found ? graphics() : [],
    onnxRuntime: found?.onnxRuntime ?? null,
    cache: found ? await cached() : { folder: null, models: null, bytes: null, problem },
    settings: settings(),
    advice: advice(cpu),
  }
}

function native(): { found: Machine | null; problem: string | null } {
  try {
    return { found: machine(), problem: null }
  } catch (error) {
    return { found: null, problem: (error as Error).message }
  }
}

function why({ threads, usable, cores }: Machine): string {
  if (usable < cores) return `affinity and cgroup leave this process ${usable} of ${cores} physical cores`
  const rest = usable > threads ? `; its ${usable} hardware threads share the cores' multipliers` : ''
  return `one a physical core${rest}`
}

/** Flags that some kernel uses, or would. */
const FEATURES =
  /^(avx2|fma|f16c|avx512(f|bw|vl|_vnni|_bf16)|avx_vnni|amx_(tile|int8|bf16)|asimddp|i8mm|bf16|sve2?|fphp)$/

function processor(found: Machine | null): Report['cpu'] {
  const lines = read('/proc/cpuinfo') ?? ''
  const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(lines)?.[1]?.split(' ') ?? []
  const states = readNames('/sys/devices/system/cpu/cpu0/cpuidle').sort()
  return {
    model: cpus()[0]?.model.trim() || 'unknown',
    cores: found?.cores ?? null,
    features: flags.filter((flag) => FEATURES.test(flag)),
    kernels: found?.kernels ?? [],
    kernel: found?.kernel ?? null,
    problem: found?.problem ?? null,
    governor: read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor')?.trim() ?? null,
    idleStates: states.length === 0 ? null : states.map((state) => idleState(state)),
  }
}

function idleState(state: string): string {
  const of = (fact: string): string => read(`/sys/devices/system/cpu/cpu0/cpuidle/${state}/${fact}`)?.trim() ?? '?'
  return `${of('name')}(${of('latency')}µs${of('disable') === '1' ? ', off' : ''})`
}

/** What the library finds, but kinds that this system never has. */
function graphics(): Report['gpus'] {
  const gpus = devices().filter(({ device }) => device !== 'cpu')
  const shown = gpus.filter(({ usable, device, name }) => usable || name !== null || device === OWN_KIND)
  return shown.map(({ device, name, usable, reason }) => ({
    name: name ? `${device} ${name}` : device,
    usable,
    why: reason,
  }))
}

/** The kind of GPU that this system may have. */
const OWN_KIND = process.platform === 'darwin' ? 'metal' : 'cuda'

async function cached(): Promise<Report['cache']> {
  try {
    const [folder, models, size] = await Promise.all([cache.folder(), cache.list(), cache.size()])
    return { folder, models: models.length, bytes: size, problem: null }
  } catch (error) {
    return { folder: null, models: null, bytes: null, problem: (error as Error).message }
  }
}

/** All that the library reads (docs/hub.md, docs/api.md). */
const VARIABLES =
  /^(EMBED_NATIVE_(ISA|BINDING|LOG|CUDA_\w+)|CUDA_(HOME|PATH|VISIBLE_DEVICES)|ORT_(EXECUTION_PROVIDER|NUM_THREADS)|HF_\w+|HUGGING_?FACE_HUB_\w+|MODELSCOPE_\w+|TRANSFORMERS_OFFLINE|ORT_DYLIB_PATH|(HTTPS?|ALL|NO)_PROXY|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|SSL_CERT_FILE|NODE_EXTRA_CA_CERTS|XDG_CACHE_HOME)$/i

function settings(): Record<string, string> {
  const set = Object.entries(process.env).filter(([name, value]) => VARIABLES.test(name) && value)
  return Object.fromEntries(
    set.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, shown(name, value ?? '')]),
  )
}

/** Without what opens something: tokens, and the user and password of a proxy or endpoint. */
function shown(name: string, value: string): string {
  if (/TOKEN$/i.test(name)) return '(set)'
  return value.replace(/\/\/[^/@]*@/, '//(set)@')
}

/** Idle states that take longer to leave than a short text takes to embed are felt. Microseconds. */
const DEEP = 100

function advice({ governor, idleStates }: Report['cpu']): string[] {
  const lines: string[] = []
  if (governor !== null && governor !== 'performance') {
    const command = 'echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor'
    lines.push(`The CPU governor is ${governor}: short calls start on a slow clock. For a server: ${command}`)
  }
  const deep = (idleStates ?? []).filter((state) => !state.includes('off') && Number(/\((\d+)/.exec(state)?.[1]) > DEEP)
  if (deep.length > 0) {
    const command = `sudo cpupower idle-set -D ${DEEP}`
    lines.push(`${deep.join(' ')}: waking takes that long. Where latency counts more than power: ${command}`)
  }
  return lines
}

/** A file of the system's, where there is one that can be read. */
function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

function readNames(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
