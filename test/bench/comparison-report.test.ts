import { expect } from 'chai'
import { type Column, type Comparable, formatFigures, formatRatios, type Row } from '../../bench/comparison-report.ts'
import type { LibraryName } from '../../bench/library-name.ts'
import { formatNumber } from '../../bench/table.ts'

interface Figures {
  readonly cost: number
}

const columns: readonly Column<Figures>[] = [{ heading: 'cost', cell: ({ cost }) => formatNumber(cost, 1) }]
const price: readonly Comparable<Figures>[] = [{ label: 'cost', value: ({ cost }) => cost, best: Math.min }]

function row(library: LibraryName, cost: number, label: string = library): Row<Figures> {
  return { label, library, figures: { cost } }
}

describe('The report of a comparison', () => {
  it('is a Markdown table with a line for each entrant', () => {
    const rows = [row('leasewheel', 1234.56), row('leasewheel', 2, 'leasewheel (Node 24)'), row('redlock', Number.NaN)]
    expect(formatFigures(rows, columns).split('\n')).to.deep.equal([
      '| library              |    cost |',
      '| -------------------- | ------: |',
      '| leasewheel           | 1,234.6 |',
      '| leasewheel (Node 24) |     2.0 |',
      '| redlock              |       - |',
    ])
  })

  it('compares with the best other library, except one without such a figure', () => {
    const rows = [
      row('leasewheel', 1),
      row('redis-semaphore', 8),
      row('redlock', 4),
      row('redlock-universal', Number.NaN),
    ]
    expect(formatRatios(rows, price)).to.equal('leasewheel to the best other / to redis-semaphore: cost 0.25 / 0.13')
  })

  it('excludes leasewheel on another runtime and the bare commands from the peers', () => {
    const rows = [
      row('leasewheel', 2),
      row('leasewheel', 0.1, 'leasewheel (Node 24)'),
      row('redis-semaphore', 8),
      row('bare ioredis', 1),
    ]
    expect(formatRatios(rows, price).split('\n')).to.deep.equal([
      'leasewheel to the best other / to redis-semaphore: cost 0.25 / 0.25',
      'leasewheel to bare ioredis: cost 2.00',
    ])
  })

  it('reports that there is nothing to compare', () => {
    expect(formatRatios([row('leasewheel', 2)], price)).to.match(/^No ratio/)
    expect(formatRatios([row('redlock', 2)], price)).to.match(/^No ratio/)
  })
})
