/** Bugs of other libraries in how locks are renewed. */
import { CROWDS, type Regression, SIMULATION, simulationFrom, tests } from './regression.ts'

const SCHEDULER = 'src/time/scheduler.ts'
const RENEWER = 'src/renewal/renewer.ts'
const UNDER_WAY = 'src/renewal/batches-under-way.ts'
const TIMING = 'src/rules/timing.ts'

const ONE_AFTER_THE_OTHER = {
  file: UNDER_WAY,
  find: 'return this.#count < ',
  replace: 'return this.#count < 1 && this.#count < ',
}

export const RENEWAL_BUGS: readonly Regression[] = [
  {
    failure: 'a sweep over all locks took longer than a lease lasts',
    patches: [
      ONE_AFTER_THE_OTHER,
      {
        file: 'src/renewal/renewal-queue.ts',
        find: '      queue.shift()\n',
        replace: '      if (size > 0) break\n      queue.shift()\n',
      },
    ],
    harness: CROWDS,
    report: /^P(19|20|21):/,
  },
  {
    failure: 'the parts of a sweep were sent one after the other, each when the one before was answered',
    patches: [ONE_AFTER_THE_OTHER],
    harness: CROWDS,
    report: /^P(19|20|21):/,
  },
  {
    failure: 'one part of a sweep that failed made all of it fail',
    patches: [
      {
        file: RENEWER,
        find: '    const confirmed: LeaseCohort[] = []\n',
        replace: `    if (failures.count > 0) {
      for (const { cohort } of this.#parts.table.values()) {
        if (cohort?.renewal !== undefined && cohort.renewal !== batch) this.#fail(cohort, NO_OUTCOME)
      }
    }
    const confirmed: LeaseCohort[] = []
`,
      },
    ],
    harness: tests('test/renewal/partial-renewal.test.ts', 'P20 P28 fails for the lease'),
    report: /P20 P28 fails for the lease/,
  },
  {
    failure: 'what was thrown inside the callback of the only timer stopped all renewals for good',
    patches: [
      {
        file: SCHEDULER,
        find: `    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
    this.#arm()
`,
        replace: '',
      },
      {
        file: SCHEDULER,
        find: '        else this.#handler.onDue(item, tick)\n      } catch (fault) {\n',
        replace:
          '        else this.#handler.onDue(item, tick)\n      } catch (fault) {\n        this.#handler.onFault(fault)\n        return\n',
      },
      {
        file: SCHEDULER,
        find: '      this.#handler.onTickEnd()\n',
        replace: `      this.#handler.onTickEnd()
      this.#timer?.cancel()
      this.#timer = undefined
      this.#armedFor = Number.POSITIVE_INFINITY
      this.#arm()
`,
      },
      // Something has to throw there.
      {
        file: 'src/manager/guarded-emitter.ts',
        find: '      } catch (fault) {\n        fail(fault)\n',
        replace:
          "      } catch (fault) {\n        fail(fault)\n        if ('remaining' in (values[0] ?? {})) throw fault\n",
      },
    ],
    harness: SIMULATION,
    report: /^P(14|22):/,
  },
  {
    failure: 'while a command hung, its lock was reported held for seconds after its end',
    patches: [
      {
        file: 'src/lease/lease-table.ts',
        find: '    if (record.cohort) {\n      const { clock, keeper }',
        replace: '    if (record.cohort && record.cohort.renewal === undefined) {\n      const { clock, keeper }',
      },
    ],
    harness: SIMULATION,
    report: /^P(1|15):/,
  },
  {
    failure: 'one connection error ended the renewals, or the process',
    patches: [
      {
        file: RENEWER,
        find: '      this.#scheduleIfIdle(cohort, cohort.stale ? now : now + delay)',
        replace: '      this.#scheduleIfIdle(cohort, NEVER + delay)',
      },
      {
        file: RENEWER,
        find: "    this.#renewEach(route, (cohort) => cohort.state === 'jeopardy')",
        replace: '    this.#renewEach(route, () => false)',
      },
    ],
    harness: SIMULATION,
    report: /^P21:/,
  },
  {
    failure: 'a theft was answered with a dozen retries before anybody was told',
    patches: [
      {
        file: 'src/renewal/renewal-failures.ts',
        find: "    if (outcome?.type === 'refused') {\n",
        replace: "    if (outcome?.type === 'refused' && (record.cohort?.failures ?? 0) >= 12) {\n",
      },
    ],
    harness: simulationFrom(2),
    report: /^P(18|20):/,
  },
  {
    failure: 'locks were renewed at four fifths of their ttl: one chance for each lease',
    patches: [{ file: TIMING, find: 'const RENEWAL_FRACTION = ', replace: 'const RENEWAL_FRACTION = 0.8 + 0 * ' }],
    harness: simulationFrom(5),
    report: /^P(19|21):/,
  },
  {
    failure: 'the renewal of a ttl of 1.25 s or less became a hot loop of tens of thousands of commands',
    patches: [
      {
        file: TIMING,
        find: '  return onBeat(phase + periods * period, ttl)',
        replace: '  return sentAt + (periods > 0 ? Math.max(ttl - 1_250, 0) / 3 : 0)',
      },
    ],
    harness: tests('test/renewal/renewal.test.ts', 'renewal of short leases'),
    report: /P21 is no hot loop/,
  },
]
