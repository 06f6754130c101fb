/** All calls of a request as they go to the socket, kept for a request that comes again. */
import type { LockEntry } from '../../backend.ts'
import { CACHING_YES } from '../tracking.ts'
import type { Choice, Kind } from './request-kinds.ts'
import type { Part } from './slot-plan.ts'

/** A request that comes again and again. */
export interface Plan {
  readonly parts: readonly Part<LockEntry>[]
  /** All calls, encoded. */
  wire?: Buffer
  choice?: Choice
}

export function encodeCalls<E extends LockEntry>(
  kind: Kind<E, unknown>,
  choice: Choice,
  parts: readonly Part<E>[],
  plan: Plan | undefined,
): Buffer {
  const { script, watched } = choice
  if (plan?.wire && plan.choice?.script === script && plan.choice.watched === watched) return plan.wire
  const wires: Buffer[] = []
  for (const { slot, entries } of parts) {
    if (watched) wires.push(CACHING_YES)
    wires.push(kind.call(script, slot, entries).wire)
  }
  const wire = Buffer.concat(wires)
  if (plan && kind.returns) Object.assign(plan, { wire, choice })
  return wire
}
