/** A process of `npm run standing`: a candidate that writes to a store that compares fences, or a member of a group that notes what it has. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { type Election, LeaseManager, type Term } from 'leasewheel'
import { type Command, type Message, now, type Role } from './messages.ts'

/** Accepts a write unless a larger fence was here before. KEYS: the largest fence. ARGV: that of the write. */
const FENCED_WRITE = `
local last = tonumber(redis.call('GET', KEYS[1]) or 0)
local fence = tonumber(ARGV[1])
if fence < last then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1`

/** ms between two writes of a leader. */
const PACE = 2

function tell(message: Message): void {
  process.send?.(message)
}

async function lead(election: Election, store: Redis, { fence, signal }: Term): Promise<{ last: number }> {
  const term = { last: 0 }
  let [accepted, refused] = [0, 0]
  const writes: Promise<void>[] = []
  while (!signal.aborted) {
    const at = now()
    // The belief counts at the moment before the look.
    if (election.isLeader) {
      term.last = at
      const write = async (): Promise<void> => {
        if ((await store.eval(FENCED_WRITE, 1, 'store', fence)) === 1) accepted += 1
        else refused += 1
      }
      writes.push(write())
    }
    await sleep(PACE)
  }
  await Promise.allSettled(writes)
  tell({ type: 'writes', accepted, refused })
  return term
}

function stand(leases: LeaseManager, storeUrl: string, key: string): (command: Command) => void {
  const store = new Redis(storeUrl)
  store.on('error', () => undefined)
  let reason = ''
  const election = leases.elect(key, {
    elected: async (term) => {
      tell({ type: 'begun', key, at: now() })
      const { last } = await lead(election, store, term)
      tell({ type: 'over', key, at: last, reason })
    },
    deposed: (end) => {
      reason = end
    },
  })
  return (command) => {
    if (command === 'resign') void election.resign()
    if (typeof command === 'object' && 'block' in command) {
      const end = now() + command.block * 1_000_000
      while (now() < end);
    }
  }
}

function join(leases: LeaseManager, group: string, count: number): (command: Command) => void {
  const items = Array.from({ length: count }, (_, index) => `tenant:${index}`)
  let begun: [string, number][] = []
  let over: [string, number][] = []
  const flush = (): void => {
    if (begun.length + over.length > 0) tell({ type: 'history', begun, over })
    begun = []
    over = []
  }
  const start = (): void => {
    const share = leases.share(items, { group })
    share.on('gained', ({ lease }) => {
      begun.push([lease.key, now()])
      if (begun.length === 1) setImmediate(flush)
    })
    share.on('lost', ({ lease }) => {
      over.push([lease.key, now()])
      if (over.length === 1) setImmediate(flush)
    })
    share.on('settled', ({ members, held }) => {
      flush()
      tell({ type: 'settled', members, held, at: now() })
    })
  }
  return (command) => {
    if (typeof command === 'object' && 'join' in command) start()
  }
}

const role = JSON.parse(process.argv[2] ?? '') as Role
const { locks, ttl, name } = role
const connection =
  'url' in locks ? locks.url : new Redis({ sentinels: [...locks.sentinels], name: locks.name, lazyConnect: true })
const leases = new LeaseManager(connection, { ttl, owner: name })
leases.on('error', (error) => console.error(name, error.message))
const obey = 'group' in role ? join(leases, role.group, role.items) : stand(leases, role.store, role.candidateFor)
process.on('message', (command: Command) => {
  if (command === 'close') void leases.close().then(() => process.exit(0))
  else obey(command)
})
process.on('disconnect', () => process.exit(0))
while (!leases.stats().watching) await sleep(5)
tell({ type: 'ready' })
