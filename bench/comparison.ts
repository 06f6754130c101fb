/**
 * What every command of the bench does around its own measurement. Promises each entrant, in each round, a fresh
 * server, that the entrants take turns, and one report on stdout.
 */
import { type Entrant, listEntrants } from './entrant.ts'
import { formatEnvironment, readEnvironment } from './environment.ts'
import { combineRounds, type WorstOf } from './figures.ts'
import { LIBRARY_NAMES, type LibraryName } from './library-name.ts'
import { integerOption, namesOption, type Option, textOption, type Values } from './options.ts'
import { progress } from './progress.ts'
import { openRawData, writeRawData } from './raw-data.ts'
import { type Column, type Comparable, formatFigures, formatRatios, type Line, type Row } from './comparison-report.ts'
import type { Result } from './result.ts'
import { RUNTIME_NAMES, type RuntimeName } from './runtime.ts'
import { type Case, takeTurns, type Turns } from './turns.ts'

export interface Comparison<Measurement, Figures> {
  /** What was typed. */
  readonly command: string
  /** What is measured, with its settings: one line. */
  readonly subject: string
  /** The same, for the raw data. */
  readonly settings: Readonly<Record<string, number>>
  /** @param url of a server that nobody has used yet */
  readonly measure: (entrant: Entrant, url: string) => Promise<Measurement>
  readonly computeFigures: (measurement: Measurement) => Figures
  readonly worst: WorstOf<Figures>
  readonly columns: readonly Column<Figures>[]
  readonly compared: readonly Comparable<Figures>[]
}

// Types, not interfaces: only a type is a record of options as well.
export type RunOptions = {
  readonly rounds: Option<number>
  readonly json: Option<string | undefined>
}
type ComparisonOptions = RunOptions & {
  readonly libraries: Option<readonly LibraryName[]>
  readonly runtimes: Option<readonly RuntimeName[]>
}

/** The options of every command. */
export const runOptions: RunOptions = {
  rounds: integerOption({ placeholder: 'R', summary: 'turns of each; the table has medians', initial: 1, minimum: 1 }),
  json: textOption({ placeholder: 'FILE', summary: 'file for all raw data' }),
}

/** The options of a command that compares libraries; they come after its own. */
export const comparisonOptions: ComparisonOptions = comparisonOptionsFor(LIBRARY_NAMES)

/** The same where not only libraries are compared. */
export function comparisonOptionsFor(libraries: readonly LibraryName[]): ComparisonOptions {
  return {
    libraries: namesOption({ placeholder: 'a,b', summary: 'libraries to measure' }, libraries),
    runtimes: namesOption(
      {
        placeholder: 'a,b',
        summary: `runtimes, of ${RUNTIME_NAMES.join(', ')}; the others for leasewheel and bare ioredis only`,
        initial: ['here'],
      },
      RUNTIME_NAMES,
    ),
    ...runOptions,
  }
}

export async function compare<Measurement extends object, Figures extends { readonly [Name in keyof Figures]: number }>(
  comparison: Comparison<Measurement, Figures>,
  { libraries, runtimes, rounds, json }: Values<ComparisonOptions>,
): Promise<void> {
  const { command, subject, settings, measure, computeFigures, worst, columns, compared } = comparison
  // Before the minutes of measuring, not after.
  if (json !== undefined) openRawData(json)
  const cases = listEntrants(libraries, runtimes).map((entrant) => ({ entrant }))
  const turns = await takeTurns(
    cases,
    rounds,
    () => subject,
    ({ entrant }, url) => measure(entrant, url),
  )

  const environment = readEnvironment(turns.redis, librariesOf(cases))
  const rows = combineTurns(cases, turns, computeFigures, worst)
  console.log(
    [
      formatEnvironment(environment),
      formatSubject(subject, rounds),
      '',
      formatFigures(rows, columns),
      '',
      formatRatios(rows, compared),
    ].join('\n'),
  )
  if (json === undefined) return
  writeResult(json, { command, subject, environment, settings, rounds, rows, measurements: turns.turns })
}

/** A row for each case, from all its rounds. */
export function combineTurns<
  Some extends Case,
  Measurement,
  Figures extends { readonly [Name in keyof Figures]: number },
>(
  cases: readonly Some[],
  { turns }: Turns<Some, Measurement>,
  computeFigures: (measurement: Measurement) => Figures,
  worst: WorstOf<Figures>,
): readonly Row<Figures>[] {
  return cases.map((one) => {
    const own = turns.filter((turn) => turn.of === one).map(({ measurement }) => computeFigures(measurement))
    return { label: one.entrant.label, library: one.entrant.library, figures: combineRounds(own, worst) }
  })
}

/** Each once. */
export function librariesOf(cases: readonly Case[]): readonly LibraryName[] {
  return [...new Set(cases.map(({ entrant }) => entrant.library))]
}

export function formatSubject(subject: string, rounds: number): string {
  return `${subject}, ${rounds === 1 ? 'one round' : `median of ${rounds} rounds`}`
}

export function writeResult<SomeLine extends Line<object>>(file: string, result: Result<SomeLine>): void {
  writeRawData(file, result)
  progress(`raw data is in ${file}`)
}
