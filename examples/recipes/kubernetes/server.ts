/** A pod: works under locks, answers probes, and ends in good order. kubernetes.ts plays the cluster. */
import { once } from 'node:events'
// #region server
import { createServer, type ServerResponse } from 'node:http'
import { hostname } from 'node:os'
import { LeaseManager } from 'leasewheel'

const { REDIS_URL = 'redis://localhost:6379', PORT = '8080' } = process.env
// In ms. The manifest sets them, beside the time that the pod has to end.
const { LEASE_TTL = '10000', CLOSE_DRAIN = '15000', CLOSE_TIMEOUT = '5000' } = process.env

const leases = new LeaseManager(REDIS_URL, { ttl: Number(LEASE_TTL) })
let isStopping = false

/** A lease that no other pod wants. It makes `held` tell "nothing to do" from "Redis is away". */
async function keepOwnLease(): Promise<void> {
  while (!isStopping) {
    const lease = await leases.acquire(`pod:${hostname()}`, { wait: Number.POSITIVE_INFINITY })
    await lease.ended
  }
}

function isReady(): boolean {
  const { held, jeopardy, load } = leases.stats()
  return !isStopping && held > 0 && jeopardy <= held / 2 && !load.overloaded
}

const server = createServer((request, response) => {
  if (request.url === '/livez') answer(response, 200)
  else if (request.url === '/readyz') answer(response, isReady() ? 200 : 503)
  else void serve(response)
})

async function serve(response: ServerResponse): Promise<void> {
  try {
    await leases.using('report', ({ signal }) => writeReport(signal), { wait: 1_000 })
    answer(response, 200)
  } catch {
    answer(response, 503)
  }
}

function answer(response: ServerResponse, status: number): void {
  // A connection that is busy while the server closes would be kept alive.
  if (isStopping) response.setHeader('connection', 'close')
  response.writeHead(status).end()
}

async function stop(): Promise<void> {
  isStopping = true
  await leases.close({ drain: Number(CLOSE_DRAIN), timeout: Number(CLOSE_TIMEOUT) })
  server.close()
}

process.once('SIGTERM', () => void stop())
leases.on('lost', ({ lease, reason }) => console.log(`lost ${lease.key}: ${reason}`))
leases.on('error', (error) => console.error(error))
keepOwnLease().catch((error: unknown) => console.error(error))
server.listen(Number(PORT))
// #endregion server

server.once('listening', () => {
  const address = server.address()
  console.log(`listening on ${typeof address === 'object' ? address?.port : address}`)
})

async function writeReport(signal: AbortSignal): Promise<void> {
  console.log('writing')
  await once(process.stdin, 'data', { signal })
  process.stdin.destroy()
  console.log('written')
}
