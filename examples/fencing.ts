/**
 * Fencing: a worker that was paused for longer than its lock's ttl does not know yet that it has lost it. No lock can
 * keep it from writing then, but the store can: every holder of a lock gets a larger number than the one before, and the
 * store refuses a write with a smaller number than it has seen.
 */
import assert from 'node:assert/strict'
import { LeaseManager } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

/** What is protected by the lock. In SQL: `UPDATE … SET text = :text, fence = :fence WHERE id = :id AND fence <= :fence`. */
class Store {
  text = ''
  #fence = 0

  write(text: string, fence: number): boolean {
    if (fence < this.#fence) return false
    this.#fence = fence
    this.text = text
    return true
  }
}

/** A garbage collection, a debugger, a virtual machine that is moved: nothing runs in this process, not even its timers. */
function pauseProcess(duration: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, duration)
}

const store = new Store()
const connections = [connect(), connect()] as const
const first = new LeaseManager(connections[0], { ttl: 3_000 })
const second = new LeaseManager(connections[1], { ttl: 30_000 })

const stale = await first.acquire('document')
assert.ok(store.write('written by the first worker', stale.fence))

pauseProcess(3_100)

// The ttl is over, so the lock is free for others.
const fresh = await second.acquire('document')
assert.ok(store.write('written by the second worker', fresh.fence))

// The first worker goes on where it was paused, in the middle of a write.
const isWritten = store.write('written by the first worker, too late', stale.fence)
console.log(`fences: ${stale.fence}, then ${fresh.fence}`)
console.log(`the late write was ${isWritten ? 'accepted' : 'refused'}; the document is ${store.text}`)
assert.equal(isWritten, false)
assert.equal(store.text, 'written by the second worker')

// Had it asked, it would have known: `held` is computed from the clock, whatever did not run meanwhile.
assert.equal(stale.held, false)

await first.close()
await second.close()
disconnect(...connections)
