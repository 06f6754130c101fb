/** A soak in small, soaks whose workers or store break the rules, and the command. `npm run soak` goes on for longer. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { HELP, readArguments } from './arguments.ts'
import { runSoak, type SoakOptions, type SoakReport } from './soak.ts'

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))

const SMALL: Omit<SoakOptions, 'directory'> = {
  duration: 8_000,
  processes: 3,
  keys: 50,
  ttl: 1_000,
  seed: 1,
  faultInterval: 150,
}

/** Few locks, and holders who wake up after others have taken them: whoever then believes in a lock, or writes with its fence, is wrong. */
const UNFORGIVING: Omit<SoakOptions, 'directory'> = {
  ...SMALL,
  duration: 6_000,
  processes: 3,
  keys: 10,
  ttl: 600,
  faultInterval: 700,
  faults: ['stopLong'],
}

/** So often what is wrong may fail to show. */
const ATTEMPTS = 5

async function soak(options: Omit<SoakOptions, 'directory'>): Promise<SoakReport> {
  const directory = mkdtempSync(join(tmpdir(), 'leasewheel-soak-'))
  try {
    return await runSoak({ ...options, directory })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** What a soak keeps in the system's folder for such things: its server's folder, and its own. */
function foldersIn(directory: string): string[] {
  return readdirSync(directory).filter((name) => name.startsWith('leasewheel-'))
}

function historiesIn(directory: string): string[] {
  return foldersIn(directory).flatMap((name) =>
    readdirSync(join(directory, name)).filter((file) => file.startsWith('worker-')),
  )
}

/** The first line of each violation, each once, without its numbers. */
function kindsOf({ violations }: SoakReport): string[] {
  return [...new Set(violations.map(({ message }) => (message.split('\n')[0] as string).replace(/, for .*/, '')))]
}

/** What is found where rules are broken. On a slow machine there may be no occasion in one soak: then another is made, with the next seed. */
async function kindsFound(options: Omit<SoakOptions, 'directory'>, awaited: string): Promise<readonly string[]> {
  const kinds = kindsOf(await soak(options))
  const isLast = options.seed === UNFORGIVING.seed + ATTEMPTS - 1
  return kinds.includes(awaited) || isLast ? kinds : kindsFound({ ...options, seed: options.seed + 1 }, awaited)
}

describe('processes that share locks while things go wrong', () => {
  it('P6 P7 P13 never share a lock, and no stale write of theirs is accepted', async () => {
    const { faults, holds, accepted, violations } = await soak(SMALL)
    expect(violations.map(({ message }) => message)).to.deep.equal([])
    expect(Object.values(faults).reduce((sum, count) => sum + count, 0)).to.be.greaterThan(10)
    expect(holds.length).to.be.greaterThan(50)
    expect(accepted).to.be.greaterThan(50)
  }).timeout(150_000)

  it('P7 never share a lock although their master dies and a replica follows', async () => {
    const { failovers, holds, violations } = await soak({
      ...SMALL,
      ttl: 3_000,
      faults: ['killMaster'],
      sentinel: true,
    })
    expect(violations.map(({ message }) => message)).to.deep.equal([])
    expect(failovers.length).to.be.greaterThan(0)
    expect(holds.length).to.be.greaterThan(50)
  }).timeout(150_000)

  it('must not end by themselves', async () => {
    const failure = await runSoak({ ...SMALL, directory: join(tmpdir(), 'leasewheel-soak-that-is-not-there') }).catch(
      (error: unknown) => error,
    )
    expect(String(failure)).to.match(/^Error: Worker \d ended by itself, with code 1\n.*ENOENT/s)
  }).timeout(150_000)

  describe('the checker of a soak', () => {
    const STALE = 'P6: a write of a stale holder was accepted'
    let overstaying: readonly string[]
    let repeating: readonly string[]
    let gullible: readonly string[]
    before(async () => {
      ;[overstaying, repeating, gullible] = await Promise.all([
        kindsFound({ ...UNFORGIVING, lie: 'overstay' }, 'P7: two hold one key at once'),
        kindsFound({ ...UNFORGIVING, lie: 'constant fence' }, STALE),
        kindsFound({ ...UNFORGIVING, gullibleStore: true }, STALE),
      ])
    }).timeout(600_000)

    it('detects trust in a lost lease', () => {
      expect(overstaying).to.include('P7: two hold one key at once')
    })

    it('detects fences that do not grow', () => {
      expect(repeating).to.include.members(['P6: a fence does not grow from one holder to the next', STALE])
    })

    it('detects a store that accepts late writes', () => {
      expect(gullible).to.deep.equal([STALE])
    })
  })
})

describe('npm run soak', () => {
  function run(...args: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
    const options = [...process.execArgv, MAIN, ...args]
    return new Promise((resolve) => {
      const child = execFile(process.execPath, options, (_error, stdout, stderr) => {
        resolve({ code: child.exitCode ?? -1, output: stdout + stderr })
      })
    })
  }

  it('reports what happened, and that nothing was violated', async () => {
    const { code, output } = await run('--minutes', '0.02', '--processes', '1', '--keys', '20', '--seed', '3')
    expect(output).to.match(/^npm run soak -- --minutes 0\.02 --processes 1 --keys 20 --ttl 1000 --seed 3$/m)
    expect(output).to.match(/^\| acquisitions +\| +[1-9]/m)
    expect(output).to.match(/^\| violations +\| +0 \|$/m)
    expect(code).to.equal(0)
  }).timeout(150_000)

  it('ends on Ctrl-C, and leaves nothing behind', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'leasewheel-soak-'))
    try {
      const env = { ...process.env, TMPDIR: directory }
      const child = spawn(process.execPath, [...process.execArgv, MAIN], { env, stdio: 'ignore' })
      const closed = once(child, 'close')
      const isUnderWay = (): boolean => foldersIn(directory).length === 2 && historiesIn(directory).length > 0
      while (!isUnderWay() && child.exitCode === null) await setTimeout(20)
      child.kill('SIGINT')
      expect(await closed).to.deep.equal([130, null])
      expect(foldersIn(directory)).to.deep.equal([])
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }).timeout(150_000)

  it('has a longer ttl with Sentinels by default', () => {
    expect(readArguments(['--sentinel', '--seed', '1'], () => 0)).to.include({ sentinel: true, ttl: 3_000 })
    expect(readArguments(['--sentinel', '--ttl', '500'], () => 0)).to.include({ sentinel: true, ttl: 500 })
    expect(readArguments([], () => 0)).to.include({ sentinel: false, ttl: 1_000 })
  })

  it('prints its help', async () => {
    expect(await run('--help')).to.deep.equal({ code: 0, output: `${HELP}\n` })
  })

  for (const [args, message] of [
    [['--minutes', '0'], 'Expected --minutes to be a number > 0 and <= 10000, got `0`'],
    [['--minutes', 'x'], 'Expected --minutes to be a number > 0 and <= 10000, got `x`'],
    [['--processes', '0'], 'Expected --processes to be an integer from 1 to 64, got `0`'],
    [['--keys', '1.5'], 'Expected --keys to be an integer from 1 to 100000, got `1.5`'],
    [['--ttl', '5'], 'Expected --ttl to be an integer from 300 to 60000, got `5`'],
    [['--seed', ''], 'Expected --seed to be an integer from 0 to 2147483647, got ``'],
    [['--speed'], "Unknown option '--speed'"],
  ] as const) {
    it(`refuses ${args.join(' ')}`, async () => {
      const { code, output } = await run(...args)
      expect(output).to.equal(`${message}\nTry: npm run soak -- --help\n`)
      expect(code).to.equal(2)
    })
  }
})
