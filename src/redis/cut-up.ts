/** Finds the entries because of which a server refused a whole batch. */
import type { Unknown } from '../backend.ts'
import { isReply, kindOf } from './reply-fault.ts'

/** Asks for some entries in one request. @throws if there is no answer, or an error. */
export type Ask<E, O> = (entries: readonly E[]) => Promise<readonly O[]>

/** @param entry the entry of the request, if there was only one. */
export type Explain<E> = (thrown: unknown, entry?: E) => Unknown

interface Attempt<E, O> {
  readonly entries: readonly E[]
  /** Undefined if the request failed. */
  readonly outcomes?: readonly O[]
  readonly thrown?: unknown
}

/**
 * The outcomes of a batch whose request failed. If one key may be to blame, this asks again in ⌈√n⌉ pieces, and then for each entry of a refused
 * piece alone. So a batch of n takes at most n + 2⌈√n⌉ more requests, in three round trips: one bad key among 256 takes 32.
 *
 * If the reason is unclear and the server refuses all pieces, each entry of the first piece is tried alone. If the server refuses those too, it is
 * to blame rather than a key, and nothing more is asked. That check takes ⌈√n⌉ more requests.
 *
 * @param thrown the error of the request for the whole batch.
 */
export async function cutUp<E, O>(
  entries: readonly E[],
  thrown: unknown,
  ask: Ask<E, O>,
  explain: Explain<E>,
): Promise<readonly (O | Unknown)[]> {
  const whole = { entries, thrown }
  if (!isWorthCutting(whole)) return outcomesOf(whole, explain)
  const pieces = await attempt(cut(entries, Math.ceil(Math.sqrt(entries.length))), ask)
  const isUnclear = isReply(thrown) && kindOf(thrown) === 'unclear'
  if (isUnclear && pieces.every(({ outcomes }) => outcomes === undefined)) {
    // Each piece may contain a bad key. If the first piece has no good key, the server is to blame.
    const sample = await attempt(cut(pieces[0]?.entries ?? [], pieces[0]?.entries.length ?? 1), ask)
    if (sample.every(({ outcomes }) => outcomes === undefined)) return outcomesOf(whole, explain)
  }
  const parts = await Promise.all(
    pieces.map(async (piece) => {
      if (!isWorthCutting(piece)) return outcomesOf(piece, explain)
      const singles = await attempt(cut(piece.entries, piece.entries.length), ask)
      return singles.flatMap((single) => outcomesOf(single, explain))
    }),
  )
  return parts.flat()
}

function isWorthCutting<E, O>({ entries, outcomes, thrown }: Attempt<E, O>): boolean {
  if (outcomes !== undefined || entries.length === 1 || !isReply(thrown)) return false
  const kind = kindOf(thrown)
  return kind === 'key' || kind === 'unclear'
}

function attempt<E, O>(batches: readonly (readonly E[])[], ask: Ask<E, O>): Promise<readonly Attempt<E, O>[]> {
  return Promise.all(
    batches.map(async (entries): Promise<Attempt<E, O>> => {
      try {
        return { entries, outcomes: await ask(entries) }
      } catch (thrown) {
        return { entries, thrown }
      }
    }),
  )
}

function outcomesOf<E, O>({ entries, outcomes, thrown }: Attempt<E, O>, explain: Explain<E>): readonly (O | Unknown)[] {
  if (outcomes !== undefined) return outcomes
  const outcome = explain(thrown, entries.length === 1 ? entries[0] : undefined)
  return entries.map(() => outcome)
}

/** Cuts a list into pieces of about the same size. */
function cut<E>(entries: readonly E[], pieces: number): E[][] {
  const size = Math.ceil(entries.length / pieces)
  return Array.from({ length: Math.ceil(entries.length / size) }, (_, index) =>
    entries.slice(index * size, (index + 1) * size),
  )
}
