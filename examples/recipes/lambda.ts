/**
 * Lambda, and other platforms that freeze a process between two invocations: what a freeze does to leases, and how not to
 * hold any (docs/recipes/lambda.md). SIGSTOP is the freeze here, SIGCONT the thaw.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { type DetachedLease, LeaseManager } from 'leasewheel'
import { Program } from './support/program.ts'

/** A process of the platform: thawed for each event, frozen after each answer. */
class Sandbox {
  readonly #program = new Program('lambda/sandbox.ts')
  #events = 0

  async invoke(name: string, event: object = {}): Promise<unknown> {
    this.#events += 1
    this.#program.write(JSON.stringify({ id: this.#events, name, event }))
    this.#program.kill('SIGCONT')
    const answer = await this.#program.line(`answer ${this.#events} `)
    this.#program.kill('SIGSTOP')
    return JSON.parse(answer) as unknown
  }

  line(start: string): Promise<string> {
    return this.#program.line(start)
  }

  thaw(): void {
    this.#program.kill('SIGCONT')
  }

  async end(): Promise<void> {
    this.#program.kill('SIGKILL')
    await this.#program.end()
  }
}

const url = process.env.REDIS_URL ?? 'redis://localhost:6379'
const redis = new Redis(url)
const other = new LeaseManager(url)
await other.inspect('order:1')

/** How many connections the server has. */
async function countConnections(): Promise<number> {
  const list = await redis.client('LIST')
  return String(list).trim().split('\n').length
}
const sandbox = new Sandbox()
const second = new Sandbox()

// The manager of this program has made both of its connections.
while (!other.stats().watching) await sleep(5)
const before = await countConnections()

// Closed before the answer: the lock is free although the process is frozen, and a later invocation works as the first one did.
for (const order of ['1', '2']) {
  assert.equal(await sandbox.invoke('ship', { order }), `packed ${order}`)
  assert.equal(await other.inspect(`order:${order}`), null)
}
const held = await other.acquire('order:3')
assert.equal(await sandbox.invoke('ship', { order: '3' }), 'busy')
await held.release()
for (let looks = 0; looks < 1_000 && (await countConnections()) !== before; looks += 1) await sleep(10)
assert.equal(await countConnections(), before, 'no connection is left to a process that is frozen')
console.log('closed before the answer: nothing is held while the process is frozen')

// From one step to the next, through the state: in another process, with the same fence, and never free in between.
const handle = (await sandbox.invoke('reserve', { order: '4' })) as DetachedLease
assert.equal(await other.tryAcquire('order:4'), null)
assert.equal(await second.invoke('deliver', handle), handle.fence)
assert.equal(await other.inspect('order:4'), null)
// A step that comes too late learns that the lock is gone.
assert.deepEqual(await second.invoke('deliver', handle), { code: 'ERR_NOT_HELD' })
console.log('detached in one invocation, adopted in the next')

// What not to do: the lease outlives the answer. After a short freeze it is still there.
await sandbox.invoke('keep', { order: '6', ttl: 30_000 })
assert.equal(await other.tryAcquire('order:6'), null)
assert.deepEqual(await sandbox.invoke('look'), { held: true, isAborted: false, isReleased: true })

// After a long one it is not: the key has expired, and somebody else works.
const ttl = 3_000
await sandbox.invoke('keep', { order: '5', ttl })
const frozenAt = performance.now()
assert.equal(await other.tryAcquire('order:5'), null)
const lease = await other.acquire('order:5', { wait: 10 * ttl })
const waited = performance.now() - frozenAt
await sleep(100)
// The frozen process knows it at the first look, and leaves the other's key alone.
assert.deepEqual(await sandbox.invoke('look'), { held: false, isAborted: true, isReleased: false })
sandbox.thaw()
assert.equal(await sandbox.line('lost order:5: '), 'expired')
await sandbox.line('aborted')
assert.ok(lease.held)
assert.equal((await other.inspect('order:5'))?.lease, lease)
console.log(`kept over a freeze: free for others after ${Math.round(waited)} ms, and lost for the frozen process`)

await other.close()
redis.disconnect()
await sandbox.end()
await second.end()
