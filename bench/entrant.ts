/** Promises who takes part in a comparison: libraries, each on a runtime. */
import { BARE, type LibraryName, reasonToSkip } from './library-name.ts'
import { describeRuntime, reasonToSkipRuntime, type RuntimeName } from './runtime.ts'

export interface Entrant {
  /** The library, and in parentheses the runtime where it is another one: stands at the head of a line of the table. */
  readonly label: string
  readonly library: LibraryName
  readonly runtime: RuntimeName
}

/** On every runtime: leasewheel, and what it cannot be faster than. */
const EVERYWHERE: readonly LibraryName[] = ['leasewheel', BARE]

/**
 * Each library on the runtime that is here, and some on the others as well. Says on stdout which are left out.
 * @throws Error when none is left
 */
export function listEntrants(libraries: readonly LibraryName[], runtimes: readonly RuntimeName[]): readonly Entrant[] {
  const reasons = [...libraries.map(reasonToSkip), ...runtimes.map(reasonToSkipRuntime)]
  for (const reason of reasons) if (reason !== undefined) console.log(reason)
  const usable = libraries.filter((library) => reasonToSkip(library) === undefined)
  const entrants = runtimes
    .filter((runtime) => reasonToSkipRuntime(runtime) === undefined)
    .flatMap((runtime) => entrantsOn(runtime, usable))
  if (entrants.length === 0) throw new Error('No library is left to measure')
  return entrants
}

function entrantsOn(runtime: RuntimeName, libraries: readonly LibraryName[]): readonly Entrant[] {
  if (runtime === 'here') return libraries.map((library) => ({ label: library, library, runtime }))
  return libraries
    .filter((library) => (runtime === 'before' ? library === 'leasewheel' : EVERYWHERE.includes(library)))
    .map((library) => ({ label: `${library} (${describeRuntime(runtime)})`, library, runtime }))
}
