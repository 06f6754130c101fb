import { expect } from 'chai'
import fc from 'fast-check'
import type { ListedLock } from 'leasewheel'
import { asData, cellsOf, fieldsOf, whatIs } from '#src/cli/lock-text.js'
import { columns, count, cut, duration, safe } from '#src/cli/text.js'
import { fit, linesOf, OwnerTally, Rates, viewOf } from '#src/cli/top-view.js'
import { changesBetween } from '#src/cli/watch.js'
import { runs } from '../support/manager.ts'

const NOW = Date.UTC(2026, 6, 1)

const LOCK: ListedLock = {
  key: 'order:42',
  bytes: undefined,
  kind: 'lease',
  owner: 'web-1:4711',
  since: new Date(NOW - 125_000),
  remaining: 20_400,
  fence: undefined,
  holders: 1,
  lease: undefined,
  waiters: 0,
}

describe('safe', () => {
  it('leaves nothing that a terminal obeys, or that ends a line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (text) => {
        expect(safe(text)).to.not.match(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/u)
      }),
      runs(2_000),
    )
    expect(safe('a\nb\tc\x1b[31m\x07\u202ed\u0085')).to.equal('a\\nb\\tc\\x1b[31m\\x07\\u{202e}d\\x85')
  })

  it('leaves letters of any script', () => {
    for (const text of ['schlüssel', '鍵', 'مفتاح', '🔑', 'a b', '<script>', `"'`]) expect(safe(text)).to.equal(text)
  })
})

describe('duration', () => {
  for (const [ms, text] of [
    [-5, '0ms'],
    [0, '0ms'],
    [999, '999ms'],
    [1_000, '1s'],
    [59_999, '59s'],
    [60_000, '1m'],
    [61_000, '1m1s'],
    [3_600_000, '1h'],
    [90_000_000, '1d1h'],
    [Infinity, '∞'],
  ] as const) {
    it(`shows ${ms} ms as ${text}`, () => {
      expect(duration(ms)).to.equal(text)
    })
  }
})

describe('numbers, columns and cut lines', () => {
  it('are easy to read', () => {
    expect([0, 999, 1_000, 1_234_567.8].map(count)).to.deep.equal(['0', '999', '1,000', '1,234,568'])
    expect(
      columns(
        [
          ['A', 'NUMBER', 'KEY'],
          ['long', '5', 'k'],
        ],
        [1],
      ),
    ).to.deep.equal(['A     NUMBER  KEY', 'long       5  k'])
    expect([cut('abc', 3), cut('abcd', 3), cut('🔑🔑', 2), cut('abc', 0)]).to.deep.equal(['abc', 'ab…', '🔑🔑', '…'])
  })
})

describe('a lock as text', () => {
  it('says what it is if another library wrote it', () => {
    const kinds = [
      { kind: 'lease' },
      { kind: 'string' },
      { kind: 'string', remaining: Infinity },
      { kind: 'hash' },
      { kind: 'zset', holders: 3 },
      { kind: 'ReJSON-RL' },
    ]
    expect(kinds.map((some) => whatIs({ ...LOCK, ...some }))).to.deep.equal([
      'lease',
      'string',
      'string without a ttl',
      'hash (Redisson)',
      'sorted set of 3 (Symfony, redis-semaphore)',
      'ReJSON-RL',
    ])
  })

  it('has a line for a terminal, for a pipe, and for a program', () => {
    const odd = {
      ...LOCK,
      key: 'a\n\\xff',
      bytes: Uint8Array.of(0x61, 0x0a, 0xff),
      kind: 'string',
      remaining: Infinity,
    }
    const foreign = { ...odd, owner: undefined, since: undefined }
    expect(cellsOf(LOCK, NOW)).to.deep.equal(['2m5s', '20s', 'web-1:4711', 'order:42'])
    expect(cellsOf(foreign, NOW)).to.deep.equal(['-', '∞', 'string without a ttl', 'a\\n\\xff'])
    expect(fieldsOf(LOCK)).to.deep.equal(['2026-06-30T23:57:55.000Z', '20400', 'lease', 'web-1:4711', 'order:42'])
    expect(fieldsOf(foreign)).to.deep.equal(['-', '-', 'string without a ttl', '-', 'a\\n\\xff'])
    expect(asData(LOCK)).to.deep.equal({
      key: 'order:42',
      kind: 'lease',
      owner: 'web-1:4711',
      since: '2026-06-30T23:57:55.000Z',
      remaining: 20_400,
      holders: 1,
    })
    expect(asData(foreign)).to.deep.equal({
      key: 'a\n\\xff',
      bytes: 'YQr/',
      kind: 'string',
      owner: null,
      since: null,
      remaining: null,
      holders: 1,
    })
  })
})

