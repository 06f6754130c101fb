/** Bugs of other libraries in what they ask of the server and of the machine. */
import { type Regression, SIMULATION, tests } from './regression.ts'

const SCRIPTS = 'src/redis/scripts.ts'

export const SERVER_BUGS: readonly Regression[] = [
  {
    failure: 'each lock had a fencing counter of its own: 25 million of them were left over',
    patches: [
      {
        file: 'src/redis/lua-parts.ts',
        find: "  redis.call('SET', KEYS[1], string.format('%.0f', fence))\n",
        replace: `  redis.call('SET', KEYS[1], string.format('%.0f', fence))
  for i = 1, count do redis.call('SET', KEYS[i + 1] .. ':fence', string.format('%.0f', fence)) end
`,
      },
    ],
    harness: tests('test/redis/redis-backend.test.ts', 'nothing besides but one counter'),
    report: /nothing besides but one counter/,
  },
  {
    failure: "a holder read its fencing token from the counter afterwards, where a later holder's stood by then",
    patches: [
      {
        file: 'src/redis/redis-backend.ts',
        find: '      return acquireOutcomes(await reply, some.length, period !== undefined && period === tracking?.period)\n',
        replace: `      const answers = acquireOutcomes(await reply, some.length, period !== undefined && period === tracking?.period)
      const fence = Number(await this.#open.pair.commands.client.get(FENCE_KEY))
      return answers.map((answer) => (answer.type === 'granted' ? { ...answer, fence } : answer))
`,
      },
    ],
    harness: tests('test/contract/backend.test.ts', 'Redis.* fences P6'),
    report: /P6 are larger/,
  },
  {
    failure: 'a wall clock that stepped by ten seconds ended sound locks, or stopped the renewals',
    patches: [
      {
        file: 'src/time/clock.ts',
        find: '    return monotonic + this.#slept\n',
        replace: '    return this.#sources.wall()\n',
      },
    ],
    harness: SIMULATION,
    report: /^P(1|7|15|18|19|21|22|23|24):/,
  },
  {
    failure: 'fractions of a second were sent where the server takes whole ones only',
    patches: [{ file: SCRIPTS, find: "'NX', 'PX', ttl)", replace: "'NX', 'EX', tostring(tonumber(ttl) / 1000))" }],
    harness: tests('test/contract/backend.test.ts', 'Redis.* no whole number of seconds'),
    report: /no whole number of seconds/,
  },
  {
    failure: 'a script selected database 0, and the lock was made there',
    patches: [
      {
        file: SCRIPTS,
        find: 'local count = #KEYS - 1\n',
        replace: "redis.call('SELECT', 0)\nlocal count = #KEYS - 1\n",
      },
    ],
    harness: tests('test/redis/connection.test.ts', 'works in the database given by'),
    report: /works in the database/,
  },
  {
    failure: 'statistics were arrays that grew for ever',
    patches: [
      {
        file: 'src/structures/histogram.ts',
        find: '    const value = duration > 0 ? duration : 0\n',
        replace: `    const value = duration > 0 ? duration : 0
    for (let time = 0; time < times; time += 1) this.#all.push(value)
`,
      },
      {
        file: 'src/structures/histogram.ts',
        find: '  #count = 0\n',
        replace: '  #count = 0\n  readonly #all: number[] = []\n',
      },
    ],
    harness: tests('test/structures/histogram.test.ts', 'P25'),
    report: /P25/,
  },
  {
    failure: 'a job that blocked the event loop for longer than the ttl lost its lock',
    patches: [
      {
        file: 'src/keeper/keeper.ts',
        find: 'if (this.#isKeeping(now, ledger.shortestTtl)) this.#collect(now)',
        replace: 'if (ledger.closed) this.#collect(now)',
      },
    ],
    harness: tests('test/keeper/keeper.test.ts', 'P34 outlast a blocked event loop'),
    report: /P34 outlast a blocked event loop/,
  },
]
