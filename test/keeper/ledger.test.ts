import { expect } from 'chai'
import { LedgerReader, LedgerWriter } from '#src/keeper/ledger.js'
import { randomFrom } from '../support/manager.ts'

function pair(): { writer: LedgerWriter; reader: LedgerReader } {
  const writer: LedgerWriter = new LedgerWriter((part) => reader.add(part))
  const reader = new LedgerReader(writer.head, [])
  return { writer, reader }
}

describe('the memory that a keeper shares with its manager', () => {
  it('carries keys and tokens of any length and script to the other side', () => {
    const { writer, reader } = pair()
    const cohort = writer.openCohort(1_000, 5)
    const texts = ['a', 'ключ 🔑', 'k'.repeat(4_096), '🔑'.repeat(2_048), 'x'.repeat(100)]
    const slots = texts.map((key) => writer.open(key, `token of ${key}`, cohort, Number.POSITIVE_INFINITY))
    for (const [index, slot] of slots.entries()) {
      expect(reader.textOf(slot)).to.deep.equal({ key: texts[index], token: `token of ${texts[index]}` })
    }
    expect([...reader.leases()].map(({ slot }) => slot)).to.have.members(slots)
  })

  it('has no place for a key and a token of more than 64 KiB', () => {
    const { writer, reader } = pair()
    expect(writer.open('a', 'x'.repeat(65_536), writer.openCohort(1_000, 0), 0)).to.equal(-1)
    expect([...reader.leases()]).to.deep.equal([])
  })

  it('shows a lease with the later of two confirmations', () => {
    const { writer, reader } = pair()
    const cohort = writer.openCohort(1_000, 5)
    const slot = writer.open('a', 't', cohort, 99)
    const lease = reader.lease(slot)
    expect(lease).to.deep.include({ ttl: 1_000, confirmedAt: 5, end: 99 })
    expect(writer.confirmedAt(slot)).to.equal(Number.NEGATIVE_INFINITY)
    expect(reader.confirm(slot, lease?.mark ?? 0n, 7.5)).to.equal(true)
    expect(reader.lease(slot)).to.deep.include({ confirmedAt: 7.5 })
    expect([writer.confirmedAt(slot), writer.renewals]).to.deep.equal([7.5, 1])
    writer.confirmCohort(cohort, 8)
    expect(reader.lease(slot)).to.deep.include({ confirmedAt: 8 })
    writer.move(slot, writer.openCohort(2_000, 3))
    expect(reader.lease(slot)).to.deep.include({ ttl: 2_000, confirmedAt: 7.5 })
  })

  it('P34 takes no answer for a lease that has ended, nor for a later one in its place', () => {
    const { writer, reader } = pair()
    const cohort = writer.openCohort(1_000, 5)
    const slot = writer.open('a', 't', cohort, 99)
    const { mark } = reader.lease(slot) ?? { mark: 0n }
    writer.end(slot)
    expect(reader.confirm(slot, mark, 7)).to.equal(false)
    expect(writer.open('b', 'u', cohort, 99)).to.equal(slot)
    expect(reader.confirm(slot, mark, 7)).to.equal(false)
    reader.refuse(slot, mark, 'taken')
    expect([writer.refusalOf(slot), writer.refusals, writer.renewals]).to.deep.equal([undefined, 0, 0])
  })

  it('P34 hides a lease that the server has refused from the keeper, and says why', () => {
    const { writer, reader } = pair()
    const cohort = writer.openCohort(1_000, 5)
    const slots = ['a', 'b'].map((key) => writer.open(key, 't', cohort, 99))
    for (const [index, slot] of slots.entries()) {
      reader.refuse(slot, reader.lease(slot)?.mark ?? 0n, index === 0 ? 'taken' : 'missing')
    }
    expect(slots.map((slot) => writer.refusalOf(slot))).to.deep.equal(['taken', 'missing'])
    expect([writer.refusals, [...reader.leases()]]).to.deep.equal([2, []])
  })

  it('P34 P12 lets no lease end while the keeper sends, but for a keeper that has died there', async () => {
    const { writer, reader } = pair()
    const slot = writer.open('a', 't', writer.openCohort(1_000, 5), 99)
    const other = writer.open('b', 't', writer.openCohort(1_000, 5), 99)
    reader.whileNoneEnds(() => {
      const before = performance.now()
      writer.end(slot)
      // Nobody opens the gate, because there is one thread: it waits, but not for ever, and not twice.
      expect(performance.now() - before).to.be.at.least(200)
      const again = performance.now()
      writer.end(other)
      writer.close()
      expect(performance.now() - again).to.be.lessThan(200)
    })
    expect(reader.closed).to.equal(true)
  })

  it('keeps thousands of leases apart, whatever ends and moves', () => {
    const { writer, reader } = pair()
    const random = randomFrom(34)
    const known = new Map<number, { key: string; cohort: number }>()
    const cohorts = Array.from({ length: 5_000 }, (_, index) => writer.openCohort(1_000 + index, index))
    const pick = (): number => cohorts[Math.floor(random() * cohorts.length)] as number
    for (let step = 0; step < 20_000; step += 1) {
      // The oldest one, or one that was moved a while ago.
      const [slot] = known.keys()
      if (slot === undefined || random() < 0.6) {
        const key = `key ${step} ${'x'.repeat(random() * 200)}`
        const cohort = pick()
        known.set(writer.open(key, 't', cohort, 99), { key, cohort })
      } else if (random() < 0.5) {
        writer.end(slot)
        known.delete(slot)
      } else {
        const cohort = pick()
        const { key = '' } = known.get(slot) ?? {}
        writer.move(slot, cohort)
        known.delete(slot)
        known.set(slot, { key, cohort })
      }
      if (step % 2_000 === 0) expect([...reader.leases()].length).to.equal(known.size)
    }
    for (const { slot, ttl } of reader.leases()) {
      const { key, cohort } = known.get(slot) ?? {}
      expect(reader.textOf(slot).key).to.equal(key)
      expect(ttl).to.equal(1_000 + cohorts.indexOf(cohort as number))
    }
  }).timeout(30_000)
})
