/** An application in one minified file, as serverless platforms want it: every class has another name there. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { expect } from 'chai'
import { withRedis } from '../support/redis-server.ts'

/** Waits for a lock that somebody else deletes, on a server that tells of no changes. */
const APPLICATION = `
  import { Redis } from 'ioredis'
  import { LeaseManager } from 'leasewheel'
  if (Redis.name === 'Redis') throw new Error('The bundle is not minified')
  const client = new Redis(process.env.REDIS_URL)
  const manager = new LeaseManager(client, { ttl: 60_000, wait: 15_000, retry: { next: () => 20 } })
  const told = new Promise((resolve) => manager.on('error', (error) => resolve(error)))
  client.set('lease:a', 'theirs').then(async () => {
    const call = manager.acquire('a')
    const { code, message } = await told
    console.log(code, message)
    await client.del('lease:a')
    console.log('held', (await call).held)
    await manager.close()
    client.disconnect()
  })
`

describe('a minified bundle', () => {
  for (const ioredis of ['ioredis', 'ioredis-5']) {
    it(`P18 P23 learns that the server sends no notifications, and polls: ${ioredis}`, async () => {
      const directory = mkdtempSync(join(tmpdir(), 'leasewheel-bundle-'))
      try {
        const outfile = join(directory, 'application.cjs')
        await build({
          stdin: { contents: APPLICATION, resolveDir: import.meta.dirname },
          alias: { ioredis },
          bundle: true,
          minify: true,
          platform: 'node',
          format: 'cjs',
          conditions: ['leasewheel:source'],
          outfile,
        })
        await withRedis(async (server) => {
          await server.command('ACL', 'SETUSER', 'worker', 'on', '>s3cret', '~*', '&*', '+@all', '-client|tracking')
          const url = `redis://worker:s3cret@127.0.0.1:${server.port}`
          const lines = (await outputOf(outfile, url)).trim().split('\n')
          expect(lines).to.have.length(2)
          expect(lines[0]).to.match(/^ERR_UNAVAILABLE The server refuses to tell of changes.*NOPERM/)
          expect(lines[1]).to.equal('held true')
        })
      } finally {
        rmSync(directory, { recursive: true, force: true })
      }
    })
  }
})

/** What a program prints until it ends by itself. */
async function outputOf(file: string, url: string): Promise<string> {
  const child = spawn(process.execPath, [file], { env: { ...process.env, NODE_OPTIONS: '', REDIS_URL: url } })
  const texts: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => texts.push(String(text)))
  await new Promise((resolve) => child.once('close', resolve))
  return texts.join('')
}
