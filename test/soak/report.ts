/** What came of a soak, as a table that reads well as plain text and is Markdown as well. */
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
  planFailover: 'failover: planned (SENTINEL FAILOVER)',
  killMaster: 'failover: master killed (SIGKILL)',
  stopMaster: 'failover: master stopped (SIGSTOP)',
  continueMaster: 'failover: master stopped, and continued when it was replaced',
}

type Losses = Pick<SoakReport, 'failovers' | 'named'>

export function formatReport({ faults, failovers, holds, accepted, refused, violations, named }: SoakReport): string {
  const endings = new Map<string, number>()
  for (const { ending } of holds) endings.set(ending, (endings.get(ending) ?? 0) + 1)
  const acquisitions = new Set(holds.map(({ token }) => token)).size
  const ended = (ending: string): number => endings.get(ending) ?? 0
  const acquisitionsOf = (mode: string): number =>
    new Set(holds.filter(({ joint }) => joint?.mode === mode).map(({ token }) => token)).size
  const losses = [...endings].filter(([ending]) => ending.startsWith('lost'))
  const rows: [string, number][] = [
    ...Object.entries(faults).map(([fault, count]): [string, number] => [`fault: ${FAULTS[fault as Fault]}`, count]),
    ['faults together', Object.values(faults).reduce((sum, count) => sum + count, 0)],
    ['acquisitions', acquisitions],
    ['of permits', acquisitionsOf('permit')],
    ['of readers, writers that became one included', acquisitionsOf('read')],
    ['of writers', acquisitionsOf('write')],
    ['adoptions', holds.length - acquisitions - ended('downgraded')],
    ['released', ended('released')],
    ['released, not confirmed', ended('unconfirmed')],
    ['detached', ended('detached')],
    ...losses.toSorted(([one], [other]) => one.localeCompare(other)),
    ['held by a worker that was killed', ended('unfinished')],
    ['writes accepted', accepted],
    ['writes refused as stale', refused],
    ...nameLosses({ failovers, named }),
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

/** Not shown where nothing could be lost in that way. */
function nameLosses({ failovers, named }: Losses): [string, number][] {
  if (failovers.length === 0) return []
  const overlaps = named.filter(({ overlap }) => overlap > 0).length
  return [
    ['failovers seen', failovers.length],
    ['named in guarantees.md: two holders of a lock lost in a failover', overlaps],
    ['named in guarantees.md: what followed from such a loss', named.length - overlaps],
  ]
}

/** A line for each failover that cost something: its window, and what was lost in it. */
export function formatNamed({ failovers, named }: Losses): string[] {
  return failovers.flatMap((failover, index) => {
    const own = named.filter((loss) => loss.failover === failover)
    if (own.length === 0) return []
    const { beganAt, promotedAt, switchedAt } = failover
    const promoted = `promoted ${(promotedAt - beganAt).toFixed(0)} ms after it began`
    const announced = `announced ${(switchedAt - promotedAt).toFixed(0)} ms later`
    const overlaps = own.filter(({ overlap }) => overlap > 0)
    const longest = Math.max(0, ...overlaps.map(({ overlap }) => overlap))
    const cost = `${overlaps.length} locks with two holders, for up to ${longest.toFixed(0)} ms`
    return [`failover ${index + 1}: ${promoted}, ${announced}: ${cost}, ${own.length - overlaps.length} refused writes`]
  })
}
