/**
 * Bugs that callers met: on connections that break, on answers that do not change, beside other callers, and with
 * functions of their own.
 */
import { type Regression, tests } from './regression.ts'

const ASSEMBLY = 'src/manager/assembly.ts'

export const CALLER_BUGS: readonly Regression[] = [
  {
    failure: 'an adoption waited for another one of its key as long as that took, whatever its own `timeout`',
    patches: [
      {
        file: 'src/acquire/adoption.ts',
        find: 'this.#over(other, timeout)',
        replace: 'other.over',
      },
    ],
    harness: tests('test/lease/detach.test.ts', 'keeps its own timeout while it waits'),
    report: /keeps its own timeout while it waits/,
  },
  {
    failure: 'an attempt failed as soon as its connection broke, though its timeout had just begun',
    patches: [
      {
        file: 'src/requests/sending.ts',
        find: '    if (ready === undefined && !hasMoved) return false\n',
        replace: '    if (ready !== null) return false\n',
      },
    ],
    harness: tests('test/acquire/broken-connection.test.ts', 'is asked again through the next connection'),
    report: /P11 is asked again through/,
  },
  {
    failure: 'what a strategy threw was lost if something else ended the call a moment later',
    patches: [
      {
        file: 'src/acquire/acquisition.ts',
        find: '      this.#cancelled = { reason: fault }\n',
        replace: '      throw fault\n',
      },
    ],
    harness: tests('test/acquire/acquire.test.ts', 'is heard, even if the call is aborted'),
    report: /P31 a retry strategy that throws is heard/,
  },
  {
    failure: 'a call for many keys kept a slow server so busy that leases expired',
    patches: [
      {
        file: 'src/acquire/bulk-acquisition.ts',
        find: '      if (!isFirst) await this.#letRenewalsPass(this.#keys[0] as string)\n',
        replace: '',
      },
    ],
    harness: tests('test/renewal/overload.test.ts', 'lets the renewals of what is held pass'),
    report: /P21 lets the renewals/,
  },
  {
    failure: 'callers without a wait whose time was up ended one after the other, a tick apart',
    patches: [
      {
        file: 'src/acquire/acquisition.ts',
        find: 'if (impatient && this.#patience.forAttempt <= 0) throw',
        replace: 'if (impatient && this.#patience.forAttempt < 0) throw',
      },
    ],
    harness: tests('test/waiting/queue.test.ts', 'end together, not one after the other'),
    report: /P24 callers whose time is up end together/,
  },
  {
    failure: 'a waiter whose request left late, from a blocked event loop, outlasted its `wait` by a whole timeout',
    patches: [
      {
        file: 'src/acquire/question.ts',
        find: 'if (patience < Number.POSITIVE_INFINITY) this.#alarm',
        replace: 'if (patience < this.timeout) this.#alarm',
      },
    ],
    harness: tests('test/waiting/queue.test.ts', 'a waiter whose request leaves late ends'),
    report: /P24 a waiter whose request leaves late/,
  },
  {
    failure: 'a final answer was requested again for the whole of `wait`',
    patches: [
      {
        file: 'src/acquire/acquisition.ts',
        find: '    if (!error.final) return\n',
        replace: '    if (error.final !== undefined) return\n',
      },
    ],
    harness: tests('test/acquire/final-answers.test.ts', 'ends acquire at once'),
    report: /ends acquire at once/,
  },
  {
    failure: 'a renewal that was denied for one key failed for all others of its cohort',
    patches: [
      {
        file: 'src/renewal/renewer.ts',
        find: 'if (records.length >= cohort.size) {',
        replace: 'if (records.length > 0) {',
      },
    ],
    harness: tests('test/renewal/partial-renewal.test.ts', 'fails for the lease that is denied'),
    report: /P28 fails for the lease/,
  },
  {
    failure: 'a denied lease was renewed in a batch with others again, which failed',
    patches: [{ file: 'src/renewal/renewal-queue.ts', find: ' || next.apart !== items[0]?.apart', replace: '' }],
    harness: tests('test/renewal/partial-renewal.test.ts', 'sends what was denied apart|concerns cohorts of one lease'),
    report: /P28/,
  },
  {
    failure: 'a caller between another’s refusal and its next pause went unnoticed, and hung',
    patches: [
      {
        file: 'src/acquire/acquisition.ts',
        find: 'if (!this.#restPlace?.active) this.#nudged = true\n',
        replace: 'if (!this.#restPlace?.active) return\n',
      },
    ],
    harness: tests('test/waiting/queue.test.ts', 'at whatever moment after a refusal'),
    report: /P23 a sharing caller is answered in time/,
  },
  {
    failure: 'a caller that shared another’s attempt waited as long as the other',
    patches: [
      {
        file: 'src/acquire/patience.ts',
        find: 'this.hasShared ? Math.max(timeout - this.waited, 0) : Number.POSITIVE_INFINITY',
        replace: 'Number.POSITIVE_INFINITY',
      },
    ],
    harness: tests('test/waiting/queue.test.ts', 'obeys its own timeout'),
    report: /P23 a sharing caller obeys its own timeout/,
  },
  {
    failure: 'no timeout fired while every turn of the event loop was late',
    patches: [
      {
        file: 'src/time/scheduler.ts',
        find: '        if (item instanceof Sleeper) item.ring(tick)\n',
        replace:
          '        if (item instanceof Sleeper && tick.late) this.schedule(item.id, tick.now)\n        else if (item instanceof Sleeper) item.ring(tick)\n',
      },
    ],
    harness: tests('test/waiting/busy-event-loop.test.ts', 'keeps the time limit'),
    report: /keeps the time limit/,
  },
  {
    failure: 'a call waited for a duplicate of a key that it held itself',
    patches: [
      {
        file: 'src/acquire/bulk-acquisition.ts',
        find: '      if (this.#isRepeated(key)) repeated += 1\n      else void',
        replace: '      void',
      },
    ],
    harness: tests('test/acquire/acquire-many.test.ts', 'gives null the second time'),
    report: /gives null the second time/,
  },
  {
    failure: 'an abort while acquireAll gave keys back replaced what a strategy had thrown',
    patches: [
      {
        file: 'src/acquire/acquire-all.ts',
        find: 'releaseAll(held)).catch(() => undefined)',
        replace: 'releaseAll(held))',
      },
    ],
    harness: tests('test/acquire/acquire-all.test.ts', 'rejects with what a strategy threw'),
    report: /rejects with what a strategy threw/,
  },
  {
    failure: 'renew() had no time limit while an earlier renewal had waited to be sent for longer than its own',
    patches: [
      {
        file: 'src/renewal/renewer.ts',
        find: 'if (this.#parts.scheduler.dueOf(cohort.alarm) > limit) ',
        replace: 'if (limit < 0) ',
      },
    ],
    harness: tests('test/renewal/renew.test.ts', 'even if an earlier one has waited to be sent'),
    report: /even if an earlier one has waited to be sent/,
  },
  {
    failure: 'a fault in applying one answer lost the other answers of its batch',
    patches: [
      {
        file: ASSEMBLY,
        // Otherwise nothing that a test can hand over throws there.
        find: 'new GuardedClock(settings.clock, this.onFault)',
        replace: 'settings.clock',
      },
      {
        file: 'src/requests/sending.ts',
        find: '          this.#settleFaulty(index, fault)\n',
        replace: '          throw fault\n',
      },
    ],
    harness: tests('test/manager/faulty-parts.test.ts', 'P31 reaches one caller'),
    report: /P31 reaches one caller/,
  },
  {
    failure: 'a fault while a lease was made left it half made, and held',
    patches: [
      {
        file: ASSEMBLY,
        // Otherwise nothing that a test can hand over throws there.
        find: 'new GuardedClock(settings.clock, this.onFault)',
        replace: 'settings.clock',
      },
      { file: 'src/acquire/granting.ts', find: '      table.withdraw(record, announced)\n', replace: '' },
    ],
    harness: tests('test/manager/faulty-parts.test.ts', 'P31 reaches one caller'),
    report: /P31 reaches one caller/,
  },
  {
    failure: 'a lease that a listener had ended was reported as granted too late',
    patches: [
      {
        file: 'src/acquire/granting.ts',
        find: "return record.state === 'lost' ? 'lost' : 'ended'",
        replace: "return 'lost'",
      },
    ],
    harness: tests('test/acquire/acquire-many.test.ts', 'is said not to be held'),
    report: /P10 a lease that .* is said not to be held/,
  },
  {
    failure: 'renewals that were never answered counted as under way for ever',
    patches: [
      {
        file: 'src/renewal/batches-under-way.ts',
        find: 'if (now >= until) this.#overdue',
        replace: 'if (now >= until + 1e9) this.#overdue',
      },
    ],
    harness: tests('test/renewal/partial-renewal.test.ts', 'do not count as under way'),
    report: /P21 do not count as under way/,
  },
  {
    failure: 'callers without a wait requested a lock that was yielded to other processes',
    patches: [
      {
        file: 'src/acquire/acquisition.ts',
        find: " || line.offer === 'open') throw REFUSED",
        replace: ') throw REFUSED',
      },
    ],
    harness: tests('test/waiting/fairness.test.ts', 'is not requested by tryAcquire'),
    report: /is not requested by tryAcquire/,
  },
  {
    failure: 'a request that landed after its lease was acquired and released left a key',
    patches: [{ file: 'src/acquire/granting.ts', find: '    if (doubt) record.own.doubt = doubt\n', replace: '' }],
    harness: tests('test/acquire/unanswered-acquire.test.ts', 'first request lands after the lease is released'),
    report: /P11 no key is left/,
  },
  {
    failure: 'only the first of several unanswered requests was looked for',
    patches: [{ file: 'src/rules/doubt.ts', find: '(doubt?.unanswered ?? 0) + 1', replace: '1' }],
    harness: tests('test/acquire/unanswered-acquire.test.ts', 'looks for each request'),
    report: /P11 looks for each request/,
  },
  {
    failure: 'an aborted call for many keys waited for a server that hung',
    patches: [
      { file: 'src/acquire/bulk-acquisition.ts', find: '    if (!this.#cancelled) await', replace: '    await' },
    ],
    harness: tests('test/acquire/acquire-many.test.ts', 'rejects at once on a server that hangs'),
    report: /P11 rejects at once on a server/,
  },
  {
    failure: 'an abort during the call of the strategy was noticed only after the pause',
    patches: [
      {
        file: 'src/acquire/acquisition.ts',
        find: '    this.#throwIfCancelled()\n    if (duration === undefined)',
        replace: '    if (duration === undefined)',
      },
    ],
    harness: tests('test/acquire/acquire.test.ts', 'aborts the call after the first'),
    report: /aborts the call after the first/,
  },
]
