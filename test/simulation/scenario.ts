/**
 * What is drawn from a seed before a run begins: how many processes and keys there are, how good the clocks and the
 * network are, what is done and what goes wrong, and how often.
 */
import type { Fault } from './faults.ts'
import type { Random } from './random.ts'
import { JOINT_KEYS } from './joint-workload.ts'

export interface Scenario {
  readonly processes: number
  readonly keys: readonly string[]
  /** ms; each call draws one of them. */
  readonly ttls: readonly number[]
  readonly batchSize: number
  readonly watch: boolean
  readonly watchLimit: number
  /** ms, at least and at most. */
  readonly latency: readonly [number, number]
  /** How far the rate of a clock is from 1, at most: half of what `driftFactor` allows for two of them together. */
  readonly rateError: number
  /** Mean time between two things that users do, and between two faults, in ms; Infinity: never. */
  readonly actionEvery: number
  /** What goes wrong; undefined: everything but failovers. */
  readonly faults: readonly Fault[] | undefined
  readonly faultEvery: number
  /** See `ProcessTraits`. */
  readonly readingsPerStop: number
  /** See `BackendParts.errors`. */
  readonly errors: number
  /** See `ServerTraits`. */
  readonly forgets: number
  /** Whether crashes and failovers may lose what was written last; then the server's wall clock is never set back. */
  readonly losesData: boolean
  /** After how many of the events all leases are looked at: often, now and then, or hardly ever: reading one is how its end may be noticed. */
  readonly reading: number
  /** Listeners that throw, in how many of the processes. */
  readonly throwing: number
  /** How many of the calls have a timeout of their own. */
  readonly timeouts: number
  /** After how many answers somebody calls again in the same turn, and how many of the events make a listener do something. */
  readonly chaining: number
  readonly acting: number
  /** See `BackendParts.follows`. */
  readonly follows: boolean
  /** How many of the calls of what users hand over throw. */
  readonly faulty: number
  /** How many servers there are; keys are spread over them. */
  readonly nodes: number
  /** Keys that several may hold. */
  readonly joint: readonly string[]
  /** `maxBlocked` of the keepers, in ms; undefined: there are none. */
  readonly keeper: number | undefined
  /** How many replicas have to acknowledge what counts. */
  readonly replicas: number
  /** All that is done is that everybody wants one lock all the time: see `Contest`. */
  readonly contested: boolean
  /** Each process is a candidate, claims keys and has a share: see `Offices`. */
  readonly standing: boolean
}

/** How fast the two clocks of a lease may differ together, as the library's option of that name; its default. */
export const DRIFT_FACTOR = 0.01

/** What is looked into one by one, in a world that is well otherwise. */
const FOCUSES: readonly Fault[] = ['lag', 'hold', 'mute', 'forbid']

/** How many of the worlds have keys that several may hold. */
const SHARING = 0.3

/** @param random whose numbers nothing else is drawn from: the other worlds stay as they are. */
export function drawJoint({ contested, keys }: Scenario, random: Random): readonly string[] {
  // Crowded worlds are about their crowds.
  if (contested || keys.length > 30 || !random.chance(SHARING)) return []
  return JOINT_KEYS.slice(random.integer(0, 2), random.integer(2, JOINT_KEYS.length))
}

