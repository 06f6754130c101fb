/**
 * `npm run fairness`: many callers in two processes that want permits of one key, and then readers and writers of another. Says how many leases each
 * had and how long it waited, and fails if anybody is starved.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { withRedis } from '../support/redis-server.ts'
import { type Bounds, faultsOf, figuresOf } from './figures.ts'
import type { Kind, Message, Task, Told } from './messages.ts'

const HELP = `Usage: npm run fairness -- [options]

  --seconds N   how long each of the two parts takes (default 60)
  --hold MS     how long a caller keeps each lease (default 10)
  --rest MS     how long a caller rests after each lease (default 0)

Exit code: 1 if a caller had nothing, if the fairness of permits is not above 0.9, or if a reader or a writer waited longer than ten times the mean
of its kind.`

const PROGRAM = fileURLToPath(new URL('caller-process.ts', import.meta.url))

/** The callers of each of two processes. */
const PERMITS: readonly (readonly Kind[])[] = [50, 50].map((callers) => [
  { name: 'permit', callers, options: { permits: 10 } },
])
const READERS_AND_WRITERS: readonly (readonly Kind[])[] = [3, 2].map((writers) => [
  { name: 'reader', callers: 25, options: { mode: 'read' } },
  { name: 'writer', callers: writers, options: { mode: 'write' } },
])

type Settings = Omit<Task, 'url' | 'kinds' | 'key'>

/** @returns what is not as it should be. */
async function measure(
  key: string,
  processes: readonly (readonly Kind[])[],
  settings: Settings,
  bounds: Bounds,
): Promise<string[]> {
  const told = await withRedis(async ({ url }) => {
    const children = processes.map((kinds) => {
      const task: Task = { url, key, kinds, ...settings }
      return fork(PROGRAM, [JSON.stringify(task)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    })
    try {
      await Promise.all(children.map((child) => next(child)))
      for (const child of children) child.send('go')
      const answers = await Promise.all(children.map((child) => next(child)))
      return answers.flatMap((message) => (message.type === 'over' ? message.callers : []))
    } finally {
      for (const child of children) child.kill('SIGKILL')
    }
  })
  return [...new Set(told.map(({ kind }) => kind))].flatMap((kind) => report(kind, told, bounds))
}

function report(kind: string, told: readonly Told[], bounds: Bounds): string[] {
  const figures = figuresOf(told.filter((caller) => caller.kind === kind))
  const { callers, grants, fewest, most, fairness, mean, longest } = figures
  console.log(
    [
      `${callers} callers of kind ${kind}: ${grants} leases, ${fewest} to ${most} each, fairness ${fairness.toFixed(3)}`,
      `waited ${mean.toFixed(1)} ms on average, ${longest.toFixed(0)} ms at most (${(longest / mean).toFixed(1)} times the mean)`,
    ].join('; '),
  )
  return faultsOf(kind, figures, bounds)
}

/** The next message of a process. @throws if it ends instead. */
async function next(child: ChildProcess): Promise<Message> {
  const over = new AbortController()
  try {
    return await Promise.race([
      once(child, 'message', over).then(([message]) => message as Message),
      once(child, 'close', over).then(() => Promise.reject(new Error('A process has ended by itself'))),
    ])
  } finally {
    over.abort()
  }
}

const text = { type: 'string' } as const
const { values } = parseArgs({ options: { seconds: text, hold: text, rest: text, help: { type: 'boolean' } } })

function numberOf(name: 'seconds' | 'hold' | 'rest', initial: number, least: number): number {
  const value = Number(values[name] ?? initial)
  if (value >= least) return value
  throw new RangeError(`Expected --${name} to be a number >= ${least}, got \`${values[name]}\``)
}

if (values.help) {
  console.log(HELP)
} else {
  const settings = {
    duration: numberOf('seconds', 60, 1) * 1_000,
    hold: numberOf('hold', 10, 0),
    rest: numberOf('rest', 0, 0),
  }
  const faults = [
    ...(await measure('permits', PERMITS, settings, { fairness: 0.9 })),
    ...(await measure('document', READERS_AND_WRITERS, settings, { longest: 10 })),
  ]
  for (const fault of faults) console.error(fault)
  if (faults.length > 0) process.exitCode = 1
}
