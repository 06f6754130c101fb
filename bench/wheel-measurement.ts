/** Promises what one process that tries a timer structure is told to do and what it tells in return. */

export const STRUCTURE_NAMES = ['wheel', 'setTimeout', 'heap', 'FIFO'] as const

export type StructureName = (typeof STRUCTURE_NAMES)[number]

export interface WheelJob {
  readonly structure: StructureName
  readonly entries: number
}

/** ns per entry: the median of as many repetitions as fit. */
export interface WheelMeasurement {
  readonly entries: number
  readonly schedule: number
  readonly reschedule: number
  readonly fire: number
}
