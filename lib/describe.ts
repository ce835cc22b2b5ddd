/** Says what a wrong argument was, shortly. It never throws, whatever it is given. */
export function describe(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return `the string ${JSON.stringify(shorten(value))}`
  if (typeof value === 'number' || typeof value === 'bigint') return `the ${typeof value} ${value}`
  if (typeof value === 'symbol') return 'a symbol'
  if (typeof value === 'function') return 'a function'
  return describeObject(value)
}

function describeObject(value: object): string {
  try {
    if (value instanceof Promise) return 'a Promise (is an await missing?)'
    if (Array.isArray(value)) return `an array of length ${value.length}`
    return `an object (${Object.prototype.toString.call(value).slice(8, -1)})`
  } catch {
    return 'an object'
  }
}

function shorten(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 40)}…`
}
