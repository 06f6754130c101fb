import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { expect } from 'chai'
import { findServerBinary, RedisServer, withRedis } from './redis-server.ts'

const moduleUrl = pathToFileURL('test/support/redis-server.ts').href

describe('RedisServer', () => {
  it('starts a server that answers, and leaves neither process nor folder behind', async () => {
    const { pid, directory } = await withRedis(async (server) => {
      expect(await server.command('SET', 'a', 1)).to.equal('OK')
      expect((await server.info('server')).get('tcp_port')).to.equal(String(server.port))
      expect(server.url).to.equal(`redis://127.0.0.1:${server.port}`)
      return server
    })
    expect(isAlive(pid)).to.equal(false)
    expect(existsSync(directory)).to.equal(false)
  })

  it('can be stopped any number of times', async () => {
    const server = await RedisServer.start()
    await Promise.all([server.stop(), server.stop()])
    await server.stop()
  })

  it('stops the server if the callback throws', async () => {
    let pid = 0
    const failure = new Error('from the callback')
    const outcome = await withRedis(async (server) => {
      pid = server.pid
      throw failure
    }).catch((error: unknown) => error)
    expect(outcome).to.equal(failure)
    expect(isAlive(pid)).to.equal(false)
  })

  it('gives each of many simultaneous servers a port of its own', async () => {
    const servers = await Promise.all([1, 2, 3, 4].map(() => RedisServer.start()))
    expect(new Set(servers.map(({ port }) => port)).size).to.equal(4)
    await Promise.all(servers.map((server) => server.stop()))
  })

  it('keeps its data across a kill and a restart on its port with AOF', async () => {
    await withRedis(
      async (server) => {
        const { port, pid } = server
        await server.command('SET', 'a', 1)
        await server.kill()
        await server.restart()
        expect(server.port).to.equal(port)
        expect(server.pid).not.to.equal(pid)
        expect(await server.command('GET', 'a')).to.equal('1')
      },
      { persistence: 'aof' },
    )
  })

  it('keeps its data across an orderly restart with RDB', async () => {
    await withRedis(
      async (server) => {
        await server.command('SET', 'a', 1)
        await server.restart()
        expect(await server.command('GET', 'a')).to.equal('1')
      },
      { persistence: 'rdb' },
    )
  })

  it('loses its data at a restart without persistence', async () => {
    await withRedis(async (server) => {
      await server.command('SET', 'a', 1)
      await server.restart()
      expect(await server.command('DBSIZE')).to.equal(0)
    })
  })

  it('answers a command sent while the server was away once it is back', async () => {
    await withRedis(async (server) => {
      await server.kill()
      const answer = server.command('PING')
      await server.restart()
      expect(await answer).to.equal('PONG')
    })
  })

  it('answers nothing while paused, and everything afterwards', async () => {
    await withRedis(async (server) => {
      server.pause()
      const answer = server.command('PING')
      expect(await Promise.race([answer, setTimeout(100, 'silence')])).to.equal('silence')
      server.resume()
      expect(await answer).to.equal('PONG')
    })
  })

  it('kills and stops a paused server', async () => {
    await withRedis(async (server) => {
      server.pause()
      await server.kill()
      expect(isAlive(server.pid)).to.equal(false)
      await server.restart()
      server.pause()
    })
  })

  it('requires the password it was given', async () => {
    await withRedis(
      async (server) => {
        expect(server.url).to.include(':p%40ss@')
        expect(await server.command('CONFIG', 'GET', 'requirepass')).to.deep.equal(['requirepass', 'p@ss'])
        await server.restart()
      },
      { password: 'p@ss' },
    )
  })

  it('passes its arguments on, and quotes the log of a server that refuses them', async () => {
    await withRedis(
      async (server) => expect(await server.command('CONFIG', 'GET', 'databases')).to.deep.equal(['databases', '3']),
      { args: ['--databases', '3'] },
    )
    const outcome = await RedisServer.start({ args: ['--no-such-thing', '1'] }).catch((error: unknown) => error)
    expect(String(outcome)).to.match(/ended before it was ready[^]*no-such-thing/)
  })

  it('starts a cluster node, whose bus has a port too', async () => {
    await withRedis(async (server) => expect((await server.info('cluster')).get('cluster_enabled')).to.equal('1'), {
      args: ['--cluster-enabled', 'yes'],
    })
  })

  it('counts commands', async () => {
    await withRedis(async (server) => {
      await server.command('CONFIG', 'RESETSTAT')
      await server.command('GET', 'a')
      await server.command('GET', 'b')
      const get = (await server.commandStats()).get('get')
      expect(get?.calls).to.equal(2)
      expect(get?.microseconds).to.be.a('number')
      expect(get?.rejected).to.equal(0)
      await server.command('GET').catch(() => undefined)
      expect((await server.commandStats()).get('get')?.rejected).to.equal(1)
    })
  })

  for (const [ending, code] of [
    ['returns with the server forgotten', 'process.exit(0)'],
    ['throws', 'throw new Error("on purpose")'],
    ['gets SIGTERM', 'process.kill(process.pid, "SIGTERM")'],
    ['gets SIGINT', 'process.kill(process.pid, "SIGINT")'],
  ] as const) {
    it(`stops the server if its process ${ending}`, async () => {
      const child = runModule(`
        const server = await RedisServer.start()
        server.pause()
        process.stdout.write(server.port + ' ' + server.directory, () => { ${code} })
      `)
      const [port = '', directory = ''] = (await child).stdout.split(' ')
      expect(Number(port)).to.be.greaterThan(0)
      await untilRefused(Number(port))
      expect(existsSync(directory)).to.equal(false)
    })
  }
})

