/** Bugs that this project has had in how leases end, and in what users see of that. */
import { type Regression, tests } from './regression.ts'

const MANAGER = 'src/lease-manager.ts'
const KEYS = 'test/options/keys.test.ts'
const SIGNALS = 'test/acquire/abort-watch.test.ts'
const TABLE = 'src/lease/lease-table.ts'

const ASSEMBLY = 'src/manager/assembly.ts'
const CLOSING = 'src/manager/closing.ts'

export const ENDING_BUGS: readonly Regression[] = [
  {
    failure: 'reads emitted losses, so a listener that read other leases recursed for each',
    patches: [
      {
        file: TABLE,
        find: '    this.#losses.add({ record, reason, error })\n',
        replace:
          "    record.has.controller?.abort(error)\n    this.#tell('lost', record, (lease) => ({ lease, reason, error }))\n",
      },
    ],
    harness: tests('test/lease/reads.test.ts', 'P30 a listener that reads all others'),
    report: /P30 a listener that reads all others/,
  },
  {
    failure: 'a loss found by a read was not emitted before the next acquire',
    patches: [{ file: TABLE, find: 'const told = this.tellLosses()', replace: 'const told = false' }],
    harness: tests('test/lease/reads.test.ts', 'P14 tells of the loss before the key'),
    report: /P14 tells of the loss before the key/,
  },
  {
    failure: 'close released locks whose work still ran, and `using` resolved without an error',
    patches: [
      { file: CLOSING, find: '    await usages.drain()\n', replace: '' },
      { file: CLOSING, find: '    usages.forewarn()\n', replace: '' },
      {
        file: TABLE,
        find: "    if (input.type === 'release' || input.type === 'detach') this.#onGivenBack(record)\n",
        replace: '',
      },
    ],
    harness: tests('test/manager/drain.test.ts', 'P29 keeps and renews the lock until the work ends'),
    report: /P29 keeps and renews the lock until the work ends/,
  },
  {
    failure: 'work that outlasted the drain learned of it only with the lock’s release',
    patches: [{ file: CLOSING, find: '    usages.forewarn()\n', replace: '' }],
    harness: tests('test/manager/drain.test.ts', 'P29 lets work that listens'),
    report: /P29 lets work that listens/,
  },
  {
    failure: 'a lock was released by hand under running work without aborting its signal',
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
  {
    failure: '`forceRelease(null)` complained about another value',
    patches: [
      {
        file: MANAGER,
        find: 'this.#parts.inquiries.nameOf(key) : this.#checkKey(key)\n    this.#throwIfClosed(name)\n',
        replace: 'this.#parts.inquiries.nameOf(key) : key\n',
      },
      {
        file: 'src/manager/change-desk.ts',
        find: '    for (const key of keys) {\n',
        replace: '    for (const key of keys) {\n      key.length\n',
      },
    ],
    harness: tests(KEYS, 'complains about the key that came'),
    report: /complains about the key that came/,
  },
  {
    failure: 'a key with half a surrogate pair was accepted, but notified under another name',
    patches: [
      {
        file: 'src/options/keys.ts',
        find: '  if (text.isWellFormed()) return text\n',
        replace: '  if (text) return text\n',
      },
    ],
    harness: tests(KEYS, 'is refused, with the reason'),
    report: /is refused, with the reason/,
  },
  {
    failure: 'a nested `using` of one key was refused as if another held it',
    patches: [
      {
        file: 'src/acquire/acquisition.ts',
        find: 'this.#parts.table.isHeld(this.key))',
        replace: 'this.#parts.table.isHeld(`${this.key}?`))',
      },
    ],
    harness: tests('test/acquire/failures.test.ts', 'learns that this manager holds'),
    report: /learns that this manager holds/,
  },
  {
    failure: 'a lease showed as `{}` in logs',
    patches: [{ file: 'src/show-in-logs.ts', find: "Symbol.for('nodejs.util.inspect.custom')", replace: "'inspect'" }],
    harness: tests('test/show-in-logs.test.ts', 'of a lease is its key'),
    report: /of a lease is its key/,
  },
  {
    failure: 'a failed connection went unreported if there was no listener',
    patches: [
      {
        file: MANAGER,
        find: 'reportFault: (error) => this.reportFault(error)',
        replace: "reportFault: (error) => void this.emit('error', error)",
      },
    ],
    harness: tests('test/manager/listeners.test.ts', 'is a warning of the process, once'),
    report: /is a warning of the process, once/,
  },
  {
    failure: 'each manager had a listener of its own on a shared signal',
    patches: [
      {
        file: ASSEMBLY,
        find: 'import { ABORTS, type AbortWatch } from',
        replace: 'import { AbortWatch } from',
      },
      { file: ASSEMBLY, find: 'AbortWatch = ABORTS', replace: 'AbortWatch = new AbortWatch()' },
    ],
    harness: tests(SIGNALS, 'that eleven managers share'),
    report: /that eleven managers share/,
  },
  {
    failure: 'a signal of another realm was refused',
    patches: [
      {
        file: 'src/options/check.ts',
        find: "    typeof aborted !== 'boolean' ||\n",
        replace: "    !(value instanceof AbortSignal) ||\n    typeof aborted !== 'boolean' ||\n",
      },
    ],
    harness: tests(SIGNALS, 'of another realm aborts'),
    report: /of another realm aborts/,
  },
  {
    failure: 'a manual clock hung under fake timers',
    patches: [{ file: 'src/time/clock.ts', find: '    endOfTurn(resolve)\n', replace: '    setImmediate(resolve)\n' }],
    harness: tests('test/memory/manual-clock.test.ts', 'do not stop a manual clock'),
    report: /do not stop a manual clock/,
  },
  {
    failure: 'errors were named by their classes, which minifiers rename',
    patches: [
      {
        file: 'src/errors.ts',
        find: '    super(message, options)\n',
        replace: '    super(message, options)\n    this.name = new.target.name\n',
      },
    ],
    harness: tests('test/errors.test.ts', 'have names that no minifier changes'),
    report: /have names that no minifier changes/,
  },
  {
    failure: 'one silent node of a cluster delayed close until its keys had expired',
    patches: [
      {
        file: 'src/release/releaser.ts',
        find: 'if (routing === undefined) return answered',
        replace: 'if (routing === undefined || until >= 0) return answered',
      },
    ],
    harness: tests('test/requests/routes.test.ts', 'after three timeouts at most'),
    report: /after three timeouts at most/,
  },
]
