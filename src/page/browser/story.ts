/** The story of one lock, in a dialog that looks again each second; and its release, behind a question. */
import { duration, safe } from '../../cli/text.ts'
import type { LockRow, LockStory } from '../wire.ts'
import { element, make, write } from './elements.ts'
import { holderOf } from './lock-list.ts'
import { RefusedError, releaseLock, tellStory } from './questions.ts'
import { REASONS } from './tables.ts'
import { forgetToken, keepToken, knownToken } from './token.ts'

/** ms. */
const EVERY = 1_000

type Fact = readonly [name: string, text: string]

export class Story {
  readonly #dialog = element<HTMLDialogElement>('story')
  readonly #confirm = element<HTMLDialogElement>('confirm')
  readonly #release = element<HTMLButtonElement>('release')
  readonly #token = element<HTMLInputElement>('token')
  readonly #onReleased: () => void
  #lock: LockRow | undefined
  #readOnly = true
  /** Whether the lock is held, as far as is known. */
  #held = false
  /** What the question was about. */
  #asked: LockRow | undefined

  /** @param onReleased a lock was released. */
  constructor(onReleased: () => void) {
    this.#onReleased = onReleased
    element('story-close').addEventListener('click', () => this.#dialog.close())
    this.#dialog.addEventListener('close', () => {
      this.#lock = undefined
    })
    this.#release.addEventListener('click', () => this.#ask())
    element('confirm-cancel').addEventListener('click', () => this.#confirm.close())
    element('confirm-form').addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#releaseNow()
    })
    setInterval(() => void this.#look(), EVERY)
  }

  set readOnly(readOnly: boolean) {
    this.#readOnly = readOnly
  }

  open(lock: LockRow): void {
    this.#lock = lock
    this.#held = true
    write(element('story-key'), safe(lock.key) || '(empty)')
    write(element('story-note'), '')
    this.#show({ at: Date.now(), lock, lease: null, losses: [] })
    this.#dialog.showModal()
    void this.#look()
  }

  async #look(): Promise<void> {
    const lock = this.#lock
    if (lock === undefined || document.hidden) return
    try {
      const story = await tellStory({ key: lock.key, bytes: lock.bytes })
      if (this.#lock?.key !== lock.key || this.#lock.bytes !== lock.bytes) return
      if (story.lock) this.#lock = story.lock
      this.#held = story.lock !== null
      this.#show(story)
      write(element('story-note'), '')
    } catch (error) {
      write(element('story-note'), (error as Error).message)
    }
  }

  #show(story: LockStory): void {
    const list = element('story-facts')
    const facts = factsOf(story)
    while (list.children.length > 2 * facts.length) list.lastElementChild?.remove()
    for (const [index, [name, text]] of facts.entries()) {
      const [term, value] = [list.children[2 * index], list.children[2 * index + 1]]
      if (term && value) {
        write(term, name)
        write(value, text)
      } else {
        list.append(make('dt', '', name), make('dd', '', text))
      }
    }
    this.#release.hidden = this.#readOnly || !this.#held
  }

  #ask(): void {
    const lock = this.#lock
    if (lock === undefined) return
    this.#asked = lock
    const age = lock.since === null ? '' : ` for ${duration(Math.max(Date.now() - lock.since, 0))}`
    write(element('confirm-key'), safe(lock.key) || '(empty)')
    write(
      element('confirm-text'),
      `${holderOf(lock)} has held it${age}. The holder works on until it notices, although another may then hold the lock.`,
    )
    write(element('confirm-note'), '')
    this.#token.value = ''
    element('confirm-token').hidden = knownToken() !== undefined
    this.#confirm.showModal()
  }

  async #releaseNow(): Promise<void> {
    const lock = this.#asked
    if (lock === undefined) return
    const { key, bytes, owner, since } = lock
    const token = knownToken() ?? this.#token.value
    try {
      const { released } = await releaseLock({ key, bytes, owner, since }, token)
      keepToken(token)
      this.#confirm.close()
      this.#asked = undefined
      await this.#look()
      write(element('story-note'), released ? 'Released.' : 'Nobody held it any more.')
      this.#onReleased()
    } catch (error) {
      if (error instanceof RefusedError && error.status === 403) {
        forgetToken()
        element('confirm-token').hidden = false
        this.#token.focus()
      }
      write(element('confirm-note'), (error as Error).message)
    }
  }
}

function factsOf({ at, lock, lease, losses }: LockStory): Fact[] {
  const past = losses.map(
    ({ at: when, reason }): Fact => ['Lost here', `${new Date(when).toLocaleString()}: ${REASONS[reason ?? ''] ?? ''}`],
  )
  if (lock === null) return [['Held by', 'nobody'], ...past]
  const { since, remaining, fence, waiters, bytes } = lock
  return [
    ['Held by', holderOf(lock)],
    [
      'Since',
      since === null ? 'unknown' : `${new Date(since).toLocaleString()}, ${duration(Math.max(at - since, 0))} ago`,
    ],
    ['TTL left', remaining === null ? 'it has none' : duration(remaining)],
    ['Fence', fence === null ? 'known to its holder only' : String(fence)],
    ['Waiting here', String(waiters)],
    ...(lease
      ? [['Lease here', `${lease.state}, ${duration(lease.remaining)} of ${duration(lease.ttl)} left`] as const]
      : []),
    ...(bytes === null ? [] : [['Key in base64', bytes] as const]),
    ...past,
  ]
}
