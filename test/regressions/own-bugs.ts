/**
 * Bugs that this project has had, most of them found by its simulator, its tests with random operations or its tests
 * on a real server.
 */
import { type Regression, tests } from './regression.ts'

const ACQUISITION = 'src/acquire/acquisition.ts'
const SCHEDULER = 'src/time/scheduler.ts'
const RENEWER = 'src/renewal/renewer.ts'

export const OWN_BUGS: readonly Regression[] = [
  {
    failure: 'each time that a server was slow left a listener on the socket, until Node warned of a leak',
    patches: [
      {
        file: 'src/redis/own-client.ts',
        find: 'if (!stream.destroyed) timed.socketTimeoutTimer = timer?.refresh()',
        replace: `timer?.ref()
      if (!stream.destroyed) (Reflect.get(client, 'setSocketTimeout') as () => void).call(client)`,
      },
    ],
    harness: tests('test/redis/own-client.test.ts', 'adds no listeners'),
    report: /adds no listeners to its socket/,
  },
  {
    failure: 'a process stopped while it set its timer reported a loss too late',
    patches: [
      {
        file: SCHEDULER,
        find: 'if (this.#clock.now() - now < this.tick) return',
        replace: 'if (this.#clock.now() >= now) return',
      },
    ],
    harness: tests('test/time/scheduler.test.ts', 'come at once if the process was stopped'),
    report: /P13 P15 come at once/,
  },
  {
    failure: 'a lock that went from hand to hand set and cancelled a timer at each step',
    patches: [{ file: 'src/time/scheduler.ts', find: '    this.#busy = true\n', replace: '' }],
    harness: tests('test/time/scheduler.test.ts', 'stays if the end of the turn sends a request'),
    report: /stays if the end of the turn sends a request/,
  },
  {
    failure: 'a listener that threw left a cohort without an alarm',
    patches: [
      {
        file: RENEWER,
        find: '    this.#schedule(cohort, now + cohort.terms.ttl / 60)\n',
        replace: '',
      },
      {
        file: RENEWER,
        find: `    try {
      tellFailure(this.#parts.table, cohort, error)
    } finally {
      const now = clock.now()
      const delay = renewalRetryDelay(cohort.terms.ttl, cohort.failures, cohort.deadline - now, random())
      this.#scheduleIfIdle(cohort, cohort.stale ? now : now + delay)
    }
`,
        replace: `    tellFailure(this.#parts.table, cohort, error)
    const now = clock.now()
    const delay = renewalRetryDelay(cohort.terms.ttl, cohort.failures, cohort.deadline - now, random())
    this.#scheduleIfIdle(cohort, cohort.stale ? now : now + delay)
`,
      },
    ],
    harness: tests('test/renewal/renewal.test.ts', 'P22 survives what is thrown'),
    report: /P22 survives what is thrown/,
  },
  {
    failure: 'a lease that had expired unnoticed blocked the next caller',
    patches: [
      {
        file: 'src/lease/lease-table.ts',
        find: '(record.reserving || isActive(this.observe(record)))',
        replace: '(record.reserving || isActive(stateOf(record)))',
      },
    ],
    harness: tests('test/acquire/acquire.test.ts', 'own lease is over, noticed or not'),
    report: /P1 asks the server again/,
  },
  {
    failure: 'a hint between an answer and the following pause was lost',
    patches: [
      {
        file: ACQUISITION,
        find: 'this.#stale = true\n    else if (!this.#parts.table',
        replace: 'this.#stale ||= this.#question.wanted\n    else if (!this.#parts.table',
      },
    ],
    harness: tests('test/manager/change-races.test.ts', 'loses no hint'),
    report: /loses no hint/,
  },
  {
    failure: 'a late deletion caused no hint, because a manager ignores its own changes',
    patches: [{ file: 'src/release/releaser.ts', find: 'this.#parts.onChangedHere(goal.entry.key)', replace: '' }],
    harness: tests('test/manager/change-races.test.ts', 'a key that this process deletes late'),
    report: /deletes late P23/,
  },
  {
    failure: 'a lease was not verified during its renewal when everything might have changed',
    patches: [{ file: RENEWER, find: 'cohort.size > 0 && cohort.stale && ', replace: 'cohort.size < 0 && ' }],
    harness: tests('test/manager/change-races.test.ts', 'are verified if everything may have changed'),
    report: /P18 leases are verified if everything/,
  },
  {
    failure: 'a listener aborted the adoption of its lease, which stayed held without an owner',
    patches: [
      {
        file: 'src/acquire/adoption.ts',
        find: '    this.#reject = undefined\n    if (reject) {',
        replace: '    if (reject) {',
      },
    ],
    harness: tests('test/lease/detach.test.ts', 'can no longer be aborted'),
    report: /can no longer be aborted/,
  },
  {
    failure: 'a replica behind its master reported missing keys, and their leases were lost',
    patches: [
      {
        file: 'src/redis/scripts.ts',
        find: "      redis.call('DEL', KEYS[i])\n      exceptions",
        replace: '      exceptions',
      },
    ],
    harness: tests('test/faults/server-states.test.ts', 'server made a replica that lacks a key'),
    report: /P18 P27 a server made a replica that lacks a key/,
  },
  {
    failure: 'a process stopped while it read its clocks miscounted the sleep of its machine',
    patches: [
      {
        file: 'src/time/clock.ts',
        find: 'if (sources.monotonic() - before < TOLERANCE / 10) return',
        replace: 'if (sources.monotonic() >= before) return',
      },
    ],
    harness: tests('test/time/clock.test.ts', 'counts a later suspend in full'),
    report: /P8 P13 counts a later suspend/,
  },
  {
    failure: 'a sleep went unnoticed if the wall clock was set back by its length',
    patches: [
      {
        file: 'src/time/clock.ts',
        find: 'else if (monotonic >= this.#bootDue)',
        replace: 'else if (Number.isNaN(this.#bootDue))',
      },
    ],
    harness: tests('test/time/clock.test.ts', 'a suspend that a clock step hides'),
    report: /P8 counts, 50 ms later, a suspend/,
  },
  {
    failure: 'a lease outlived its key by what the boot-time clock rounds off, after the machine had slept',
    patches: [
      {
        file: 'src/time/clock.ts',
        find: 'if (this.#slept === 0) this.#slept = this.#bootIsCoarse ? COARSEST_BOOT : BOOT_STEP',
        replace: '',
      },
    ],
    harness: tests('test/time/clock.test.ts', 'never counts less than was slept'),
    report: /never counts less than was slept/,
  },
]
