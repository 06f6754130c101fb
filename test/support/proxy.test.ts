import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import { type Direction, type Proxy, withProxy } from './proxy.ts'

/** How long nothing must happen, in ms. Where something does, it takes a hundredth of that. */
const SILENCE = 100

/** An end of a connection, and what has come out of it. */
class End {
  readonly socket: Socket
  received = ''
  /** Whether it was told that no more will come, for whatever reason. */
  hasEnded = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      this.received += text
    })
    for (const event of ['end', 'close']) {
      socket.on(event, () => {
        this.hasEnded = true
      })
    }
    socket.on('error', () => undefined)
  }

  async untilEnd(): Promise<void> {
    await this.until(({ hasEnded }) => hasEnded)
  }

  async until(condition: (end: this) => boolean): Promise<void> {
    while (!condition(this)) await setTimeout(1)
  }
}

interface Line {
  readonly proxy: Proxy
  readonly client: End
  readonly server: End
  /** Makes another connection. */
  readonly connect: (opening: string) => Promise<{ readonly client: End; readonly server: End }>
}

/** Runs `work` with a connection through a proxy, on which the client has said `hello`. */
async function withLine(work: (line: Line) => Promise<void>): Promise<void> {
  const ends = new Set<End>()
  const listener = createServer({ allowHalfOpen: true })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  try {
    await withProxy((listener.address() as AddressInfo).port, async (proxy) => {
      const open = async (opening: string) => {
        const accepted = once(listener, 'connection') as Promise<[Socket]>
        const client = new End(connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }))
        const server = new End((await accepted)[0])
        for (const end of [client, server]) ends.add(end)
        client.socket.write(opening)
        if (!proxy.up.swallowsFuture) await server.until(({ received }) => received === opening)
        server.received = ''
        return { client, server }
      }
      await work({ proxy, ...(await open('hello')), connect: open })
    })
  } finally {
    for (const { socket } of ends) socket.destroy()
    listener.close()
    await once(listener, 'close')
  }
}

