/** Promises the text of docs/benchmarks.md from results alone, so that the same results make the same page. Pure. */
import { formatEnvironment } from './environment.ts'
import type { Result } from './result.ts'

export interface Section {
  readonly title: string
  readonly text: string
  readonly result: Result
  /** Markdown, a paragraph each. */
  readonly paragraphs: readonly string[]
}

export interface Picture {
  /** Relative to the page. */
  readonly path: string
  readonly description: string
}

export function formatPage(sections: readonly Section[], pictures: readonly Picture[]): string {
  const paragraphs = [
    '<!-- Written by `npm run bench -- report`. Not to be edited by hand. -->',
    '# Benchmarks',
    'Each measurement has a Redis server and a process of its own on one machine; libraries take turns, and figures are medians of the rounds. The other libraries renew their locks every third of the ttl, as leasewheel does. `npm run bench -- <command> --help` explains the columns; `npm run bench -- report` measures everything and writes this page.',
    ...pictures.map(({ path, description }) => `![${description}](${path})`),
    ...sections.flatMap(formatSection),
  ]
  return `${paragraphs.join('\n\n')}\n`
}

function formatSection({ title, text, result, paragraphs }: Section): readonly string[] {
  const { command, rounds, environment } = result
  const turns = rounds === 1 ? 'One round.' : `Median of ${rounds} rounds.`
  const limits = limitsOf(result)
  return [
    `## ${title}`,
    text,
    ['```sh', command, '```'].join('\n'),
    ...paragraphs,
    ...(limits.length === 0 ? [] : [limits.join(' ')]),
    [turns, ...formatEnvironment(environment).split('\n')].join('  \n'),
  ]
}

function limitsOf({ settings }: Result): readonly string[] {
  const { limits } = settings
  return Array.isArray(limits) ? limits.filter((limit) => typeof limit === 'string') : []
}
