/**
 * `npm run standing`: elections and shares of real processes on real servers, while their holders resign, die, are stopped or block, and while servers
 * are replaced. Judged by a store that compares fences, and by the times at which the processes took themselves for holders.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { percentile } from '../failover/percentile.ts'
import { withRedis } from '../support/redis-server.ts'
import { type SentinelGroup, withSentinelGroup } from '../support/sentinel-group.ts'
import { until } from '../support/until.ts'
import { MemberHandle } from './member-handle.ts'
import { milliseconds, now, type Role } from './messages.ts'
import { type Hold, Record } from './record.ts'

const HELP = `Usage: npm run standing -- [options]

  --rounds N   faults of each kind (default 5)
  --ttl MS     of the leases (default 2000)
  --items N    keys that are shared (default 5000)
  --only PART  elections, shares or failovers (default all)`

const FAULTS = ['resign', 'kill -9', 'SIGSTOP for two ttls', 'blocked loop for two ttls'] as const
type Fault = (typeof FAULTS)[number]

interface Settings {
  readonly rounds: number
  readonly ttl: number
  readonly items: number
}

/** How long the process of a fault may take to come back, in ms. */
const COMING_BACK = 5_000

async function measureElections(url: string, { rounds, ttl }: Settings): Promise<boolean> {
  const record = new Record()
  let number = 0
  const role = (): Role => ({
    name: `candidate-${(number += 1)}`,
    locks: { url },
    store: url,
    ttl,
    candidateFor: 'office',
  })
  const open = async (): Promise<MemberHandle> => {
    const member = new MemberHandle(role(), record)
    await member.ready
    return member
  }
  const members = new Map<string, MemberHandle>()
  for (let i = 0; i < 3; i += 1) {
    const member = await open()
    members.set(member.name, member)
  }
  await until('somebody leads', () => record.holds.length > 0)
  for (const fault of FAULTS) {
    const gaps: number[] = []
    for (let round = 0; round < rounds; round += 1) {
      await sleep(ttl / 2)
      const terms = record.holds.length
      const leader = members.get((record.holds.at(-1) as Hold).name) as MemberHandle
      const at = await doTo(leader, fault, ttl)
      await until('another leads', () => record.holds.length > terms, 10 * ttl)
      gaps.push(milliseconds(at, (record.holds[terms] as Hold).from))
      await sleep(fault === 'resign' || fault === 'kill -9' ? 0 : 2 * ttl)
      if (fault === 'kill -9') {
        members.delete(leader.name)
        const member = await open()
        members.set(member.name, member)
      }
    }
    console.log(
      `${fault.padEnd(26)}  next leader after ${percentile(gaps, 50).toFixed(1)} ms (median), ${Math.max(...gaps).toFixed(1)} ms (longest) in ${gaps.length} rounds`,
    )
  }
  await until('the last terms are over', () => record.open.length <= 1, COMING_BACK)
  await Promise.all([...members.values()].map((member) => member.close()))
  return report(record)
}

/** @returns whether no two led at once. */
function report(record: Record): boolean {
  const faults = record.overlaps()
  console.log(
    `${record.holds.length} terms; two leaders at once: ${faults.length}; writes: ${record.accepted} accepted, ${record.refused} refused by their fence`,
  )
  for (const line of faults) console.log(line)
  return faults.length === 0
}

async function doTo(leader: MemberHandle, fault: Fault, ttl: number): Promise<number> {
  switch (fault) {
    case 'resign':
      return leader.tell('resign')
    case 'kill -9':
      return leader.kill()
    case 'SIGSTOP for two ttls':
      setTimeout(() => leader.goOn(), 2 * ttl)
      return leader.stop()
    case 'blocked loop for two ttls':
      return leader.tell({ block: 2 * ttl })
    default:
      return fault satisfies never
  }
}

