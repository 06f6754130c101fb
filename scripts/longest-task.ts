/** How long a page blocks: by the browser's own trace of its main thread. */
import type { Browser, Page } from 'playwright-core'

interface TraceEvent {
  readonly name: string
  readonly ph: string
  readonly pid: number
  readonly tid: number
  readonly ts: number
  /** µs. */
  readonly dur?: number
  readonly args?: { readonly name?: string }
}

const CATEGORIES = ['toplevel', 'disabled-by-default-devtools.timeline', 'devtools.timeline', '__metadata']

/** @returns ms of the longest task of the page's main thread during the work. */
export async function longestTask(browser: Browser, page: Page, work: () => Promise<void>): Promise<number> {
  await browser.startTracing(page, { categories: CATEGORIES, screenshots: false })
  await work()
  const { traceEvents } = JSON.parse(String(await browser.stopTracing())) as { readonly traceEvents: TraceEvent[] }
  // Each process has its own main thread; the page's is the one that runs its listeners.
  const pages = new Set(
    traceEvents.filter(({ name }) => name === 'EventDispatch' || name === 'FunctionCall').map(threadOf),
  )
  const tasks = traceEvents.filter(
    (event) => event.name === 'RunTask' && event.ph === 'X' && pages.has(threadOf(event)),
  )
  if (tasks.length === 0) throw new Error('The trace has no task of the page')
  return Math.max(...tasks.map(({ dur = 0 }) => dur)) / 1_000
}

function threadOf({ pid, tid }: TraceEvent): string {
  return `${pid} ${tid}`
}
