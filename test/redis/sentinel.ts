/**
 * A Redis Sentinel that watches one server, for a test: the same program in another mode. May import node: modules and the
 * test servers.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { findServerBinary, type RedisServer } from '../support/redis-server.ts'
import { until } from './support.ts'

/** The name under which the server is known to its Sentinel. */
export const PRIMARY = 'primary'

/** Runs `work` with a Sentinel's port, and ends it afterwards. */
export async function withSentinel<T>(server: RedisServer, work: (port: number) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'leasewheel-sentinel-'))
  let child: ChildProcess | undefined
  const discard = (): void => {
    child?.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
  process.on('exit', discard)
  try {
    // As for servers: below the range from which outgoing connections are given their ports; another one where it is taken.
    for (;;) {
      const port = 22_000 + Math.floor(Math.random() * 10_000)
      const file = join(directory, `${port}.conf`)
      const lines = [
        `port ${port}`,
        'bind 127.0.0.1',
        `dir ${directory}`,
        `sentinel monitor ${PRIMARY} 127.0.0.1 ${server.port} 1`,
      ]
      writeFileSync(file, lines.join('\n'))
      child = spawn(findServerBinary(), [file, '--sentinel'], { stdio: 'ignore' })
      const ended = once(child, 'close')
      const isReady = await Promise.race([ended.then(() => false), answers(port, server).then(() => true)])
      if (!isReady) continue
      try {
        return await work(port)
      } finally {
        child.kill('SIGKILL')
        await ended
      }
    }
  } finally {
    process.off('exit', discard)
    discard()
  }
}

/** Resolves once this Sentinel, and no other program on its port, says where the server is. */
async function answers(port: number, server: RedisServer): Promise<void> {
  const client = new Redis({ host: '127.0.0.1', port, enableReadyCheck: false, retryStrategy: () => 20 })
  client.on('error', () => undefined)
  try {
    await until('Sentinel answers', async () => {
      const address = await client.call('SENTINEL', 'get-master-addr-by-name', PRIMARY).catch(() => undefined)
      return Array.isArray(address) && address[1] === String(server.port)
    })
  } finally {
    client.disconnect()
  }
}
