/**
 * The searchable list of locks. The server lists them page by page. As long as the first page is shown, and is quickly made, it is kept up to date.
 */
import { count, duration, safe } from '../../cli/text.ts'
import type { LockPage, LockRow } from '../wire.ts'
import { element, make, write } from './elements.ts'
import { findLocks, type SearchText } from './questions.ts'

/** Rows that are shown at a time. */
const SHOWN = 25
/** Rows that are kept, so that one can go back. */
const KEPT = 5_000
/** ms between two looks at the first page, and how long one may take if there is to be a next one. */
const EVERY = 3_000
const QUICK = 100

/** What a lock is, in a few words. */
export function holderOf({ kind, owner, remaining, holders }: LockRow): string {
  if (kind === 'lease') return owner === null ? '(no owner)' : safe(owner)
  const names: Readonly<Record<string, string>> = {
    string: 'a string',
    hash: 'a hash (Redisson)',
    zset: 'a sorted set',
  }
  const times = holders === 1 ? '' : `, ${holders} holders`
  return `${names[kind] ?? safe(kind)}${times}${remaining === null ? ', without a ttl' : ''}`
}

function idOf({ key, bytes }: LockRow): string {
  return bytes === null ? `text ${key}` : `bytes ${bytes}`
}

interface ShownRow {
  readonly element: HTMLTableRowElement
  readonly cells: readonly HTMLElement[]
  lock: LockRow
}

export class LockList {
  readonly #body = element('locks')
  readonly #note = element('locks-note')
  readonly #next = element<HTMLButtonElement>('next')
  readonly #previous = element<HTMLButtonElement>('previous')
  readonly #form = element<HTMLFormElement>('search')
  readonly #onOpen: (lock: LockRow) => void
  readonly #shown = new Map<string, ShownRow>()
  #search: SearchText = { text: '', owner: '' }
  /** What was found so far, and where the next page begins; undefined before the first answer. */
  #rows: LockRow[] = []
  #dropped = 0
  #cursor: string | null | undefined
  /** The first row that is shown. */
  #from = 0
  #asking = new AbortController()
  #busy = false
  /** When the list was made, by this machine's clock, and how long it took. */
  #at = 0
  #took = 0
  #error = ''

