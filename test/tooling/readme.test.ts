/** The README: its size, its example, and where its links and those of all pages lead. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
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

/** Pages that people read. */
function pages(): readonly string[] {
  const docs = readdirSync('docs', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md'))
  return ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...docs.map((name) => join('docs', name))]
}

/** What may stand behind `#` in a link to a page: a name for each heading, as GitHub makes it. */
function anchorsOf(page: string): readonly string[] {
  const prose = readFileSync(page, 'utf8').replaceAll(/^```.*?^```$/gms, '')
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_\- ]/gu, '')
      .replaceAll(' ', '-'),
  )
}

function brokenLinksOf(page: string): readonly string[] {
  const prose = readFileSync(page, 'utf8').replaceAll(/^```.*?^```$/gms, '')
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
  return links.filter((link) => {
    if (/^https?:/.test(link)) return false
    const [path = '', anchor] = link.split('#')
    const target = path === '' ? page : join(dirname(page), path)
    return !existsSync(target) || (anchor !== undefined && !anchorsOf(target).includes(anchor))
  })
}

describe('the pages', () => {
  it('have links that lead to a file, and to a heading in it', () => {
    const all = pages()
    expect(all.length).to.be.above(20)
    const broken = all.flatMap((page) => brokenLinksOf(page).map((link) => `${page}: ${link}`))
    expect(broken).to.deep.equal([])
  })
})