/** Planned failovers of a Sentinel group, and kills of its master. The store is elsewhere. */
async function measureFailovers(group: SentinelGroup, store: string, { rounds, ttl }: Settings): Promise<boolean> {
  const record = new Record()
  const locks = { sentinels: group.addresses, name: group.name }
  const members = [1, 2, 3].map(
    (number) => new MemberHandle({ name: `candidate-${number}`, locks, store, ttl, candidateFor: 'office' }, record),
  )
  await Promise.all(members.map(({ ready }) => ready))
  await until('somebody leads', () => record.holds.length > 0)
  for (const how of ['planned', 'kill'] as const) {
    const before = record.holds.length
    for (let round = 0; round < rounds; round += 1) {
      await sleep(ttl)
      if (how === 'planned') {
        await group.failover()
      } else {
        const master = await group.master()
        await master.kill()
        await group.untilSwitched(master.port)
        await master.restart()
      }
      await group.untilWhole()
      await until('somebody leads', () => record.open.length > 0)
    }
    console.log(
      `${`failover (${how})`.padEnd(26)}  ${rounds} rounds, ${record.holds.length - before} changes of the leader`,
    )
  }
  await Promise.all(members.map((member) => member.close()))
  return report(record)
}

async function measureShares(url: string, { ttl, items }: Settings): Promise<boolean> {
  const record = new Record()
  const members: MemberHandle[] = []
  for (let i = 1; i <= 5; i += 1)
    members.push(new MemberHandle({ name: `member-${i}`, locks: { url }, ttl, group: 'tenants', items }, record))
  await Promise.all(members.map(({ ready }) => ready))
  const there: MemberHandle[] = []
  const faults: string[] = []
  const step = async (what: string, act: () => number | Promise<number>, bound: number): Promise<void> => {
    const before = record.holds.length
    const at = await act()
    const isSettled = ({ settled }: MemberHandle): boolean =>
      settled !== undefined && settled.members === there.length && settled.at > at
    const total = (): number => there.reduce((sum, { settled }) => sum + (settled?.held ?? 0), 0)
    await until(
      `${what} has settled`,
      () => there.every(isSettled) && total() === items && record.open.length === items,
    )
    const last = Math.max(
      ...there.map(({ settled }) => settled?.at ?? 0),
      ...record.holds.slice(before).map(({ from }) => from),
    )
    const taken = milliseconds(at, last)
    const moves = record.holds.length - before
    const twice = moves - new Set(record.holds.slice(before).map(({ key }) => key)).size
    console.log(
      `${what.padEnd(26)}  settled after ${taken.toFixed(0)} ms; ${moves} of ${items} keys moved (${((100 * moves) / items).toFixed(1)} %), ${twice} twice`,
    )
    if (taken > bound) faults.push(`${what}: ${taken} ms are more than ${bound} ms`)
    if (twice > 0) faults.push(`${what}: ${twice} keys have moved twice`)
    await sleep(500)
  }
  for (const [index, member] of members.entries()) {
    there.push(member)
    await step(`${index} → ${index + 1} members`, () => member.tell({ join: true }), 1_000)
  }
  const [leaving, dying] = members as [MemberHandle, MemberHandle]
  there.shift()
  await step(
    '5 → 4: one leaves',
    () => {
      const at = now()
      void leaving.close()
      return at
    },
    1_000,
  )
  there.shift()
  await step('4 → 3: kill -9', () => dying.kill(), ttl + 500)
  await Promise.all(there.map((member) => member.close()))
  const overlaps = record.overlaps()
  console.log(`${record.holds.length} holds of ${items} keys; two owners at once: ${overlaps.length}`)
  for (const line of [...faults, ...overlaps.slice(0, 10)]) console.log(line)
  return faults.length + overlaps.length === 0
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    ttl: { type: 'string', default: '2000' },
    items: { type: 'string', default: '5000' },
    only: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(HELP)
} else {
  const settings = { rounds: Number(values.rounds), ttl: Number(values.ttl), items: Number(values.items) }
  const parts = {
    elections: () => withRedis(({ url }) => measureElections(url, settings)),
    shares: () => withRedis(({ url }) => measureShares(url, settings)),
    failovers: () => withRedis(({ url }) => withSentinelGroup((group) => measureFailovers(group, url, settings))),
  }
  const { only } = values
  if (only !== undefined && !Object.hasOwn(parts, only))
    throw new Error(`Expected --only elections, shares or failovers, got ${only}`)
  for (const [name, measure] of Object.entries(parts))
    if ((only === undefined || only === name) && !(await measure())) process.exitCode = 1
}
