/** What the program and its processes say to each other. Times are ns of the machine's monotonic clock, which all processes share. */

/** What a member of a group is told. */
export type Command = 'resign' | 'close' | { readonly block: number } | { readonly join: true }

export type Message =
  | { readonly type: 'ready' }
  /** A term, or the hold of a key, has begun. */
  | { readonly type: 'begun'; readonly key: string; readonly at: number }
  /** It is over. @param at the last time at which this process took itself for the holder. */
  | { readonly type: 'over'; readonly key: string; readonly at: number; readonly reason: string }
  /** Keys of a share: many at once. */
  | {
      readonly type: 'history'
      readonly begun: readonly (readonly [key: string, at: number])[]
      readonly over: readonly (readonly [key: string, at: number])[]
    }
  | { readonly type: 'settled'; readonly members: number; readonly held: number; readonly at: number }
  | { readonly type: 'writes'; readonly accepted: number; readonly refused: number }

/** Where the locks are: a server, or a group of Sentinels. */
type Place =
  | { readonly url: string }
  | { readonly sentinels: readonly { readonly host: string; readonly port: number }[]; readonly name: string }

interface Common {
  readonly name: string
  readonly locks: Place
  readonly ttl: number
}

/** What a process does. */
export type Role =
  /** @param store the URL of the store that compares fences. */
  | (Common & { readonly candidateFor: string; readonly store: string })
  | (Common & { readonly group: string; readonly items: number })

/** ns since the machine started: the same clock in each process. */
export function now(): number {
  return Number(process.hrtime.bigint())
}

export function milliseconds(from: number, to: number): number {
  return (to - from) / 1_000_000
}
