/** `doctor`: one screen about this machine and what the library makes of it. Its JSON is stable: names stay, more may come. */
import { command } from '../command.js'
import { examine, type Report } from '../examination.js'
import { json } from '../model.js'
import { bytes, counted, type Screen } from '../screen.js'

export const doctor = command({
  about: 'what this machine has, what of it is used and why, and what would help',
  operands: [0, 0],
  options: { json },
  examples: ['embed-native doctor', 'embed-native doctor --json'],
  async run({ options, screen }) {
    const report = await examine()
    if (options.json) await screen.json(report)
    else await print(report, screen)
    if (report.problem !== null) process.exitCode = 1
  },
})

async function print(report: Report, screen: Screen): Promise<void> {
  const { system, cpu, threads, gpus, onnxRuntime, cache, settings, advice, problem } = report
  const rows: [string, string][] = [
    ['package', `${report.version}, Node ${system.node}${system.electron ? `, Electron ${system.electron}` : ''}`],
    ['system', [system.platform, system.arch, system.libc].filter(Boolean).join(' ')],
    ['binary', report.binary ?? problem ?? 'loaded'],
    ['CPU', `${cpu.model}, ${cpu.cores ?? '?'} cores`],
    ['features', cpu.features.join(' ') || 'unknown'],
    ['kernel', cpu.kernel === null ? (cpu.problem ?? 'none') : `${cpu.kernel} (of ${cpu.kernels.join(', ')})`],
    ['threads', threads === null ? 'unknown' : `${threads.used}: ${threads.why}`],
    ['memory', `${bytes(system.memoryFree)} free of ${bytes(system.memory)}`],
    ...gpus.map(({ name, usable, why }): [string, string] => [
      'GPU',
      `${name}: ${usable ? 'usable' : `not used, ${why}`}`,
    ]),
    ['ONNX Runtime', onnxRuntime ?? "not found (only for backend 'onnx': npm install onnxruntime-node)"],
    [
      'cache',
      problem !== null
        ? 'unknown'
        : (cache.problem ?? `${cache.folder}: ${counted(cache.models ?? 0, 'model')}, ${bytes(cache.bytes ?? 0)}`),
    ],
    ['governor', cpu.governor ?? 'not told by this system'],
    ['idle states', cpu.idleStates === null ? 'not told by this system' : cpu.idleStates.join(' ')],
    ...Object.entries(settings).map(([name, value]): [string, string] => ['setting', `${name}=${value}`]),
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  for (const [name, text] of rows) await screen.line(`${name.padEnd(width)}  ${text}`)
  for (const line of advice) await screen.line(`\n→ ${line}`)
}