/** @param nodes where all chance of worlds with several nodes comes from: nothing more is drawn from `random` for them. */
export function drawScenario(random: Random, nodes: Random): Scenario {
  const kind = random.weighted({
    calm: 1,
    stormy: 8,
    focused: 1.5,
    failover: 1.5,
    contested: 0.3,
    crowded: 0.2,
    muted: 0.1,
  })
  const crowd = kind === 'crowded' || kind === 'muted'
  const calm = kind === 'calm'
  const stormy = kind === 'stormy'
  const scenario: Scenario = {
    processes: crowd ? 1 : random.integer(1, 4),
    keys: keysOf(crowd ? 150 : random.integer(1, 5)),
    ttls: crowd ? [1_500] : random.pick([[300], [1_000], [1_000, 3_000], [3_000], [300, 10_000], [150, 1_200]]),
    batchSize: crowd ? random.pick([4, 16]) : random.pick([1, 2, 256]),
    watch: random.chance(0.7),
    watchLimit: random.pick([0, 3, 50_000]),
    latency: random.pick([
      [0.1, 0.5],
      [1, 5],
      [5, 8],
    ] as const),
    rateError: random.pick([0, 0.004]),
    actionEvery: crowd ? 50 : random.pick([60, 150, 400]),
    faults: undefined,
    faultEvery: stormy ? random.pick([400, 1_500, 4_000]) : Number.POSITIVE_INFINITY,
    readingsPerStop: stormy ? random.pick([Number.POSITIVE_INFINITY, 3_000, 30_000]) : Number.POSITIVE_INFINITY,
    errors: stormy ? random.pick([0, 0, 0.02]) : 0,
    forgets: calm ? 0 : random.pick([0, 0, 0.1]),
    losesData: random.chance(0.5),
    reading: crowd ? 0.005 : random.pick([0.5, 0.05, 0.005]),
    throwing: random.pick([0, 0, 0.5]),
    timeouts: random.pick([0, 0.3]),
    chaining: crowd ? 0 : random.pick([0, 0, 0.05, 0.3]),
    acting: crowd ? random.pick([0, 0.01]) : random.pick([0, 0, 0.05, 0.3]),
    follows: true,
    contested: false,
    joint: [],
    standing: false,
    keeper: undefined,
    replicas: 0,
    nodes: 1,
    faulty: crowd ? 0 : random.pick([0, 0, 0.01]),
  }
  const usual = { ...scenario, ...drawMore(kind, random) }
  const isSpread = (calm || stormy || kind === 'focused' || kind === 'failover') && nodes.chance(SPREAD)
  if (isSpread) return { ...usual, ...drawNodes(usual, nodes) }
  return usual
}

/** Adds a replica that has to acknowledge what counts, and that takes over. Only for worlds with one server. */
export function withReplica(scenario: Scenario, random: Random): Scenario {
  return {
    ...scenario,
    nodes: 1,
    replicas: 1,
    contested: false,
    losesData: false,
    ttls: random.pick([[1_000], [3_000], [1_000, 6_000]]),
    actionEvery: Math.min(scenario.actionEvery, 150),
    faultEvery: random.pick([800, 2_000]),
    faults: ['failOver', 'failOver', 'failOver', 'freezeReplica', 'freezeReplica', 'cut', 'delay', 'hang', 'stop'],
  }
}

/** Adds a keeper to each process, and what goes wrong with an event loop that is blocked. Only for worlds with one server. */
export function withKeepers(scenario: Scenario, random: Random): Scenario {
  const keeper = random.pick([1_000, 4_000, 60_000])
  const drawn = random.pick([[1_000], [3_000], [1_000, 6_000]])
  // Where servers are replaced, ttls outlast that.
  const ttls = scenario.faults?.includes('switchOver') ? scenario.ttls : drawn
  const isFocused = random.chance(0.4)
  if (isFocused) return { ...scenario, ...BLOCKED, ttls, keeper }
  const faults = scenario.faults && ([...scenario.faults, 'block', 'block', 'stopKeeper'] as const)
  const often = { faultEvery: random.pick([800, 2_000]), actionEvery: Math.min(scenario.actionEvery, 150) }
  return { ...scenario, ...often, nodes: 1, contested: false, ttls, keeper, faults }
}

/** Event loops that are blocked, and hardly anything else: what the keepers promise has to hold then. */
const BLOCKED: Partial<Scenario> = {
  nodes: 1,
  contested: false,
  faults: ['block', 'block', 'block', 'stopKeeper', 'close'],
  faultEvery: 4_000,
  readingsPerStop: Number.POSITIVE_INFINITY,
  errors: 0,
  forgets: 0,
  actionEvery: 150,
  reading: 0.05,
}

