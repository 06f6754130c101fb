/**
 * Stop the work when the lock is lost: `lease.signal` is aborted at that moment, and goes wherever an AbortSignal goes.
 * Here it is a download that takes a minute, under a lock whose key somebody deletes meanwhile.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { LeaseLostError, LeaseManager } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'
import { deleteKey } from './support/other-party.ts'

// A server that begins to answer, and takes its time.
const server = createServer((_, response) => {
  response.write('the first line\n')
  setTimeout(() => response.end('the last line\n'), 60_000).unref()
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

const connection = connect()
const leases = new LeaseManager(connection)

const work = leases.using('download', async (lease) => {
  const response = await fetch(url, { signal: lease.signal })
  console.log(`the download has begun (HTTP ${response.status}) while the lock is held: ${lease.held}`)
  // The reading is under way when the key goes: Node 20 tells a reader who comes after the abort of an abort, not of its reason.
  const [text] = await Promise.all([response.text(), deleteKey(connection, 'download')])
  return text
})

// Without the signal the download would go on, under a lock that somebody else may hold by now.
const error: unknown = await work.catch((reason: unknown) => reason)
assert.ok(error instanceof LeaseLostError, 'the work ends with the reason of the signal')
assert.equal(error.reason, 'missing')
console.log(`the download was stopped: ${error.message}`)

await leases.close()
disconnect(connection)
server.closeAllConnections()
server.close()
