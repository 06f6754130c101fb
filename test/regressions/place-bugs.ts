/** Bugs that a manager over several servers could have. */
import { type Regression, tests, WANDERERS } from './regression.ts'

const PLACES = 'test/renewal/places.test.ts'
const LANES = 'src/renewal/lanes.ts'
const RENEWER = 'src/renewal/renewer.ts'

export const PLACE_BUGS: readonly Regression[] = [
  {
    failure: "one server's timeout delayed another's renewals",
    patches: [
      {
        file: LANES,
        find: '      underWay: new BatchesUnderWay(clock, routing ? IN_ONE_TURN : Number.POSITIVE_INFINITY),',
        replace: '      underWay: [...this.#lanes.values()][0]?.underWay ?? new BatchesUnderWay(clock, IN_ONE_TURN),',
      },
    ],
    harness: tests(PLACES, 'P37 delays no renewal of another one if it hangs'),
    report: /P37 delays no renewal/,
  },
  {
    failure:
      'after a failover the renewals of thousands of leases left in one turn, and delayed those of the other servers',
    patches: [{ file: LANES, find: 'const IN_ONE_TURN = 128\n', replace: 'const IN_ONE_TURN = 16_384\n' }],
    harness: tests(PLACES, 'P37 delays no renewal of another one by a burst'),
    report: /P37 delays no renewal of another one by a burst/,
  },
  {
    failure: 'cohorts of two servers merged, and were renewed in one request',
    patches: [
      {
        file: LANES,
        find: '      if (routing === undefined || cohorts.length === 0) return cohorts',
        replace: '      if (routing === undefined || cohorts.length >= 0) return cohorts',
      },
      {
        file: LANES,
        find: '    else for (const part of this.divide(cohort, routing)) this.#of(part.route).queue.add(part)',
        replace: '    else this.#of(routing.routeOf(cohort.low)).queue.add(cohort)',
      },
    ],
    harness: WANDERERS,
    report: /^P36: .* has keys of several servers/,
  },
  {
    failure: 'renewals that waited when a place moved were sent to its old server',
    patches: [
      {
        file: LANES,
        find: '      if (routing === undefined || cohorts.length === 0) return cohorts',
        replace: '      if (routing === undefined || cohorts.length >= 0) return cohorts',
      },
    ],
    harness: tests(PLACES, 'is noticed just before renewals are sent'),
    report: /is noticed just before renewals are sent/,
  },
  {
    failure: 'renewals waited for a server that hung, though another had taken over its places',
    patches: [
      { file: RENEWER, find: '    this.#lanes.reroute()\n', replace: '' },
      { file: RENEWER, find: '      this.#lanes.reroute([cohort])\n', replace: '' },
    ],
    harness: tests(PLACES, 'P37 takes along the renewals that wait'),
    report: /P37 takes along the renewals that wait/,
  },
  {
    failure: 'renewals were due at random times, so that each batch had keys of hundreds of places',
    patches: [
      {
        file: 'src/renewal/joining.ts',
        find: '    const home = phaseOfPlace(place, this.#routing.places, ttl)',
        replace: '    const home = phaseOf(this.#parts.random(), ttl)',
      },
    ],
    harness: tests(PLACES, 'P36 cost a call for each place'),
    report: /P36 cost a call for each place/,
  },
  {
    failure: 'each server had all its renewals in one part of the period, so a failover in the rest went unnoticed',
    patches: [
      {
        file: 'src/rules/timing.ts',
        find: '(reversed(block, bits) + position - block)',
        replace: '(reversed(block, 0) + position)',
      },
    ],
    harness: tests(PLACES, 'P36 ask every server all the time'),
    report: /P36 ask every server all the time/,
  },
  {
    failure: 'cohorts whose places overlapped were never cut anew, so that batches kept all places of a beat',
    patches: [
      {
        file: 'src/renewal/bundles.ts',
        find: '    else units.push(...cutAnew(cluster, parts))',
        replace: '    else units.push(...cluster.map((cohort) => [cohort]))',
      },
    ],
    harness: tests(PLACES, 'P36 cost a call for each place'),
    report: /P36 cost a call for each place/,
  },
  {
    failure: 'a hash tag with thousands of leases was one burst of renewals',
    patches: [
      {
        file: 'src/renewal/joining.ts',
        find: '    const isCrowd = isFull && ',
        replace: '    const isCrowd = isFull && this.#parts.batchSize < 0 && ',
      },
      {
        file: 'src/renewal/bundles.ts',
        find: '    cohort.phase = phaseOf(shareOf(key), cohort.terms.ttl)',
        replace: '    cohort.phase = phaseOf(shareOf(key) * 0, cohort.terms.ttl)',
      },
    ],
    harness: tests(PLACES, 'P36 of one crowded place are no burst'),
    report: /P36 of one crowded place are no burst/,
  },
  {
    failure: 'after a failover of one server nothing was renewed at once',
    patches: [
      {
        file: RENEWER,
        find: '    this.#renewEach(route, () => true)',
        replace: '    this.#renewEach(route, () => route === undefined)',
      },
    ],
    harness: tests(PLACES, 'P26 renews all leases of that server'),
    report: /P26 renews all leases of that server/,
  },
  {
    failure: 'after a failover of one server the leases of all servers were renewed at once',
    patches: [
      {
        file: RENEWER,
        find: '    this.#renewEach(route, () => true)',
        replace: '    this.#renewEach(undefined, () => true)',
      },
    ],
    harness: tests(PLACES, 'P26 renews all leases of that server'),
    report: /P26 renews all leases of that server/,
  },
  {
    failure: 'what the old server did not answer after a failover waited for its backoff',
    patches: [{ file: RENEWER, find: 'cohort.stale ? now : now + delay', replace: 'now + delay' }],
    harness: tests(PLACES, 'P37 renews at its new server at once'),
    report: /P37 renews at its new server at once/,
  },
  {
    failure: 'renewals of a server waited for those of another that were due at the same tick',
    patches: [
      {
        file: RENEWER,
        find: '      for (const lane of this.#lanes) this.#pumpLane(lane)',
        replace: `      for (const lane of this.#lanes) {
        this.#pumpLane(lane)
        if (!lane.underWay.hasRoom) break
      }`,
      },
    ],
    harness: tests(PLACES, 'P37 sends the renewals of one tick'),
    report: /P37 sends the renewals of one tick/,
  },
  {
    failure: 'leases of other servers counted for the watchLimit of each',
    patches: [
      {
        file: 'src/manager/assembly.ts',
        find: 'route === undefined ? this.table.size',
        replace: 'route !== -2 ? this.table.size',
      },
    ],
    harness: tests('test/manager/watch-limit.test.ts', 'counts the leases of each server'),
    report: /counts the leases of each server/,
  },
  {
    failure: 'what was measured at a server that had gone was kept for ever',
    patches: [{ file: LANES, find: '    this.#forgetGone()\n', replace: '' }],
    harness: tests('test/manager/server-reports.test.ts', 'forget a server that is gone'),
    report: /forget a server that is gone/,
  },
]
