/** Bugs that this project has had in how leases end, and in what users see of that. May import the type of a regression. */
import { type Regression, tests } from './regression.ts'

const MANAGER = 'src/lease-manager.ts'
const TABLE = 'src/lease-table.ts'

export const ENDING_BUGS: readonly Regression[] = [
  {
    failure: 'losses were told from inside reads, so a listener that read other leases recursed once for each',
    patches: [
      {
        file: TABLE,
        find: '    this.#untold.push({ record, reason, error })\n',
        replace:
          "    record.has.controller?.abort(error)\n    this.#tell('lost', record, (lease) => ({ lease, reason, error }))\n",
      },
    ],
    harness: tests('test/manager/reads.test.ts', 'P30 that reads all others'),
    report: /P30 that reads all others/,
  },
  {
    failure: 'a loss found by a read was not told before the key was acquired again',
    patches: [{ file: TABLE, find: 'const told = this.tellLosses()', replace: 'const told = false' }],
    harness: tests('test/manager/reads.test.ts', 'P14 tells of the loss before the key'),
    report: /P14 tells of the loss before the key/,
  },
  {
    failure: 'closing gave back locks whose work still ran, and `using` resolved as if nothing had happened',
    patches: [
      { file: MANAGER, find: '    await this.#usages.drain()\n', replace: '' },
      { file: MANAGER, find: '      this.#usages.forewarn()\n', replace: '' },
      {
        file: TABLE,
        find: "    if (input.type === 'release' || input.type === 'detach') this.#onGivenBack(record)\n",
        replace: '',
      },
    ],
    harness: tests('test/redis/shutdown.test.ts', 'P29 gives no lock away before'),
    report: /P29 gives no lock away before/,
  },
  {
    failure: 'work that still ran after the drain learned of it in the turn in which its lock was given back',
    patches: [{ file: MANAGER, find: '      this.#usages.forewarn()\n', replace: '' }],
    harness: tests('test/manager/drain.test.ts', 'P29 lets work that listens'),
    report: /P29 lets work that listens/,
  },
  {
    failure: 'a lock was given back by hand under running work without a word to it',
    patches: [
      {
        file: TABLE,
        find: "    if (input.type === 'release' || input.type === 'detach') this.#onGivenBack(record)\n",
        replace: '',
      },
    ],
    harness: tests('test/manager/drain.test.ts', 'P29 has its signal aborted before its key is deleted: release'),
    report: /P29 has its signal aborted before/,
  },
]
