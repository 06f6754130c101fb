/**
 * What a command leaves behind for `report`: the file of `--json`. Promises that what was written is read back,
 * numbers that are none included.
 */
import { readFileSync } from 'node:fs'
import type { Environment } from './environment.ts'
import type { Line } from './comparison-report.ts'

export interface Result<SomeLine extends Line<object> = Line<object>> {
  /** What was typed, but for `--json`. */
  readonly command: string
  /** What is measured, with its settings: one line. */
  readonly subject: string
  readonly environment: Environment
  readonly settings: Readonly<Record<string, unknown>>
  readonly rounds: number
  readonly rows: readonly SomeLine[]
  /** Raw. */
  readonly measurements: readonly object[]
}

/** What was typed to get a result. */
export function commandLine(name: string, args: readonly string[]): string {
  const isFile = (index: number): boolean => args[index] === '--json' || args[index - 1] === '--json'
  const rest = args.filter((argument, index) => !isFile(index) && !argument.startsWith('--json='))
  return ['npm run bench --', name, ...rest].join(' ')
}

export function readResult<SomeLine extends Line<object>>(file: URL | string): Result<SomeLine> {
  // JSON has no NaN: it was written as null, and no figure is null.
  return JSON.parse(readFileSync(file, 'utf8'), (_, value: unknown) =>
    value === null ? Number.NaN : value,
  ) as Result<SomeLine>
}
