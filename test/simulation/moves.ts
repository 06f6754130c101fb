/**
 * Places move from one node to another, in the ways in which that happens.
 *
 *     at once, one of them or many
 *     key by key:  begins ──(each of its keys, now or later)──▶ ends
 */
import type { Chronicle } from './chronicle.ts'
import type { Random } from './random.ts'
import type { Scenario } from './scenario.ts'
import { PLACES, type SimulatedNodes } from './simulated-nodes.ts'
import type { Timeline } from './timeline.ts'

export type Move = 'move' | 'moveMany' | 'moveSlowly'

export interface MovesParts {
  readonly scenario: Scenario
  readonly timeline: Timeline
  readonly chronicle: Chronicle
  readonly random: Random
  readonly nodes: SimulatedNodes
}

export class Moves {
  readonly #parts: MovesParts
  /** Whether a node can give places away, and take them. */
  readonly #isFree: (route: number) => boolean

  constructor(parts: MovesParts, isFree: (route: number) => boolean) {
    this.#parts = parts
    this.#isFree = isFree
  }

  /** @param to the node that is to have them. */
  begin(how: Move, to: number): void {
    const { random, nodes, scenario } = this.#parts
    const place = nodes.placeOf(random.pick(scenario.keys))
    if (!this.#isFree(to)) return
    if (how === 'moveSlowly') {
      if (this.#isFree(nodes.ownerOf(place))) this.#moveSlowly(place, to)
      return
    }
    if (how === 'move') {
      this.#move(place, to)
      return
    }
    const from = nodes.ownerOf(place)
    for (let other = 0; other < PLACES; other += 1) {
      if (nodes.ownerOf(other) === from && random.chance(0.7)) this.#move(other, to)
    }
  }

  #move(place: number, to: number): void {
    const { nodes } = this.#parts
    if (!this.#isFree(nodes.ownerOf(place))) return
    this.#note(() => `place ${place} is on node ${to}`)
    nodes.move(place, to)
  }

  #moveSlowly(place: number, to: number): void {
    const { nodes, random, timeline, scenario } = this.#parts
    const duration = random.between(10, 3 * Math.max(...scenario.ttls))
    this.#note(() => `place ${place} is on its way to node ${to}`)
    for (const key of nodes.beginMove(place, to)) timeline.after(random.between(0, duration), () => nodes.moveKey(key))
    timeline.after(duration, () => {
      this.#note(() => `place ${place} is on node ${to}`)
      nodes.endMove(place)
    })
  }

  #note(what: () => string): void {
    this.#parts.chronicle.note('move', what)
  }
}
