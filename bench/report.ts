/** Promises one table with a line per library, and how leasewheel compares. Pure. May import table.ts. */
import type { LibraryName } from './library-name.ts'
import { formatNumber, formatTable } from './table.ts'

export interface Column<Figures> {
  readonly heading: string
  readonly cell: (figures: Figures) => string
}

/** What is compared. */
export interface Comparable<Figures> {
  readonly label: string
  readonly value: (figures: Figures) => number
  /** `Math.min` for a price, `Math.max` for a yield. */
  readonly best: (...values: number[]) => number
}

export type FiguresByLibrary<Figures> = ReadonlyMap<LibraryName, Figures>

export function formatFigures<Figures>(all: FiguresByLibrary<Figures>, columns: readonly Column<Figures>[]): string {
  const rows = [...all].map(([name, figures]) => [name, ...columns.map(({ cell }) => cell(figures))])
  return formatTable(['library', ...columns.map(({ heading }) => heading)], rows)
}

/** One line; says so when there is nothing to compare. */
export function formatRatios<Figures>(
  all: FiguresByLibrary<Figures>,
  compared: readonly Comparable<Figures>[],
): string {
  const ours = all.get('leasewheel')
  const peers = [...all].filter(([name]) => name !== 'leasewheel')
  if (ours === undefined || peers.length === 0) return 'No ratio: that takes leasewheel and another library.'
  const semaphore = all.get('redis-semaphore')
  const ratios = compared.map(({ label, value, best }) => {
    // A library without this figure is no peer in it.
    const figures = peers.map(([, peer]) => value(peer)).filter((figure) => !Number.isNaN(figure))
    const toBest = figures.length === 0 ? '-' : formatNumber(value(ours) / best(...figures), 2)
    const toSemaphore = semaphore === undefined ? '-' : formatNumber(value(ours) / value(semaphore), 2)
    return `${label} ${toBest} / ${toSemaphore}`
  })
  return `leasewheel to the best other / to redis-semaphore: ${ratios.join(', ')}`
}