  /** @param onOpen somebody wants to know more of a lock. */
  constructor(onOpen: (lock: LockRow) => void) {
    this.#onOpen = onOpen
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault()
      this.#read()
      this.restart()
    })
    this.#next.addEventListener('click', () => void this.#goOn())
    this.#previous.addEventListener('click', () => {
      this.#from = Math.max(this.#from - SHOWN, 0)
      this.#show()
    })
    this.#body.addEventListener('keydown', (event) => this.#onKey(event))
    setInterval(() => this.#refresh(), EVERY)
  }

  focus(): void {
    this.#form.querySelector('input')?.focus()
  }

  /** Looks for what the fields say. */
  restart(): void {
    this.#asking.abort()
    this.#rows = []
    this.#dropped = 0
    this.#from = 0
    this.#cursor = undefined
    void this.#fill()
  }

  /** Lets the ages grow. */
  tick(): void {
    for (const { lock, cells } of this.#shown.values()) write(cells[2] as HTMLElement, ageOf(lock))
  }

  #read(): void {
    const data = new FormData(this.#form)
    const [text, owner] = [data.get('text'), data.get('owner')]
    this.#search = { text: typeof text === 'string' ? text : '', owner: typeof owner === 'string' ? owner.trim() : '' }
  }

  /** Asks until the shown page is full, or there are no more. */
  async #fill(): Promise<void> {
    const asking = new AbortController()
    this.#asking = asking
    this.#busy = true
    this.#error = ''
    this.#took = 0
    try {
      while (this.#cursor !== null && this.#rows.length < this.#from + SHOWN) {
        this.#show()
        const page = await findLocks(this.#search, this.#cursor ?? null, asking.signal)
        if (asking.signal.aborted) return
        this.#take(page)
      }
    } catch (error) {
      if (asking.signal.aborted) return
      this.#error = (error as Error).message
    }
    this.#busy = false
    this.#show()
  }

  #take({ rows, cursor, took }: LockPage): void {
    this.#rows.push(...rows)
    this.#cursor = cursor
    this.#at = Date.now()
    this.#took += took
    const over = this.#rows.length - KEPT
    if (over <= 0) return
    this.#rows.splice(0, over)
    this.#dropped += over
    this.#from -= over
  }

  async #goOn(): Promise<void> {
    this.#from += SHOWN
    await this.#fill()
    this.#body.querySelector('button')?.focus()
  }

  /** Asks for the first page anew, if it is shown and nothing speaks against it. */
  #refresh(): void {
    const isFirst = this.#from === 0 && this.#dropped === 0 && this.#cursor !== undefined
    if (!isFirst || this.#busy || this.#took > QUICK || document.hidden || this.#error !== '') return
    const asking = this.#asking
    findLocks(this.#search, null, asking.signal).then(
      (page) => {
        if (asking !== this.#asking || asking.signal.aborted || this.#from > 0 || this.#busy) return
        this.#rows = []
        this.#took = 0
        this.#take(page)
        this.#show()
      },
      // The next search says what is wrong.
      () => undefined,
    )
  }

  #show(): void {
    const rows = this.#rows.slice(this.#from, this.#from + SHOWN)
    const ids = new Set(rows.map(idOf))
    for (const [id, shown] of this.#shown) {
      if (ids.has(id)) continue
      shown.element.remove()
      this.#shown.delete(id)
    }
    // A list may have a lock twice.
    let place = 0
    for (const id of ids) {
      const lock = rows.find((row) => idOf(row) === id) as LockRow
      const shown = this.#shown.get(id) ?? this.#make(id, lock)
      shown.lock = lock
      for (const [index, text] of textsOf(lock).entries()) write(shown.cells[index] as HTMLElement, text)
      // Moving an element takes its focus away.
      if (this.#body.children[place] !== shown.element)
        this.#body.insertBefore(shown.element, this.#body.children[place] ?? null)
      place += 1
    }
    this.#previous.disabled = this.#from === 0
    this.#next.disabled = this.#busy || (this.#cursor === null && this.#from + SHOWN >= this.#rows.length)
    write(this.#note, this.#sentence(rows.length))
  }

  #make(id: string, lock: LockRow): ShownRow {
    const button = make('button', 'key')
    button.type = 'button'
    const cells = [button, make('td'), make('td', 'number'), make('td', 'number')]
    for (const [index, name] of ['', 'by', 'for', 'ttl left'].entries()) {
      if (index > 0) (cells[index] as HTMLElement).dataset['name'] = name
    }
    const row = make('tr', '', make('td', '', button), ...cells.slice(1))
    const shown = { element: row, cells, lock }
    button.addEventListener('click', () => this.#onOpen(shown.lock))
    this.#shown.set(id, shown)
    return shown
  }

  #sentence(shown: number): string {
    if (this.#error !== '') return `The locks could not be listed: ${this.#error}`
    const first = this.#dropped + this.#from + 1
    const range = shown === 0 ? 'No lock' : shown === 1 ? '1 lock' : `${count(first)} to ${count(first + shown - 1)}`
    if (this.#busy) return shown === 0 ? 'Searching …' : `${range}, searching …`
    const isAll = this.#cursor === null && this.#dropped === 0 && this.#from + shown >= this.#rows.length
    const all = isAll && this.#from === 0 && shown > 1 ? `${count(shown)} locks` : range
    return `${all}${isAll ? '' : ' of more'}, at ${new Date(this.#at).toLocaleTimeString()}`
  }

  #onKey(event: KeyboardEvent): void {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (step === 0) return
    event.preventDefault()
    const buttons = [...this.#body.querySelectorAll('button')]
    const index = buttons.indexOf(document.activeElement as HTMLButtonElement)
    buttons[index + step]?.focus()
  }
}

function textsOf(lock: LockRow): string[] {
  const left = lock.remaining === null ? '∞' : duration(lock.remaining)
  return [safe(lock.key) || '(empty)', holderOf(lock), ageOf(lock), left]
}

function ageOf({ since }: LockRow): string {
  return since === null ? '' : duration(Math.max(Date.now() - since, 0))
}
