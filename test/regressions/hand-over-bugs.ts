/** Bugs of hand-overs in one step that must never be. */
import { type Regression, simulationFrom, tests } from './regression.ts'

const SCRIPTS = 'src/redis/hand-over-scripts.ts'
const HAND_OVERS = 'src/requests/hand-overs.ts'
const CONTRACT = 'test/contract/backend.test.ts'
const TESTS = 'test/waiting/hand-over.test.ts'

export const HAND_OVER_BUGS: readonly Regression[] = [
  {
    failure: 'a hand-over took a key that held the token of another',
    patches: [{ file: SCRIPTS, find: 'if holder == ARGV[count + n] then', replace: 'if holder then' }],
    harness: tests(CONTRACT, 'a hand-over by RedisBackend'),
    report: /leaves a key alone that holds another/,
  },
  {
    failure: 'the next holder got the fence of the one before',
    patches: [
      {
        file: SCRIPTS,
        find: '${nextFence(withFloor)}${finish}',
        replace: "local fence = tonumber(redis.call('GETEX', KEYS[1]))${finish}",
      },
    ],
    harness: tests(CONTRACT, 'a hand-over by RedisBackend'),
    report: /a larger fence/,
  },
  {
    failure: 'a hand-over that the server never made left the key to nobody',
    patches: [
      {
        file: HAND_OVERS,
        find: '() => release.onUnanswered(outcome),',
        replace: "() => release.settle({ type: 'done' }, sentAt, unansweredAt),",
      },
    ],
    harness: tests(TESTS, 'is released and acquired if the server never did it'),
    report: /is released and acquired if the server never did it/,
  },
  {
    failure: 'a hand-over without an answer left a key to a caller that had gone',
    patches: [
      {
        file: HAND_OVERS,
        find: '() => acquire.settle(outcome, sentAt, unansweredAt),',
        replace: '() => acquire.settle(outcome, undefined, unansweredAt),',
      },
    ],
    harness: tests(TESTS, 'recognises'),
    report: /ends with the next caller, whose token the server recognises/,
  },
  {
    failure: 'a hand-over that was sent twice was reported as a loss',
    patches: [
      {
        file: HAND_OVERS,
        find: "released.type === 'refused' && unansweredAt !== undefined",
        replace: "released.type === 'unknown' && unansweredAt !== undefined",
      },
    ],
    harness: tests(TESTS, 'a repeated one is not taken for a loss'),
    report: /a repeated one is not taken for a loss/,
  },
  {
    failure: 'a process handed a lock over to itself when it was the turn of others',
    patches: [
      {
        file: 'src/waiting/waiting-line.ts',
        find: 'if (givenBack === undefined || line.fairness.passOn(givenBack))',
        replace: 'if (line.fairness.passOn(givenBack ?? 0) || line.first)',
      },
    ],
    harness: tests('test/waiting/fairness.test.ts', 'passes a lock on eight times, then yields'),
    report: /passes a lock on eight times, then yields/,
  },
  {
    failure: 'a caller that left during a hand-over kept the key',
    patches: [
      {
        file: HAND_OVERS,
        find: '() => acquire.settle(acquired, sentAt, unansweredAt),',
        replace: '() => acquire.wanted && acquire.settle(acquired, sentAt, unansweredAt),',
      },
    ],
    harness: tests(TESTS, 'while it is under way, and nobody is behind'),
    report: /while it is under way, and nobody is behind/,
  },
  {
    failure: 'a key that was to stay for a while was handed over at once to the next caller of the same process',
    patches: [{ file: HAND_OVERS, find: 'release.stay !== undefined || ', replace: '' }],
    harness: tests('test/manager/at-least.test.ts', 'hands the key over to no caller of the same manager before that'),
    report: /hands the key over to no caller/,
  },
  {
    failure: 'the lock of a caller that left before its hand-over was sent stayed with the one before',
    patches: [{ file: HAND_OVERS, find: '() => this.#releaseAlone(this.#release),', replace: '() => undefined,' }],
    harness: tests(TESTS, 'before it is sent'),
    report: /before it is sent: the lock goes to the caller behind/,
  },
  {
    failure: 'a hint that found a lease over asked for its key twice, with two tokens',
    patches: [
      {
        file: 'src/acquire/acquisition.ts',
        find: 'isTaken(this.key) && this.#isFree) this.#followHint()',
        replace: 'isTaken(this.key)) this.#followHint()',
      },
    ],
    harness: simulationFrom(21),
    report: /^P9:/,
  },
  {
    failure: 'a node that did not serve a key ended its lease by a hand-over',
    patches: [
      {
        file: 'src/redis/cluster/request-kinds.ts',
        find: "ends: ({ released }) => released.type === 'refused',",
        replace: 'ends: () => false,',
      },
    ],
    harness: tests('test/redis/cluster/redirections.test.ts', 'hand-over'),
    report: /P27 ends no lease/,
  },
  {
    failure: 'a release whose next caller had left in time got a second timeout',
    patches: [{ file: HAND_OVERS, find: '() => this.#release.onDelayed(),', replace: '() => undefined,' }],
    harness: tests(TESTS, 'the release keeps its own timeout'),
    report: /the release keeps its own timeout/,
  },
]