describe('findServerBinary', () => {
  let folder = ''

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'leasewheel-path-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  /** Looks the server up in a process of its own whose PATH holds these programs and nothing else. */
  function lookUp(programs: Readonly<Record<string, string>>, environment: Readonly<Record<string, string>> = {}) {
    for (const [name, script] of Object.entries(programs)) writeProgram(join(folder, name), script)
    const code = `import { findServerBinary } from ${JSON.stringify(moduleUrl)}; console.log(findServerBinary())`
    return spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', code], {
      encoding: 'utf8',
      env: { PATH: folder, ...environment },
    })
  }

  /** A package manager that writes its arguments to `log` and puts a server on the PATH when asked for `works`. */
  function packageManager(works: string): Readonly<Record<string, string>> {
    const [cat, chmod] = ['/bin/cat', '/bin/chmod']
    symlinkSync('/usr/bin/env', join(folder, 'env'))
    return {
      'apt-get': `
        echo "$@" >> ${folder}/log; echo "apt-get talks"
        for last in "$@"; do :; done
        case "$last" in
          update) exit 100;;
          ${works}) echo '#!/bin/sh' > ${folder}/${works}; ${chmod} 755 ${folder}/${works};;
          *) exit 1;;
        esac`,
      'print-log': `${cat} ${folder}/log`,
      // Root needs no sudo, and anybody else is let through by this one.
      sudo: 'shift; exec "$@"',
    }
  }

  const printLog = (): string => spawnSync(join(folder, 'print-log'), { encoding: 'utf8' }).stdout

  it('finds the server of this run', () => {
    expect(existsSync(findServerBinary())).to.equal(true)
  })

  it('prefers $REDIS_SERVER, then redis-server, then valkey-server', () => {
    mkdirSync(join(folder, 'elsewhere'))
    writeProgram(join(folder, 'elsewhere', 'mine'), '')
    const programs = { 'valkey-server': '', 'redis-server': '' }
    expect(lookUp({ 'valkey-server': '' }).stdout.trim()).to.equal(join(folder, 'valkey-server'))
    expect(lookUp(programs).stdout.trim()).to.equal(join(folder, 'redis-server'))
    const mine = join(folder, 'elsewhere', 'mine')
    expect(lookUp(programs, { REDIS_SERVER: mine }).stdout.trim()).to.equal(mine)
    expect(lookUp(programs, { REDIS_SERVER: 'valkey-server' }).stdout.trim()).to.equal(join(folder, 'valkey-server'))
  })

  it('fails if $REDIS_SERVER is not executable, even with a server on the PATH', () => {
    const { status, stderr } = lookUp({ 'redis-server': '' }, { REDIS_SERVER: '/nowhere/redis-server' })
    expect(status).not.to.equal(0)
    expect(stderr).to.include(
      'Expected $REDIS_SERVER to name a Redis or Valkey server that can be executed, got `/nowhere/redis-server`',
    )
  })

  it('fails in one sentence without a server and a package manager', () => {
    const { status, stderr } = lookUp({})
    expect(status).not.to.equal(0)
    expect(stderr).to.include('none could be installed (no known package manager was found)')
  })

  it('installs redis-server with apt-get, even if the update fails, and reports it', () => {
    const { status, stdout, stderr } = lookUp(packageManager('redis-server'))
    expect(stderr).to.match(/No Redis server on the PATH: installing one with .*apt-get\n[^]*apt-get talks/)
    expect(stdout.trim()).to.equal(join(folder, 'redis-server'))
    expect(status).to.equal(0)
    expect(printLog()).to.equal('update\ninstall -y --no-install-recommends redis-server\n')
  })

  it('installs valkey-server if there is no redis-server to install', () => {
    expect(lookUp(packageManager('valkey-server')).stdout.trim()).to.equal(join(folder, 'valkey-server'))
    expect(printLog()).to.match(/redis-server\n.*valkey-server\n$/)
  })

  it('fails in one sentence if nothing can be installed', () => {
    const { status, stderr } = lookUp(packageManager('something-else'))
    expect(status).not.to.equal(0)
    expect(stderr).to.include('(apt-get could not install redis-server or valkey-server)')
  })
})

function writeProgram(path: string, script: string): void {
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
}

async function runModule(code: string): Promise<{ readonly stdout: string }> {
  const source = `import { RedisServer } from ${JSON.stringify(moduleUrl)}\n${code}`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', source], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  await once(child, 'close')
  return { stdout }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Asks the port, since the pid of an orphan stays valid until whoever adopted it looks. */
async function untilRefused(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const isRefused = await once(socket, 'connect').then(
      () => false,
      () => true,
    )
    socket.destroy()
    if (isRefused) return
    await setTimeout(10)
  }
}
