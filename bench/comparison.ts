/**
 * What every command of the bench does around its own measurement. Promises each library, in each round, a fresh
 * server, that the libraries take turns, and one report on stdout. May import everything of the bench but the commands
 * and the libraries themselves.
 */
import { withRedis } from '../test/support/redis-server.ts'
import { formatEnvironment, readEnvironment } from './environment.ts'
import { combineRounds, type WorstOf } from './figures.ts'
import { LIBRARY_NAMES, type LibraryName, reasonToSkip } from './library-name.ts'
import { integerOption, namesOption, type Option, textOption, type Values } from './options.ts'
import { progress } from './progress.ts'
import { openRawData, writeRawData } from './raw-data.ts'
import { type Column, type Comparable, formatFigures, formatRatios } from './report.ts'

export interface Comparison<Measurement, Figures> {
  /** What is measured, with its settings: one line. */
  readonly subject: string
  /** The same, for the raw data. */
  readonly settings: Readonly<Record<string, number>>
  /** @param url of a server that nobody has used yet */
  readonly measure: (library: LibraryName, url: string) => Promise<Measurement>
  readonly computeFigures: (measurement: Measurement) => Figures
  readonly worst: WorstOf<Figures>
  readonly columns: readonly Column<Figures>[]
  readonly compared: readonly Comparable<Figures>[]
}

// A type, not an interface: only a type is a record of options as well.
type ComparisonOptions = {
  readonly libraries: Option<readonly LibraryName[]>
  readonly rounds: Option<number>
  readonly json: Option<string | undefined>
}

/** The options of every command; they come after its own. */
export const comparisonOptions: ComparisonOptions = {
  libraries: namesOption({ placeholder: 'a,b', summary: 'libraries to measure' }, LIBRARY_NAMES),
  rounds: integerOption({ placeholder: 'R', summary: 'turns of each; the table has medians', initial: 1, minimum: 1 }),
  json: textOption({ placeholder: 'FILE', summary: 'file for all raw data' }),
}

export async function compare<
  Measurement extends { readonly library: LibraryName },
  Figures extends { readonly [Name in keyof Figures]: number },
>(comparison: Comparison<Measurement, Figures>, { libraries, rounds, json }: Values<ComparisonOptions>): Promise<void> {
  const { subject, settings, measure, computeFigures, worst, columns, compared } = comparison
  // Before the minutes of measuring, not after.
  if (json !== undefined) openRawData(json)
  const names = libraries.filter((name) => {
    const reason = reasonToSkip(name)
    if (reason !== undefined) console.log(reason)
    return reason === undefined
  })
  if (names.length === 0) throw new Error('No library is left to measure')

  const measurements: Measurement[] = []
  let redis = 'unknown'
  for (let round = 1; round <= rounds; round++) {
    for (const library of names) {
      progress(`round ${round} of ${rounds}: ${library}, ${subject}`)
      await withRedis(async (server) => {
        measurements.push(await measure(library, server.url))
        redis = (await server.info('server')).get('redis_version') ?? redis
      }).catch((error: unknown) => {
        throw new Error(`${library} could not be measured`, { cause: error })
      })
    }
  }

  const environment = readEnvironment(redis, names)
  const figuresOf = (name: LibraryName): Figures => {
    const ofLibrary = measurements.filter(({ library }) => library === name)
    return combineRounds(ofLibrary.map(computeFigures), worst)
  }
  const figures = new Map(names.map((name) => [name, figuresOf(name)]))
  console.log(
    [
      formatEnvironment(environment),
      `${subject}, ${rounds === 1 ? 'one round' : `median of ${rounds} rounds`}`,
      '',
      formatFigures(figures, columns),
      '',
      formatRatios(figures, compared),
    ].join('\n'),
  )
  if (json === undefined) return
  writeRawData(json, { environment, ...settings, rounds, figures: Object.fromEntries(figures), measurements })
  progress(`raw data is in ${json}`)
}
