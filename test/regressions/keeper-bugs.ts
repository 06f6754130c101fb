/** What a keeper must not do, put back one by one. */
import { KEEPERS, keepersFrom, type Regression, tests } from './regression.ts'

const KEPT_LEASES = 'src/keeper/kept-leases.ts'
const LEDGER = 'src/keeper/ledger.ts'
const KEEPER = 'test/keeper/keeper.test.ts'

export const KEEPER_BUGS: readonly Regression[] = [
  {
    failure: 'a keeper renewed a lease that had been released',
    patches: [{ file: KEPT_LEASES, find: '    this.#ledger.end(slot)\n', replace: '' }],
    harness: KEEPERS,
    report: /^P(12|34): .*(was renewed by a keeper after its end|a keeper renews although)/,
  },
  {
    failure:
      'a sleep of the machine long ago was taken for one in the block, and what the keeper had confirmed did not count',
    patches: [
      {
        file: KEPT_LEASES,
        find: '    this.#noticeSleep()\n    this.#plan(now)\n    if (isBeat',
        replace: '    this.#plan(now)\n    if (isBeat',
      },
    ],
    harness: tests(KEEPER, 'outlast a block although the machine slept long before'),
    report: /outlast a block although the machine slept/,
  },
  {
    failure: 'a keeper went on after `maxBlocked`',
    patches: [{ file: 'src/rules/keeping.ts', find: ' && now < beat + maxBlocked', replace: ' && maxBlocked > 0' }],
    harness: tests(KEEPER, 'a ttl after the last renewal within'),
    report: /expire a ttl after the last renewal within `maxBlocked`/,
  },
  {
    failure: 'a keeper took an event loop for blocked whose beats were planned for a longer ttl',
    patches: [{ file: KEPT_LEASES, find: 'if (this.#count > 0) this.#hurry()', replace: '' }],
    harness: tests(KEEPER, 'if a lease with a shorter ttl comes'),
    report: /P34 cause none if a lease with a shorter ttl comes/,
  },
  {
    failure: 'a keeper renewed although the event loop was free',
    patches: [
      {
        file: 'src/rules/keeping.ts',
        find: 'now - beat >= Math.max(ttl / 6, SHORTEST_SILENCE)',
        replace: 'now - beat >= 0',
      },
    ],
    harness: KEEPERS,
    report: /^P34: a keeper renews although the event loop has been free/,
  },
  {
    failure: '`held` followed a confirmation that came for another lease of the cohort',
    patches: [
      {
        file: 'src/lease/lease-table.ts',
        find: "      else this.#settle(record, { type: 'observed', now })\n",
        replace: '',
      },
    ],
    harness: tests(KEEPER, 'confirmation that came for another lease of their cohort'),
    report: /are not held by a confirmation that came for another lease/,
  },
  {
    failure: 'an answer to a keeper counted for a later lease in the same place of the shared memory',
    patches: [
      {
        file: LEDGER,
        find: 'return Atomics.compareExchange(this.slotsOf(slot).marks, indexOf(slot), mark, by) === mark',
        replace: 'return Atomics.exchange(this.slotsOf(slot).marks, indexOf(slot), by) !== mark + by',
      },
    ],
    harness: tests('test/keeper/ledger.test.ts', 'takes no answer for a lease that has ended'),
    report: /takes no answer for a lease that has ended, nor for a later one in its place/,
  },
  {
    failure: 'an answer to a keeper that came after the deadline revived the lease',
    patches: [{ file: 'src/keeper/keeper.ts', find: 'now < attempt.deadline && ', replace: '' }],
    harness: tests(KEEPER, 'an answer that comes after their deadline'),
    report: /are not revived by an answer that comes after their deadline/,
  },
  {
    failure: 'a keeper counted its renewal from the answer',
    patches: [
      {
        file: 'src/keeper/keeper.ts',
        find: 'ledger.confirm(slot, mark, sentAt)',
        replace: 'ledger.confirm(slot, mark, now)',
      },
    ],
    harness: tests(KEEPER, 'counted from its sending'),
    report: /have the deadline of the renewal that was confirmed/,
  },
  {
    failure: 'a lease that a keeper had kept was lost by the release of its owner',
    patches: [
      {
        file: 'src/lease/lease-table.ts',
        find: "    if (record.cohort && 'now' in input) this.#catchUp(record.cohort, input.now)\n",
        replace: '',
      },
    ],
    harness: keepersFrom(4),
    report: /^P\d+: /,
  },
  {
    failure: 'what a keeper had confirmed before the machine slept counted afterwards',
    patches: [{ file: KEPT_LEASES, find: 'confirmedAt < this.#aheadSince ? NEVER : ', replace: '' }],
    harness: tests(KEEPER, 'before a sleep of the machine was noticed'),
    report: /keep nothing that was confirmed before a sleep/,
  },
  {
    failure: 'a lease ended while a keeper was about to renew it',
    patches: [
      {
        file: LEDGER,
        find: 'if (this.half(GATE) === 0) this.#isStuck = false',
        replace: 'if (this.half(GATE) <= 1) this.#isStuck = false',
      },
    ],
    harness: tests('test/keeper/ledger.test.ts', 'lets no lease end while the keeper sends'),
    report: /lets no lease end while the keeper sends/,
  },
]
