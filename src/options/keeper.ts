/** Resolves the option `keeper`, and what does not go with it. */
import { type Clock, SystemClock } from '../time/clock.ts'
import { checkInteger, checkObject, checkOptions, describe } from './check.ts'
import type { KeeperOptions } from './options.ts'

/** Default of `maxBlocked`, in ms. */
const MAX_BLOCKED = 60_000

/** See `KeeperOptions`. */
export interface KeeperChoice {
  /** ms. */
  readonly maxBlocked: number
  readonly worker: URL | undefined
}

export function resolveKeeper(options: KeeperOptions, clock: Clock, replicas: number): KeeperChoice {
  checkOptions('keeper', checkObject('keeper', options), ['maxBlocked', 'worker'])
  const { maxBlocked = MAX_BLOCKED, worker } = options
  if (worker !== undefined && !(worker instanceof URL)) {
    throw new TypeError(`Expected \`keeper.worker\` to be a URL, got ${describe(worker)}`)
  }
  if (!(clock instanceof SystemClock))
    throw new TypeError('Expected no `clock` with `keeper`: two threads share only the clock of the machine')
  if (replicas > 0)
    throw new TypeError('Expected no `replicas` with `keeper`: its thread renews without waiting for replicas')
  return { maxBlocked: checkInteger('keeper.maxBlocked', maxBlocked, 1_000, { max: 3_600_000 }), worker }
}
