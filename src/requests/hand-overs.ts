/**
 * Hand-overs: if a key is given back here, and it is the turn of the next caller here, the release and the acquire become one request. The server then
 * passes the key on in one step.
 *
 *     the next caller asks ──the key is released in this turn──▶ one hand-over ──answered──▶ both get their outcomes, the release first
 *         └──it is not, or another way──▶ an acquire                    └──not answered──▶ both go on alone: each asks again
 *
 * Neither needs to know whether two requests were sent as one: each gets the outcome that it would have got alone.
 */
import type {
  AcquireOutcome,
  ChangeOutcome,
  HandOverEntry,
  HandOverOutcome,
  ReleaseEntry,
  Unknown,
} from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import type { OutboxParts, Request } from './batch.ts'
import { Outbox } from './outbox.ts'

const NONE: readonly Request<AcquireOutcome>[] = []
const UNSURE: Unknown = {
  type: 'unknown',
  error: new UnavailableError('The hand-over was sent twice, and the first time it was not answered'),
}

/** A release that may become a part of a hand-over. */
export interface Release extends Request<ChangeOutcome>, ReleaseEntry {
  /** The hand-over was not answered, or failed: try again at once, without one. */
  onUnanswered(outcome: Unknown): void
  /** Its answer, which comes next, is that of the next caller as well. */
  onHandedOver(): void
  /** It is sent alone only now, with a new timeout: that of its caller has begun before. */
  onDelayed(): void
}

export class HandOvers {
  /** Some backends cannot do it. */
  readonly #isPossible: boolean
  readonly #outbox: Outbox<HandOverOutcome, HandOverEntry>
  readonly #releaseAlone: (release: Release) => void
  /** Questions of this turn, by key: the release comes later in it. */
  readonly #open = new Map<string, Request<AcquireOutcome>>()

  /**
   * @param releaseAlone sends a release at once whose next caller has left. What was asked for meanwhile must not be sent before it.
   * @param isWatched whether the server watches the keys from then on.
   */
  constructor(
    parts: OutboxParts,
    releaseAlone: (release: Release) => void,
    isWatched: (entries: readonly HandOverEntry[]) => boolean,
  ) {
    const { backend } = parts
    this.#isPossible = backend.handOver !== undefined
    const send = async (entries: readonly HandOverEntry[]): Promise<readonly HandOverOutcome[]> =>
      backend.handOver?.(entries, isWatched(entries)) ?? []
    // A repeated hand-over is recognised by its next token.
    this.#outbox = new Outbox(parts, send, true)
    this.#releaseAlone = releaseAlone
  }

  /** The next caller asks for a key that is being given back. */
  ask(request: Request<AcquireOutcome>): void {
    this.#open.set(request.key, request)
  }

  /** @returns whether the release became a hand-over. */
  take(release: Release): boolean {
    const request = this.#open.size === 0 ? undefined : this.#open.get(release.key)
    if (request === undefined || !this.#isPossible || release.watch) return false
    // The key is to stay for a while; and neither caller may be answered later than its timeout.
    if (release.joint || release.stay !== undefined || release.timeout !== request.timeout) return false
    this.#open.delete(release.key)
    this.#outbox.add(new HandOver(release, request, this.#releaseAlone))
    return true
  }

  /** The turn is over. @returns the questions that no release has followed. */
  takeAlone(): readonly Request<AcquireOutcome>[] {
    if (this.#open.size === 0) return NONE
    const alone = [...this.#open.values()]
    this.#open.clear()
    return alone
  }

  /** Sends the hand-overs. */
  flush(): void {
    this.#outbox.flush()
  }

  /** Resolves once none is under way. */
  idle(): Promise<void> {
    return this.#outbox.idle()
  }
}

class HandOver implements Request<HandOverOutcome>, HandOverEntry {
  readonly key: string
  readonly token: string
  readonly from: string
  /** ms. */
  readonly ttl: number
  /** ms. */
  readonly timeout: number
  readonly #release: Release
  readonly #acquire: Request<AcquireOutcome>
  readonly #releaseAlone: (release: Release) => void

  constructor(release: Release, acquire: Request<AcquireOutcome>, releaseAlone: (release: Release) => void) {
    this.key = acquire.key
    this.token = acquire.token
    this.from = release.token
    this.ttl = acquire.ttl
    this.timeout = acquire.timeout
    this.#release = release
    this.#acquire = acquire
    this.#releaseAlone = releaseAlone
  }

  /** Whether the next caller still waits. */
  get wanted(): boolean {
    return this.#acquire.wanted
  }

  /** The next caller has left before anything was sent. */
  drop(): void {
    inTurn(
      () => this.#releaseAlone(this.#release),
      () => this.#release.onDelayed(),
    )
  }

  settle(outcome: HandOverOutcome, sentAt: number | undefined, unansweredAt?: number): void {
    const [release, acquire] = [this.#release, this.#acquire]
    if (outcome.type === 'unknown') {
      inTurn(
        () => release.onUnanswered(outcome),
        () => acquire.settle(outcome, sentAt, unansweredAt),
      )
      return
    }
    const { released, acquired } = outcome
    inTurn(
      () => {
        // The request before, of which there was no answer, may have done it.
        if (released.type === 'refused' && unansweredAt !== undefined) {
          release.onUnanswered(UNSURE)
          return
        }
        if (acquired.type === 'granted') release.onHandedOver()
        release.settle(released, sentAt, unansweredAt)
      },
      () => acquire.settle(acquired, sentAt, unansweredAt),
    )
  }
}

/** The second runs whatever the first throws (P31). */
function inTurn(first: () => void, second: () => void): void {
  try {
    first()
  } finally {
    second()
  }
}
