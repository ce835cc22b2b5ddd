/** What the test runners said, as numbers. Pure functions over their output. */

/** Nothing counted yet. */
export const none = { passed: 0, failed: 0, skipped: 0 }

/** The sum of two counts. */
export function plus(a, b) {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped }
}

/** Counts of `cargo test`: each test binary ends with a "test result:" line. */
export function fromCargo(output) {
  const lines = output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm)
  return [...lines].map(([, ...numbers]) => counts(numbers)).reduce(plus, none)
}

/** Counts of `node --test --test-reporter=tap`. */
export function fromTap(output) {
  const number = (name) => new RegExp(`^# ${name} (\\d+)$`, 'm').exec(output)?.[1] ?? 0
  return counts([number('pass'), number('fail'), number('skipped')])
}

/** Counts of vitest's JSON report; a file that could not be loaded is one failure. */
export function fromVitest(report) {
  const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
  return counts([report.numPassedTests, report.numFailedTests + broken.length, report.numPendingTests])
}

/** The line that closes a run, in the plain form that any CI can read. */
export function closing({ passed, failed }) {
  return `${passed} passed, ${failed} failed`
}

/** How a count is said in a step's line. */
export function said({ passed, failed, skipped }) {
  return [`${passed} passed`, failed > 0 && `${failed} failed`, skipped > 0 && `${skipped} skipped`]
    .filter(Boolean)
    .join(', ')
}

function counts([passed, failed, skipped]) {
  return { passed: Number(passed), failed: Number(failed), skipped: Number(skipped) }
}
