import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect } from 'chai'
import { OwnClient } from '#src/redis/own-client.js'
import { until } from '../support/until.ts'

/** ms. So long that the test itself decides when it is over. */
const SOCKET_TIMEOUT = 600_000

/** Runs `work` with a client of a server that answers when told to. */
async function withSilentServer(work: (client: OwnClient, answer: () => void) => Promise<void>): Promise<void> {
  let socket: Socket | undefined
  const server = createServer((accepted) => {
    socket = accepted
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = new OwnClient({
    host: '127.0.0.1',
    port,
    protocol: 2,
    disableClientInfo: true,
    enableReadyCheck: false,
    socketTimeout: SOCKET_TIMEOUT,
    retryStrategy: () => null,
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await until('the server has accepted', () => socket !== undefined)
    await work(client, () => void socket?.write('+PONG\r\n'))
  } finally {
    client.disconnect()
    socket?.destroy()
    server.close()
  }
}

/** The time after which ioredis gives up a silent connection is over. @returns the timer, which is not over in truth. */
function runOutOfPatience(client: OwnClient): NodeJS.Timeout {
  const timer = Reflect.get(client, 'socketTimeoutTimer') as NodeJS.Timeout & { readonly _onTimeout: () => void }
  expect(timer, 'the timer of the silent connection').not.to.equal(undefined)
  timer._onTimeout()
  return timer
}

describe('the client of a server that is slow again and again', () => {
  it('adds no listeners to its socket', () =>
    withSilentServer(async (client, answer) => {
      const pings = Array.from({ length: 21 }, () => client.ping())
      const before = client.stream.listenerCount('data')
      for (const ping of pings.slice(0, -1)) {
        runOutOfPatience(client)
        answer()
        expect(await ping).to.equal('PONG')
      }
      expect(client.stream.listenerCount('data')).to.equal(before)
      answer()
      await pings.at(-1)
    }))

  it('gives the connection up at the second time without an answer between', () =>
    withSilentServer(async (client) => {
      const ping = client.ping().catch((error: Error) => error)
      runOutOfPatience(client)
      await new Promise((resolve) => process.nextTick(resolve))
      expect(client.stream.destroyed).to.equal(false)
      clearTimeout(runOutOfPatience(client))
      expect(client.stream.destroyed).to.equal(true)
      expect(await ping).to.be.instanceOf(Error)
    }))
})
