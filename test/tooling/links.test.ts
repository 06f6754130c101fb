import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect } from 'chai'

type Tree = Readonly<Record<string, string>>

interface Verdict {
  readonly passed: boolean
  /** One for each link that is broken. */
  readonly faults: readonly string[]
}

/** What the check says of a tree of files. */
async function check(tree: Tree, ...options: readonly string[]): Promise<Verdict> {
  const folder = mkdtempSync(join(tmpdir(), 'leasewheel-links-'))
  try {
    for (const [name, text] of Object.entries(tree)) {
      mkdirSync(join(folder, dirname(name)), { recursive: true })
      writeFileSync(join(folder, name), text)
    }
    return await new Promise((resolve) => {
      const args = ['--import', 'tsx', 'scripts/links.ts', folder, ...options]
      execFile(process.execPath, args, (error, _stdout, stderr) =>
        resolve({ passed: error === null, faults: stderr.split('\n').filter((line) => line !== '') }),
      )
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('the check of the links', () => {
  it('accepts links to files, folders, headings and anchors that exist', async () => {
    const readme = [
      '# Title',
      '[a page](docs/page.md), [the top](#title), [a folder](docs/), [code](src/code.ts), [a line of it](src/code.ts#L1)',
      '<img src="docs/one.svg"> ![two](docs/two%20words.svg)',
      '<picture><source srcset="docs/one.svg 1x, docs/one.svg 2x"></picture>',
      '[a method](docs/page.md#awordor-more), [the second](docs/page.md#again-1), [an id](docs/page.md#by-hand)',
      '[a reference][page], [mail](mailto:somebody@example.org), [not fetched](https://example.invalid/)',
      '',
      '[page]: docs/page.md',
    ]
    const page = ['# `a.word(or, more)`', '## Again', '## Again', '<a id="by-hand"></a>', '[back](../README.md#title)']
    const verdict = await check({
      'README.md': readme.join('\n'),
      'docs/page.md': page.join('\n\n'),
      'docs/one.svg': '',
      'docs/two words.svg': '',
      'src/code.ts': '',
    })
    expect(verdict).to.deep.equal({ passed: true, faults: [] })
  })

  it('finds each link to nothing, and says where it stands', async () => {
    const page = [
      '# Page',
      '[a file](other.md)',
      '![a picture](chart.svg)',
      '<img src="picture.svg">',
      '<source srcset="page.md, large.svg 2x">',
      '[a reference][gone]',
      '[a folder](../examples/)',
      '',
      '[gone]: gone.md',
    ]
    const { passed, faults } = await check({ 'docs/deep/page.md': page.join('\n') })
    expect(faults).to.deep.equal([
      'docs/deep/page.md:2: other.md: there is no such file',
      'docs/deep/page.md:3: chart.svg: there is no such file',
      'docs/deep/page.md:4: picture.svg: there is no such file',
      'docs/deep/page.md:5: large.svg: there is no such file',
      'docs/deep/page.md:6: gone.md: there is no such file',
      'docs/deep/page.md:7: ../examples/: there is no such file',
    ])
    expect(passed).to.equal(false)
  })

  it('finds each link to a heading that does not exist', async () => {
    const security = ['# One', '[no heading](#two)', '[nor there](docs/page.md#one)', '[no line](LICENSE#terms)']
    const { passed, faults } = await check({
      'SECURITY.md': security.join('\n'),
      'docs/page.md': '# Three\n\n```md\n# One\n```\n',
      LICENSE: '',
    })
    expect(faults).to.deep.equal([
      'SECURITY.md:2: #two: there is no such heading',
      'SECURITY.md:3: docs/page.md#one: there is no such heading',
      'SECURITY.md:4: LICENSE#terms: only Markdown files have anchors',
    ])
    expect(passed).to.equal(false)
  })

  it('refuses links that work in one place only', async () => {
    const { faults } = await check({ 'CHANGELOG.md': '[root](/README.md) [outside](../file.md)', 'README.md': '' })
    expect(faults).to.deep.equal([
      'CHANGELOG.md:1: /README.md: begins with a slash: write it relative to the file',
      'CHANGELOG.md:1: ../file.md: leaves the repository',
    ])
  })

  it('refuses a folder without Markdown files', async () => {
    const { passed, faults } = await check({ 'notes.md': '# Notes' })
    expect(faults).to.have.lengthOf(1)
    expect(faults[0]).to.include('has no Markdown files')
    expect(passed).to.equal(false)
  })

  it('the check of the links fetches URLs, and finds those without a page', async () => {
    const server = createServer(({ url }, response) => response.writeHead(url === '/here' ? 200 : 404).end())
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    try {
      const tree = { 'README.md': `[here](${origin}/here)\n[gone](${origin}/gone)\n[closed](http://127.0.0.1:1/)` }
      expect(await check(tree)).to.deep.equal({ passed: true, faults: [] })
      const { passed, faults } = await check(tree, '--external')
      expect(faults).to.have.lengthOf(2)
      expect(faults[0]).to.equal(`README.md:2: ${origin}/gone: the server answers 404`)
      expect(faults[1]).to.include('README.md:3: http://127.0.0.1:1/: fetch failed')
      expect(passed).to.equal(false)
    } finally {
      server.close()
    }
  })
})
