/**
 * What the workers of a soak write down while they work, and what becomes of it: the holds that the checker judges.
 *
 * Every time in a history is a *proven moment*: the clock is read first and `held` afterwards, and the time is written only if `held` was
 * true. A lease that was not held for one instant is never held again, so it was held at that time too, however long the process was stopped
 * between the two readings. (The other way round it might have been stopped after `held`, and the time would prove nothing.)
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import type { Joint, LossReason } from 'leasewheel'

/**
 * How a hold ended, as its manager told it: given back, given back without an answer, given to another process, or lost. A writer that becomes a reader
 * ends one hold and begins another.
 */
export type Ending = 'released' | 'unconfirmed' | 'detached' | 'downgraded' | `lost: ${LossReason}`

/** How a hold shares its key with others. */
type HeldJoint = Pick<Joint, 'mode' | 'permits' | 'weight'>

/** A line of a history. Holds are numbered within their worker; times are in ms of the machine's clock. */
export type HistoryRecord =
  | {
      readonly type: 'begin'
      readonly hold: number
      readonly key: string
      readonly token: string
      readonly fence: number
      /** ms. */
      readonly ttl: number
      readonly at: number
      /** Given if others may hold the key as well. */
      readonly joint?: HeldJoint
    }
  /** When the call began that acquired it: the server granted it later. */
  | { readonly type: 'asked'; readonly hold: number; readonly at: number }
  | { readonly type: 'held'; readonly holds: readonly number[]; readonly at: number }
  /** The store refused a write, and the lease was held after that. */
  | { readonly type: 'refused'; readonly hold: number; readonly at: number }
  | { readonly type: 'end'; readonly hold: number; readonly ending: Ending }

/** A lease, from the first to the last moment at which it is proven to have been held. */
export interface Hold {
  /** The worker's number, a point, the number of the hold. */
  readonly id: string
  readonly key: string
  readonly token: string
  readonly fence: number
  /** ms. */
  readonly ttl: number
  /** When the server granted the lock, as its fence says. */
  readonly grantedAt: number
  readonly begin: number
  readonly end: number
  /** When the store refused it a write although it was held; undefined: never. */
  readonly refusedAt: number | undefined
  /** `unfinished`: the worker was killed before. */
  readonly ending: Ending | 'unfinished'
  readonly joint?: HeldJoint
  /** When the call began that acquired it, if that is known. */
  readonly askedAt?: number
}

export function holdId(worker: number, hold: number): string {
  return `${worker}.${hold}`
}

/** A history being written. A record is with the operating system when `add` returns, so that it outlives its worker. */
export class HistoryFile {
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, 'a')
  }

  add(record: HistoryRecord): void {
    writeSync(this.#file, `${JSON.stringify(record)}\n`)
  }

  close(): void {
    closeSync(this.#file)
  }
}

type Draft = { -readonly [Name in keyof Hold]: Hold[Name] }

/**
 * @param text all that a worker has written. What stands after the last line break was cut off by its end, and does not count.
 * @param wallClockOffset ms by which the machine's wall clock is ahead of its monotonic one. Fences are µs of the server's wall clock.
 * @throws Error that quotes a line which cannot be one of a history.
 */
export function readHistory(text: string, worker: number, wallClockOffset = 0): Hold[] {
  const holds = new Map<number, Draft>()
  const find = (hold: number): Draft => {
    const found = holds.get(hold)
    if (found === undefined) throw new Error(`There is no hold ${hold}`)
    return found
  }
  const apply = (record: HistoryRecord): void => {
    switch (record.type) {
      case 'begin': {
        const { hold, key, token, fence, ttl, at, joint } = record
        const id = holdId(worker, hold)
        if (holds.has(hold)) throw new Error(`Hold ${hold} has begun before`)
        const grantedAt = fence / 1_000 - wallClockOffset
        holds.set(hold, {
          id,
          key,
          token,
          fence,
          ttl,
          grantedAt,
          begin: at,
          end: at,
          refusedAt: undefined,
          ending: 'unfinished',
          ...(joint && { joint }),
        })
        break
      }
      case 'asked':
        find(record.hold).askedAt = record.at
        break
      case 'held':
        for (const hold of record.holds) {
          const draft = find(hold)
          draft.end = Math.max(draft.end, record.at)
        }
        break
      case 'refused':
        find(record.hold).refusedAt ??= record.at
        break
      case 'end':
        find(record.hold).ending = record.ending
        break
      default:
        throw new Error(`Not a record: ${JSON.stringify(record satisfies never)}`)
    }
  }
  for (const line of text.split('\n').slice(0, -1)) {
    try {
      apply(JSON.parse(line) as HistoryRecord)
    } catch (error) {
      throw new Error(`The history of worker ${worker} has a line that makes no sense: ${line}`, { cause: error })
    }
  }
  return [...holds.values()]
}
