/** Promises the pictures of what `scale` measured: which they are, and what is in them. Pure. */
import type { Row } from '../comparison-report.ts'
import type { HoldFigures } from '../hold-figures.ts'
import type { LibraryName } from '../library-name.ts'
import type { Line, LineChart, Panel } from './chart.ts'

export interface NamedChart {
  /** Of the file, without its ending. */
  readonly name: string
  /** For those who cannot see it. */
  readonly description: string
  readonly chart: LineChart
}

/** Tones that stand out from white and from black. */
const colours: Readonly<Record<LibraryName, string>> = {
  leasewheel: '#2f81f7',
  'leasewheel-unwatched': '#1f6feb',
  'leasewheel-kept': '#1f6feb',
  'leasewheel-observed': '#1f6feb',
  'redis-semaphore': '#d9730d',
  redlock: '#a371f7',
  'redlock-universal': '#2da44e',
  'bare ioredis': '#7d8590',
  'pipelined EVALSHA': '#bf3989',
}

/** Besides those of the runtime that is here only: the others' lines would lie on top of it. */
export function chartsOf(rows: readonly Row<HoldFigures>[], ttl: number): readonly NamedChart[] {
  const own = rows.filter(({ label, library }) => label === library)
  const panel = (title: string, figure: (figures: HoldFigures) => number): Panel => ({
    title,
    lines: linesOf(own, figure),
  })
  const seconds = ttl / 1_000
  const axis = 'locks held'
  return [
    {
      name: 'cost',
      description: 'CPU of Node and of Redis per second over the number of locks held, for each library',
      chart: {
        title: `What holding locks costs (ttl ${seconds} s)`,
        axis,
        panels: [
          panel('Node, ms of CPU per second', ({ nodeLoad }) => nodeLoad),
          panel('Redis, ms of CPU per second', ({ redisLoad }) => redisLoad),
        ],
      },
    },
    {
      name: 'loop-delay',
      description: 'Event-loop delay over the number of locks held, for each library',
      chart: {
        title: `How long the event loop is kept busy (ttl ${seconds} s)`,
        axis,
        panels: [
          panel('p99 of the delay, ms', ({ delayP99 }) => delayP99),
          panel('longest delay, ms', ({ delayMax }) => delayMax),
        ],
      },
    },
    {
      name: 'heap',
      description: 'Heap per lock over the number of locks held, for each library',
      chart: {
        title: 'What a held lock takes in memory',
        axis,
        panels: [panel('bytes per lock, key included', ({ heap }) => heap)],
      },
    },
  ]
}

function linesOf(rows: readonly Row<HoldFigures>[], figure: (figures: HoldFigures) => number): readonly Line[] {
  const libraries = [...new Set(rows.map(({ library }) => library))]
  return libraries.map((library) => ({
    name: library,
    colour: colours[library],
    isOurs: library === 'leasewheel',
    points: rows
      .filter((row) => row.library === library)
      .map(({ figures }) => [figures.locks, figure(figures)] as const)
      // A logarithmic axis has no place for anything else.
      .filter(([, value]) => value > 0),
  }))
}
