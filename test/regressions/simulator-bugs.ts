/**
 * Bugs that only the simulator meets in its own way: what a failover, a late landing or a slow event loop does to many
 * processes at once.
 */
import { FAILOVERS, LONG_SIMULATION, type Regression, simulationFrom } from './regression.ts'

export const SIMULATOR_BUGS: readonly Regression[] = [
  {
    failure: 'a backend stayed with a replaced server as long as it accepted writes',
    patches: [{ file: 'test/simulation/scenario.ts', find: 'follows: true,', replace: 'follows: false,' }],
    harness: simulationFrom(18, 400),
    report: /^(P7|P23|P26): /,
  },
  {
    failure: 'after a server change, each lease was verified only when its renewal was due',
    patches: [
      {
        file: 'src/manager/assembly.ts',
        find: 'onSuspect: (route) => desk.onChange(undefined, route),',
        replace: 'onSuspect: () => undefined,',
      },
    ],
    harness: LONG_SIMULATION,
    report: /^P26: .* was not asked about/,
  },
  {
    failure: 'after a server change, leases were not verified in order of their deadlines',
    patches: [
      {
        file: 'src/renewal/renewal-queue.ts',
        find: 'this.#queue = new DeadlineQueue(slack)',
        replace: 'this.#queue = new DeadlineQueue(slack * 100_000)',
      },
    ],
    harness: FAILOVERS,
    report: /^P26: .* was asked about after one that ends/,
  },
]
