/** `permits`: what holding many permits costs, beside the semaphores of redis-semaphore. Promises each a fresh process. */
import type { Command } from './command.ts'
import { compare, comparisonOptionsFor } from './comparison.ts'
import type { Column, Comparable } from './comparison-report.ts'
import { measureHold } from './hold.ts'
import { computeFigures, type HoldFigures, worst } from './hold-figures.ts'
import { describeOptions, integerOption, parseOptions } from './options.ts'
import { PERMITS } from './permits-per-key.ts'
import { commandLine } from './result.ts'
import { formatNumber } from './table.ts'

const options = {
  permits: integerOption({ placeholder: 'N', summary: 'permits that the process holds', initial: 100_000, minimum: 1 }),
  ttl: integerOption({
    placeholder: 'MS',
    summary: 'ttl of each permit, renewed every third of it',
    initial: 6_000,
    minimum: 1_000,
  }),
  seconds: integerOption({
    placeholder: 'S',
    summary: 'length of each of the two windows: delays, then CPU',
    initial: 12,
    minimum: 1,
  }),
  ...comparisonOptionsFor(['leasewheel', 'redis-semaphore']),
}

const help = `Holds many permits, ${PERMITS} of each key, and measures what that costs.

npm run bench -- permits [options]

${describeOptions(options)}

acquires/s        permits over the time to take them all, at most 1,000 calls at once
Node, Redis       ms of CPU per second, user and system; of Redis, the main thread
heap              bytes per permit after a collection, the key and memory outside the heap included
loop delay        time between two ticks of a 1 ms timer: an idle loop shows 1.1 ms
lost              permits lost, by the library's word

With several rounds each figure is a median, but for the longest delay and the most lost.`

const columns: readonly Column<HoldFigures>[] = [
  { heading: 'acquires/s', cell: ({ acquiresPerSecond }) => formatNumber(acquiresPerSecond) },
  { heading: 'Node ms/s', cell: ({ nodeLoad }) => formatNumber(nodeLoad, 1) },
  { heading: 'Redis ms/s', cell: ({ redisLoad }) => formatNumber(redisLoad, 1) },
  { heading: 'heap B/permit', cell: ({ heap }) => formatNumber(heap) },
  {
    heading: 'loop delay p50/p99/max ms',
    cell: ({ delayP50, delayP99, delayMax }) =>
      [delayP50, delayP99, delayMax].map((delay) => formatNumber(delay, 1)).join(' / '),
  },
  { heading: 'lost', cell: ({ lost }) => formatNumber(lost) },
]

const compared: readonly Comparable<HoldFigures>[] = [
  { label: 'Node CPU', value: ({ nodeLoad }) => nodeLoad, best: Math.min },
  { label: 'Redis CPU', value: ({ redisLoad }) => redisLoad, best: Math.min },
  { label: 'heap per permit', value: ({ heap }) => heap, best: Math.min },
]

async function run(args: readonly string[]): Promise<void> {
  const { permits, ttl, seconds, ...joint } = parseOptions(options, args)
  const settings = { permits, ttl, seconds }
  await compare(
    {
      command: commandLine('permits', args),
      subject: `${permits} permits, ${PERMITS} of each key, ttl ${ttl} ms, windows of ${seconds} s`,
      settings,
      measure: (entrant, url) =>
        measureHold(entrant, { library: entrant.library, url, locks: permits, ttl, seconds, permits: true }),
      computeFigures,
      worst,
      columns,
      compared,
    },
    joint,
  )
}

export const permits: Command = { summary: 'what holding many permits costs', help, run }
