import { hostname } from 'node:os'
import { expect } from 'chai'
import {
  type AcquireManyOptions,
  type AcquireOptions,
  type UsingOptions,
  type AdoptOptions,
  type CloseOptions,
  exponentialBackoff,
  fixedInterval,
  LeaseManager,
  type LeaseManagerOptions,
  SystemClock,
} from 'leasewheel'
import { ManualClock, MemoryBackend } from 'leasewheel/memory'
import { tokensOf } from '#src/lease/token.js'
import { checkDistinctKeys, listOfKeys } from '#src/options/keys.js'
import { resolveAcquire, resolveAcquireMany, resolveManager, resolveTryAcquire } from '#src/options/settings.js'

/** A value that is not what it should be, and how it is shown. */
type Bad = readonly [value: unknown, shown: string, error: typeof TypeError | typeof RangeError]

interface Rule {
  /** What is expected, in the words of the message. */
  readonly expected: string
  readonly bad: readonly Bad[]
  readonly good: readonly unknown[]
}

const wrongTypes: Record<string, Bad> = {
  null: [null, '`null`', TypeError],
  string: ['5000', '`5000` (string)', TypeError],
  longString: ['x'.repeat(41), `\`${'x'.repeat(40)}…\` (string)`, TypeError],
  number: [5_000, '`5000` (number)', TypeError],
  boolean: [true, '`true` (boolean)', TypeError],
  bigint: [5_000n, '`5000` (bigint)', TypeError],
  symbol: [Symbol('s'), '`Symbol(s)` (symbol)', TypeError],
  function: [() => 5_000, 'a function', TypeError],
  array: [[5_000], 'an array', TypeError],
  object: [{}, 'an object (Object)', TypeError],
  date: [new Date(0), 'an object (Date)', TypeError],
  bare: [Object.create(null), 'an object (Object)', TypeError],
}

function allTypesBut(...names: readonly string[]): Bad[] {
  return Object.entries(wrongTypes).flatMap(([name, bad]) => (names.includes(name) ? [] : [bad]))
}

function numbers(expected: string, outOfRange: readonly number[], good: readonly number[]): Rule {
  const bad = outOfRange.map((value): Bad => [value, `\`${value}\` (number)`, RangeError])
  return { expected, bad: [...bad, [Number.NaN, '`NaN` (number)', RangeError], ...allTypesBut('number')], good }
}

const aBoolean: Rule = { expected: 'a boolean', bad: allTypesBut('boolean'), good: [true, false] }

