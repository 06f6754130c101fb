/** Promises one table with a line per entrant, and how leasewheel compares. Pure. */
import { BARE, type LibraryName } from './library-name.ts'
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

/** One line of the table. */
export interface Line<Figures> {
  readonly label: string
  readonly figures: Figures
}

export interface Row<Figures> extends Line<Figures> {
  readonly library: LibraryName
}

/** @param heading of the first column */
export function formatFigures<Figures>(
  lines: readonly Line<Figures>[],
  columns: readonly Column<Figures>[],
  heading = 'library',
): string {
  const cells = lines.map(({ label, figures }) => [label, ...columns.map(({ cell }) => cell(figures))])
  return formatTable([heading, ...columns.map((column) => column.heading)], cells)
}

/** One line, and another where the bare commands were measured; says so when there is nothing to compare. */
export function formatRatios<Figures>(rows: readonly Row<Figures>[], compared: readonly Comparable<Figures>[]): string {
  const ours = rows.find(({ label }) => label === 'leasewheel')?.figures
  const peers = rows.filter(({ library }) => library !== 'leasewheel' && library !== BARE)
  const bare = rows.find(({ library }) => library === BARE)?.figures
  if (ours === undefined || (peers.length === 0 && bare === undefined)) {
    return 'No ratio: that takes leasewheel and another library.'
  }
  const semaphore = peers.find(({ library }) => library === 'redis-semaphore')?.figures
  const ratios = compared.map(({ label, value, best }) => {
    // A library without this figure is no peer in it.
    const figures = peers.map((peer) => value(peer.figures)).filter((figure) => !Number.isNaN(figure))
    const toBest = figures.length === 0 ? '-' : formatNumber(value(ours) / best(...figures), 2)
    const toSemaphore = semaphore === undefined ? '-' : formatNumber(value(ours) / value(semaphore), 2)
    return `${label} ${toBest} / ${toSemaphore}`
  })
  const lines = [`leasewheel to the best other / to redis-semaphore: ${ratios.join(', ')}`]
  if (bare !== undefined) {
    const toBare = compared.map(({ label, value }) => `${label} ${formatNumber(value(ours) / value(bare), 2)}`)
    lines.push(`leasewheel to ${BARE}: ${toBare.join(', ')}`)
  }
  return lines.join('\n')
}