describe('Proxy', () => {
  it('passes bytes, the end of either direction, and the end of a connection', () =>
    withLine(async ({ proxy, client, server }) => {
      expect([proxy.connections, proxy.accepted]).to.deep.equal([1, 1])
      client.socket.write('ping')
      await server.until(({ received }) => received === 'ping')
      server.socket.write('pong')
      await client.until(({ received }) => received === 'pong')
      client.socket.end()
      await server.untilEnd()
      expect(client.hasEnded).to.equal(false)
      server.socket.end('last words')
      await client.untilEnd()
      expect(client.received).to.equal('ponglast words')
      await server.until(() => proxy.connections === 0)
      expect([proxy.connections, proxy.accepted]).to.deep.equal([0, 1])
    }))

  it('passes on that a connection broke', () =>
    withLine(async ({ client, server }) => {
      client.socket.resetAndDestroy()
      await server.untilEnd()
    }))

  for (const [name, of] of [
    ['up', ({ proxy, client, server }) => [proxy.up, client, server]],
    ['down', ({ proxy, client, server }) => [proxy.down, server, client]],
  ] satisfies readonly (readonly [string, (line: Line) => [Direction, End, End]])[]) {
    it(`${name}: delays bytes in order, but not those of the other direction`, () =>
      withLine(async (line) => {
        const [direction, from, to] = of(line)
        direction.delay = 100
        const sentAt = performance.now()
        from.socket.write('a')
        to.socket.write('back')
        await from.until(({ received }) => received === 'back')
        from.socket.end('b')
        await to.untilEnd()
        expect(performance.now() - sentAt).to.be.at.least(99)
        expect(to.received).to.equal('ab')
      }))

    it(`${name}: passes delayed bytes at once when the delay ends`, () =>
      withLine(async (line) => {
        const [direction, from, to] = of(line)
        direction.delay = 3_600_000
        from.socket.write('a')
        await setTimeout(SILENCE)
        expect(to.received).to.equal('')
        direction.mend()
        await to.until(({ received }) => received === 'a')
      }))

    it(`${name}: limits the bytes per second`, () =>
      withLine(async (line) => {
        const [direction, from, to] = of(line)
        direction.bytesPerSecond = 10_000
        const sentAt = performance.now()
        from.socket.write('x'.repeat(2_001))
        await to.until(({ received }) => received.length > 0)
        expect(to.received.length).to.be.below(2_001)
        await to.until(({ received }) => received.length === 2_001)
        expect(performance.now() - sentAt).to.be.at.least(199)
        direction.bytesPerSecond = 1
        from.socket.write('y'.repeat(3_600))
        direction.mend()
        await to.until(({ received }) => received.length === 5_601)
      }))

    it(`${name}: is a black hole for existing connections, and stops being one`, () =>
      withLine(async (line) => {
        const [direction, from, to] = of(line)
        direction.blackHole()
        from.socket.end('a')
        to.socket.write('back')
        await from.until(({ received }) => received === 'back')
        const other = await line.connect('works')
        expect(other.server.socket.destroyed).to.equal(false)
        await setTimeout(SILENCE)
        expect([to.received, to.hasEnded]).to.deep.equal(['', false])
        direction.mend()
        await to.untilEnd()
        expect(to.received).to.equal('a')
      }))

    it(`${name}: is a black hole for later connections too if asked to`, () =>
      withLine(async (line) => {
        const [direction, from, to] = of(line)
        direction.blackHole({ future: true })
        const later = await line.connect('')
        from.socket.write('a')
        const [laterFrom, laterTo] = name === 'up' ? [later.client, later.server] : [later.server, later.client]
        laterFrom.socket.write('b')
        await setTimeout(SILENCE)
        expect([to.received, laterTo.received]).to.deep.equal(['', ''])
        direction.mend()
        await to.until(({ received }) => received === 'a')
        await laterTo.until(({ received }) => received === 'b')
      }))

    it(`${name}: closes itself, but not the other direction`, () =>
      withLine(async (line) => {
        const [direction, from, to] = of(line)
        direction.halfClose()
        await to.untilEnd()
        from.socket.write('lost')
        to.socket.write('back')
        await from.until(({ received }) => received === 'back')
        expect([from.hasEnded, to.received]).to.deep.equal([false, ''])
      }))

    it(`${name}: cuts the connection after so many bytes`, () =>
      withLine(async (line) => {
        const [direction, from, to] = of(line)
        const cut = direction.cutAfter(7)
        from.socket.write('12345')
        await to.until(({ received }) => received === '12345')
        from.socket.write('67890')
        await cut
        await Promise.all([from.untilEnd(), to.untilEnd()])
        expect(to.received).to.equal('1234567')
        const next = await line.connect('works')
        next.server.socket.write('more than seven')
        await next.client.until(({ received }) => received === 'more than seven')
      }))
  }

  it('treats connections differently', () =>
    withLine(async ({ proxy, client, server, connect: open }) => {
      const [hole, silent, closed, broken] = [
        await open('to be a hole'),
        await open('to be silent'),
        await open('to be closed'),
        await open('to be cut'),
      ]
      proxy.up.blackHole({ mark: 'a hole' })
      proxy.silence('silent')
      proxy.up.halfClose('closed')
      const cut = proxy.up.cutAfter(1, 'cut')
      for (const end of [client, hole.client, silent.client, closed.client, broken.client]) end.socket.write('x')
      await Promise.all([cut, broken.server.untilEnd(), closed.server.untilEnd()])
      await server.until(({ received }) => received === 'x')
      await setTimeout(SILENCE)
      expect([hole, silent, closed, broken].map((other) => other.server.received)).to.deep.equal(['', '', '', 'x'])
    }))

  it('stays silent for good if told so, and hides that an end has closed', () =>
    withLine(async ({ proxy, client, server, connect: open }) => {
      proxy.silence()
      client.socket.write('a')
      server.socket.write('b')
      proxy.up.mend()
      proxy.down.mend()
      const { server: next } = await open('works')
      client.socket.destroy()
      await setTimeout(SILENCE)
      expect([client.received, server.received, server.hasEnded]).to.deep.equal(['', '', false])
      expect(next.socket.destroyed).to.equal(false)
    }))

  it('drops answers until it is cut', () =>
    withLine(async ({ proxy, client, server }) => {
      proxy.droppingAnswers = true
      client.socket.write('question')
      await server.until(({ received }) => received === 'question')
      server.socket.write('answer')
      await setTimeout(SILENCE)
      proxy.cut()
      proxy.droppingAnswers = false
      await Promise.all([client.untilEnd(), server.untilEnd()])
      expect(client.received).to.equal('')
    }))
})
