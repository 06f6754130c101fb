/**
 * The checks of all values from outside. Each returns the value, or throws an error that names it, what was expected and
 * what came.
 */

/** A printable description of any value: at most 40 characters of a string, and never an exception. */
export function describe(value: unknown): string {
  if (value === null) return '`null`'
  switch (typeof value) {
    case 'undefined':
      return '`undefined`'
    case 'string':
      return `\`${value.length > 40 ? `${value.slice(0, 40)}…` : value}\` (string)`
    case 'number':
    case 'boolean':
    case 'bigint':
    case 'symbol':
      return `\`${String(value)}\` (${typeof value})`
    case 'function':
      return 'a function'
    case 'object':
      return Array.isArray(value) ? 'an array' : `an object (${value.constructor?.name ?? 'Object'})`
    default:
      return typeof value
  }
}

function expected(name: string, what: string, value: unknown): string {
  return `Expected \`${name}\` to be ${what}, got ${describe(value)}`
}

export interface Bounds {
  readonly max?: number
  /** Follows the bounds in the message. Default `ms`. */
  readonly unit?: string
}

export function checkInteger(name: string, value: unknown, min: number, bounds: Bounds = {}): number {
  return checkRange(name, value, `an integer`, Number.isInteger, min, bounds)
}

export function checkNumber(name: string, value: unknown, min: number, bounds: Bounds = {}): number {
  return checkRange(name, value, `a number`, (number) => !Number.isNaN(number), min, bounds)
}

function checkRange(
  name: string,
  value: unknown,
  kind: string,
  accepts: (number: number) => boolean,
  min: number,
  { max = Number.POSITIVE_INFINITY, unit = 'ms' }: Bounds,
): number {
  const range = Number.isFinite(max) ? `>= ${min} and <= ${max}` : `>= ${min}`
  const what = `${kind} ${range}${unit && ` (${unit})`}`
  if (typeof value !== 'number') throw new TypeError(expected(name, what, value))
  if (!accepts(value) || value < min || value > max) throw new RangeError(expected(name, what, value))
  return value
}

export function checkBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw new TypeError(expected(name, 'a boolean', value))
  return value
}

export function checkString(name: string, value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(expected(name, 'a string', value))
  return value
}

export function checkFunction<F extends (...values: never[]) => unknown>(name: string, value: F): F {
  if (typeof value !== 'function') throw new TypeError(expected(name, 'a function', value))
  return value
}

/** An object that has all these methods. */
export function checkMethods<O extends object>(name: string, value: O, methods: readonly (keyof O & string)[]): O {
  const what = `an object with ${methods.map((method) => `\`${method}()\``).join(', ')}`
  if (typeof value !== 'object' || value === null) throw new TypeError(expected(name, what, value))
  for (const method of methods) {
    if (typeof value[method] !== 'function') throw new TypeError(expected(name, what, value))
  }
  return value
}

export function checkObject<O extends object>(name: string, value: O): O {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new TypeError(expected(name, 'an object', value))
}

/** Checks the shape: a signal of another realm (jsdom, happy-dom, a vm context) is no instance of our `AbortSignal`. */
export function checkSignal(name: string, value: unknown): AbortSignal {
  const { aborted, addEventListener, removeEventListener } = Object(value) as Partial<AbortSignal>
  if (
    typeof aborted !== 'boolean' ||
    typeof addEventListener !== 'function' ||
    typeof removeEventListener !== 'function'
  ) {
    throw new TypeError(expected(name, 'an AbortSignal', value))
  }
  return value as AbortSignal
}

/** Refuses unknown names, because a misspelt option would otherwise be ignored silently. */
export function checkOptions(of: string, value: object, known: readonly string[]): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(expected('options', `an object of options of \`${of}\``, value))
  }
  for (const name of Object.keys(value)) {
    if (!known.includes(name)) {
      throw new TypeError(`Expected options of \`${of}\` to be among ${known.join(', ')}; got \`${name}\``)
    }
  }
}
