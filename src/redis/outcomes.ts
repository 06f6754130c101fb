/** What the answers of the scripts mean: one outcome for each entry. Pure. */
import type { AcquireOutcome, ChangeOutcome, Exchange, HolderView, JointView, LockView } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import { modeOf, readMember } from './joint-call.ts'

const DONE = { type: 'done' } as const
const TAKEN = { type: 'refused', reason: 'taken' } as const
const MISSING = { type: 'refused', reason: 'missing' } as const

/** @param watched whether the server watches the refused keys. */
export function acquireOutcomes(reply: unknown, count: number, watched: boolean): readonly AcquireOutcome[] {
  const [fence, refused = []] = checkReply(reply) as [number, (number | string)[]?]
  const outcomes = repeat<AcquireOutcome>({ type: 'granted', fence }, count)
  for (let i = 0; i < refused.length; i += 3) {
    const [index, pttl, holder] = refused.slice(i, i + 3) as [number, number, string]
    outcomes[index - 1] = { type: 'refused', remaining: remainingOf(pttl), holder, watched }
  }
  return outcomes
}

export function changeOutcomes(reply: unknown, count: number): readonly ChangeOutcome[] {
  const outcomes = repeat<ChangeOutcome>(DONE, count)
  const exceptions = checkReply(reply) as number[]
  for (let i = 0; i < exceptions.length; i += 2) {
    outcomes[(exceptions[i] as number) - 1] = exceptions[i + 1] === 1 ? TAKEN : MISSING
  }
  return outcomes
}

/** @param watched whether the server watches the refused keys. */
export function handOverOutcomes(reply: unknown, count: number, watched: boolean): readonly Exchange[] {
  const acquired = acquireOutcomes(reply, count, watched)
  const released = changeOutcomes((reply as unknown[])[2] ?? [], count)
  return acquired.map((outcome, index) => ({
    type: 'exchanged',
    released: released[index] as ChangeOutcome,
    acquired: outcome,
  }))
}

export function viewOf(reply: unknown): LockView | null {
  const found = checkReply(reply) as (string | number)[]
  if (found.length === 0) return null
  const [token, left, mode, ...holders] = found as [string, number, number?, ...(string | number)[]]
  const view = { token, remaining: remainingOf(left) }
  return mode === undefined ? view : { ...view, joint: jointViewOf(mode, holders) }
}

/** @param elements the member and what is left of its ttl, for each holder. */
function jointViewOf(mode: number, elements: readonly (string | number)[]): JointView {
  const holders: HolderView[] = []
  for (let i = 0; i < elements.length; i += 2) {
    holders.push({ ...readMember(elements[i] as string), remaining: elements[i + 1] as number })
  }
  return { mode: modeOf(mode), holders }
}

function repeat<O>(outcome: O, count: number): O[] {
  const outcomes: O[] = []
  while (outcomes.length < count) outcomes.push(outcome)
  return outcomes
}

function remainingOf(pttl: number): number {
  return pttl === -1 ? Number.POSITIVE_INFINITY : pttl
}

function checkReply(reply: unknown): unknown[] {
  if (Array.isArray(reply)) return reply
  throw new UnavailableError(`Expected Redis to answer a script with an array, got ${typeof reply}`)
}
