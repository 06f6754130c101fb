/** Bugs of this project while servers change: failovers, proxies, passwords, connections that part. */
import { type Regression, tests } from './regression.ts'

const CONNECTION = 'src/redis/connection.ts'
const PAIR = 'src/redis/connection-pair.ts'
const TRACKING = 'src/redis/tracking.ts'
const FAILOVER = 'test/redis/failover.test.ts'
const ANOTHER = 'test/redis/another-server.test.ts'
const FAULTS = 'test/redis/connection-faults.test.ts'

export const FAILOVER_BUGS: readonly Regression[] = [
  {
    failure: 'a planned failover left every lease on the old master for ten seconds',
    patches: [{ file: PAIR, find: '      commands.follow(address)\n', replace: '' }],
    harness: tests(FAILOVER, 'renewed on the new server: unwatched'),
    report: /P26 every lease is renewed/,
  },
  {
    failure: 'leases counted as held on the word of a server that had been replaced',
    patches: [{ file: PAIR, find: 'listener.onSuspect()', replace: 'listener.onRecovered()' }],
    harness: tests(ANOTHER, 'every lease is renewed there at once: unwatched'),
    report: /P26 every lease is renewed/,
  },
  {
    failure: 'a server that had followed another meanwhile was taken for its former self',
    patches: [{ file: 'src/redis/server-info.ts', find: ' && one.history === other.history', replace: '' }],
    harness: tests(ANOTHER, 'the same server process returns'),
    report: /P26 is noticed when the same server process/,
  },
  {
    failure: 'a proxy changed the server behind a connection, and no lease was verified',
    patches: [{ file: PAIR, find: '      void this.#checkServer()\n', replace: '' }],
    harness: tests(ANOTHER, 'changes the server without a word'),
    report: /P26 a proxy that changes the server/,
  },
  {
    failure: 'changes were redirected to a foreign client with the same id after a failover',
    patches: [
      { file: TRACKING, find: 'return one === other', replace: 'return true' },
      { file: TRACKING, find: "    if (arrival === 'other') this.#pushes.leave()\n", replace: '' },
    ],
    harness: tests(ANOTHER, 'moves both connections to one server'),
    report: /a failover by name moves both connections to one server/,
  },
  {
    failure: 'each loss of the notification connection renewed all leases',
    patches: [
      {
        file: TRACKING,
        find: 'if (remembered) this.#listener.onMissed()',
        replace: 'if (remembered) this.#listener.onChange()',
      },
    ],
    harness: tests(ANOTHER, 'looked at, not renewed'),
    report: /looked at, not renewed/,
  },
  {
    failure: 'attempts to reach a hung master continued after the Sentinels had named another',
    patches: [{ file: CONNECTION, find: '    if (this.#named.outdated) this.leave()\n', replace: '' }],
    harness: tests(FAILOVER, 'of a master that hangs ends the attempts'),
    report: /P21 P26 a failover of a master/,
  },
  {
    failure: 'the manager waited for ever for a Sentinel that hung',
    patches: [
      {
        file: 'src/redis/connection-options.ts',
        find: 'sentinelCommandTimeout: sentinelCommandTimeout ?? Math.max(timeout, 250),',
        replace: '',
      },
    ],
    harness: tests(FAILOVER, 'a Sentinel that hangs keeps nobody'),
    report: /a Sentinel that hangs/,
  },
  {
    failure: 'a changed password locked the manager out at the next connection',
    patches: [
      {
        file: CONNECTION,
        find: '    await refreshLogin(this.client, this.#parts, (fault) => this.#tell(fault))\n',
        replace: '',
      },
    ],
    harness: tests(FAULTS, 'credentials'),
    report: /credentials P21/,
  },
  {
    failure: 'each attempt reported a fault again, because a number in its text changed',
    patches: [
      {
        file: 'src/redis/fault-log.ts',
        find: "fault.message.replaceAll(/\\d+/g, '#')",
        replace: 'fault.message + Math.random()',
      },
    ],
    harness: tests(FAULTS, 'reported once'),
    report: /reported once/,
  },
  {
    failure: 'a dead name with two addresses was reported with an empty message',
    patches: [
      {
        file: 'src/redis/fault-log.ts',
        find: "  if (error.message !== '') return error\n",
        replace: '  if (error) return error\n',
      },
    ],
    harness: tests('test/redis/fault-log.test.ts', 'says what each of them said'),
    report: /says what each of them said/,
  },
  {
    failure: 'tracking refused with another error was tried again on ever new connections',
    patches: [
      {
        file: TRACKING,
        find: "else this.#fail(thrown, kindOf(thrown) !== 'passing')",
        replace: 'else this.#onApart(thrown)',
      },
    ],
    harness: tests(FAULTS, 'no connection is made anew'),
    report: /no connection is made anew/,
  },
  {
    failure: 'the notification connection took the only place that the server had left',
    patches: [{ file: TRACKING, find: "    commands.on('failed', () => this.#pushes.stop())\n", replace: '' }],
    harness: tests(FAULTS, 'room for one client less'),
    report: /room for one client less/,
  },
  {
    failure: 'a server that refused INFO was never used',
    patches: [
      {
        file: 'src/redis/own-client.ts',
        find: "          if (!isReply(error) || kindOf(error) === 'passing') {\n",
        replace: '          if (error) {\n',
      },
    ],
    harness: tests(FAULTS, 'refused INFO causes no error'),
    report: /refused INFO causes no error/,
  },
  {
    failure: 'a Sentinel’s address got requests for a lock again and again',
    patches: [
      {
        file: CONNECTION,
        find: 'this.#attempt.unfit = whatIsWrongWith(server, this.#parts.mode)',
        replace: 'this.#attempt.unfit = undefined',
      },
    ],
    harness: tests(FAULTS, 'leads to a Sentinel'),
    report: /leads to a Sentinel/,
  },
  {
    failure: 'a process stopped during a failover asked the old master for locks again',
    patches: [{ file: PAIR, find: 'if (this.#sentinels && now >=', replace: 'if (now < 0 && now >=' }],
    harness: tests(FAILOVER, 'stopped meanwhile'),
    report: /P7 a process that was stopped/,
  },
]