describe('top', () => {
  const memberAt = (at: number, renewals: number) => ({
    id: 'one',
    owner: 'web-1:4711',
    host: 'web-1',
    pid: 4711,
    version: '0.1.0',
    startedAt: new Date(NOW),
    announcedAt: new Date(at),
    leads: [],
    shares: [],
    stats: { held: 3, jeopardy: 1, waiting: 7, acquired: 9, released: 6, lost: 2, renewals, failures: 0, lag: 0.012 },
  })

  it('adds up locks and managers by owner, and knows rates from the second announcement on', () => {
    const tally = new OwnerTally()
    tally.add(LOCK)
    tally.add({ ...LOCK, since: new Date(NOW - 5_000) })
    tally.add({ owner: undefined, since: undefined })
    const rates = new Rates()
    const look = (member: ReturnType<typeof memberAt>) => {
      const members = [member]
      return viewOf({ at: NOW, owners: tally.owners, members }, rates.update(members))
    }
    expect(look(memberAt(NOW, 100)).rows[0]).to.deep.equal({
      owner: 'web-1:4711',
      locks: 2,
      oldest: 125_000,
      waiting: 7,
      renewals: undefined,
      jeopardy: 1,
      lag: 0.012,
      lost: 2,
    })
    expect(look(memberAt(NOW + 2_000, 1_100)).rows[0]?.renewals).to.equal(500)
    // It has not announced itself anew.
    const view = look(memberAt(NOW + 2_000, 1_100))
    expect(view.rows[0]?.renewals).to.equal(500)
    expect(linesOf(view, 'localhost:6379', 'now')).to.deep.equal([
      'leasewheel  localhost:6379  now',
      '3 locks, 1 owner, 1 manager announced, 7 waiting, 500 renewals/s, lag 1.2 %, 2 lost',
      '',
      'LOCKS  OLDEST  WAITING  RENEWALS/S  JEOPARDY    LAG  LOST  OWNER',
      '    2    2m5s        7         500         1  1.2 %     2  web-1:4711',
      '    1       -        -           -         -      -     -  (no owner)',
    ])
  })

  it('fits its lines into the screen', () => {
    const lines = ['first line', 'second', 'third', 'fourth']
    expect(fit(lines, 80, 4)).to.deep.equal(lines)
    expect(fit(lines, 6, 3)).to.deep.equal(['first…', 'second', '… 2 m…'])
    expect(fit(lines, 80, 1)).to.deep.equal(['… 4 more'])
    expect(fit(lines, 80, 0)).to.deep.equal([])
  })
})

describe('watch', () => {
  it('tells what differs between two looks', () => {
    const seen = (owner: string, mark = owner) => ({ owner, mark })
    const member = (owner: string) => ({ owner }) as never
    const before = {
      locks: new Map([
        ['same', seen('a')],
        ['other', seen('a', '1')],
        ['gone', seen('a')],
      ]),
      members: new Map([
        ['1', member('m1')],
        ['2', member('m2')],
      ]),
    }
    const now = {
      locks: new Map([
        ['new', seen('b')],
        ['same', seen('a')],
        ['other', seen('a', '2')],
      ]),
      members: new Map([
        ['2', member('m2')],
        ['3', member('m3')],
      ]),
    }
    expect([...changesBetween(before, now)]).to.deep.equal([
      { event: 'acquired', key: 'new', owner: 'b' },
      { event: 'changed hands', key: 'other', owner: 'a' },
      { event: 'gone', key: 'gone', owner: 'a' },
      { event: 'joined', owner: 'm3' },
      { event: 'left', owner: 'm1' },
    ])
  })
})
