/** The README: its size and its example. Its links are looked at by `npm run links`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect } from 'chai'
import { withRedis } from '../support/redis-server.ts'

const LARGEST = 8_192
/** ms after which a program is ended. */
const LIMIT = 40_000
/** The server in the example. */
const URL_OF_EXAMPLE = 'redis://localhost:6379'

const readme = readFileSync('README.md', 'utf8')

interface Run {
  readonly code: number | null
  readonly output: string
}

async function run(folder: string, ...args: readonly string[]): Promise<Run> {
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output }
}

/** A project of somebody else, in which the package is installed as it is here. */
async function withProject(
  files: Readonly<Record<string, string>>,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'leasewheel-readme-'))
  try {
    const modules = join(folder, 'node_modules')
    mkdirSync(join(modules, '@types'), { recursive: true })
    symlinkSync(resolve('.'), join(modules, 'leasewheel'))
    for (const name of ['@types/node', 'ioredis']) symlinkSync(resolve('node_modules', name), join(modules, name))
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The only program in the README, on a server of ours. */
function exampleOn(url: string): string {
  const programs = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, program = '']) => program)
  expect(programs).to.have.length(1)
  const parts = programs.join().split(URL_OF_EXAMPLE)
  expect(parts, 'a program that names one server').to.have.length(2)
  return parts.join(url)
}

const PROJECT = {
  'package.json': '{ "type": "module" }',
  'tsconfig.json': JSON.stringify({
    extends: resolve('tsconfig.json'),
    include: ['*.ts'],
    compilerOptions: { types: ['node'] },
  }),
}

describe('the README', () => {
  it('is at most 8 kB long', () => {
    expect(Buffer.byteLength(readme)).to.be.at.most(LARGEST)
  })

  it('has an example that compiles under the strictest options', () =>
    withProject({ ...PROJECT, 'example.ts': exampleOn(URL_OF_EXAMPLE) }, async (folder) => {
      const { code, output } = await run(folder, resolve('node_modules/typescript/bin/tsc'), '-p', folder)
      expect(output).to.equal('')
      expect(code).to.equal(0)
    })).timeout(60_000)

  it('has an example that runs, loses nothing and ends by itself', () =>
    withRedis((server) =>
      withProject({ ...PROJECT, 'example.ts': exampleOn(server.url) }, async (folder) => {
        const tsx = import.meta.resolve('tsx')
        const { code, output } = await run(folder, '--import', tsx, '--conditions=leasewheel:source', 'example.ts')
        expect(output).to.equal('3 seats, 3 leases\n')
        expect(code).to.equal(0)
      }),
    )).timeout(60_000)
})
