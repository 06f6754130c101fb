/** What must not get worse. Promises a verdict on each bound, and one line on each that is broken. Pure. */
import type { GuardFigures } from './guard-figures.ts'
import { formatNumber, formatTable } from './table.ts'

export interface Bound {
  readonly figure: keyof GuardFigures
  readonly label: string
  readonly kind: 'at most' | 'at least'
  readonly value: number
  readonly decimals: number
}

/**
 * Ratios are of CPU, not of time, because on a busy machine time goes to whoever gets a turn; and they leave room for what
 * company does to caches and to the peer's batches: more than twice what is measured on a quiet machine. Counts do not
 * depend on the machine, and leave room for a change that is worth it.
 */
export const bounds: readonly Bound[] = [
  {
    figure: 'nodeCpuRatio',
    label: 'Node CPU per renewal, to redis-semaphore',
    kind: 'at most',
    value: 0.25,
    decimals: 2,
  },
  {
    figure: 'redisCpuRatio',
    label: 'Redis CPU per renewal, to redis-semaphore',
    kind: 'at most',
    value: 0.8,
    decimals: 2,
  },
  { figure: 'heapRatio', label: 'heap per lock, to redis-semaphore', kind: 'at most', value: 1, decimals: 2 },
  { figure: 'acquireRatio', label: 'CPU per acquire, to redis-semaphore', kind: 'at most', value: 1, decimals: 2 },
  { figure: 'renewalsPerScript', label: 'renewals per command', kind: 'at least', value: 150, decimals: 1 },
  { figure: 'bytesPerRenewal', label: 'bytes sent per renewal', kind: 'at most', value: 80, decimals: 1 },
  { figure: 'allocatedPerRenewal', label: 'bytes allocated per renewal', kind: 'at most', value: 200, decimals: 1 },
  { figure: 'timers', label: 'timers armed', kind: 'at most', value: 1, decimals: 0 },
  { figure: 'nodeTimers', label: 'timers in the heap for all locks', kind: 'at most', value: 10, decimals: 0 },
  { figure: 'lost', label: 'locks lost', kind: 'at most', value: 0, decimals: 0 },
]

export interface Verdict extends Bound {
  readonly measured: number
  readonly isKept: boolean
}

/** What could not be measured is broken: a guard that saw nothing has not seen that all is well. */
export function judge(figures: GuardFigures, all: readonly Bound[] = bounds): readonly Verdict[] {
  return all.map((bound) => {
    const measured = figures[bound.figure]
    const isKept = bound.kind === 'at most' ? measured <= bound.value : measured >= bound.value
    return { ...bound, measured, isKept }
  })
}

export function formatVerdicts(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ label, measured, kind, value, decimals, isKept }) => [
    label,
    formatNumber(measured, decimals),
    `${kind} ${formatNumber(value, decimals)}`,
    isKept ? 'kept' : 'BROKEN',
  ])
  return formatTable(['', 'measured', 'bound', ''], rows)
}

/** One line for each broken bound. */
export function formatBroken(verdicts: readonly Verdict[]): readonly string[] {
  return verdicts
    .filter(({ isKept }) => !isKept)
    .map(({ label, measured, kind, value, decimals }) => {
      const found = Number.isNaN(measured) ? 'it could not be measured' : `got ${formatNumber(measured, decimals)}`
      return `Broken: expected ${label} to be ${kind} ${formatNumber(value, decimals)}, ${found}`
    })
}