function drawMore(kind: string, random: Random): Partial<Scenario> {
  if (kind === 'focused') return { faults: [random.pick(FOCUSES)], faultEvery: 2_000, actionEvery: 150 }
  if (kind === 'failover') return drawFailovers(random)
  if (kind === 'contested') return CONTESTED
  if (kind === 'muted') return MUTED
  return {}
}

/**
 * Several servers: places move, whatever else is wrong. Where nothing else would be, often only that; and sometimes one server after the other hangs,
 * while those that do not have much to do, or places move all the time.
 */
function drawNodes({ faults, faultEvery, keys }: Scenario, random: Random): Partial<Scenario> {
  const nodes = random.integer(2, 4)
  if (random.chance(0.15)) return { ...(random.chance(0.5) ? ISOLATED : WANDERING), nodes }
  const moves: readonly Fault[] = random.chance(0.8) ? ['move', 'moveMany', 'moveSlowly'] : []
  const isCalm = faults === undefined && faultEvery === Number.POSITIVE_INFINITY
  const known = isCalm ? [] : faults
  return {
    nodes,
    keys: keysOf(Math.max(keys.length, random.integer(2, 12))),
    faults: known && [...known, ...moves],
    faultEvery: isCalm && moves.length > 0 ? 1_500 : faultEvery,
  }
}

/** Servers are replaced, and sometimes something else is wrong as well. Ttls outlast all of that. */
function drawFailovers(random: Random): Partial<Scenario> {
  const others: readonly Fault[] = random.chance(0.5) ? [] : ['cut', 'stop', 'blockDown', 'delay']
  const many = random.chance(0.2)
  return {
    keys: keysOf(many ? 60 : random.integer(1, 5)),
    ttls: random.pick([[6_000], [10_000]]),
    actionEvery: many ? 40 : random.pick([150, 400]),
    faults: ['switchOver', 'switchHung', 'switchByName', ...others],
    faultEvery: 5_000,
    reading: random.pick([0.5, 0.05]),
  }
}

/** How many of the worlds have several servers. */
const SPREAD = 0.25

/** Servers that hang, one after the other, and so many batches that they would be in each other's way if they could. */
const ISOLATED: Partial<Scenario> = {
  processes: 1,
  keys: keysOf(60),
  ttls: [3_000],
  batchSize: 1,
  latency: [5, 8],
  actionEvery: 40,
  faults: ['hang', 'blockDown'],
  faultEvery: 10_000,
  readingsPerStop: Number.POSITIVE_INFINITY,
  errors: 0,
  reading: 0.005,
  timeouts: 0,
  chaining: 0,
  acting: 0,
}

/** Places that move all the time, and batches that are large enough for all of them: what is renewed together has to part. */
const WANDERING: Partial<Scenario> = {
  ...ISOLATED,
  batchSize: 256,
  faults: ['move', 'moveMany', 'moveSlowly'],
  faultEvery: 1_000,
}

/** One lock, all the time, and nothing that would keep anybody from it. */
const CONTESTED: Partial<Scenario> = {
  processes: 2,
  keys: ['key 0'],
  ttls: [3_000],
  watch: true,
  forgets: 0,
  actionEvery: Number.POSITIVE_INFINITY,
  chaining: 0,
  acting: 0,
  faulty: 0,
  throwing: 0,
  timeouts: 0,
  contested: true,
}

/** So many batches that two at a time are too few for them, and some that are never answered. */
const MUTED: Partial<Scenario> = {
  keys: keysOf(60),
  batchSize: 1,
  latency: [20, 30],
  timeouts: 0,
  throwing: 0,
  faults: ['mute'],
  faultEvery: 12_000,
}

function keysOf(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `key ${index}`)
}
