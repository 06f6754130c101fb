/** Bugs of other libraries in who has a lock: how it is taken, given back, and counted on. */
import { type Regression, SIMULATION, simulationFrom, tests } from './regression.ts'

const ACQUISITION = 'src/acquire/acquisition.ts'
const RELEASER = 'src/release/releaser.ts'

export const OWNERSHIP_BUGS: readonly Regression[] = [
  {
    failure: 'a key that had expired was taken again by a renewal, and nobody noticed',
    patches: [
      {
        file: 'src/redis/scripts.ts',
        find: "  if held[i] == ARGV[i] then\n    redis.call('PEXPIRE'",
        replace: `  if not held[i] then
    redis.call('SET', KEYS[i], ARGV[i], 'PX', uniform and ttl or ARGV[count + i])
  elseif held[i] == ARGV[i] then
    redis.call('PEXPIRE'`,
      },
    ],
    harness: tests('test/contract/backend.test.ts', 'Redis.* renew P4 never creates a key'),
    report: /P4 never creates a key/,
  },
  {
    failure: 'the release of a lock that had expired threw, or hung for ever',
    patches: [
      {
        file: RELEASER,
        find: 'return Promise.resolve(false)',
        replace: "return Promise.reject(new Error('It has expired'))",
      },
    ],
    harness: SIMULATION,
    report: /^P(16|24):/,
  },
  {
    failure: 'an acquire whose answer was lost stood in the way of its own repetition',
    patches: [
      {
        file: 'src/acquire/question.ts',
        find: '    if (asNext) dispatch',
        replace: '    if (this.#doubt !== undefined) this.token = this.#parts.createToken()\n    if (asNext) dispatch',
      },
    ],
    harness: simulationFrom(5),
    report: /^P(11|23):/,
  },
  {
    failure: 'a command that was given up landed later, and left a lock that nobody had',
    patches: [
      {
        file: 'src/release/releaser.ts',
        find: 'timeout, until, unanswered })',
        replace: 'timeout, until, unanswered: 0 * unanswered })',
      },
    ],
    harness: tests('test/acquire/unanswered-acquire.test.ts', 'P11 an acquire that may still land'),
    report: /P11 an acquire that may still land/,
  },
  {
    failure: 'acquire returned a lock that had expired by then',
    patches: [
      {
        file: 'src/acquire/granting.ts',
        find: 'return this.#grantedAt >= deadlineOf(sentAt, ttl, driftFactor)',
        replace: 'return this.#grantedAt >= deadlineOf(sentAt, ttl, driftFactor) + Number.POSITIVE_INFINITY',
      },
      { file: ACQUISITION, find: "if (granted === 'held') return record", replace: 'if (granted) return record' },
    ],
    harness: simulationFrom(21),
    report: /^P(1|10):/,
  },
  {
    failure: 'a release that raced a renewal was reported as a loss',
    patches: [
      {
        file: 'src/rules/lease-state.ts',
        find: `    case 'gone':
      return LOST[input.reason]
    case 'observed':
    case 'confirmed':
    case 'unanswered':
    case 'refused':
`,
        replace: `    case 'gone':
    case 'refused':
      return LOST[input.reason]
    case 'observed':
    case 'confirmed':
    case 'unanswered':
`,
      },
    ],
    harness: simulationFrom(11),
    report: /^P16:/,
  },
  {
    failure: 'a release that failed left the renewals running: a lock without an owner that never ended',
    patches: [
      {
        file: 'src/lease/lease-table.ts',
        find: '    cohort.remove(record)\n',
        replace: "    if (record.state === 'releasing') return\n    cohort.remove(record)\n",
      },
    ],
    harness: SIMULATION,
    report: /^P(7|12|16):/,
  },
]
