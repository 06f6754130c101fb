/** What the waits of callers mean. Pure. */
import type { Told } from './messages.ts'

export interface Figures {
  readonly callers: number
  readonly grants: number
  /** The fewest and the most grants of one caller. */
  readonly fewest: number
  readonly most: number
  /**
   * Jain's index over the grants of all callers: 1 if each had as many, 1 / callers if one had all (Jain, Chiu, Hawe, "A quantitative measure of
   * fairness", 1984).
   */
  readonly fairness: number
  /** ms. */
  readonly mean: number
  /** In ms, waits that were not over at the end included. */
  readonly longest: number
}

/** @param told of all callers of one kind. */
export function figuresOf(told: readonly Told[]): Figures {
  const counts = told.map(({ waits }) => waits.length)
  const grants = counts.reduce((sum, count) => sum + count, 0)
  const squares = counts.reduce((sum, count) => sum + count ** 2, 0)
  const waits = told.flatMap((caller) => caller.waits)
  const total = waits.reduce((sum, wait) => sum + wait, 0)
  return {
    callers: told.length,
    grants,
    fewest: Math.min(...counts),
    most: Math.max(...counts),
    fairness: grants === 0 ? 0 : grants ** 2 / (told.length * squares),
    mean: grants === 0 ? Number.POSITIVE_INFINITY : total / grants,
    longest: [...waits, ...told.map(({ pending }) => pending)].reduce((one, other) => Math.max(one, other), 0),
  }
}

export interface Bounds {
  /** What `fairness` must be above. */
  readonly fairness?: number
  /** By how many times the mean the longest wait may be longer. */
  readonly longest?: number
}

/** What is not as it should be. @param kind a name for messages. */
export function faultsOf(kind: string, figures: Figures, bounds: Bounds): string[] {
  const { fewest, fairness, mean, longest } = figures
  const faults: string[] = []
  if (fewest === 0) faults.push(`${kind}: a caller had nothing`)
  if (bounds.fairness !== undefined && !(fairness > bounds.fairness)) {
    faults.push(`${kind}: a fairness of ${fairness.toFixed(3)} is not above ${bounds.fairness}`)
  }
  if (bounds.longest !== undefined && !(longest <= bounds.longest * mean)) {
    faults.push(
      `${kind}: ${longest.toFixed(0)} ms are more than ${bounds.longest} times the mean of ${mean.toFixed(1)} ms`,
    )
  }
  return faults
}
