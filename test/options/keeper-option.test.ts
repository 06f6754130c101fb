/** What the option `keeper` refuses: at once, and before anything connects. */
import { expect } from 'chai'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { LeaseManager, type LeaseManagerOptions } from 'leasewheel'
import { ManualClock, MemoryBackend } from 'leasewheel/memory'
import { resolveManager } from '#src/options/settings.js'
import { describeSource, sourceOf } from '#src/redis/portable-source.js'

type ConnectionOptions = Omit<RedisOptions, 'replyMapping'>
type Connection = ConstructorParameters<typeof LeaseManager>[0]

const URL_OF_NOTHING = 'redis://127.0.0.1:1'

function refusalOf(connection: Connection, options: LeaseManagerOptions = {}): string {
  try {
    void new LeaseManager(connection, { keeper: {}, ...options }).close()
  } catch (error) {
    expect(error).to.be.instanceOf(TypeError)
    return (error as Error).message
  }
  return 'none'
}

describe('the option `keeper`', () => {
  it('takes `maxBlocked`, a minute by default', () => {
    expect(resolveManager({ keeper: {} }).keeper).to.deep.equal({ maxBlocked: 60_000, worker: undefined })
    expect(resolveManager({ keeper: { maxBlocked: 1_000 } }).keeper?.maxBlocked).to.equal(1_000)
    for (const maxBlocked of [999, 1_000.5, 3_600_001, Number.POSITIVE_INFINITY]) {
      expect(() => resolveManager({ keeper: { maxBlocked } })).to.throw(
        RangeError,
        'Expected `keeper.maxBlocked` to be an integer >= 1000',
      )
    }
    expect(() => resolveManager({ keeper: { worker: 'x' as never } })).to.throw(
      TypeError,
      'Expected `keeper.worker` to be a URL',
    )
    expect(() => resolveManager({ keeper: { maxBlock: 5 } as never })).to.throw(TypeError, 'got `maxBlock`')
  })

  it('refuses what another thread cannot reach or run', () => {
    const client = (options: ConnectionOptions): Redis => new Redis({ lazyConnect: true, ...options })
    expect(refusalOf(new MemoryBackend())).to.match(/^Expected no `keeper` with this connection/)
    expect(refusalOf(new Cluster([URL_OF_NOTHING], { lazyConnect: true }))).to.match(
      /^Expected no `keeper` with this connection/,
    )
    expect(refusalOf(URL_OF_NOTHING, { credentials: async () => ({ password: 'x' }) })).to.match(
      /^Expected no `credentials` with `keeper`/,
    )
    expect(refusalOf(URL_OF_NOTHING, { clock: new ManualClock() })).to.match(/^Expected no `clock` with `keeper`/)
    expect(refusalOf(client({ sentinels: [{ host: 'a', port: 1 }], name: 'b' }))).to.match(
      /^Expected no `keeper` with a client that finds its server/,
    )
    expect(refusalOf(client({ tls: { checkServerIdentity: () => undefined } }))).to.match(
      /^Expected the option `tls` of the client to be plain data/,
    )
    const missing = new URL('missing.js', import.meta.url)
    expect(refusalOf(URL_OF_NOTHING, { keeper: { worker: missing } })).to.match(
      /^Expected the file of the keeper beside the code of leasewheel, .*missing\.js$/,
    )
  })

  it('describes a client in plain data from which the same one can be made', () => {
    const options = { host: 'a', port: 5, username: 'u', password: 'p', keyPrefix: 'x:', db: 3, tls: { ca: 'c' } }
    const client = new Redis({
      ...options,
      lazyConnect: true,
      retryStrategy: () => 1,
      scripts: { x: { lua: 'return 1' } },
    })
    const described: unknown = structuredClone(describeSource(client))
    expect((sourceOf(described as ReturnType<typeof describeSource>) as Redis).options).to.deep.include(options)
    expect(sourceOf(describeSource(URL_OF_NOTHING))).to.equal(URL_OF_NOTHING)
  })
})