const ttl = numbers(
  'an integer >= 100 and <= 2147483647 (ms)',
  [5, 99, 100.5, -1, 0, 2 ** 31, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  [100, 30_000, 2 ** 31 - 1],
)
const timeout = numbers(
  'an integer >= 10 and <= 30000 (ms)',
  [9, 10.5, -1, 30_001, Number.POSITIVE_INFINITY],
  [10, 500, 30_000],
)
const maxHold = numbers(
  'a number >= 1 (ms)',
  [0, 0.99, -1, Number.NEGATIVE_INFINITY],
  [1, 1.5, Number.POSITIVE_INFINITY],
)
const wait = numbers('a number >= 0 (ms)', [-1, -0.001, Number.NEGATIVE_INFINITY], [0, 0.5, Number.POSITIVE_INFINITY])
const retry: Rule = {
  expected: 'an object with `next()`',
  bad: [...allTypesBut(), [{ next: 5 }, 'an object (Object)', TypeError]],
  good: [fixedInterval({ interval: 5 }), { next: () => null }],
}
const signal: Rule = {
  expected: 'an AbortSignal',
  bad: [...allTypesBut(), [new AbortController(), 'an object (AbortController)', TypeError]],
  good: [new AbortController().signal],
}

const ofLease = { ttl, timeout, maxHold, autoRenew: aBoolean }
const ofTryAcquire = { ...ofLease, signal }
const ofAcquire = { ...ofTryAcquire, wait, retry }
const ofUsing = {
  ...ofAcquire,
  atLeast: numbers(
    'an integer >= 1 and <= 2147483647 (ms)',
    [0, 1.5, -1, 2_147_483_648, Number.POSITIVE_INFINITY],
    [1, 60_000],
  ),
}
const announcements = numbers('an integer >= 100 and <= 3600000 (ms)', [99, 100.5, 3_600_001], [100, 3_600_000])
const announce: Rule = {
  ...announcements,
  bad: announcements.bad.filter(([value]) => typeof value !== 'boolean'),
  good: [...announcements.good, true, false],
}
const ofManager = {
  ...ofLease,
  wait,
  retry,
  watch: aBoolean,
  watchLimit: numbers('a number >= 0 (leases)', [-1, Number.NEGATIVE_INFINITY], [0, 10.5, Number.POSITIVE_INFINITY]),
  owner: { expected: 'a string', bad: allTypesBut('string', 'longString'), good: ['', 'web-1', 'x'.repeat(128)] },
  announce,
  credentials: { expected: 'a function', bad: allTypesBut('function'), good: [async () => ({ password: 's3cret' })] },
  keeper: { expected: 'an object', bad: allTypesBut('object', 'date', 'bare'), good: [{}, { maxBlocked: 1_000 }] },
  replicas: numbers('an integer >= 0', [-1, 0.5, Number.POSITIVE_INFINITY], [0]),
  prefix: { expected: 'a string', bad: allTypesBut('string', 'longString'), good: ['', 'app:'] },
  batchSize: numbers('an integer >= 1 and <= 1000 (keys)', [0, -1, 1.5, 1_001, Number.POSITIVE_INFINITY], [1, 1_000]),
  driftFactor: numbers('a number >= 0 and <= 0.5', [-0.001, 0.51, Number.POSITIVE_INFINITY], [0, 0.01, 0.5]),
  clock: {
    expected: 'an object with `now()`, `setTimer()`, `soon()`',
    bad: [...allTypesBut(), [{ now: () => 0, setTimer: () => 0 }, 'an object (Object)', TypeError] as const],
    good: [new ManualClock(), new SystemClock()],
  },
  random: { expected: 'a function', bad: allTypesBut('function'), good: [Math.random, () => 0] },
}
const ofAdopt = { timeout: ofTryAcquire.timeout, maxHold, autoRenew: aBoolean, signal }
const ofFixedInterval = {
  interval: numbers('a number >= 1 (ms)', [0, 0.5, -1], [1, 1.5, 1_000]),
  maxAttempts: numbers('an integer >= 1', [0, -1, 1.5, Number.POSITIVE_INFINITY], [1, 10]),
  jitter: aBoolean,
}
const ofExponentialBackoff = {
  minTimeout: numbers('a number >= 1 (ms)', [0, 0.5, -1], [1, 1.5, 5_000]),
  maxTimeout: numbers('a number >= 50 (ms)', [49, 0, -1], [50, 5_000, Number.POSITIVE_INFINITY]),
  factor: numbers('a number >= 1', [0.99, 0, -1], [1, 1.5, 10]),
  maxAttempts: ofFixedInterval.maxAttempts,
  jitter: aBoolean,
}
const closeTimeout = numbers('a number >= 0 (ms)', [-1, -0.001], [0, 0.5, 5_000, Number.POSITIVE_INFINITY])
const onProgress: Rule = { expected: 'a function', bad: allTypesBut('function'), good: [() => undefined] }
const ofAcquireMany = { ...ofAcquire, onProgress }
const ofClose = { drain: closeTimeout, timeout: closeTimeout, onProgress }

/** Everything that takes options, and which. */
interface Taker {
  readonly name: string
  readonly rules: Readonly<Record<string, Rule>>
  /** Options that must be there besides the one in question. */
  readonly required?: object
  /** Passes the options; what comes of it is undone by the bench. */
  readonly pass: (bench: Bench, options: never) => unknown
}

const takers: readonly Taker[] = [
  {
    name: 'LeaseManager',
    rules: ofManager,
    pass: (bench, options: LeaseManagerOptions) => {
      const startKeeper = () => ({ add: () => undefined, close: () => Promise.resolve() })
      bench.keep(new LeaseManager(Object.assign(new MemoryBackend(), { startKeeper }), options))
    },
  },
  {
    name: 'tryAcquire',
    rules: ofTryAcquire,
    pass: async ({ leases }, options: AcquireOptions) => (await leases.tryAcquire('a', options))?.release(),
  },
  {
    name: 'acquire',
    rules: ofAcquire,
    pass: async ({ leases }, options: AcquireOptions) => (await leases.acquire('a', options)).release(),
  },
  {
    name: 'acquireMany',
    rules: ofAcquireMany,
    pass: async ({ leases }, options: AcquireManyOptions) => {
      for (const lease of await leases.acquireMany(['a', 'b'], options)) await lease?.release()
    },
  },
  {
    name: 'acquireAll',
    rules: ofAcquire,
    pass: async ({ leases }, options: AcquireOptions) => {
      for (const lease of await leases.acquireAll(['a', 'b'], options)) await lease.release()
    },
  },
  {
    name: 'using',
    rules: ofUsing,
    pass: async ({ leases, backend }, options: UsingOptions) => {
      await leases.using('a', () => undefined, options)
      // `atLeast` may have left it.
      backend.store.delete('lease:a')
    },
  },
  {
    name: 'adopt',
    rules: ofAdopt,
    pass: async ({ leases, backend }, options: AdoptOptions) => {
      backend.store.set('lease:a', 'token', 30_000)
      const lease = await leases.adopt({ key: 'a', token: 'token', fence: 1, ttl: 30_000 }, options)
      await lease.release()
    },
  },
  { name: 'close', rules: ofClose, pass: ({ leases }, options: CloseOptions) => leases.close(options) },
  {
    name: 'fixedInterval',
    rules: ofFixedInterval,
    required: { interval: 100 },
    pass: (_bench, options: { interval: number }) => fixedInterval(options),
  },
  {
    name: 'exponentialBackoff',
    rules: ofExponentialBackoff,
    pass: (_bench, options: object) => exponentialBackoff(options),
  },
]

/** A manager over memory, on a clock that stands still. */
class Bench {
  readonly clock = new ManualClock()
  readonly backend = new MemoryBackend()
  readonly leases = new LeaseManager(this.backend, { clock: this.clock })
  readonly #managers = [this.leases]

  keep(manager: LeaseManager): void {
    this.#managers.push(manager)
  }

  /** That nothing was begun: no request, no timer, nobody who waits. */
  expectUntouched(): void {
    expect(this.backend.requests).to.deep.equal({
      acquire: 0,
      renew: 0,
      handOver: 0,
      release: 0,
      verify: 0,
      inspect: 0,
      forceRelease: 0,
      list: 0,
      announce: 0,
    })
    expect(this.clock.timers).to.equal(0)
    const { held, waiting, undoing, timers } = this.leases.stats()
    expect({ held, waiting, undoing, timers }).to.deep.equal({ held: 0, waiting: 0, undoing: 0, timers: 0 })
    expect(this.#managers.length).to.equal(1)
  }

  async close(): Promise<void> {
    await Promise.all(this.#managers.map((manager) => manager.close()))
  }
}

/** What keeps the process alive. mocha's own timer for the test is set by the second turn only. */
async function openResources(): Promise<string[]> {
  await new Promise(setImmediate)
  return process.getActiveResourcesInfo()
}

/** What an attempt throws or rejects with. */
async function complaintOf(attempt: () => unknown): Promise<Error> {
  try {
    await attempt()
  } catch (error) {
    expect(error).to.be.instanceOf(Error)
    return error as Error
  }
  throw new Error('nothing was complained about')
}

async function expectComplaint(attempt: () => unknown, type: typeof TypeError | typeof RangeError, message: string) {
  const { name, message: complaint } = await complaintOf(attempt)
  expect(`${name}: ${complaint}`).to.equal(`${type.name}: ${message}`)
}

describe('the options', () => {
  let bench: Bench

  beforeEach(() => {
    bench = new Bench()
  })

  afterEach(() => bench.close())

  for (const { name, rules, required, pass } of takers) {
    const attempt = (options: unknown) => () => pass(bench, options as never)

    describe(`of ${name}`, () => {
      for (const [option, { expected, bad, good }] of Object.entries(rules)) {
        it(`reject a \`${option}\` that is not ${expected}`, async () => {
          for (const [value, shown, type] of bad) {
            const message = `Expected \`${option}\` to be ${expected}, got ${shown}`
            await expectComplaint(attempt({ ...required, [option]: value }), type, message)
          }
          bench.expectUntouched()
        })

        it(`accept a \`${option}\` that is, and one that is undefined`, async () => {
          for (const value of [...good, ...(option in (required ?? {}) ? [] : [undefined])]) {
            await attempt({ ...required, [option]: value })()
          }
        })
      }

      it('reject an unknown name', async () => {
        // Those of a key that several may hold depend on each other: see test/acquire/permits.test.ts.
        const joints = ['tryAcquire', 'acquire', 'using'].includes(name) ? ['permits', 'weight', 'mode'] : []
        const known = [...Object.keys(rules), ...joints]
        for (const unknown of ['ttls', 'TTL', 'driftfactor', 'toString', '']) {
          const { name: type, message } = await complaintOf(attempt({ ...required, [unknown]: 1 }))
          expect(type).to.equal('TypeError')
          const match = /^Expected options of `(\w+)` to be among ([\w, ]+); got `(.*)`$/.exec(message)
          expect([match?.[1], match?.[3]]).to.deep.equal([name, unknown])
          expect(match?.[2]?.split(', ')).to.have.members(known)
        }
        bench.expectUntouched()
      })

      it('reject a value that is no options object', async () => {
        for (const [value, shown, type] of allTypesBut('object', 'date', 'bare')) {
          const message = `Expected \`options\` to be an object of options of \`${name}\`, got ${shown}`
          await expectComplaint(attempt(value), type, message)
        }
        bench.expectUntouched()
      })

      it(required ? 'must be there' : 'may all be left out', async () => {
        if (required) {
          for (const option of Object.keys(required)) {
            const message = `Expected \`${option}\` to be ${rules[option]?.expected}, got \`undefined\``
            await expectComplaint(attempt({}), TypeError, message)
          }
          const message = `Expected \`options\` to be an object of options of \`${name}\`, got \`undefined\``
          await expectComplaint(attempt(undefined), TypeError, message)
        } else {
          await attempt({})()
          await attempt(undefined)()
        }
      })
    })
  }

  it('reject an `owner` of more than 128 characters', async () => {
    const message = 'Expected `owner` to be a string of at most 128 characters, got 129'
    await expectComplaint(() => resolveManager({ owner: 'x'.repeat(129) }), RangeError, message)
    expect(resolveManager({ owner: 'x'.repeat(128) }).owner).to.have.length(128)
  })

  it('have a default strategy that polls without notifications, and else asks each minute', () => {
    const { retry: strategy } = resolveManager({})
    const backoff = exponentialBackoff()
    for (const random of [0, 0.5, 0.999]) {
      for (const attempts of [1, 2, 5, 1_000]) {
        const context = { key: 'a', attempts, waited: 0, remaining: 60_000, watched: false, random }
        expect(strategy.next(context)).to.equal(backoff.next(context))
        expect(strategy.next({ ...context, watched: true })).to.equal(60_000 * (0.5 + random / 2))
      }
    }
  })

  it('have the documented defaults', () => {
    const { clock, retry: strategy, ...settings } = resolveManager({})
    expect(settings).to.deep.equal({
      ttl: 30_000,
      timeout: undefined,
      announce: undefined,
      maxHold: Number.POSITIVE_INFINITY,
      autoRenew: true,
      wait: 10_000,
      watch: true,
      watchLimit: 50_000,
      owner: `${hostname()}:${process.pid}`,
      credentials: undefined,
      keeper: undefined,
      replicas: 0,
      prefix: 'lease:',
      batchSize: 256,
      driftFactor: 0.01,
      random: Math.random,
    })
    expect(clock).to.be.instanceOf(SystemClock)
    const context = { key: 'a', attempts: 1, waited: 0, remaining: undefined, watched: false, random: 0 }
    expect(strategy.next(context)).to.equal(exponentialBackoff().next(context))
  })

  it('options of a call override those of the manager, which override the defaults', () => {
    const strategy = fixedInterval({ interval: 5 })
    const manager = resolveManager({
      ttl: 5_000,
      timeout: 400,
      maxHold: 60_000,
      autoRenew: false,
      wait: 7,
      retry: strategy,
    })
    const inherited = {
      ttl: 5_000,
      timeout: 400,
      maxHold: 60_000,
      autoRenew: false,
      signal: undefined,
      retry: strategy,
    }
    expect(resolveAcquire('acquire', {}, manager)).to.deep.equal({ ...inherited, wait: 7 })
    expect(resolveAcquireMany({}, manager)).to.deep.equal({ ...inherited, wait: 0, onProgress: undefined })
    expect(resolveTryAcquire({}, manager)).to.deep.equal({ ...inherited, wait: 0 })
    const own = {
      ttl: 6_000,
      timeout: 500,
      maxHold: 1,
      autoRenew: true,
      signal: new AbortController().signal,
      wait: 8,
      retry: fixedInterval({ interval: 6 }),
    }
    const onProgress = (): void => undefined
    expect(resolveAcquireMany({ ...own, onProgress }, manager)).to.deep.equal({ ...own, onProgress })
  })

  it('derive a timeout from the lease’s ttl, unless the manager has one', () => {
    const free = resolveManager({ ttl: 30_000 })
    expect([100, 1_200, 60_000].map((each) => resolveTryAcquire({ ttl: each }, free).timeout)).to.deep.equal([
      50, 200, 2_000,
    ])
    // And never one that is longer than the ttl.
    const fixed = resolveManager({ ttl: 30_000, timeout: 5_000 })
    expect([100, 30_000].map((each) => resolveTryAcquire({ ttl: each }, fixed).timeout)).to.deep.equal([100, 5_000])
  })

  it('limit a timeout by the ttl of the same options', async () => {
    const message = 'Expected `timeout` to be an integer >= 10 and <= 200 (ms), got `201` (number)'
    await expectComplaint(() => bench.leases.acquire('a', { ttl: 200, timeout: 201 }), RangeError, message)
    await expectComplaint(() => new LeaseManager(bench.backend, { ttl: 200, timeout: 201 }), RangeError, message)
    bench.expectUntouched()
  })

  it('limit maxTimeout by the minTimeout of the same options', async () => {
    const message = 'Expected `maxTimeout` to be a number >= 2000 (ms), got `1999` (number)'
    await expectComplaint(() => exponentialBackoff({ minTimeout: 2_000, maxTimeout: 1_999 }), RangeError, message)
  })

  it('are checked by close before it closes anything', async () => {
    await expectComplaint(
      () => bench.leases.close({ timeout: -1 }),
      RangeError,
      'Expected `timeout` to be a number >= 0 (ms), got `-1` (number)',
    )
    expect(await bench.leases.tryAcquire('a')).not.to.equal(null)
  })

  it('leave nothing behind if a connecting manager rejects them', async () => {
    const before = await openResources()
    for (const options of [{ ttl: 5 }, { ttls: 30_000 }, null]) {
      await complaintOf(() => new LeaseManager('redis://127.0.0.1:1', options as never))
    }
    expect(await openResources()).to.deep.equal(before)
  })
})

describe('the keys', () => {
  let bench: Bench

  beforeEach(() => {
    bench = new Bench()
  })

  afterEach(() => bench.close())

  const takersOfOne: Record<string, (leases: LeaseManager, key: never) => unknown> = {
    tryAcquire: (leases, key) => leases.tryAcquire(key),
    acquire: (leases, key) => leases.acquire(key),
    using: (leases, key) => leases.using(key, () => undefined),
    inspect: (leases, key) => leases.inspect(key),
    get: (leases, key) => leases.get(key),
  }
  const takersOfMany: Record<string, (leases: LeaseManager, keys: never) => unknown> = {
    acquireMany: (leases, keys) => leases.acquireMany(keys),
    acquireAll: (leases, keys) => leases.acquireAll(keys),
  }
  const takersOfAny = {
    ...takersOfOne,
    ...Object.fromEntries(
      Object.entries(takersOfMany).map(([name, pass]) => [
        name,
        // The first key is another one each time: all keys but the last are in order.
        (leases: LeaseManager, key: never) => pass(leases, [tokensOf('')(), key] as never),
      ]),
    ),
  }

  for (const [name, pass] of Object.entries(takersOfAny)) {
    const attempt = (key: unknown) => () => pass(bench.leases, key as never)

    it(`keys of ${name} are strings of 1 to 4,096 characters`, async () => {
      for (const [value, shown] of [...allTypesBut('string', 'longString'), [undefined, '`undefined`']]) {
        await expectComplaint(attempt(value), TypeError, `Expected \`key\` to be a string, got ${String(shown)}`)
      }
      await expectComplaint(attempt(''), RangeError, 'Expected `key` to be a string that is not empty')
      await expectComplaint(
        attempt('k'.repeat(4_097)),
        RangeError,
        'Expected `key` to be a string of at most 4096 characters, got 4097',
      )
      bench.expectUntouched()
      await attempt('k')()
      await attempt('k'.repeat(4_096))()
      await attempt(' ')()
    })
  }

  for (const [name, pass] of Object.entries(takersOfMany)) {
    it(`keys of ${name} are an array`, async () => {
      for (const [value, shown] of [...allTypesBut('array'), [undefined, '`undefined`']]) {
        const message = `Expected \`keys\` to be an array of strings, got ${String(shown)}`
        await expectComplaint(() => pass(bench.leases, value as never), TypeError, message)
      }
      bench.expectUntouched()
      await pass(bench.leases, [] as never)
      await pass(bench.leases, new Set(['a', 'b']) as never)
    })
  }

  it('keys of acquireAll are unique', async () => {
    const message = 'Expected `keys` to name each key once, got `b` (string) twice'
    await expectComplaint(() => bench.leases.acquireAll(['a', 'b', 'c', 'b']), RangeError, message)
    bench.expectUntouched()
    expect(checkDistinctKeys(['a', 'b'])).to.deep.equal(['a', 'b'])
  })

  it('keys of acquireMany can have duplicates, and come from any iterable', () => {
    expect(
      listOfKeys(
        new Map([
          ['a', 1],
          ['b', 2],
        ]).keys(),
      ),
    ).to.deep.equal(['a', 'b'])
    expect(listOfKeys(['a', 'a'])).to.deep.equal(['a', 'a'])
  })

  it('keys come with work that is a function', async () => {
    for (const [value, shown, type] of allTypesBut('function')) {
      const message = `Expected \`work\` to be a function, got ${shown}`
      await expectComplaint(() => bench.leases.using('a', value as never), type, message)
    }
    bench.expectUntouched()
  })
})

describe('the connection', () => {
  const start =
    'Expected `connection` to be an ioredis client or Cluster, a redis:// or rediss:// URL, or a Backend, got '

  async function expectRejected(connection: unknown, got: string): Promise<void> {
    const before = await openResources()
    await expectComplaint(() => new LeaseManager(connection as never), TypeError, `${start}${got}`)
    expect(await openResources()).to.deep.equal(before)
  }

  it('is neither missing nor any value', async () => {
    await expectRejected(undefined, '`undefined`')
    for (const [value, shown] of allTypesBut('string', 'longString', 'array')) await expectRejected(value, shown)
    await expectRejected([], 'an array: one manager works with one server')
  })

  it('is not any object, half a backend or half a client', async () => {
    const advice = 'an object of options: pass a client made of it, `new Redis(options)`'
    await expectRejected({ host: 'localhost', port: 6_379 }, advice)
    await expectRejected({ open() {}, acquire() {}, renew() {}, release() {} }, 'an object (Object)')
    await expectRejected({ duplicate() {} }, 'an object (Object)')
    await expectRejected({ duplicate: true, options: {} }, 'an object (Object)')
    await expectRejected(new Map(), 'an object (Map)')
  })

  it('must be a Redis URL if it is a text, and errors never show it', async () => {
    for (const url of [
      '',
      'localhost',
      'localhost:6379',
      'http://user:secret@host',
      'redis:host',
      'REDIS',
      ' redis://host',
    ]) {
      await expectRejected(url, 'another string')
    }
  })

  it('cannot be a cluster client of another kind', async () => {
    const cluster = { isCluster: true, duplicate() {}, options: {}, nodes() {} }
    const advice = 'a Redis Cluster client of another kind: make an ioredis `Cluster` for the same nodes'
    await expectRejected(cluster, advice)
  })

  it('can be a backend', async () => {
    const leases = new LeaseManager(new MemoryBackend())
    expect(await leases.tryAcquire('a')).not.to.equal(null)
    await leases.close()
  })
})
