/** Many readers or one writer: a document that is read all the time, and changed now and then. */
import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { LeaseManager, LeaseUpgradeError } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

const connections = [connect(), connect()]
const [one, other] = connections.map((connection) => new LeaseManager(connection)) as [LeaseManager, LeaseManager]

const doc = { text: 'first', fence: 0 }

async function read(leases: LeaseManager): Promise<void> {
  await leases.using(
    'doc',
    async () => {
      const { text } = doc
      await setTimeout(5)
      assert.equal(doc.text, text, 'nobody writes meanwhile')
    },
    { mode: 'read' },
  )
}

async function write(leases: LeaseManager, text: string): Promise<void> {
  await leases.using(
    'doc',
    async ({ fence }) => {
      assert.ok(fence > doc.fence, 'a later writer has a larger fence')
      doc.fence = fence
      doc.text = `${text}, half`
      await setTimeout(5)
      doc.text = text
    },
    { mode: 'write' },
  )
}

await Promise.all(
  Array.from({ length: 20 }, (_, index) => {
    const leases = index % 2 === 0 ? one : other
    return index % 5 === 3 ? write(leases, `text ${index}`) : read(leases)
  }),
)
console.log(`16 have read and 4 have written; the last text is "${doc.text}"`)

// Writes, and goes on reading what it wrote: no other writer comes in between.
const lease = await one.acquire('doc', { mode: 'write' })
await lease.downgrade()
const reader = await other.acquire('doc', { mode: 'read' })
console.log(`two read: ${lease.mode} and ${reader.mode}`)

const error: unknown = await lease.upgrade().catch((reason: unknown) => reason)
assert.ok(error instanceof LeaseUpgradeError)
console.log(error.message)

await one.close()
await other.close()
disconnect(...connections)
