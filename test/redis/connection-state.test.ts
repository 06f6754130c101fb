/** What a manager reports of its connection to a real server. */
import { expect } from 'chai'
import { withRedis } from '../support/redis-server.ts'
import { withProxy } from '../support/proxy.ts'
import { LASTING, until, withManager, withNewManager } from './support.ts'

describe('the state of the connection', () => {
  it('is connecting at first, and each loss and return of the connection is one event', () =>
    withRedis((server) =>
      withProxy(server.port, (proxy) =>
        withNewManager(`redis://127.0.0.1:${proxy.port}`, LASTING, async ({ manager }) => {
          const told: string[] = []
          manager.on('connected', ({ after }) => told.push(after >= 0 ? 'connected' : 'connected too early'))
          manager.on('disconnected', () => told.push('disconnected'))
          expect(manager.stats().connection).to.equal('connecting')
          expect(manager.health()).to.deep.equal({ ok: false, reasons: ['connecting'] })
          await until('it is connected', () => told.length >= 1)
          expect(manager.health()).to.deep.equal({ ok: true, reasons: [] })
          await until('it is notified', () => manager.stats().watching)
          proxy.cut()
          await until('it is connected again', () => told.length >= 3)
          expect(told.slice(0, 3)).to.deep.equal(['connected', 'disconnected', 'connected'])
          const losses = told.filter((event) => event === 'disconnected').length
          expect(manager.stats().disconnections).to.equal(losses)
        }),
      ),
    ))

  it('is closed after close, which is no lost connection', () =>
    withRedis(async (server) => {
      await withManager(server.url, LASTING, async ({ manager }) => {
        let told = 0
        manager.on('disconnected', () => (told += 1))
        await manager.close()
        expect(manager.stats()).to.include({ connection: 'closed', disconnections: 0 })
        expect(told).to.equal(0)
      })
    }))
})
