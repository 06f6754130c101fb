/** What waiting for replicas can get wrong. */
import { type Regression, tests } from './regression.ts'

const REPLICAS = 'src/redis/replicas.ts'
const TESTS = 'test/redis/replicas.test.ts'

export const REPLICA_BUGS: readonly Regression[] = [
  {
    failure: 'acquires, renewals and releases stood behind a WAIT',
    patches: [{ file: REPLICAS, find: 'this.#connection.client.sendAll(', replace: 'this.#commands.client.sendAll(' }],
    harness: tests(TESTS, 'nothing but grants and confirmations waits'),
    report: /nothing but grants and confirmations waits/,
  },
  {
    failure: 'a grant that too few replicas had acknowledged was kept',
    patches: [
      {
        file: REPLICAS,
        find: 'if (answer.acknowledged >= this.#count) return undefined',
        replace: 'if (answer.acknowledged >= 0) return undefined',
      },
    ],
    harness: tests(TESTS, 'an acquire fails while the replica is frozen'),
    report: /an acquire fails while the replica is frozen/,
  },
  {
    failure: 'a renewal that no replica had acknowledged counted',
    patches: [
      {
        file: 'src/redis/unacknowledged.ts',
        find: "return outcome.type === 'granted' || outcome.type === 'done'",
        replace: "return outcome.type === 'granted'",
      },
    ],
    harness: tests(TESTS, 'puts leases in jeopardy'),
    report: /puts leases in jeopardy/,
  },
  {
    failure: 'a server that had taken over confirmed what its predecessor had granted',
    patches: [{ file: REPLICAS, find: 'if (answer.runId !== server) return OTHER_SERVER', replace: '' }],
    harness: tests(TESTS, 'has taken over since'),
    report: /has taken over since/,
  },
  {
    failure: 'the key of a lock that no replica had was looked for until its ttl was over',
    patches: [{ file: 'src/redis/unacknowledged.ts', find: ', landed: true }', replace: ' }' }],
    harness: tests(TESTS, 'an acquire fails while the replica is frozen'),
    report: /an acquire fails while the replica is frozen/,
  },
  {
    failure: 'a grant counted before the replica had acknowledged it, and was missing after a failover',
    patches: [
      {
        file: 'src/redis/unacknowledged.ts',
        find: "return outcome.type === 'granted' || outcome.type === 'done'",
        replace: "return outcome.type === 'done'",
      },
    ],
    harness: tests('test/simulation/simulation.test.ts', 'misses nothing that is held'),
    report: /misses nothing that is held/,
  },
]
