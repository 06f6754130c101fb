import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { chartsOf } from '../../bench/charts/scale-charts.ts'
import type { Row } from '../../bench/comparison-report.ts'
import type { HoldFigures } from '../../bench/hold-figures.ts'
import type { LibraryName } from '../../bench/library-name.ts'
import { formatPage } from '../../bench/page.ts'
import { writeRawData } from '../../bench/raw-data.ts'
import { commandLine, readResult, type Result } from '../../bench/result.ts'

const result: Result = {
  command: 'npm run bench -- hold --locks 5',
  subject: '5 locks',
  environment: {
    node: '20.20.2',
    redis: '7.0.15',
    ioredis: '6.0.0',
    libraries: { leasewheel: '0.1.0' },
    cpu: 'a processor',
    cores: 2,
    memory: 8,
    system: 'Linux',
    date: '2026-01-01T00:00:00.000Z',
  },
  settings: { limits: ['redlock is measured up to 5 locks: it is.'] },
  rounds: 3,
  rows: [],
  measurements: [],
}

function holding(library: LibraryName, locks: number, label: string = library): Row<HoldFigures> {
  const figures = { locks, nodeLoad: locks / 10, redisLoad: 0, delayP99: 1, delayMax: 2, heap: 400 }
  return { label, library, figures: figures as HoldFigures }
}

describe('The page of the benchmarks', () => {
  it('states the method, machine, date and number of rounds of each table', () => {
    const page = formatPage([{ title: 'Holding', text: 'About it.', result, paragraphs: ['| table |'] }], [])
    for (const part of [
      '## Holding',
      'About it.',
      '```sh\nnpm run bench -- hold --locks 5\n```',
      '| table |',
      'redlock is measured up to 5 locks: it is.',
      'Median of 3 rounds.',
      'Node 20.20.2, ioredis 6.0.0, Redis 7.0.15, leasewheel 0.1.0',
      '2026-01-01T00:00:00.000Z',
    ]) {
      expect(page).to.contain(part)
    }
  })

  it('shows the pictures, with a description for screen readers', () => {
    expect(formatPage([], [{ path: 'charts/cost.svg', description: 'CPU' }])).to.contain('![CPU](charts/cost.svg)')
  })

  it('has a line per library, a point per number of locks, and ours marked', () => {
    const rows = [
      holding('leasewheel', 1_000),
      holding('leasewheel', 1_000, 'leasewheel (Node 24)'),
      holding('redlock', 1_000),
      holding('leasewheel', 10_000),
    ]
    const [cost] = chartsOf(rows, 15_000)
    const [node, redis] = cost?.chart.panels ?? []
    expect(node?.lines.map(({ name, isOurs, points }) => ({ name, isOurs, points }))).to.deep.equal([
      {
        name: 'leasewheel',
        isOurs: true,
        points: [
          [1_000, 100],
          [10_000, 1_000],
        ],
      },
      { name: 'redlock', isOurs: false, points: [[1_000, 100]] },
    ])
    // A logarithmic axis has no place for 0.
    expect(redis?.lines.map(({ points }) => points)).to.deep.equal([[], []])
  })
})

describe('The raw data of a command', () => {
  it('keeps the command line, without the file', () => {
    const args = ['--locks', '5', '--json', '/tmp/x.json', '--rounds', '3', '--json=y']
    expect(commandLine('hold', args)).to.equal('npm run bench -- hold --locks 5 --rounds 3')
  })

  it('is read back as it was written, including values that are not numbers', () => {
    const directory = mkdtempSync(join(tmpdir(), 'leasewheel-bench-'))
    try {
      const file = join(directory, 'result.json')
      const rows = [{ label: 'redlock', figures: { keys: Number.NaN, cost: 1 } }]
      writeRawData(file, { ...result, rows })
      expect(readResult(file)).to.deep.equal({ ...result, rows })
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
