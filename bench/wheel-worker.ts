/**
 * Tries one timer structure with a number of entries. Runs in a process of its own, started with --expose-gc, and
 * answers with a `WheelMeasurement`.
 */
import { answerWith } from './child-process.ts'
import { median } from './figures.ts'
import { FifoQueue } from './timers/fifo-queue.ts'
import { HeapQueue } from './timers/heap-queue.ts'
import { passNodeTimers } from './timers/node-timers.ts'
import { type Passes, passQueue } from './timers/passes.ts'
import type { TimerQueue } from './timers/timer-queue.ts'
import { WheelQueue } from './timers/wheel-queue.ts'
import type { StructureName, WheelJob, WheelMeasurement } from './wheel-measurement.ts'

/** In ms: entries are due within so much, and are moved by so much: as leases with a ttl of 30 s are. */
const PERIOD = 10_000
const WARM_UP = 20_000
/** Operations of each kind over all repetitions, at least. */
const OPERATIONS = 200_000
const MOST_REPETITIONS = 50

async function measure({ structure, entries }: WheelJob): Promise<WheelMeasurement> {
  for (let warmUp = 0; warmUp < 5; warmUp++) await pass(structure, WARM_UP)
  const repetitions = Math.min(Math.ceil(OPERATIONS / entries), MOST_REPETITIONS)
  const all: Passes[] = []
  for (let repetition = 0; repetition < repetitions; repetition++) all.push(await pass(structure, entries))
  const each = (name: keyof Passes): number => median(all.map((passes) => passes[name])) / entries
  return { entries, schedule: each('schedule'), reschedule: each('reschedule'), fire: each('fire') }
}

async function pass(structure: StructureName, entries: number): Promise<Passes> {
  const isOrdered = structure === 'FIFO'
  const first = Float64Array.from({ length: entries }, (_, entry) =>
    Math.floor((isOrdered ? entry / entries : Math.random()) * PERIOD),
  )
  const second = first.map((due) => due + PERIOD)
  const order = Int32Array.from({ length: entries }, (_, entry) => entry)
  // As in life: what is due first is moved first.
  if (!isOrdered) order.sort((one, other) => (first[one] as number) - (first[other] as number))
  // Not before a short pass: what comes after a collection finds the caches cold.
  if (entries > WARM_UP) globalThis.gc?.()
  if (structure === 'setTimeout') return passNodeTimers(first, second, order)
  return passQueue(createQueue(structure, entries), first, second, order)
}

function createQueue(structure: Exclude<StructureName, 'setTimeout'>, entries: number): TimerQueue {
  switch (structure) {
    case 'wheel':
      return new WheelQueue()
    case 'heap':
      return new HeapQueue(entries)
    case 'FIFO':
      return new FifoQueue(entries)
    default:
      return structure satisfies never
  }
}

await answerWith(measure, async () => {})
