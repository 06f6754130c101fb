/** The page: it listens to its server, and shows what that says. */
import { count } from '../../cli/text.ts'
import type { Facts, Hello, Tick } from '../wire.ts'
import { element, write } from './elements.ts'
import { Figures, type Notes } from './figures.ts'
import { LockList } from './lock-list.ts'
import { Story } from './story.ts'
import { Tables } from './tables.ts'
import { takeToken } from './token.ts'

const STATES: Readonly<Record<string, string>> = {
  jeopardy: 'renewals fail',
  overload: 'renewals do not keep up',
  disconnected: 'Redis cannot be asked',
  connecting: 'not connected yet',
  closed: 'the manager is closed',
}

takeToken()
const figures = new Figures()
const tables = new Tables()
const list = new LockList((lock) => story.open(lock))
const story: Story = new Story(() => list.restart())
const state = element('state')

function showState(text: string, className: 'good' | 'bad' | ''): void {
  write(state, text)
  state.className = className
}

function showFacts({ own, members, memberCount }: Facts): void {
  if (own === null) {
    const text = members === null ? 'Redis cannot be asked' : `${count(memberCount)} managers announced`
    showState(text, members === null ? 'bad' : 'good')
    return
  }
  const { reasons, watching } = own
  const texts = reasons.map((reason) => STATES[reason] ?? reason)
  if (!watching && texts.length === 0) texts.push('connected, without notifications')
  showState(texts.length === 0 ? 'connected' : texts.join(', '), reasons.length === 0 ? 'good' : 'bad')
}

/** What stands below the values. */
function notesOf({ own, lost }: Facts, jeopardy: number | null): Notes {
  const inJeopardy = jeopardy ? `${count(jeopardy)} in jeopardy` : ''
  const inAll = `${count(lost)} in all`
  if (own === null) return { Held: inJeopardy, 'Lost per second': inAll, 'Round trip': 'of one question' }
  const { acquired, released, renewals, failures, roundTrip, renewalLag } = own
  return {
    Held: inJeopardy || `${count(acquired)} acquired, ${count(released)} released`,
    Waiting: `${count(renewals)} renewals, ${count(failures)} failed`,
    'Renewal lag': `of the ttl; p99 ${milliseconds(renewalLag.p99)}`,
    'Lost per second': inAll,
    'Round trip': `p99 of a minute ${milliseconds(roundTrip.p99)}`,
  }
}

function milliseconds(value: number): string {
  return `${value === 0 || value >= 100 ? count(value) : value.toPrecision(2)} ms`
}

function begin(hello: Hello): void {
  const { title, version, readOnly, points, facts } = hello
  document.title = title
  write(element('title'), title)
  write(element('version'), `leasewheel ${version}${readOnly ? ', read-only' : ''}`)
  story.readOnly = readOnly
  figures.restart(points, notesOf(facts, points.at(-1)?.jeopardy ?? null))
  tables.restart(hello)
  showFacts(facts)
}

function goOn(tick: Tick): void {
  const { point, facts } = tick
  figures.add(point, notesOf(facts, point.jeopardy))
  tables.add(tick)
  list.tick()
  showFacts(facts)
}

const live = new EventSource('live.sse')
live.addEventListener('hello', (event: MessageEvent<string>) => begin(JSON.parse(event.data) as Hello))
live.addEventListener('tick', (event: MessageEvent<string>) => goOn(JSON.parse(event.data) as Tick))
live.addEventListener('end', () => {
  live.close()
  showState('the manager is closed', 'bad')
})
// The browser connects again by itself, unless the server refuses.
live.addEventListener('error', () =>
  showState(live.readyState === EventSource.CLOSED ? 'the server refuses' : 'the server of this page is gone', 'bad'),
)

document.addEventListener('keydown', (event) => {
  const isTyping = event.target instanceof HTMLInputElement
  if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return
  event.preventDefault()
  list.focus()
})

list.restart()
