import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { expect } from 'chai'
import { Viewers } from '#src/page/viewers.js'

/** A response whose socket takes as much as the test says. */
class SlowResponse extends EventEmitter {
  readonly written: string[] = []
  full = false
  destroyed = false

  write(text: string): boolean {
    this.written.push(/^event: (.*)$/m.exec(text)?.[1] ?? '')
    return !this.full
  }

  end(text: string): void {
    this.write(text)
    this.emit('close')
  }

  destroy(): void {
    this.destroyed = true
    this.emit('close')
  }

  drain(): void {
    this.full = false
    this.emit('drain')
  }
}

function open(viewers: Viewers): SlowResponse {
  const response = new SlowResponse()
  viewers.add(response as unknown as ServerResponse)
  return response
}

describe('the viewers of the page', () => {
  it('get every event while they are quick', () => {
    const viewers = new Viewers(
      () => '{}',
      () => undefined,
    )
    const [one, other] = [open(viewers), open(viewers)]
    viewers.send('tick', '{}')
    for (const { written } of [one, other]) expect(written).to.deep.equal(['hello', 'tick'])
  })

  it('get nothing while their sockets are full, and then everything anew', () => {
    const viewers = new Viewers(
      () => '{}',
      () => undefined,
    )
    const [slow, quick] = [open(viewers), open(viewers)]
    slow.full = true
    for (let sent = 0; sent < 5; sent += 1) viewers.send('tick', '{}')
    expect(slow.written).to.deep.equal(['hello', 'tick'])
    expect(quick.written).to.have.length(6)
    slow.drain()
    viewers.send('tick', '{}')
    expect(slow.written).to.deep.equal(['hello', 'tick', 'hello', 'tick'])
  })

  it('miss nothing if a socket was full only for a moment', () => {
    const viewers = new Viewers(
      () => '{}',
      () => undefined,
    )
    const slow = open(viewers)
    slow.full = true
    viewers.send('tick', '{}')
    slow.drain()
    viewers.send('tick', '{}')
    expect(slow.written).to.deep.equal(['hello', 'tick', 'tick'])
  })

  it('are cut off if a socket stays full, and do not hold up the others', () => {
    let empty = 0
    const viewers = new Viewers(
      () => '{}',
      () => (empty += 1),
    )
    const [slow, quick] = [open(viewers), open(viewers)]
    slow.full = true
    for (let sent = 0; sent < 40; sent += 1) viewers.send('tick', '{}')
    expect([slow.destroyed, slow.written.length, quick.written.length]).to.deep.equal([true, 2, 41])
    expect([viewers.size, empty]).to.deep.equal([1, 0])
    viewers.close()
    expect([viewers.size, empty]).to.deep.equal([0, 1])
    expect(quick.written.at(-1)).to.equal('end')
  })
})
