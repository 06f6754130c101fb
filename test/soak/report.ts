/** What came of a soak, as a table that reads well as plain text and is Markdown as well. May import types. */
import type { Fault } from './faults.ts'
import type { SoakReport } from './soak.ts'

const FAULTS: Readonly<Record<Fault, string>> = {
  stopBriefly: 'worker stopped for less than the ttl (SIGSTOP)',
  stopLong: 'worker stopped for longer than the ttl (SIGSTOP)',
  kill: 'worker killed and replaced (SIGKILL)',
  cut: 'connections of a worker cut',
  silence: 'connections of a worker gone silent',
  dropAnswers: 'answers to a worker dropped',
  stopServer: 'server stopped (SIGSTOP)',
  killServer: 'server killed and restarted (SIGKILL)',
  killClients: 'all clients thrown out (CLIENT KILL)',
  flushScripts: 'scripts forgotten (SCRIPT FLUSH)',
}

export function formatReport({ faults, holds, accepted, refused, violations }: SoakReport): string {
  const endings = new Map<string, number>()
  for (const { ending } of holds) endings.set(ending, (endings.get(ending) ?? 0) + 1)
  const acquisitions = new Set(holds.map(({ token }) => token)).size
  const ended = (ending: string): number => endings.get(ending) ?? 0
  const losses = [...endings].filter(([ending]) => ending.startsWith('lost'))
  const rows: [string, number][] = [
    ...Object.entries(faults).map(([fault, count]): [string, number] => [`fault: ${FAULTS[fault as Fault]}`, count]),
    ['faults together', Object.values(faults).reduce((sum, count) => sum + count, 0)],
    ['acquisitions', acquisitions],
    ['adoptions', holds.length - acquisitions],
    ['released', ended('released')],
    ['released, not confirmed', ended('unconfirmed')],
    ['detached', ended('detached')],
    ...losses.toSorted(([one], [other]) => one.localeCompare(other)),
    ['held by a worker that was killed', ended('unfinished')],
    ['writes accepted', accepted],
    ['writes refused as stale', refused],
    ['violations', violations.length],
  ]
  const table: [string, string][] = rows.map(([name, count]) => [name, count.toLocaleString('en-US')])
  const width = Math.max(...table.map(([name]) => name.length))
  const countWidth = Math.max(...table.map(([, count]) => count.length))
  const line = (name: string, count: string): string => `| ${name.padEnd(width)} | ${count.padStart(countWidth)} |`
  return [
    line('what', ''),
    `| ${'-'.repeat(width)} | ${'-'.repeat(countWidth - 1)}: |`,
    ...table.map(([name, count]) => line(name, count)),
  ].join('\n')
}
