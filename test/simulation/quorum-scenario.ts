/** What is drawn for a world of managers on a quorum. */
import type { Random } from './random.ts'

export interface QuorumScenario {
  readonly members: number
  readonly processes: number
  readonly keys: readonly string[]
  /** ms. */
  readonly ttl: number
  /** ms, at least and at most. */
  readonly latency: readonly [number, number]
  /** How far the clock of a server is off, at most, in ms. */
  readonly skew: number
  /** How far the rate of a clock is from 1, at most. */
  readonly rateError: number
  /** How many requests are answered with an error, and not carried out. */
  readonly errors: number
  readonly watch: boolean
  /** Mean times between two things that users do, and between two faults, in ms. */
  readonly actionEvery: number
  readonly faultEvery: number
  readonly faults: readonly QuorumFault[]
  /** How long locks are held, at most, in ms. */
  readonly longestHold: number
  readonly batchSize: number
}

const QUORUM_FAULTS = [
  'restart',
  'restartEmpty',
  'hang',
  'block',
  'isolate',
  'cut',
  'hold',
  'delay',
  'stop',
  'kill',
  'close',
] as const
export type QuorumFault = (typeof QUORUM_FAULTS)[number]

export function drawQuorumScenario(random: Random): QuorumScenario {
  const kind = random.weighted({ calm: 1, stormy: 4, restarting: 4, contended: 1, silent: 1, isolated: 2 })
  const ttl = random.pick([1_000, 3_000])
  const common: QuorumScenario = {
    members: random.pick([1, 2, 3, 3, 3, 4, 5, 5]),
    processes: random.integer(2, 4),
    keys: Array.from({ length: random.integer(1, 3) }, (_, index) => `key ${index}`),
    ttl,
    latency: random.pick([
      [0.1, 0.5],
      [1, 5],
      [5, 30],
    ] as const),
    skew: 200,
    rateError: random.pick([0, 0.004]),
    errors: random.pick([0, 0, 0.02, 0.2]),
    watch: random.chance(0.7),
    actionEvery: random.pick([50, 150]),
    faultEvery: random.pick([300, 1_000]),
    faults: QUORUM_FAULTS,
    longestHold: random.pick([50, 2 * ttl]),
    batchSize: random.pick([1, 256]),
  }
  if (kind === 'calm') return { ...common, errors: 0, faultEvery: Number.POSITIVE_INFINITY }
  if (kind === 'contended')
    return {
      ...common,
      errors: 0,
      faultEvery: Number.POSITIVE_INFINITY,
      keys: ['key 0'],
      processes: 4,
      actionEvery: 20,
      longestHold: 50,
    }
  // One member restarts after the other, and locks are held for long: what a restart may do to a quorum.
  if (kind === 'restarting')
    return {
      ...common,
      members: random.pick([3, 3, 5]),
      faults: ['restartEmpty', 'restartEmpty', 'restart', 'block', 'cut'],
      faultEvery: random.pick([300, 700]),
      keys: common.keys.slice(0, 1),
      actionEvery: 30,
      longestHold: 5 * ttl,
      errors: random.pick([0, 0.2]),
    }
  // Members keep what they have, and holders hear nothing of any of them for longer than a ttl.
  if (kind === 'isolated')
    return {
      ...common,
      members: random.pick([1, 3, 3, 5]),
      ttl: 1_000,
      latency: random.pick([common.latency, [10, 60]] as const),
      faults: ['isolate', 'isolate', 'block', 'cut', 'hold', 'delay', 'stop'],
      keys: common.keys.slice(0, 1),
      longestHold: 5_000,
      errors: 0,
    }
  // Answers are lost, members are not: what is left on silent ones.
  if (kind === 'silent')
    return {
      ...common,
      members: 3,
      ttl: 20_000,
      faults: ['cut', 'hold'],
      faultEvery: 5_000,
      longestHold: 50,
      errors: 0,
      rateError: 0,
    }
  return common
}
