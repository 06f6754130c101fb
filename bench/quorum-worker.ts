/**
 * Acquires locks on a quorum, one after the other, by turns with all members and with one that is stopped by SIGSTOP, and measures how long that
 * takes. Runs in a process of its own, and answers with a `QuorumMeasurement`.
 */
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { answerWith } from './child-process.ts'
import { membersOf } from './connect-to.ts'
import { endServer } from './end-server.ts'
import { makeKeys } from './keys.ts'
import type { Holder } from './library.ts'
import { loadLibrary } from './load-library.ts'
import type { QuorumJob, QuorumMeasurement, TurnMeasurement } from './quorum-measurement.ts'

/** Keys that are taken in turn: none of them twice in a row. */
const KEYS = 1_000
/** Turns of each kind: short ones, so that what changes on the machine meanwhile meets both. */
const TURNS = 16
/** Pairs before them, in turns: V8 compiles what is done often. */
const WARM_UP = 8
/** In ms: what a turn left behind is done then. */
const REST = 200

async function measure({ library, url, pid, pairs, ttl, patience }: QuorumJob): Promise<QuorumMeasurement> {
  const controls = membersOf(url).map((member) => new Redis(member))
  const answer = (): Promise<unknown> => Promise.all(controls.map((control) => control.ping()))
  const holder = await (await loadLibrary(library)).open(url, ttl)
  const acquire = (kind: 'warm-up:' | 'benched:', count: number): Promise<TurnMeasurement> =>
    takeTurn(holder, makeKeys(kind, KEYS), count, patience)
  await answer()
  await acquire('warm-up:', WARM_UP * pairs)

  const whole: TurnMeasurement[] = []
  const hung: TurnMeasurement[] = []
  for (let turn = 0; turn < TURNS; turn++) {
    // Each kind comes first in turn.
    if (turn % 2 === 0) whole.push(await acquire('benched:', pairs))
    process.kill(pid, 'SIGSTOP')
    try {
      hung.push(await acquire('benched:', pairs))
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await answer()
    await setTimeout(REST)
    if (turn % 2 === 1) whole.push(await acquire('benched:', pairs))
    await setTimeout(REST)
  }
  await holder.close()
  for (const control of controls) control.disconnect()
  return { whole: together(whole), hung: together(hung) }
}

async function takeTurn(
  holder: Holder,
  keys: readonly string[],
  pairs: number,
  patience: number,
): Promise<TurnMeasurement> {
  const latencies: number[] = []
  const limited = async <T>(work: Promise<T>): Promise<T | undefined> => {
    const over = new AbortController()
    const result = await Promise.race([work, setTimeout(patience, undefined, { signal: over.signal })])
    over.abort()
    return result
  }
  for (let pair = 0; pair < pairs; pair++) {
    const startedAt = performance.now()
    const held = await limited(holder.take(keys[pair % keys.length] as string))
    if (held === undefined) return { latencies, stuck: 1 }
    latencies.push((performance.now() - startedAt) * 1_000)
    const released = await limited(held.release().then(() => true))
    if (released === undefined) return { latencies, stuck: 1 }
  }
  return { latencies, stuck: 0 }
}

function together(turns: readonly TurnMeasurement[]): TurnMeasurement {
  return {
    latencies: turns.flatMap(({ latencies }) => latencies),
    stuck: turns.reduce((sum, { stuck }) => sum + stuck, 0),
  }
}

await answerWith(measure, async ({ url }) => {
  await Promise.all(membersOf(url).map((member) => endServer({ url: member })))
})
