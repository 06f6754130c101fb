/** The history that a worker’s lines prove. */
import { expect } from 'chai'
import { type HistoryRecord, readHistory } from './history.ts'

const BEGIN: HistoryRecord = { type: 'begin', hold: 1, key: 'a', token: 't', fence: 7_000, ttl: 50, at: 10 }
const OTHER: HistoryRecord = { type: 'begin', hold: 2, key: 'b', token: 'u', fence: 8_000, ttl: 60, at: 11 }

function text(...records: readonly HistoryRecord[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join('')
}

describe('the history of a worker', () => {
  it('has a hold from the first to the last proven moment', () => {
    const holds = readHistory(
      text(
        BEGIN,
        OTHER,
        { type: 'held', holds: [1, 2], at: 12 },
        { type: 'held', holds: [1], at: 15 },
        { type: 'end', hold: 1, ending: 'lost: expired' },
      ),
      3,
      2,
    )
    expect(holds).to.deep.equal([
      {
        id: '3.1',
        key: 'a',
        token: 't',
        fence: 7_000,
        ttl: 50,
        grantedAt: 5,
        begin: 10,
        end: 15,
        refusedAt: undefined,
        ending: 'lost: expired',
      },
      {
        id: '3.2',
        key: 'b',
        token: 'u',
        fence: 8_000,
        ttl: 60,
        grantedAt: 6,
        begin: 11,
        end: 12,
        refusedAt: undefined,
        ending: 'unfinished',
      },
    ])
  })

  it('has a hold of one moment if nothing more is proven', () => {
    expect(readHistory(text(BEGIN), 1)[0]).to.include({ begin: 10, end: 10, ending: 'unfinished' })
  })

  it('says how a hold shares its key, and when it was asked for', () => {
    const joint = { mode: 'permit', permits: 3, weight: 1 } as const
    const [hold] = readHistory(text({ ...BEGIN, joint }, { type: 'asked', hold: 1, at: 9 }), 1)
    expect(hold).to.deep.include({ joint, askedAt: 9, begin: 10 })
    expect(readHistory(text(BEGIN), 1)[0]).not.to.have.any.keys('joint', 'askedAt')
  })

  it('keeps the first refusal of a holder', () => {
    const refusals: HistoryRecord[] = [13, 14].map((at) => ({ type: 'refused', hold: 1, at }))
    expect(readHistory(text(BEGIN, ...refusals), 1)[0]).to.include({ refusedAt: 13 })
  })

  it('ignores a line that a kill cut off', () => {
    const cut = text({ type: 'held', holds: [1], at: 123_456 }).slice(0, -1)
    expect(readHistory(text(BEGIN) + cut, 1)[0]).to.include({ end: 10 })
    expect(readHistory('', 1)).to.deep.equal([])
  })

  for (const [what, line] of [
    ['no record', 'held'],
    ['a record of another kind', '{"type":"hold"}'],
    ['a hold that has not begun', '{"type":"held","holds":[2],"at":3}'],
    ['a hold that begins twice', JSON.stringify(BEGIN)],
  ] as const) {
    it(`is refused if a line is ${what}`, () => {
      expect(() => readHistory(`${text(BEGIN)}${line}\n`, 4)).to.throw(
        `The history of worker 4 has a line that makes no sense: ${line}`,
      )
    })
  }
})
