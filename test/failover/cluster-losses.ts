/** Why leases were lost in a failover, in words that tell whose fault it was. Pure. */
import type { ClusterOutcome } from './cluster-messages.ts'

/** Times are those of `machineTime`, in ms. */
export interface Moments {
  readonly faultAt: number
  /** When the plain client could write to the replica. */
  readonly wroteAt: number
}

/** Losses with one reason, on one side of the plain client's first write. */
export interface Losses {
  readonly reason: string
  readonly count: number
  /** From the fault to the first and the last of them, in ms. */
  readonly first: number
  readonly last: number
}

/**
 * A lease that expires before anybody can write is nobody's fault. One that expires afterwards was not renewed in time: the manager was slow, or its
 * process. One that is missing was not renewed on the replica in time by the old master's word, or never got there.
 */
export function explainLosses(outcomes: readonly ClusterOutcome[], { faultAt, wroteAt }: Moments): Losses[] {
  const byReason = new Map<string, number[]>()
  for (const { lost, lostAt } of outcomes) {
    if (lost === undefined || lostAt === undefined) continue
    const reason = `${lost} ${lostAt < wroteAt ? 'before' : 'after'} the plain client's first write`
    const times = byReason.get(reason) ?? []
    byReason.set(reason, times)
    times.push(lostAt - faultAt)
  }
  return [...byReason].map(([reason, times]) => {
    const sorted = [...times].sort((one, other) => one - other)
    return { reason, count: times.length, first: sorted[0] ?? 0, last: sorted.at(-1) ?? 0 }
  })
}
