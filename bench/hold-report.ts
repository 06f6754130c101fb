/** Promises one table with a line per library, and how leasewheel compares. Pure. May import table.ts and hold-figures.ts. */
import type { HoldFigures } from './hold-figures.ts'
import type { LibraryName } from './library-name.ts'
import { formatNumber, formatTable } from './table.ts'

export type FiguresByLibrary = ReadonlyMap<LibraryName, HoldFigures>

const columns: readonly { readonly heading: string; readonly cell: (figures: HoldFigures) => string }[] = [
  { heading: 'acquires/s', cell: ({ acquiresPerSecond }) => formatNumber(acquiresPerSecond) },
  { heading: 'renewals/s', cell: ({ renewalsPerSecond }) => formatNumber(renewalsPerSecond) },
  { heading: 'Node µs/renewal', cell: ({ nodeCpu }) => formatNumber(nodeCpu, 2) },
  { heading: 'Redis µs/renewal', cell: ({ redisCpu }) => formatNumber(redisCpu, 2) },
  { heading: 'commands/s', cell: ({ commandsPerSecond }) => formatNumber(commandsPerSecond) },
  { heading: 'heap B/lock', cell: ({ heap }) => formatNumber(heap) },
  {
    heading: 'loop delay p50/p99/max ms',
    cell: ({ delayP50, delayP99, delayMax }) =>
      [delayP50, delayP99, delayMax].map((delay) => formatNumber(delay, 1)).join(' / '),
  },
  { heading: 'alive', cell: ({ alive }) => formatNumber(alive) },
  { heading: 'lost', cell: ({ lost }) => formatNumber(lost) },
]

/** The prices that are compared; the smaller, the better. */
const compared: readonly { readonly label: string; readonly price: (figures: HoldFigures) => number }[] = [
  { label: 'Node CPU per renewal', price: ({ nodeCpu }) => nodeCpu },
  { label: 'Redis CPU per renewal', price: ({ redisCpu }) => redisCpu },
  { label: 'heap per lock', price: ({ heap }) => heap },
]

export function formatFigures(all: FiguresByLibrary): string {
  const rows = [...all].map(([name, figures]) => [name, ...columns.map(({ cell }) => cell(figures))])
  return formatTable(['library', ...columns.map(({ heading }) => heading)], rows)
}

/** One line; says so when there is nothing to compare. */
export function formatRatios(all: FiguresByLibrary): string {
  const ours = all.get('leasewheel')
  const peers = [...all].filter(([name]) => name !== 'leasewheel')
  if (ours === undefined || peers.length === 0) return 'No ratio: that takes leasewheel and another library.'
  const semaphore = all.get('redis-semaphore')
  const ratios = compared.map(({ label, price }) => {
    const best = Math.min(...peers.map(([, figures]) => price(figures)))
    const toSemaphore = semaphore === undefined ? '-' : formatNumber(price(ours) / price(semaphore), 2)
    return `${label} ${formatNumber(price(ours) / best, 2)} / ${toSemaphore}`
  })
  return `leasewheel to the best other / to redis-semaphore: ${ratios.join(', ')}`
}
