/** What a logger is told of a manager. */
import { Writable } from 'node:stream'
import { expect } from 'chai'
import { log, type Logger } from 'leasewheel/log'
import { ODD_KEYS, runThroughEverything } from '../support/eventful-run.ts'
import { grant, TTL, withManager } from '../support/manager.ts'

type Line = { level: string; message: string; facts: Record<string, unknown> }

/** A logger with pino's interface that keeps its lines. */
function recorder(): { logger: Logger; lines: Line[] } {
  const lines: Line[] = []
  const keep =
    (level: string) =>
    (facts: object, message: string): void => {
      lines.push({ level, message, facts: facts as Line['facts'] })
    }
  return { logger: { error: keep('error'), warn: keep('warn'), info: keep('info') }, lines }
}

/** A console whose lines we can read. */
function consoleOf(): { logger: Console; text: () => string } {
  let text = ''
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString()
      done()
    },
  })
  return { logger: new console.Console({ stdout: sink, stderr: sink }), text: () => text }
}

describe('log', () => {
  it('logs the first loss at once, and those of the next second as one line with their count', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const { logger, lines } = recorder()
      log(manager, logger, { clock })
      await manager.acquireMany(Array.from({ length: 400 }, (_, index) => `key-${index}`))
      for (const key of store.keys()) store.delete(key)
      await clock.settle()
      expect(lines.map(({ level, facts: { event, count } }) => ({ level, event, count }))).to.deep.equal([
        { level: 'error', event: 'lost', count: 1 },
      ])
      expect(lines[0]).to.deep.include({ message: 'leasewheel: a lease was lost' })
      expect(lines[0]?.facts).to.include({ reason: 'missing', key: 'key-0' })
      await clock.advance(1_100)
      expect(lines.map(({ facts: { count } }) => count)).to.deep.equal([1, 399])
      await clock.advance(60_000)
      expect(lines).to.have.length(2)
      await grant(manager.tryAcquire('later'))
      store.delete('lease:later')
      await clock.settle()
      expect(lines.map(({ facts: { count } }) => count)).to.deep.equal([1, 399, 1])
      await clock.advance(2_000)
    }))

  it('logs no kind more than once a second, and the right count of each', () =>
    withManager({}, async (stage) => {
      const { manager, clock, events } = stage
      const { logger, lines } = recorder()
      const times = new Map<string, number[]>()
      const timed = (level: 'error' | 'warn' | 'info') => (facts: object, message: string) => {
        const { event, reason } = facts as { event: string; reason?: string }
        const kind = `${event} ${reason ?? ''}`
        times.set(kind, [...(times.get(kind) ?? []), clock.now()])
        logger[level](facts, message)
      }
      const stop = log(manager, { error: timed('error'), warn: timed('warn'), info: timed('info') }, { clock })
      await runThroughEverything(stage)
      await clock.advance(1_100)
      stop()
      for (const [kind, moments] of times) {
        for (const [index, at] of moments.entries()) {
          if (index > 0) expect(at - (moments[index - 1] as number), kind).to.be.at.least(1_000)
        }
      }
      const counted = (event: string): number =>
        lines.filter(({ facts }) => facts.event === event).reduce((sum, { facts }) => sum + (facts.count as number), 0)
      const told = (event: string): number => events.lines.filter((line) => line.startsWith(`${event} `)).length
      for (const event of ['lost', 'jeopardy', 'safe']) {
        expect(counted(event), event).to.equal(told(event)).and.to.be.greaterThan(0)
      }
      expect(counted('disconnected')).to.equal(2)
      expect(counted('connected')).to.equal(2)
      const levels = new Map(lines.map(({ level, facts }) => [facts.event, level]))
      expect(Object.fromEntries(levels)).to.deep.equal({
        lost: 'error',
        jeopardy: 'warn',
        safe: 'info',
        disconnected: 'warn',
        connected: 'info',
      })
    }))

  it('logs an overload and its end, and faults with their error', () =>
    withManager({ batchSize: 10 }, async ({ manager, backend, clock, events }) => {
      const { logger, lines } = recorder()
      const stop = log(manager, logger, { clock })
      await manager.acquireMany(Array.from({ length: 200 }, (_, index) => `key-${index}`))
      backend.pace = 0.05
      await clock.advance(TTL)
      backend.pace = Number.POSITIVE_INFINITY
      await clock.advance(5 * TTL)
      const overloads = lines.filter(({ facts }) => facts.event === 'overload')
      expect(overloads[0]).to.include({ level: 'warn', message: 'leasewheel: renewals do not keep up' })
      expect(overloads.at(-1)).to.include({ level: 'info', message: 'leasewheel: renewals keep up again' })
      const fault = new Error('a listener failed')
      manager.once('acquired', () => {
        throw fault
      })
      await grant(manager.tryAcquire('a'))
      expect(events.takeErrors()).to.deep.equal([fault])
      expect(lines.at(-1)).to.deep.include({ level: 'error', facts: { event: 'error', count: 1, err: fault } })
      stop()
    }))

  it('writes to a console lines that no key can forge', () =>
    withManager({}, async ({ manager, store, clock }) => {
      const { logger, text } = consoleOf()
      const stop = log(manager, logger, { clock })
      for (const key of ODD_KEYS) {
        await grant(manager.tryAcquire(key))
        store.delete(`lease:${key}`)
        await clock.settle()
        await clock.advance(1_100)
      }
      stop()
      expect(text().split('leasewheel: a lease was lost {')).to.have.length(ODD_KEYS.length + 1)
      expect(text()).not.to.match(/^FORGED/m)
      expect(text()).not.to.include('\u001b[31m')
    }))

  it('takes the global console for one', () =>
    withManager({}, async ({ manager, store, clock }) => {
      const written: unknown[][] = []
      const original = console.error
      console.error = (...values: unknown[]) => void written.push(values)
      try {
        const stop = log(manager, console, { clock })
        await grant(manager.tryAcquire('a'))
        store.delete('lease:a')
        await clock.settle()
        stop()
      } finally {
        console.error = original
      }
      expect(written).to.have.length(1)
      expect(written[0]?.[0]).to.equal('leasewheel: a lease was lost')
      expect(written[0]?.[1]).to.include({ key: 'a', count: 1 })
    }))

  it('stops at once, with what was still to be logged', () =>
    withManager({}, async ({ manager, store, clock }) => {
      const { logger, lines } = recorder()
      const stop = log(manager, logger, { clock })
      const timers = clock.timers
      await manager.acquireMany(['a', 'b', 'c'])
      for (const key of store.keys()) store.delete(key)
      await clock.settle()
      stop()
      expect(lines.map(({ facts: { count } }) => count)).to.deep.equal([1, 2])
      await grant(manager.tryAcquire('d'))
      await manager.get('d')?.release()
      await clock.settle()
      expect(clock.timers).to.equal(timers)
      expect(lines).to.have.length(2)
    }))
})
