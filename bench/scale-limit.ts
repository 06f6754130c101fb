/** Promises up to how many locks each library is measured, and why not further. */
import { BARE, LIBRARY_NAMES, type LibraryName } from './library-name.ts'
import type { Option } from './options.ts'

export type Limits = Readonly<Partial<Record<LibraryName, number>>>

/** Beyond, on two cores, what is measured is how a library fails; a run would take minutes for that. */
const reasons: Readonly<Partial<Record<LibraryName, { readonly limit: number; readonly reason: string }>>> = {
  'redis-semaphore': {
    limit: 300_000,
    reason: 'a timer and a command for each lock then take more than a core at this ttl',
  },
  redlock: { limit: 100_000, reason: 'beyond, renewals come so late that locks expire' },
  'redlock-universal': { limit: 100_000, reason: 'beyond, renewals come so late that locks expire' },
}

const initial: Limits = Object.fromEntries(
  LIBRARY_NAMES.flatMap((name) => {
    const limit = reasons[name]?.limit
    return limit === undefined ? [] : [[name, limit]]
  }),
)

/** `redis-semaphore=300000,redlock=100000`; what is not named keeps its limit. */
export const limitOption: Option<Limits> = {
  placeholder: 'a=N,b=N',
  summary: 'up to how many locks a library is measured',
  initial,
  shown: formatLimits(initial),
  expected: 'libraries with a number each, such as redlock=100000, separated by commas',
  parse: (text) => {
    const pairs = text.split(',').map((pair) => pair.split('='))
    const isGood = pairs.every(
      ([name = '', limit = '', ...more]) => isLibrary(name) && /^[\d_]+$/.test(limit) && more.length === 0,
    )
    if (!isGood) return undefined
    return {
      ...initial,
      ...Object.fromEntries(pairs.map(([name, limit]) => [name, Number(limit?.replaceAll('_', ''))])),
    }
  },
}

function formatLimits(limits: Limits): string {
  return Object.entries(limits)
    .map(([name, limit]) => `${name}=${limit}`)
    .join(',')
}

export function isWithin(limits: Limits, library: LibraryName, locks: number): boolean {
  return locks <= (limits[library] ?? Number.POSITIVE_INFINITY)
}

/** One sentence for each library that is measured with fewer locks than others. */
export function explainLimits(limits: Limits, libraries: readonly LibraryName[], most: number): readonly string[] {
  return libraries.flatMap((library) => {
    const limit = limits[library]
    if (limit === undefined || limit >= most) return []
    const own = reasons[library]
    const reason = own?.limit === limit ? own.reason : 'as it was told by --limit'
    return [`${library} is measured up to ${limit.toLocaleString('en-US')} locks: ${reason}.`]
  })
}

function isLibrary(name: string): boolean {
  return name !== BARE && (LIBRARY_NAMES as readonly string[]).includes(name)
}
