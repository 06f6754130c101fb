/** Bugs that this project has had in how leases end, and in what users see of that. May import the type of a regression. */
import { type Regression, tests } from './regression.ts'

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
]
