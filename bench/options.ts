/**
 * Declares a command's options as data, parses the command line by that declaration, and writes the same declaration
 * as help. Promises one clear `UsageError` for whatever cannot be understood.
 */
import { parseArgs } from 'node:util'
import { UsageError } from './command.ts'

export interface Option<Value> {
  /** What stands for the value in the help, such as `MS`. */
  readonly placeholder: string
  readonly summary: string
  /** The value when the option is not given. */
  readonly initial: Value
  /** How the help writes that, where it is no text or list. */
  readonly shown?: string
  /** What `parse` accepts, in words. */
  readonly expected: string
  /** `undefined` when the text is not acceptable. */
  readonly parse: (text: string) => Value | undefined
}

type Description<Value> = Pick<Option<Value>, 'placeholder' | 'summary' | 'initial'>
type Options = Readonly<
  Record<string, Option<number | string | readonly (string | number)[] | Readonly<Record<string, number>> | undefined>>
>
/** What `parseOptions` returns. */
export type Values<Declared extends Options> = {
  readonly [Name in keyof Declared]: Declared[Name] extends Option<infer Value> ? Value : never
}

/** An integer; `1_000_000` is one too. */
export function integerOption(description: Description<number> & { readonly minimum: number }): Option<number> {
  const { minimum } = description
  return {
    ...description,
    expected: `an integer >= ${minimum}`,
    parse: (text) => {
      const value = /^\d[\d_]*$/.test(text) ? Number(text.replaceAll('_', '')) : Number.NaN
      return Number.isSafeInteger(value) && value >= minimum ? value : undefined
    },
  }
}

/** One or more integers, separated by commas; in ascending order. */
export function integersOption(
  description: Description<readonly number[]> & { readonly minimum: number },
): Option<readonly number[]> {
  const one = integerOption({ ...description, initial: 0 })
  return {
    ...description,
    expected: `${one.expected}, or several separated by commas`,
    parse: (text) => {
      const values = text.split(',').map((part) => one.parse(part.trim()))
      const integers = values.filter((value) => value !== undefined)
      return integers.length === values.length ? [...new Set(integers)].toSorted((a, b) => a - b) : undefined
    },
  }
}

/** One or more of the known names, separated by commas; all of them where nothing else is said. */
export function namesOption<Name extends string>(
  description: Omit<Description<readonly Name[]>, 'initial'> & { readonly initial?: readonly Name[] },
  known: readonly Name[],
): Option<readonly Name[]> {
  return {
    initial: known,
    ...description,
    expected: `some of ${known.join(', ')}, separated by commas`,
    parse: (text) => {
      const names = [...new Set(text.split(',').map((name) => name.trim()))]
      const accepted = known.filter((name) => names.includes(name))
      return accepted.length === names.length ? accepted : undefined
    },
  }
}

export function textOption(description: Omit<Description<undefined>, 'initial'>): Option<string | undefined> {
  return {
    ...description,
    initial: undefined,
    expected: 'a text that is not empty',
    parse: (text) => (text === '' ? undefined : text),
  }
}

/** @throws UsageError that names the option or the argument. */
export function parseOptions<Declared extends Options>(declared: Declared, args: readonly string[]): Values<Declared> {
  const texts = readTexts(Object.keys(declared), args)
  const values = Object.entries(declared).map(([name, option]) => {
    const text = texts[name]
    if (text === undefined) return [name, option.initial]
    const value = option.parse(text)
    if (value === undefined) throw new UsageError(`Expected \`--${name}\` to be ${option.expected}, got \`${text}\``)
    return [name, value]
  })
  return Object.fromEntries(values) as Values<Declared>
}

export function describeOptions(declared: Options): string {
  const rows = Object.entries(declared).map(([name, option]) => {
    const usage = `--${name} ${option.placeholder}`
    const { initial, shown = typeof initial === 'object' && !isList(initial) ? undefined : initial?.toString() } =
      option
    return { usage, text: shown === undefined ? option.summary : `${option.summary} (default: ${shown})` }
  })
  const width = Math.max(...rows.map(({ usage }) => usage.length))
  return rows.map(({ usage, text }) => `  ${usage.padEnd(width)}  ${text}`).join('\n')
}

function readTexts(names: readonly string[], args: readonly string[]): Readonly<Record<string, string | undefined>> {
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]))
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values
  } catch (error) {
    // Node's first sentence names the argument; advice follows that is not about this program.
    const [sentence] = String(error instanceof Error ? error.message : error).split(/\.\s/)
    throw new UsageError(sentence)
  }
}

/** `Array.isArray` does not know of lists that are read-only. */
function isList(value: object): value is readonly unknown[] {
  return Array.isArray(value)
}
