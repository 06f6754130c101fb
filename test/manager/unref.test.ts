/** `unref`: a manager that does not keep its process alive. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'chai'
import { type Clock, LeaseManager } from 'leasewheel'
import { ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'

describe('unref', () => {
  it('unref reaches the backend and every timer, present or later', async () => {
    const unreferenced: string[] = []
    class Watched extends ManualClock {
      override setTimer(callback: () => void, delay: number): ReturnType<Clock['setTimer']> {
        return { ...super.setTimer(callback, delay), unref: () => unreferenced.push('timer') }
      }
    }
    class Backend extends MemoryBackend {
      unref(): void {
        unreferenced.push('backend')
      }
    }
    const clock = new Watched()
    const leases = new LeaseManager(new Backend({ store: new MemoryStore({ clock }) }), { clock, ttl: 1_000 })
    await leases.acquire('a')
    expect(unreferenced).to.deep.equal([])
    expect(leases.unref()).to.equal(leases)
    expect(unreferenced).to.deep.equal(['timer', 'backend'])
    await clock.advance(500)
    expect(unreferenced.length).to.be.greaterThan(2)
    await leases.close()
  })

  it('unref lets a process exit that holds a lease and has done its work', async () => {
    const code = `
      import { LeaseManager } from 'leasewheel'
      import { MemoryBackend } from 'leasewheel/memory'
      const leases = new LeaseManager(new MemoryBackend(), { ttl: 600_000 })
      await leases.acquire('a')
      leases.unref()
      console.log('done')`
    const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '--eval', code])
    const [status] = (await once(child, 'close')) as [number]
    expect(status).to.equal(0)
  })
})
