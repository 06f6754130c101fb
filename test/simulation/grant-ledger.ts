/**
 * All grants of quorums in a run, whether or not anybody got a lease of them: no two of a key have the same fence, and a grant that was asked for after
 * another was answered has a larger one (P32).
 */
import type { Backend } from 'leasewheel'
import type { Verdict } from './violation.ts'

interface GrantsOfKey {
  /** Of all grants so far. */
  largest: number
  readonly tokens: Map<number, string>
}

export class GrantLedger {
  readonly #verdict: Verdict
  readonly #keys = new Map<string, GrantsOfKey>()
  /** Grants of different tokens. */
  count = 0

  constructor(verdict: Verdict) {
    this.#verdict = verdict
  }

  /** Notes what this backend grants. @returns the same backend. */
  follow<B extends Backend>(backend: B): B {
    const acquire = backend.acquire.bind(backend)
    backend.acquire = async (entries, ...more) => {
      const before = entries.map(({ key }) => this.#of(key).largest)
      const outcomes = await acquire(entries, ...more)
      entries.forEach(({ key, token }, index) => {
        const outcome = outcomes[index]
        if (outcome?.type === 'granted') this.#add(key, token, outcome.fence, before[index] as number)
      })
      return outcomes
    }
    return backend
  }

  #add(key: string, token: string, fence: number, before: number): void {
    const grants = this.#of(key)
    const same = grants.tokens.get(fence)
    // Whoever asks once more with a token gets the same grant again.
    if (same === token) return
    this.#verdict.expect(same === undefined, 'P32', () => `two grants of ${key} have the fence ${fence}`)
    this.#verdict.expect(fence > before, 'P32', () => `the fence of ${key} fell from ${before} to ${fence}`)
    grants.tokens.set(fence, token)
    grants.largest = Math.max(grants.largest, fence)
    this.count += 1
  }

  #of(key: string): GrantsOfKey {
    const known = this.#keys.get(key)
    if (known) return known
    const grants = { largest: 0, tokens: new Map<number, string>() }
    this.#keys.set(key, grants)
    return grants
  }
}
