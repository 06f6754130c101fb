/** What happened in a run, in words, for whoever wants to read it: the same words whenever it is repeated. */
import type { AcquireOutcome, ChangeOutcome } from 'leasewheel'
import type { Timeline } from './timeline.ts'

export class Chronicle {
  readonly #timeline: Timeline
  readonly #onLine: ((line: string) => void) | undefined
  /** Tokens are never the same twice; their order is. */
  readonly #names = new Map<string, string>()

  /** @param onLine without it nothing is written, and no words are made. */
  constructor(timeline: Timeline, onLine: ((line: string) => void) | undefined) {
    this.#timeline = timeline
    this.#onLine = onLine
  }

  note(who: string, what: () => string): void {
    if (this.#onLine) this.#onLine(`${this.#timeline.now.toFixed(2).padStart(9)}  ${who.padEnd(11)}  ${what()}`)
  }

  /** A lease in words that are the same whenever the run is repeated. */
  nameOf({ key, token }: { readonly key: string; readonly token: string }): string {
    return `${key} ${this.#numberOf(token)}`
  }

  outcome(outcome: AcquireOutcome | ChangeOutcome): string {
    switch (outcome.type) {
      case 'granted':
        return `granted, fence ${outcome.fence}`
      case 'done':
        return 'done'
      case 'refused':
        if ('reason' in outcome) return `refused, ${outcome.reason}`
        return `refused, ${this.#numberOf(outcome.holder)} has ${outcome.remaining} ms left${outcome.watched ? ', watched' : ''}`
      case 'unknown':
        return `unknown, ${outcome.error.message}`
      default:
        return outcome satisfies never
    }
  }

  #numberOf(token: string): string {
    let name = this.#names.get(token)
    if (name === undefined) {
      name = `#${this.#names.size + 1}`
      this.#names.set(token, name)
    }
    return name
  }
}
