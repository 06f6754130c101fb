/** What moves of slots came to: a line for each. */
import type { MovesReport } from './all-slots.ts'
import type { HalfReport } from './half-moved.ts'

export function formatMoves(report: MovesReport): string {
  const { way, took, acquisitions, accepted, refused, held, renewals, violations } = report
  return [
    `${way.padEnd(7)} every slot there and back in ${(took / 1_000).toFixed(1)} s`,
    `${count(acquisitions)} acquisitions, ${count(accepted)} writes accepted, ${count(refused)} refused as stale`,
    `${count(held)} leases held all the time, ${count(renewals)} renewals of them`,
    `violations: ${count(violations.length)}`,
  ].join('; ')
}

export function formatHalf({ fence, slot, told, waited, violations }: HalfReport): string {
  const outcome = told === undefined ? 'who wanted another lock got it' : `who wanted another lock was told: ${told}`
  return [
    `${'half'.padEnd(7)} slot ${slot}, the fence's key at the ${fence}`,
    outcome,
    `who waited had it ${waited.toFixed(0)} ms after the move`,
    `violations: ${count(violations.length)}`,
  ].join('; ')
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
